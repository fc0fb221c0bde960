"""Web servers, on the session of fsspec's HTTP file system."""

from refstore.backends.http.backend import HTTPBackend

__all__ = ["HTTPBackend"]
