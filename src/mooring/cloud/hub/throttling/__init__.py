"""Quotas and throttles of the hubs: Azure's figures, counted for each hub, off by default."""
