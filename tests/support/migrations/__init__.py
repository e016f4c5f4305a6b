"""A schema for tests of storage: two steps, so that upgrades can be seen."""

HEAD = "0002"
