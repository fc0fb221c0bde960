"""S3, and every server that speaks its protocol.

There are two ways to a bucket. The long one is s3fs (`client`), which follows, retries, and says what is wrong. The
short one is for good answers alone: `plain` tells where a bucket is, `ways` signs what is asked there (`signing`), and
then objects are read by `direct` over `wire`, and prefixes listed by `direct_listing` over `stream`, on the loop of
`loop`. Whatever comes back otherwise goes the long way.
"""

from refstore.backends.s3.backend import S3Backend

__all__ = ["S3Backend"]
