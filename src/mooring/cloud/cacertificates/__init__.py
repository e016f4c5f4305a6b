"""CA certificates that callers upload, and the proof that they hold the key: DPS and hubs."""
