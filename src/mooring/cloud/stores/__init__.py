"""Adapters of the services' store ports. They import the ports, never the reverse."""
