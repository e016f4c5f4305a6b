"""Certificates and keys at rest: 0600 files. A key goes in and is never given back."""
