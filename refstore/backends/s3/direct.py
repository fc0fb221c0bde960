"""The short way to an object's bytes.

Where the way to a bucket is plain, all requests take it; a listing may have shown already that it leads there. Else the
first GetObject goes through botocore, which knows about endpoints, regions, redirects and credentials. What it sent in
the end (the URL, the region that it signed for) is noted, and all others of that bucket are sent to the same place over
connections of our own, at a seventh of the cost. Only the expected answer is taken here: the recorded object, all of
its pins agreeing. For everything else (an error, a broken connection, another object) `get` returns None, and the
caller asks by the long way, which retries, and says what is wrong.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from refstore.backends.aio import PIECE
from refstore.backends.s3 import answers as s3_answers
from refstore.backends.s3.plain import Route
from refstore.backends.s3.throttle import Throttle
from refstore.backends.s3.ways import Ways
from refstore.backends.s3.wire import Broken, Connection, Connections, Origin
from refstore.errors import SourceUnavailable
from refstore.manifest.entry import Object

_SIGNED_FOR = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/s3/aws4_request,")
_TOTAL = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_NAMES = {
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
    "x-amz-checksum-type": "ChecksumType",
    "x-amz-checksum-sha256": "ChecksumSHA256",
    "x-amz-checksum-sha1": "ChecksumSHA1",
    "x-amz-checksum-crc64nvme": "ChecksumCRC64NVME",
    "x-amz-checksum-crc32c": "ChecksumCRC32C",
    "x-amz-checksum-crc32": "ChecksumCRC32",
}


class Body:
    """The bytes of an answer: an iterator over pieces, which can also fill a buffer of the caller's."""

    def __init__(self, connection: Connection, give: Callable[[Connection], None], where: str) -> None:
        self._connection: Connection | None = connection
        self._give = give
        self._where = where
        self._expected = connection.left
        self._finish_if_done()

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        if self._connection is None:
            raise StopIteration
        buffer = bytearray(min(PIECE, self._connection.left))
        return bytes(memoryview(buffer)[: self.readinto(memoryview(buffer))])

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer; how many bytes there were, 0 at the end.

        Raises:
            SourceUnavailable: The connection broke.
        """
        connection = self._connection
        if connection is None:
            return 0
        try:
            size = connection.readinto(buffer)
        except Broken as error:
            had = self._expected - connection.left
            self.close()
            raise SourceUnavailable(
                f"Reading {self._where} gave {had} bytes where {self._expected} were announced: try again."
            ) from error
        self._finish_if_done()
        return size

    def _finish_if_done(self) -> None:
        if self._connection is not None and not self._connection.left:
            self.close()

    def close(self) -> None:
        """Give the connection back. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._give(connection)

    def __del__(self) -> None:
        self.close()


