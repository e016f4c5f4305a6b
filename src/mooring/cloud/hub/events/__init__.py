"""What the hub reports of itself, as messages beside the telemetry."""
