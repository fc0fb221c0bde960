"""Reading the recorded bytes of one object, or refusing to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from refstore.backends.aio import PIECE, Pieces
from refstore.backends.base import Reading
from refstore.backends.s3 import answers as s3_answers
from refstore.backends.s3 import errors as s3_errors
from refstore.backends.s3.client import S3Client
from refstore.errors import RefstoreError, SourceChanged, SourceMissing, SourceUnavailable
from refstore.manifest.entry import Object

WORTH_ASKING_AGAIN = 32 << 20
"""The bytes from which on a second request by the short way costs less than reading all of the first one's answer."""

_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")


def read(client: S3Client, obj: Object, uri: str, start: int, length: int | None) -> Reading:
    """Open an object as recorded; see `Backend.open` for what is promised and raised."""
    if length == 0 or (start and obj.size is not None and start >= obj.size):
        return Reading(iter(()), s3_answers.proofs(obj, {}, whole=False, part_size=None))
    ranged = start > 0 or length is not None
    parameters = {"Bucket": obj.bucket, "Key": obj.key}
    if ranged:
        parameters["Range"] = f"bytes={start}-" + ("" if length is None else str(start + length - 1))
    # Before the body is under way: readers waiting for a second connection with one in hand could block each other.
    part_size = _part_size(client, obj) if length is None else None
    with client.throttle:
        first = client.direct.is_first(obj.bucket)
        try:
            direct = client.direct.get(obj, uri, start, length)
            answer = _get(client, obj, uri, parameters) if direct is None else {}
        finally:
            if first:
                client.direct.asked(obj.bucket)
        if direct is None and first and _size(obj, start, length) >= WORTH_ASKING_AGAIN:
            direct = client.direct.get(obj, uri, start, length)
            if direct is not None:
                client.discard(answer)
    if direct is not None:
        chunks, answer = direct
        return Reading(chunks, s3_answers.proofs(obj, answer, whole=not ranged, part_size=part_size))
    body = answer["Body"]
    try:
        expected = _check(client, obj, uri, answer, start, length)
    except BaseException:
        client.discard(answer)
        raise

    async def release() -> None:
        body.close()

    pieces = Pieces(
        _chunks(body),
        expected=expected,
        where=uri,
        release=release,
        translate=lambda error: s3_errors.translate(error, uri, obj.bucket, client.label, "s3:GetObject"),
    )
    return Reading(pieces, s3_answers.proofs(obj, answer, whole=not ranged, part_size=part_size))


def _size(obj: Object, start: int, length: int | None) -> int:
    whole = max(0, (obj.size or 0) - start)
    return whole if length is None else min(whole, length)


async def _chunks(body: Any) -> AsyncIterator[bytes]:
    while chunk := await body.read(PIECE):
        yield chunk


def _get(client: S3Client, obj: Object, uri: str, parameters: dict[str, str]) -> dict[str, Any]:
    """Ask for the version that was recorded, or for what is there under the condition that it has the recorded ETag."""
    from botocore.exceptions import ClientError

    pinned: dict[str, str | None] = {"VersionId": obj.version}
    if obj.version is None and obj.etag is not None and not obj.etag.startswith("W/"):
        pinned = {"IfMatch": f'"{obj.etag}"'}
    permission = "s3:GetObjectVersion" if obj.version else "s3:GetObject"
    try:
        return client.get_object(**parameters, **pinned)
    except ClientError as error:
        gone = s3_errors.status(error) in (404, 412) and s3_errors.code(error) != "NoSuchBucket"
        answer = None
        if gone and "IfMatch" in pinned:
            # What was written before versioning was on lives on as the version `null` under whatever came on top of it.
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
            answer = _retried(client, obj, {**parameters, **pinned, "VersionId": "null"})
        elif s3_errors.status(error) == 403 and obj.version and obj.etag:
            # Who may read only what is current gets it, as long as that is what was recorded.
            answer = _retried(client, obj, {**parameters, "IfMatch": f'"{obj.etag}"'})
        if answer is not None:
            return answer
        translated = s3_errors.translate(error, uri, obj.bucket, client.label, permission)
        if isinstance(translated, SourceChanged):
            raise _changed(obj, uri, _now(client, obj)) from error
        if isinstance(translated, SourceMissing) and gone and obj.version:
            raise SourceMissing(
                f"The recorded version of {uri} is gone: it was deleted, or a lifecycle rule of the bucket expired it."
            ) from error
        raise translated from error
    except RefstoreError:
        raise
    except Exception as error:
        raise s3_errors.translate(error, uri, obj.bucket, client.label, permission) from error


