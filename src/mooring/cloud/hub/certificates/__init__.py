"""CA certificates of hubs: whose devices may authenticate by chain."""
