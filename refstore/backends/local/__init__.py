"""Files on this machine and on what is mounted there."""

from refstore.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
