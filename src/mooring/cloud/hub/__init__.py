"""IoT Hub: device identities, who may connect, and the telemetry log."""
