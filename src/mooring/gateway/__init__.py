"""The gateway: cloud connections to Azure IoT by X.509, cut along Kura's own seams."""