class Direct:
    """The short way at one endpoint. Safe to share between threads.

    Args:
        ways: To the buckets.
        throttle: Told when the service is asked too much.
    """

    def __init__(self, ways: Ways, throttle: Throttle) -> None:
        self._ways, self._throttle = ways, throttle
        self._first: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._connections = Connections()
        weakref.finalize(self, self._connections.close)

    def is_first(self, bucket: str) -> bool:
        """Whether nobody has asked for an object of a bucket yet; true once, and then `asked` has to be called.

        All others wait for that: they would take the long way, which shows none of them more than the first.
        """
        if self._ways.is_proven(bucket):
            return False
        with self._lock:
            over = self._first.get(bucket)
            if over is None:
                self._first[bucket] = threading.Event()
                return True
        over.wait()
        return False

    def asked(self, bucket: str) -> None:
        """The first has its answer, or an error: the others go on."""
        self._first[bucket].set()

    def knows(self, bucket: str) -> bool:
        """Whether the way to a bucket was learned, or found to be none of ours."""
        return self._ways.is_proven(bucket)

    def learn(self, bucket: str, key: str, request: Any, trusted: str | None) -> None:
        """Note where a request for an object of a bucket was sent, with success.

        Args:
            bucket: Its name.
            key: Of the object.
            request: As botocore sent it.
            trusted: A file of certificates to trust; None for the usual ones.
        """
        self._ways.trusted = trusted
        self._ways.prove(bucket, _route(key, request))

    def get(self, obj: Object, where: str, start: int, length: int | None) -> tuple[Body, dict[str, Any]] | None:
        """Ask for the recorded object.

        Args:
            obj: As recorded.
            where: Its URI, for messages.
            start: The offset of the first byte.
            length: How many bytes; None for all that follow.

        Returns:
            Its bytes, and what the answer says, named as botocore does; None where the long way has to be taken.
        """
        route = self._ways.likely(obj.bucket)
        if route is None or obj.size is None or (obj.version is None and (obj.etag or "W/").startswith("W/")):
            return None
        request = self._request(route, obj, start, length)
        if request is None:
            return None
        origin = route.origin
        connection = self._connections.take(origin)
        try:
            if connection is None:
                connection = Connection(origin, self._ways.context() if origin.tls else None)
            head = connection.ask(request)
        except Broken:
            if connection is not None:
                connection.close()
            return None
        if head.status in (429, 503):
            self._throttle.slow_down()
        end = obj.size if length is None else min(obj.size, start + length)
        if not _is_recorded(obj, head.status, head.headers, start, end, start > 0 or length is not None):
            connection.close()
            return None
        self._ways.prove(obj.bucket, route)
        answer = {_NAMES[name]: value for name, value in head.headers.items() if name in _NAMES}
        connections = self._connections
        return Body(connection, lambda used: connections.give(origin, used), where), answer

    def _request(self, route: Route, obj: Object, start: int, length: int | None) -> bytes | None:
        path = route.path + quote(obj.key, safe="/~")
        query = "" if obj.version is None else f"versionId={quote(obj.version, safe='-_.~')}"
        more, lines = {}, ""
        if start or length is not None:
            lines = f"Range: bytes={start}-{'' if length is None else start + length - 1}\r\n"
        else:
            more["x-amz-checksum-mode"] = "ENABLED"
        if obj.version is None:
            if not (obj.etag or "").isprintable():
                return None
            lines += f'If-Match: "{obj.etag}"\r\n'
        return self._ways.request(route, path, query, lines, more)


def _route(key: str, request: Any) -> Route | None:
    """Where a request was sent; None for what can't be repeated here (a proxy, another kind of signature)."""
    from botocore.utils import get_environ_proxies

    url = urlsplit(request.url)
    quoted = quote(key, safe="/~")
    if url.hostname is None or not url.path.endswith(f"/{quoted}") or get_environ_proxies(request.url):
        return None
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    signature = headers.get("authorization")
    match = _SIGNED_FOR.match(signature) if signature else None
    if "x-amz-s3session-token" in headers or (signature and not match) or "X-Amz-Signature" in url.query:
        return None
    tls = url.scheme == "https"
    origin = Origin(tls, url.hostname, url.port or (443 if tls else 80))
    host = url.netloc.rpartition("@")[2].removesuffix(":443" if tls else ":80")
    return Route(origin, host, url.path[: len(url.path) - len(quoted)], match[2] if match else None)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _is_recorded(obj: Object, status: int, headers: dict[str, str], start: int, end: int, ranged: bool) -> bool:
    """Whether an answer is about the recorded object, and about the bytes that were asked for."""
    if status != (206 if ranged else 200) or int(headers["content-length"]) != end - start:
        return False
    if ranged:
        total = _TOTAL.fullmatch(headers.get("content-range", ""))
        if total is None or (int(total[1]), int(total[2]), int(total[3])) != (start, end - 1, obj.size):
            return False
    if obj.version is not None and s3_answers.version(headers.get("x-amz-version-id")) != obj.version:
        return False
    return not obj.etag or s3_answers.etag(headers.get("etag")) == obj.etag
