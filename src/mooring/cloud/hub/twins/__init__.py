"""Device twins of the hubs."""
