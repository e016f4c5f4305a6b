"""Hubs in the resource API, as Azure Resource Manager has them."""
