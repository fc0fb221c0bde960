"""An S3 server that knows one thing: to list a bucket with versions, page by page, as fast as Python writes XML.

`python -m benchmarks.stub PORT COUNT`. Beside a real server it shows what the client costs when the server costs next
to nothing. No signature is checked. `GET /-/requests` says how many listings there were.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
_ROW = (
    "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>4096</Size>"
    "<StorageClass>STANDARD</StorageClass></Version>"
)


def key(number: int) -> str:
    return f"data/d{number // 1000:04d}/f{number:07d}.bin"


def page(start: int, count: int) -> bytes:
    """A page of the listing from object `start` on, of a bucket of `count`."""
    end = min(start + PAGE, count)
    rows = []
    for number in range(start, end):
        etag = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
        rows.append(_ROW.format(key=key(number), version=etag[::-1], etag=etag))
    more = end < count
    marker = f"<NextKeyMarker>{key(end - 1)}</NextKeyMarker>" if more else ""
    head = f"<Name>bucket</Name><MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{head}{marker}{''.join(rows)}</ListVersionsResult>"
    ).encode()


class Stub:
    def __init__(self, count: int) -> None:
        self._count = count
        self._requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = self._answer(head.split(b" ", 2)[1].decode())
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                await writer.drain()
        writer.close()

    def _answer(self, target: str) -> bytes:
        if target == "/-/requests":
            return str(self._requests).encode()
        self._requests += 1
        marker = parse_qs(urlsplit(target).query).get("key-marker", [""])[0]
        return page(int(marker[-11:-4]) + 1 if marker else 0, self._count)


async def main(port: int, count: int) -> None:
    async with await asyncio.start_server(Stub(count).serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
