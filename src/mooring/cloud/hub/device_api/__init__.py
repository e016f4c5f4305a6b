"""The device API of IoT Hub over HTTPS: events, cloud-to-device messages."""
