"""The command line: parse, call, print, exit code. Only here is the whole put together."""