def _retried(client: S3Client, obj: Object, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Another way to the recorded bytes; None if it leads nowhere."""
    try:
        answer = client.get_object(**parameters)
    except Exception:  # noqa: BLE001 - it was only a hope; the first answer is the one to report
        return None
    now = s3_answers.headed(obj.endpoint, obj.bucket, obj.key, answer)
    if (now.etag, now.version) == (obj.etag, obj.version):
        return answer
    client.discard(answer)
    return None


def _check(client: S3Client, obj: Object, uri: str, answer: dict[str, Any], start: int, length: int | None) -> int:
    """How many bytes have to come, after the answer was found to be about the recorded object."""
    now = s3_answers.headed(obj.endpoint, obj.bucket, obj.key, answer)
    if obj.version is not None and now.version != obj.version:
        raise SourceChanged(
            f"{client.label} took no notice of the version when asked for {uri}, and offered "
            f"{now.version or 'an unversioned object'} instead: its bytes are not those recorded."
        )
    total = _TOTAL.fullmatch(answer.get("ContentRange") or "")
    received = answer.get("ContentLength")
    if (start or length is not None) and not total:
        raise SourceUnavailable(f"{client.label} takes no notice of ranges, so {uri} can't be read in part.")
    size = int(total[1]) if total else received
    if (obj.etag and now.etag != obj.etag) or (obj.size is not None and size != obj.size):
        raise _changed(obj, uri, (now.etag, size, now.mtime))
    assert size is not None
    end = size if length is None else min(size, start + length)
    return end - start


def _now(client: S3Client, obj: Object) -> tuple[str | None, int | None, str | None] | None:
    """ETag, size and time of what is there now, if it can be told."""
    try:
        answer = client.run("head_object", Bucket=obj.bucket, Key=obj.key)
    except Exception:  # noqa: BLE001 - it is for the message alone
        return None
    now = s3_answers.headed(obj.endpoint, obj.bucket, obj.key, answer)
    return now.etag, now.size, now.mtime


def _changed(obj: Object, uri: str, now: tuple[str | None, int | None, str | None] | None) -> SourceChanged:
    there = f"; there now: ETag {now[0]}, {now[1]} bytes, written {now[2]}" if now else ""
    return SourceChanged(
        f"{uri} was overwritten since it was recorded (recorded: ETag {obj.etag}, {obj.size} bytes, written "
        f"{obj.mtime}{there}), and no version of it was recorded."
    )


def _part_size(client: S3Client, obj: Object) -> int | None:
    """In bytes, the size of all parts but the last; None if it can't be told, or is not the same for all.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html#AmazonS3-HeadObject-request-uri-querystring-PartNumber
    """
    count = s3_answers.parts(obj.etag)
    if count is None or not obj.size:
        return None
    if count == 1:
        return obj.size
    pinned = {"VersionId": obj.version} if obj.version else {"IfMatch": f'"{obj.etag}"'}
    try:
        first = client.run("head_object", Bucket=obj.bucket, Key=obj.key, PartNumber=1, **pinned)
    except Exception:  # noqa: BLE001 - without it there is a proof less
        return None
    size = first.get("ContentLength")
    fits = size and size < obj.size and -(-obj.size // size) == count and first.get("PartsCount") in (None, count)
    return size if fits else None
