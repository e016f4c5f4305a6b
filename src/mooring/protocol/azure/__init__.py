"""The Azure dialects on top of MQTT: one grammar for the device's and the cloud's end."""
