"""The command line: parse, call, print, exit code. The only place where the whole is put together."""
