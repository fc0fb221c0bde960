"""Listing a prefix of a bucket, a page at a time: with version ids in the same request where the service can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from typing import Any

from refstore.backends.base import Page
from refstore.backends.s3 import errors as s3_errors
from refstore.backends.s3 import loop as s3_loop
from refstore.backends.s3.client import S3Client
from refstore.backends.s3.direct_listing import UnsupportedError
from refstore.backends.s3.pace import Pace
from refstore.backends.s3.pages import Listed
from refstore.backends.s3.ranges import OutOfOrderError, Ranges, Survey, level_of
from refstore.errors import SourceUnavailable
from refstore.manifest.rows import KEY, PATH, SIZE, VERSION, Row, Rows

PAGE = 1000
_AHEAD = 2
"""Pages that wait for who lists; while they do, no more are asked for."""

_MARKERS = ("/", "_$folder$")

Put = Callable[[Listed], Awaitable[None]]


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
        """The pages; a page of old versions alone is empty. While one is in use the next ones are fetched.

        Raises:
            SourceMissing, SourceDenied, CredentialsMissing, SourceUnavailable: As `Backend.find` does.
        """
        queue: asyncio.Queue[Listed | Exception | None] = asyncio.Queue(_AHEAD)
        listing = s3_loop.start(self._fill(queue))
        told = False
        try:
            while (listed := s3_loop.run(queue.get())) is not None:
                with self._translating():
                    if isinstance(listed, Exception):
                        raise listed
                page = self._page(listed.rows)
                if not told and None in [row[VERSION] for row in Rows.of(page.entries).rows]:
                    told = True
                    page = Page(page.entries, page.markers, (*page.notes, *self._why_unpinned()))
                yield page
        finally:
            listing.cancel()

    def _translating(self) -> Any:
        return s3_errors.translating(self._uri, self._bucket, self._client.label, "s3:ListBucket")

    def _page(self, rows: list[Row]) -> Page:
        kept = [row for row in rows if row[SIZE] or not row[KEY].endswith(_MARKERS)]
        # a folder's own object, where it is no marker
        unnamed = [at for at, row in enumerate(kept) if not row[PATH]]
        for at in unnamed:
            kept[at] = (kept[at][KEY].rstrip("/").rpartition("/")[2] + "/", *kept[at][1:])
        return Page(Rows(kept), len(rows) - len(kept))

    def _why_unpinned(self) -> tuple[str, ...]:
        if not self._with_versions:
            return tuple(self._notes)
        return (unversioned(self._bucket),)

    async def _fill(self, queue: asyncio.Queue[Listed | Exception | None]) -> None:
        try:
            await self._list(queue.put)
        except Exception as error:  # noqa: BLE001 - it is raised where the queue is read
            await queue.put(error)
        else:
            await queue.put(None)

    async def _list(self, put: Put) -> None:
        """A chain of pages; where it waits for latency alone, several chains at once, each for some folders."""
        pace, seen, before = Pace(), set[int](), set[str]()
        survey: Survey | None = None
        page = await pace.timed(self._first())
        while True:
            # Some services give a key twice, mostly at the border of two pages.
            keys = set(page.keys)
            if len(keys) == len(page.keys) and keys.isdisjoint(before):
                await put(page)
            else:
                kept = {row[KEY]: row for row in page.rows if row[KEY] not in before}
                await put(replace(page, rows=list(kept.values())))
            before = keys
            if not page.truncated:
                return
            if survey is not None:
                ranges = Ranges(survey, page, self._prefix, self._behind, put)
                try:
                    done = await ranges.run()
                except OutOfOrderError:
                    done = False
                    pace.give_up()
                if done:
                    if ranges.last is None:
                        return
                    before = {ranges.last}
                    page, survey = await pace.timed(self._behind(ranges.last, None)), None
                    continue
            level = level_of(page, self._prefix) if pace.is_far else None
            following = asyncio.ensure_future(pace.timed(self._behind("", page, seen)))
            try:
                survey = None if level is None else await self._survey(level, page.keys[-1], pace)
                page = await following
            finally:
                following.cancel()

    async def _first(self) -> Listed:
        """The first page, and with it the decision how the rest is listed."""
        try:
            listed = await self._ask("list_object_versions")
        except UnsupportedError:
            reason = "the service can't list versions"
        except Exception as error:
            denied = s3_errors.status(error) == 403 and s3_errors.code(error) in ("AccessDenied", "403")
            if (
                not denied
                and s3_errors.code(error) not in s3_errors.UNSUPPORTED
                and s3_errors.status(error) not in (405, 501)
            ):
                raise
            reason = "the account lacks s3:ListBucketVersions" if denied else "the service can't list versions"
        else:
            if not listed.plain:
                return listed
            reason = "the service can't list versions"
        self._with_versions = False
        self._notes.append(
            f"Objects in the bucket {self._bucket!r} are pinned by ETag only and not by version, because {reason}: an "
            "overwrite will be noticed, but the old bytes may not be had back."
        )
        return await self._ask("list_objects_v2")

    async def _behind(self, key: str, page: Listed | None, seen: set[int] | None = None) -> Listed:
        """The page that follows a page, or, without one, the page that begins behind a key."""
        operation = "list_object_versions" if self._with_versions else "list_objects_v2"
        if page is None:
            return await self._ask(operation, **{"KeyMarker" if self._with_versions else "StartAfter": key})
        if not page.next:
            raise SourceUnavailable(
                f"{self._client.label} cut its listing of {self._uri} short without saying where it goes on: that is a "
                "fault of the service."
            )
        if seen is not None:
            mark = hash(tuple(sorted(page.next.items())))
            if mark in seen:
                raise SourceUnavailable(
                    f"{self._client.label} goes in circles when it lists {self._uri}: it gave the same continuation "
                    "twice. That is a fault of the service; a smaller prefix may work."
                )
            seen.add(mark)
        return await self._ask(operation, **page.next)

    async def _survey(self, level: str, after: str, pace: Pace) -> Survey | None:
        """The folders of a level, where asking for them took as long as a whole page: then latency is the limit."""
        try:
            listed = await pace.timed(
                self._ask("list_objects_v2", Prefix=level or None, Delimiter="/", StartAfter=after), survey=True
            )
            return Survey(level, listed.prefixes, listed.truncated) if pace.is_latency else None
        except Exception:  # noqa: BLE001 - who may not ask this way lists without it
            pace.give_up()
            return None

    async def _ask(self, operation: str, **parameters: Any) -> Listed:
        asked = {"Prefix": self._prefix or None, **parameters}
        return await self._client.list_page(operation, self._bucket, MaxKeys=PAGE, **asked)


def unversioned(bucket: str) -> str:
    """The note for objects without version ids."""
    return (
        f"Objects in the bucket {bucket!r} have no version ids (versioning is off, or was when they were written), so "
        "they are pinned by ETag or checksum only: an overwrite will be noticed, but the old bytes can't be had back."
    )


def exists(client: S3Client, bucket: str, key: str) -> bool:
    """Whether there is an object of exactly this name: it is listed before all others that begin with it."""
    return key in s3_loop.run(client.list_page("list_objects_v2", bucket, Prefix=key, Delimiter="/", MaxKeys=1)).keys


def is_deleted(client: S3Client, bucket: str, key: str) -> bool:
    """Whether a delete marker is what is at a key now. Not every service says so when it is asked for the object."""
    try:
        answer = client.run("list_object_versions", Bucket=bucket, Prefix=key, MaxKeys=10)
    except Exception:  # noqa: BLE001 - it is for the message alone
        return False
    return any(row["Key"] == key and row.get("IsLatest") for row in answer.get("DeleteMarkers", ()))
