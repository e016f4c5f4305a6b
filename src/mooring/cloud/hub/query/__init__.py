"""Queries over the twins of a hub."""
