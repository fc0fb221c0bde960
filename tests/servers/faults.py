"""A TCP proxy that breaks connections on purpose. It runs in a thread of the test that made it.

Faults are drawn for each connection, in the order of `Faults`'s fields. A client that keeps its connections alive sees
few of them: `flaky` in conftest.py makes faults for each request instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from types import TracebackType

BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nRetry-After: 0\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


@dataclass(frozen=True)
class Faults:
    """What may go wrong. Each share is a probability between 0 and 1; the rest of the connections goes through."""

    reset: float = 0  # reset after the first byte of the request
    slow_down: float = 0  # answer 503 SlowDown and close
    hang: float = 0  # never answer
    cut: float = 0  # reset once `after` bytes of the answer are through
    truncate: float = 0  # close tidily once `after` bytes of the answer are through
    after: int = 20_000
    latency: float = 0  # seconds, before each chunk that the client sends
    rate: float = 0  # bytes of the answer per second; 0 is unlimited
    first: int | None = None  # only the first so many connections can meet a fault
    seed: int = 0


class FaultProxy:
    """In front of `host:port`; `url` and `port` are where it listens. `faults` may be replaced while it runs."""

    def __init__(self, target: str, faults: Faults) -> None:
        host, _, port = target.removeprefix("http://").partition("/")[0].rpartition(":")
        self.target = (host, int(port))
        self.faults = faults
        self.seen: Counter[str] = Counter()  # connections by fate: "ok", "reset", "cut"...
        self._random = random.Random(faults.seed)
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> FaultProxy:
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
            task.add_done_callback(lambda _: writer.close())  # also when it never got to run

        server = await asyncio.start_server(accept, sock=self._socket)
        await self._stopping.wait()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)

    def _draw(self) -> str:
        faults = self.faults
        if faults.first is not None and sum(self.seen.values()) >= faults.first:
            return "ok"
        x = self._random.random()
        for name in ("reset", "slow_down", "hang", "cut", "truncate"):
            x -= getattr(faults, name)
            if x < 0:
                return name
        return "ok"

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fate = self._draw()
        self.seen[fate] += 1
        try:
            if fate == "hang":
                await asyncio.sleep(3600)
            elif fate == "reset":
                await reader.read(1)
                _reset(writer)
            elif fate == "slow_down":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(SLOW_DOWN)
                await writer.drain()
            else:
                await self._relay(fate, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # a broken connection is what this is for

    async def _relay(self, fate: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self.target)
        with contextlib.closing(up_writer):
            upwards = asyncio.ensure_future(self._up(reader, up_writer))
            try:
                await self._down(fate, up_reader, writer)
            finally:
                upwards.cancel()
                await asyncio.gather(upwards, return_exceptions=True)

    async def _up(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.faults.latency:
                await asyncio.sleep(self.faults.latency)
            up.write(data)
            await up.drain()
        up.write_eof()

    async def _down(self, fate: str, up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.faults.after if fate in ("cut", "truncate") else None
        while data := await up.read(65536):
            if self.faults.rate:
                await asyncio.sleep(len(data) / self.faults.rate)
            writer.write(data if left is None else data[:left])
            await writer.drain()
            if left is not None:
                left -= len(data)
                if left <= 0:
                    if fate == "cut":
                        _reset(writer)
                    return


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST instead of a FIN."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
