"""Who may use the cloud's own interfaces: owner, admin tokens, shared access policies."""
