"""REST of the gateway: everything that command line and console do."""
