"""Cloud connections: the state machine, its supervisor, the service that holds them all."""
