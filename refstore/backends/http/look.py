"""What one URL is, with as few requests and as little of its body as can prove it.

A HEAD tells the size and a strong ETag, and that is enough. Where HEAD is refused, or leaves these out, a GET is asked;
its body is read only to be hashed, where nothing else pins it. All that is reported of a file comes from one response.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from refstore.backends.http.client import Facts, HTTPClient, facts, is_directory, refused, translated
from refstore.errors import SourceUnavailable
from refstore.manifest.entry import Checksum

if TYPE_CHECKING:
    from aiohttp import ClientResponse

T = TypeVar("T")

_HEAD_REFUSED = frozenset((400, 403, 405, 501))
_READS = 3


@dataclass(frozen=True, slots=True)
class Sight:
    """What a URL turned out to be.

    Attributes:
        facts: From the response's headers; the size is the counted one where the body was read.
        checksum: Of the body, where it was read.
        directory: The server says by a redirect that it is a directory; then all else means nothing.
    """

    facts: Facts
    checksum: Checksum | None = None
    directory: bool = False


class Looker:
    """Looks at URLs and remembers of each host whether it knows HEAD. To be used on fsspec's event loop."""

    def __init__(self, client: HTTPClient) -> None:
        self._client = client
        self._without_head: set[str] = set()

    async def headers(self, uri: str) -> Sight:
        """Size, ETag and time; the body is not read.

        Raises:
            SourceMissing, SourceDenied, SourceUnavailable, SourceUnreadable: As the server answers.
        """
        seen = await self._head(uri)
        if seen is not None and (seen.directory or (seen.facts.size and (seen.facts.etag or seen.facts.mtime))):
            return seen
        return await self._first_byte(uri) or seen or await self._get(uri, None)

    async def pinned(self, uri: str, algorithm: str) -> Sight:
        """Size, time, and a strong ETag or a checksum of the body.

        Raises:
            SourceMissing, SourceDenied, SourceUnavailable, SourceUnreadable: As the server answers.
        """
        seen = await self._head(uri)
        # Some servers say 0 to every HEAD.
        if seen is not None and (seen.directory or (seen.facts.size and seen.facts.strong)):
            return seen
        return await self._get(uri, algorithm)

    async def _head(self, uri: str) -> Sight | None:
        host = uri.split("/")[2]
        if host in self._without_head:
            return None
        response = await self._client.send("HEAD", uri)
        try:
            if is_directory(response):
                return Sight(facts(response), directory=True)
            if response.status == 200:
                return Sight(facts(response))
            if response.status in (405, 501):
                self._without_head.add(host)
            if response.status in _HEAD_REFUSED:
                return None
            raise refused(response.status, uri)
        finally:
            response.close()

    async def _first_byte(self, uri: str) -> Sight | None:
        response = await self._client.send("GET", uri, {"Range": "bytes=0-0"})
        try:
            if is_directory(response):
                return Sight(facts(response), directory=True)
            if response.status in (200, 206):
                return Sight(facts(response))
            if response.status in (400, 405, 416, 501):
                return None
            raise refused(response.status, uri)
        finally:
            response.close()

    async def _get(self, uri: str, algorithm: str | None) -> Sight:
        for reads_left in reversed(range(_READS)):
            response = await self._client.send("GET", uri)
            try:
                return await _read(response, uri, algorithm)
            except SourceUnavailable:
                if not reads_left:
                    raise
            finally:
                response.close()
        raise AssertionError("unreachable")


async def _read(response: ClientResponse, uri: str, algorithm: str | None) -> Sight:
    seen = facts(response)
    if is_directory(response):
        return Sight(seen, directory=True)
    if response.status != 200:
        raise refused(response.status, uri)
    if algorithm is None or (seen.strong and seen.size is not None):
        return Sight(seen)
    digest, size = hashlib.new(algorithm, usedforsecurity=False), 0
    try:
        async for chunk in response.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
    except Exception as error:  # noqa: BLE001 - whatever the client library raises
        raise translated(error, uri) from None
    if seen.size not in (None, size):
        raise SourceUnavailable(f"Reading {uri} gave {size} bytes where {seen.size} were announced: try again.")
    counted = Facts(size, seen.etag, seen.mtime, seen.encoding, seen.content_type)
    return Sight(counted, Checksum(algorithm, digest.hexdigest()))


async def in_parallel(work: Sequence[Callable[[], Awaitable[T]]], jobs: int) -> list[T]:
    """The results of all pieces of work, in their order, `jobs` at a time. The first failure ends all others."""
    results: list[T | None] = [None] * len(work)
    remaining = iter(range(len(work)))

    async def take() -> None:
        for index in remaining:
            results[index] = await work[index]()

    tasks = [asyncio.ensure_future(take()) for _ in range(min(jobs, len(work)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return results  # type: ignore[return-value]
