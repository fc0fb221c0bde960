"""An S3 server that lists a bucket, with versions or without, as fast as it can send XML, and knows HEAD.

`python -m benchmarks.stub PORT COUNT FOLDER LATENCY`: so many objects, so many in each folder, and so many seconds
before each answer. Beside a real server it shows what the client costs when the server costs next to nothing. No
signature is checked. `GET /-/requests` says how many listings there were.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
import sys
from bisect import bisect_left
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 1000
VERSIONS, OBJECTS, OLD_OBJECTS = "ListObjectVersions", "ListObjectsV2", "ListObjects"
_KINDS = {
    VERSIONS: ("ListVersionsResult", "NextKeyMarker"),
    OBJECTS: ("ListBucketResult", "NextContinuationToken"),
    OLD_OBJECTS: ("ListBucketResult", "NextMarker"),
}
"""What an answer is called, and what in it says where the next page begins."""

_MARKERS = ("key-marker", "continuation-token", "start-after", "marker")
_LAST = chr(0x10FFFF)
_VERSION = (
    "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>4096</Size>"
    "<StorageClass>STANDARD</StorageClass></Version>"
)
_OBJECT = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag>"
    "<Size>4096</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_OBJECT_HEAD = (
    'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 4096\r\nETag: "{etag}"\r\n'
    "x-amz-version-id: {version}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
)
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<{0} xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
)


class Bucket:
    """`count` objects, `folder` of them in each folder; the order of their numbers is that of their keys."""

    def __init__(self, count: int, folder: int = 1000) -> None:
        self._count, self._folder = count, folder
        self.page = functools.lru_cache(None if count <= 100_000 else 50)(self._page)

    def key(self, number: int) -> str:
        return f"data/d{number // self._folder:05d}/f{number:07d}.bin"

    def etag(self, key: str) -> str:
        """Of an object; "" where there is none."""
        name = key.rpartition("/")[2]
        number = int(name[1:8]) if re.fullmatch(r"f\d{7}\.bin", name) else self._count
        if number >= self._count or self.key(number) != key:
            return ""
        return hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()

    def below(self, prefix: str) -> range:
        """The objects whose keys begin with a prefix."""
        return range(self._first(prefix), self._first(prefix + _LAST))

    def behind(self, marker: str, *, folder: bool = False) -> int:
        """The first object behind a marker, or behind all that is in the folder of that name."""
        return self._first(marker + (_LAST if folder else "\0"))

    def level(self, prefix: str, start: int, kind: str) -> bytes:
        """A page of what is directly in a folder: files and folders."""
        rows, number, end, name = [], start, self.below(prefix).stop, ""
        while number < end and len(rows) < PAGE:
            name = self.key(number)
            cut = name.find("/", len(prefix))
            if cut < 0:
                rows.append(self._row(number, kind))
                number += 1
            else:
                name = name[: cut + 1]
                rows.append(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
                number = self.behind(name, folder=True)
        return _listing(kind, rows, name if number < end else "")

    def _page(self, start: int, end: int, kind: str) -> bytes:
        """A page of objects from `start` to before `end`."""
        last = min(start + PAGE, end)
        return _listing(
            kind, [self._row(n, kind) for n in range(start, last)], self.key(last - 1) if last < end else ""
        )

    def _row(self, number: int, kind: str) -> str:
        etag = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
        return (_VERSION if kind == VERSIONS else _OBJECT).format(key=self.key(number), version=etag[::-1], etag=etag)

    def _first(self, key: str) -> int:
        return bisect_left(range(self._count), key, key=self.key)


def _listing(kind: str, rows: list[str], following: str) -> bytes:
    name, marker = _KINDS[kind]
    head = f"{_HEAD.format(name)}<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(bool(following)).lower()}</IsTruncated>"
    more = f"<{marker}>{following}</{marker}>" if following else ""
    return f"{head}{more}{''.join(rows)}</{name}>".encode()


class Stub:
    def __init__(self, bucket: Bucket, latency: float) -> None:
        self._bucket = bucket
        self._latency = latency
        self._requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if self._latency:
                    await asyncio.sleep(self._latency)
                method, target, _ = head.split(b" ", 2)
                if method == b"HEAD":
                    writer.write(self._head(target.decode()))
                    await writer.drain()
                    continue
                body = self._answer(target.decode())
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                await writer.drain()
        writer.close()

    def _head(self, target: str) -> bytes:
        self._requests += 1
        key = unquote(urlsplit(target).path).lstrip("/").partition("/")[2]
        etag = self._bucket.etag(key)
        if key and not etag:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        return _OBJECT_HEAD.format(etag=etag, version=etag[::-1]).encode()

    def _answer(self, target: str) -> bytes:
        if target == "/-/requests":
            return str(self._requests).encode()
        self._requests += 1
        query = {name: texts[0] for name, texts in parse_qs(urlsplit(target).query, keep_blank_values=True).items()}
        kind = VERSIONS if "versions" in query else OBJECTS if query.get("list-type") == "2" else OLD_OBJECTS
        marker = next((query[name] for name in _MARKERS if query.get(name)), "")
        prefix, by_level = query.get("prefix", ""), query.get("delimiter") == "/"
        below = self._bucket.below(prefix)
        behind = self._bucket.behind(marker, folder=by_level and marker.endswith("/")) if marker else 0
        start = max(below.start, behind)
        if by_level:
            return self._bucket.level(prefix, start, kind)
        return self._bucket.page(start, below.stop, kind)


async def main(port: int, count: int, folder: int, latency: float) -> None:
    bucket = Bucket(count, folder)
    for start in range(0, count if count <= 100_000 else 0, PAGE):
        for kind in _KINDS:
            bucket.page(start, count, kind)
    async with await asyncio.start_server(Stub(bucket, latency).serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
