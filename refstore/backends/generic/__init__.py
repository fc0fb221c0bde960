"""Any other protocol that fsspec knows."""

from refstore.backends.generic.backend import GenericBackend

__all__ = ["GenericBackend"]
