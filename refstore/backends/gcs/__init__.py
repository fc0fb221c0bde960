"""Google Cloud Storage, on the session of gcsfs."""

from refstore.backends.gcs.backend import GCSBackend

__all__ = ["GCSBackend"]
