"""The rules, one per file; `mooring.pki.lint.catalogue` lists them."""
