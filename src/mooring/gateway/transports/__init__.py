"""Ways to a cloud: check, provision, connect; each stage reported as it happens."""
