"""X.509 for Mooring: names, keys, issuing, chains, proof of possession.

The only package that uses `cryptography`; others pass its certificate objects on. No clock, no
network, no files: times are arguments (aware UTC), texts and bytes come in and go out.
"""
