"""The DPS as a resource, in the shapes of Azure Resource Manager."""
