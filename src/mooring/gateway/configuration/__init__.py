"""Component PIDs, typed properties from one schema, server-side validation, apply."""
