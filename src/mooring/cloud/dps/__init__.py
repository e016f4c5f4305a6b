"""Device Provisioning Service: who may register, and where a device is sent."""
