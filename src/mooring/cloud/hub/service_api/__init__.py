"""The service API of IoT Hub over HTTPS: what back ends ask a hub for."""
