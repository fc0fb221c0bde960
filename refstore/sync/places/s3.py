"""A bucket of S3, or of what speaks its language."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from refstore.backends import Backend, Location
from refstore.backends.aio import PIECE, Pieces
from refstore.backends.s3 import endpoint as s3_endpoint
from refstore.backends.s3 import errors as s3_errors
from refstore.backends.s3.client import S3Client
from refstore.sync.places.place import Place

_AT_ONCE = 4
# Another conditional write of the same key was under way:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_LOST = (409, 412)


class S3Place(Place):
    """A prefix in a bucket. An object is one PUT; a long one a multipart upload, which appears when it is completed."""

    def __init__(self, location: Location, backend: Backend) -> None:
        self.url = backend.uri(location)
        self._bucket = location.bucket
        self._prefix = location.key.rstrip("/") + "/" if location.key.strip("/") else ""
        self._client = S3Client(s3_endpoint.for_record(backend.settings, location.endpoint, self.url))

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        """See `Place.get`."""
        try:
            answer = self._client.run(
                "get_object", Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes={start}-" if start else None
            )
        except Exception as error:
            if self._is_missing(error):
                return None
            if start and s3_errors.status(error) == 416:
                return iter(())
            raise self._failure(error, "s3:GetObject") from error
        body = answer["Body"]

        async def release() -> None:
            body.close()

        return Pieces(
            _chunks(body),
            expected=answer.get("ContentLength"),
            where=f"{self.url}/{key}",
            release=release,
            translate=lambda error: self._failure(error, "s3:GetObject"),
        )

    def put(self, key: str, data: bytes, *, only_new: bool = False) -> bool:
        """See `Place.put`."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        try:
            self._client.run("put_object", Bucket=self._bucket, Key=self._prefix + key, Body=data, **condition)
        except Exception as error:
            if only_new and s3_errors.status(error) in _LOST:
                return False
            if only_new and (s3_errors.code(error) in s3_errors.UNSUPPORTED or s3_errors.status(error) == 501):
                # The last writer wins where conditions are not known; who writes reads it again.
                return not self.has(key) and self.put(key, data)
            raise self._failure(error, "s3:PutObject") from error
        return True

    def put_parts(self, key: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        """See `Place.put_parts`."""
        at = {"Bucket": self._bucket, "Key": self._prefix + key}
        try:
            at["UploadId"] = self._client.run("create_multipart_upload", **at)["UploadId"]
            try:
                done = self._send(at, parts())
                self._client.run("complete_multipart_upload", **at, MultipartUpload={"Parts": done})
            except BaseException:
                self._abort(at)
                raise
        except Exception as error:
            raise self._failure(error, "s3:PutObject") from error

    def _send(self, at: dict[str, str], parts: Iterator[bytes]) -> list[dict[str, Any]]:
        done: list[dict[str, Any]] = []
        under_way: deque[tuple[int, Any]] = deque()

        def finish() -> None:
            number, future = under_way[0]
            done.append({"PartNumber": number, "ETag": future.result()["ETag"]})
            under_way.popleft()

        try:
            for number, part in enumerate(parts, 1):
                if len(under_way) == _AT_ONCE:
                    finish()
                upload = self._client.call("upload_part", **at, PartNumber=number, Body=part)
                under_way.append((number, self._client.start(upload)))
            while under_way:
                finish()
        finally:
            for _, future in under_way:
                future.cancel()
        return done

    def _abort(self, at: dict[str, str]) -> None:
        try:
            self._client.run("abort_multipart_upload", **at)
        except Exception:  # noqa: BLE001 - what the caller has to know is why it came to this
            return

    def has(self, key: str) -> bool:
        """See `Place.has`."""
        try:
            self._client.run("head_object", Bucket=self._bucket, Key=self._prefix + key)
        except Exception as error:
            if self._is_missing(error):
                return False
            raise self._failure(error, "s3:GetObject") from error
        return True

    def names(self, folder: str) -> Iterator[str]:
        """See `Place.names`."""
        prefix, token = f"{self._prefix}{folder}/", None
        while True:
            try:
                page = self._client.run(
                    "list_objects_v2", Bucket=self._bucket, Prefix=prefix, Delimiter="/", ContinuationToken=token
                )
            except Exception as error:
                raise self._failure(error, "s3:ListBucket") from error
            for row in page.get("Contents", ()):
                if name := row["Key"][len(prefix) :]:
                    yield name
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or not token:
                return

    def _is_missing(self, error: Exception) -> bool:
        return s3_errors.status(error) == 404 and s3_errors.code(error) != "NoSuchBucket"

    def _failure(self, error: Exception, permission: str) -> Exception:
        return s3_errors.translate(error, self.url, self._bucket, self._client.label, permission)


async def _chunks(body: Any) -> Any:
    while chunk := await body.read(PIECE):
        yield chunk
