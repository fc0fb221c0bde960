"""GET requests over kept-alive connections of one event loop, for answers that are read as a whole: listings.

As `wire`, this speaks the plain core of HTTP/1.1, and beside it the chunked answers that AWS lists with
(https://www.rfc-editor.org/rfc/rfc9112#section-7.1).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from refstore.backends.s3.wire import CONNECT_SECONDS, Broken, Head, Origin, parsed

READ_SECONDS = 60.0
"""So long an answer may take."""

LARGEST = 64 << 20
"""Bytes of an answer that are held in memory at most."""

_BUFFER = 1 << 20
_STAGGER = 0.25  # seconds until a second address of a host is tried beside the first

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Strange(Broken):
    """An answer came that is not understood here, and the next one will not be either."""


class Streams:
    """Connections, those at rest used first. To be used on one event loop.

    Args:
        context: Makes what https connections are proved by.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._context = context
        self._idle: dict[Origin, list[Ends]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def ask(self, origin: Origin, request: bytes) -> tuple[Head, bytes]:
        """Send a request; the head of the answer, and its body if it is a success.

        Raises:
            Strange: The answer is not understood.
            Broken: No answer came, or only a part of one.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # after a fork nothing of the other process may be used
            self._loop, self._idle = loop, {}
        idle = self._idle.setdefault(origin, [])
        while idle:
            ends = idle.pop()
            if ends[0].at_eof() or ends[1].is_closing():
                ends[1].close()
                continue
            try:
                return await self._exchange(origin, ends, request)
            except Broken as error:
                # one that rested may be hung up just now, which says nothing about the service
                if isinstance(error, Strange):
                    raise
        return await self._exchange(origin, await self._connect(origin), request)

    async def _connect(self, origin: Origin) -> Ends:
        opening = asyncio.open_connection(
            origin.name,
            origin.port,
            limit=_BUFFER,
            ssl=self._context() if origin.tls else None,
            happy_eyeballs_delay=_STAGGER,
        )
        making = asyncio.ensure_future(opening)
        try:
            done, _ = await asyncio.wait({making}, timeout=CONNECT_SECONDS)
        except asyncio.CancelledError:
            # given up here, asyncio could forget a socket that is just connected: it is closed when it is made
            making.add_done_callback(_close_late)
            raise
        if not done:
            making.cancel()
            raise Broken("no connection in time")
        try:
            return making.result()
        except OSError as error:
            raise Broken(str(error)) from error

    async def _exchange(self, origin: Origin, ends: Ends, request: bytes) -> tuple[Head, bytes]:
        reader, writer = ends
        kept = False
        try:
            writer.write(request)
            head, body = await asyncio.wait_for(_answer(reader), READ_SECONDS)
            kept = not self._closed and head.status == 200 and head.headers.get("connection", "").lower() != "close"
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            raise Broken(str(error)) from error
        except asyncio.LimitOverrunError as error:
            raise Strange("a line without end") from error
        finally:
            if not kept:
                writer.close()
        self._idle[origin].append(ends)
        return head, body

    def close(self) -> None:
        """Hang up all that rest, and those in use after their answers."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                idle.pop()[1].close()


def _close_late(making: asyncio.Future[Ends]) -> None:
    if not making.cancelled() and making.exception() is None:
        making.result()[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[Head, bytes]:
    text = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
    try:
        head = parsed(text)
    except Broken as error:
        raise Strange(str(error)) from error
    if head.status != 200:
        return head, b""
    length, coding = head.headers.get("content-length"), head.headers.get("transfer-encoding")
    if "content-encoding" in head.headers or (length is None) == (coding is None):
        raise Strange("an answer of unknown length")
    if coding is not None:
        if coding.lower() != "chunked":
            raise Strange(f"an answer that is {coding}")
        return head, await _chunks(reader)
    assert length is not None
    if not length.isdecimal() or int(length) > LARGEST:
        raise Strange("an answer of unknown length")
    return head, await reader.readexactly(int(length))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    have = 0
    while True:
        line = await reader.readuntil(b"\r\n")
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError as error:
            raise Strange("a malformed chunk") from error
        have += size
        if size < 0 or have > LARGEST:
            raise Strange("a malformed chunk")
        if not size:
            break
        pieces.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise Strange("a malformed chunk")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(pieces)
