"""A proxy that makes every request wait, and counts how many are under way at once."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from types import TracebackType

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class OverlapProxy:
    """In front of an HTTP server, for requests without a body and answers that say how long they are.

    Attributes:
        requests: How many there were.
        most: How many were under way at once, at most.
        mean: How many were under way, the new one included, when one came.
    """

    def __init__(self, target: str, latency: float) -> None:
        host, _, port = target.removeprefix("http://").rpartition(":")
        self._target, self._latency = (host, int(port)), latency
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._now = self._sum = 0
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests = self.most = 0

    @property
    def mean(self) -> float:
        return self._sum / self.requests

    def __enter__(self) -> OverlapProxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        connections: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._connection(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)
            task.add_done_callback(lambda _: writer.close())

        server = await asyncio.start_server(accept, sock=self._socket)
        await self._stopping.wait()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        with contextlib.closing(up_writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                self._now += 1
                self._sum += self._now
                self.most = max(self.most, self._now)
                try:
                    await asyncio.sleep(self._latency)
                    up_writer.write(request)
                    writer.write(await _answer(up_reader, has_body=not request.startswith(b"HEAD ")))
                    await writer.drain()
                finally:
                    self._now -= 1


async def _answer(reader: asyncio.StreamReader, *, has_body: bool) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    assert length or not has_body, f"this proxy needs a Content-Length: {head!r}"
    return head + (await reader.readexactly(int(length[1])) if length and has_body else b"")
