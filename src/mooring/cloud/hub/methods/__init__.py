"""Direct methods: calls of a back end that a connected device answers."""
