"""Consumer groups: several readers of one telemetry log, each with a place of its own."""
