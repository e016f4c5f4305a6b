"""The cloud's listeners, MQTT and HTTPS: take peers in, authenticate, hand over. Holds no rules."""
