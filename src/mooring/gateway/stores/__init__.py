"""SQLite behind the gateway's ports."""
