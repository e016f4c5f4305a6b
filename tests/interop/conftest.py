"""One cloud for each module of interop tests."""

from tests.support.cloud import cloud

__all__ = ["cloud"]
