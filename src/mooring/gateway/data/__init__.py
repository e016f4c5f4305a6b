"""DataService: what is published, how much of it is under way, and what comes back."""
