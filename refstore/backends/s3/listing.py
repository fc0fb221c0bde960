"""Listing a prefix of a bucket, a page at a time: with version ids in the same request where the service can."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from refstore.backends.base import Page
from refstore.backends.s3 import answers as s3_answers
from refstore.backends.s3 import errors as s3_errors
from refstore.backends.s3.client import S3Client
from refstore.errors import SourceUnavailable
from refstore.manifest.entry import Entry, Object

PAGE = 1000
_FOLDER = "_$folder$"


@dataclass(frozen=True, slots=True)
class _Rows:
    """One answer: the current objects in it, and where the next one begins (None: nowhere)."""

    objects: list[Object]
    next: dict[str, str] | None


class Listing:
    """All objects below a prefix.

    Args:
        client: Of the endpoint.
        bucket: Its name.
        prefix: "" or one that ends with `/`: paths are relative to it.
        uri: For messages.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str, uri: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._uri = uri
        self._with_versions = True
        self._notes: list[str] = []

    def pages(self) -> Generator[Page, None, None]:
        """The pages; a page of old versions alone is empty. While one is in use the next is fetched.

        Raises:
            SourceMissing, SourceDenied, CredentialsMissing, SourceUnavailable: As `Backend.find` does.
        """
        waiting = self._client.start(self._first())
        seen: set[int] = set()
        before: set[str] = set()
        told = False
        try:
            while True:
                with self._translating():
                    rows = waiting.result()
                if rows.next is not None:
                    self._check_advance(rows.next, seen)
                    waiting = self._client.start(self._fetch(rows.next))
                # Some services give a key twice, mostly at the border of two pages.
                by_key = {obj.key: obj for obj in rows.objects}
                page = self._page([obj for key, obj in by_key.items() if key not in before])
                before = set(by_key)
                if not told and any(entry.object.version is None for entry in page.entries):
                    told = True
                    page = Page(page.entries, page.markers, (*page.notes, *self._why_unpinned()))
                yield page
                if rows.next is None:
                    return
        finally:
            waiting.cancel()

    def _translating(self) -> Any:
        return s3_errors.translating(self._uri, self._bucket, self._client.label, "s3:ListBucket")

    def _check_advance(self, token: dict[str, str], seen: set[int]) -> None:
        mark = hash(tuple(sorted(token.items())))
        if mark in seen:
            raise SourceUnavailable(
                f"{self._client.label} goes in circles when it lists {self._uri}: it gave the same continuation twice. "
                "That is a fault of the service; a smaller prefix may work."
            )
        seen.add(mark)

    def _page(self, objects: list[Object]) -> Page:
        entries, markers, start = [], 0, len(self._prefix)
        for obj in objects:
            if not obj.size and (obj.key.endswith("/") or obj.key.endswith(_FOLDER)):
                markers += 1
                continue
            path = obj.key[start:] or obj.key.rstrip("/").rpartition("/")[2] + "/"
            entries.append(Entry(path, obj))
        return Page(entries, markers)

    def _why_unpinned(self) -> tuple[str, ...]:
        if not self._with_versions:
            return tuple(self._notes)
        return (unversioned(self._bucket),)

    async def _first(self) -> _Rows:
        """The first page, and with it the decision how the rest is listed."""
        from botocore.exceptions import ClientError

        try:
            answer = await self._client.call(
                "list_object_versions", Bucket=self._bucket, MaxKeys=PAGE, Prefix=self._prefix or None
            )
        except ClientError as error:
            denied = s3_errors.status(error) == 403 and s3_errors.code(error) in ("AccessDenied", "403")
            if (
                not denied
                and s3_errors.code(error) not in s3_errors.UNSUPPORTED
                and s3_errors.status(error) not in (405, 501)
            ):
                raise
            reason = "the account lacks s3:ListBucketVersions" if denied else "the service can't list versions"
        else:
            if not answer.get("PlainListing"):
                return self._rows(answer)
            reason = "the service can't list versions"
        self._with_versions = False
        self._notes.append(
            f"Objects in the bucket {self._bucket!r} are pinned by ETag only and not by version, because {reason}: an "
            "overwrite will be noticed, but the old bytes may not be had back."
        )
        return await self._fetch({})

    async def _fetch(self, token: dict[str, str]) -> _Rows:
        operation = "list_object_versions" if self._with_versions else "list_objects_v2"
        return self._rows(
            await self._client.call(operation, Bucket=self._bucket, MaxKeys=PAGE, Prefix=self._prefix or None, **token)
        )

    def _rows(self, answer: dict[str, Any]) -> _Rows:
        endpoint = self._client.endpoint.name
        names: tuple[tuple[str, str], ...]
        if self._with_versions:
            rows = [row for row in answer.get("Versions", ()) if row.get("IsLatest")]
            names = (("KeyMarker", "NextKeyMarker"), ("VersionIdMarker", "NextVersionIdMarker"))
        else:
            rows = answer.get("Contents", [])
            names = (("ContinuationToken", "NextContinuationToken"),)
        objects = [s3_answers.listed(endpoint, self._bucket, row) for row in rows]
        if not answer.get("IsTruncated"):
            return _Rows(objects, None)
        token = {name: answer[field] for name, field in names if answer.get(field)}
        if not token:
            raise SourceUnavailable(
                f"{self._client.label} cut its listing of {self._uri} short without saying where it goes on: that is a "
                "fault of the service."
            )
        return _Rows(objects, token)


def unversioned(bucket: str) -> str:
    """The note for objects without version ids."""
    return (
        f"Objects in the bucket {bucket!r} have no version ids (versioning is off, or was when they were written), so "
        "they are pinned by ETag or checksum only: an overwrite will be noticed, but the old bytes can't be had back."
    )


def exists(client: S3Client, bucket: str, key: str) -> bool:
    """Whether there is an object of exactly this name: it is listed before all others that begin with it."""
    answer = client.run("list_objects_v2", Bucket=bucket, Prefix=key, Delimiter="/", MaxKeys=1)
    return any(row["Key"] == key for row in answer.get("Contents", ()))


def is_deleted(client: S3Client, bucket: str, key: str) -> bool:
    """Whether a delete marker is what is at a key now. Not every service says so when it is asked for the object."""
    try:
        answer = client.run("list_object_versions", Bucket=bucket, Prefix=key, MaxKeys=10)
    except Exception:  # noqa: BLE001 - it is for the message alone
        return False
    return any(row["Key"] == key and row.get("IsLatest") for row in answer.get("DeleteMarkers", ()))
