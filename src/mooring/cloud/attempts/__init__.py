"""Attempt records of the cloud: every try of a device, matched or not, within bounds."""
