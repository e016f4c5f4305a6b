"""The cloud: DPS and IoT Hub for whoever has none at hand."""
