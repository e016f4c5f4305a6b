"""Mooring: X.509 provisioning for Azure IoT, with a self-hosted DPS and IoT Hub."""

__version__ = "0.1.0"
