"""S3, and every server that speaks its protocol, by s3fs."""

from refstore.backends.s3.backend import S3Backend

__all__ = ["S3Backend"]
