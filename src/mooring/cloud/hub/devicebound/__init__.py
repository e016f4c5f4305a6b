"""Cloud-to-device messages: a queue for each device, locks, feedback."""
