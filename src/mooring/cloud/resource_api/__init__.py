"""The resource API: Azure Resource Manager's ways, for the DPS and the hubs of this cloud."""
