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
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 1000
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
    """`count` objects, `folder` of them in each folder."""

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

    def behind(self, marker: str) -> int:
        """The first object behind a marker, which is the key of one or a folder."""
        name = marker.rpartition("/")[2]
        if name:
            return int(name[1:8]) + 1
        return int(marker[6:11]) * self._folder if len(marker) > len("data/") else 0

    def folders(self, start: int) -> bytes:
        first = start // self._folder
        last = min(first + PAGE, -(-self._count // self._folder))
        rows = "".join(f"<CommonPrefixes><Prefix>data/d{n:05d}/</Prefix></CommonPrefixes>" for n in range(first, last))
        more = str(last * self._folder < self._count).lower()
        return f"{_HEAD.format('ListBucketResult')}<IsTruncated>{more}</IsTruncated>{rows}</ListBucketResult>".encode()

    def _page(self, start: int, versions: bool) -> bytes:
        end = min(start + PAGE, self._count)
        rows = []
        for number in range(start, end):
            etag = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
            row = _VERSION if versions else _OBJECT
            rows.append(row.format(key=self.key(number), version=etag[::-1], etag=etag))
        more = end < self._count
        name, marker = "ListBucketResult", "NextContinuationToken"
        if versions:
            name, marker = "ListVersionsResult", "NextKeyMarker"
        following = f"<{marker}>{self.key(end - 1)}</{marker}>" if more else ""
        head = f"{_HEAD.format(name)}<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
        return f"{head}{following}{''.join(rows)}</{name}>".encode()


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
        marker = query.get("key-marker") or query.get("continuation-token") or query.get("start-after", "")
        start = self._bucket.behind(marker) if marker else 0
        if query.get("delimiter"):
            return self._bucket.folders(start)
        return self._bucket.page(start, "versions" in query)


async def main(port: int, count: int, folder: int, latency: float) -> None:
    bucket = Bucket(count, folder)
    for start in range(0, count if count <= 100_000 else 0, PAGE):
        bucket.page(start, True)
        bucket.page(start, False)
    async with await asyncio.start_server(Stub(bucket, latency).serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
