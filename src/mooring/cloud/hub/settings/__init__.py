"""How a hub behaves, as far as that can be chosen while it runs."""
