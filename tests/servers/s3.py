"""What the S3 servers have in common: credentials, and plain ways to fill buckets and to see what was asked of them."""

from __future__ import annotations

import functools
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import botocore.config
import botocore.session

from .nginx import AccessLog, Request

REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """An S3 server with an admin, and a reader who may not write; `logged_url` is the same behind an access log."""

    url: str
    logged_url: str
    log_file: str
    key: str = "admin"
    secret: str = "adminsecret"
    reader_key: str = "reader"
    reader_secret: str = "readersecret"
    region: str = REGION
    reader_needs_policy: bool = False

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def environment(self, *, reader: bool = False, logged: bool = False, url: str = "") -> dict[str, str]:
        """The AWS_* variables that make any client talk to this server."""
        return {
            "AWS_ENDPOINT_URL": url or (self.logged_url if logged else self.url),
            "AWS_ACCESS_KEY_ID": self.reader_key if reader else self.key,
            "AWS_SECRET_ACCESS_KEY": self.reader_secret if reader else self.secret,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, *, reader: bool = False) -> Any:
        """A botocore client (synchronous, safe to share between threads)."""
        key, secret = (self.reader_key, self.reader_secret) if reader else (self.key, self.secret)
        return _client(self.url, key, secret)

    def make_bucket(self, *, versioned: bool = True) -> str:
        """A new bucket of a unique name, that the reader can read."""
        bucket = f"t-{uuid.uuid4().hex[:16]}"
        self.client().create_bucket(Bucket=bucket)
        if versioned:
            self.set_versioning(bucket, "Enabled")
        if self.reader_needs_policy:
            self.client().put_bucket_policy(
                Bucket=bucket, Policy=_READ_ONLY % {"reader": self.reader_key, "bucket": bucket}
            )
        return bucket

    def set_versioning(self, bucket: str, status: str) -> None:
        """`status` is Enabled or Suspended."""
        self.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def put(self, bucket: str, key: str, data: bytes = b"", **options: Any) -> str | None:
        """Store an object; its version id, if the bucket has versions. `options` go to PutObject as they are."""
        version: str | None = self.client().put_object(Bucket=bucket, Key=key, Body=data, **options).get("VersionId")
        return version

    def put_many(self, bucket: str, files: Mapping[str, bytes]) -> dict[str, str | None]:
        """Store many objects at once; the version id of each."""
        with ThreadPoolExecutor(16) as pool:
            return dict(zip(files, pool.map(lambda key: self.put(bucket, key, files[key]), files), strict=True))

    def put_multipart(self, bucket: str, key: str, parts: Iterable[bytes]) -> str | None:
        """Store an object in parts (each but the last at least 5 MiB); its version id, if the bucket has versions."""
        client, where = self.client(), {"Bucket": bucket, "Key": key}
        upload = {**where, "UploadId": client.create_multipart_upload(**where)["UploadId"]}
        done = [
            {"PartNumber": n, "ETag": client.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        version: str | None = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done}).get(
            "VersionId"
        )
        return version

    def get(self, bucket: str, key: str, version: str | None = None) -> bytes:
        which = {"VersionId": version} if version else {}
        data: bytes = self.client().get_object(Bucket=bucket, Key=key, **which)["Body"].read()
        return data

    def delete(self, bucket: str, key: str, version: str | None = None) -> str | None:
        """Delete an object (where there are versions: add a delete marker, and return its id), or one version."""
        which = {"VersionId": version} if version else {}
        marker: str | None = self.client().delete_object(Bucket=bucket, Key=key, **which).get("VersionId")
        return marker

    @property
    def log(self) -> AccessLog:
        return AccessLog(self.logged_url, self.log_file)

    def mark(self) -> int:
        """A place in the access log, for `requests_since`."""
        return self.log.mark()

    def requests_since(self, mark: int, bucket: str) -> list[Request]:
        """What was asked of `bucket` at `logged_url` after `mark`."""
        return self.log.since(mark, f"/{bucket}")

    def operations_since(self, mark: int, bucket: str) -> Counter[str]:
        """The same, counted by S3 operation: `{"ListObjectVersions": 100, "GetObject": 3}`."""
        return Counter(operation(r) for r in self.requests_since(mark, bucket))


def operation(request: Request) -> str:
    """The name of the S3 operation that a path-style request is."""
    query = request.query
    is_bucket = not request.path.strip("/").partition("/")[2]
    if is_bucket and request.method == "GET":
        if query.get("list-type") == "2":
            return "ListObjectsV2"
        named = {"versions": "ListObjectVersions", "versioning": "GetBucketVersioning", "location": "GetBucketLocation"}
        return next((name for key, name in named.items() if key in query), "ListObjects")
    if request.method == "GET" and "attributes" in query:
        return "GetObjectAttributes"
    verb = request.method.capitalize()
    return verb + ("Bucket" if is_bucket else "Object")


@functools.cache
def _client(url: str, key: str, secret: str) -> Any:
    config = botocore.config.Config(
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        max_pool_connections=32,
        retries={"max_attempts": 3, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},
    )
    session = botocore.session.Session()
    return session.create_client(
        "s3", REGION, endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, config=config
    )


_READ_ONLY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
 "Principal": {"AWS": ["arn:aws:iam:::user/%(reader)s"]},
 "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning",
            "s3:GetBucketLocation"],
 "Resource": ["arn:aws:s3:::%(bucket)s", "arn:aws:s3:::%(bucket)s/*"]}]}"""
