"""IoT Hub over MQTT: who may connect, subscriptions, telemetry, methods."""
