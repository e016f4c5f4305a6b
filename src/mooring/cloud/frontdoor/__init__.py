"""The MQTT listener of the cloud: tells DPS from hub, authenticates, hands over. Holds no rules."""
