"""Asynchronous clients behind a synchronous interface: all runs on the one event loop that fsspec keeps in a thread."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from refstore.errors import SourceUnavailable

T = TypeVar("T")

PIECE = 1 << 20
"""How many bytes a step of `Pieces` hands out at most."""

_CLOSING_TIME = 2.0


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on fsspec's loop, from any other thread, and wait for it; an interrupt cancels it."""
    from fsspec.asyn import get_loop, iothread

    if threading.current_thread() is iothread[0]:
        coroutine.close()
        raise RuntimeError("waiting for the loop on the loop's own thread would never end")
    future = asyncio.run_coroutine_threadsafe(coroutine, get_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def close_with(owner: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have `close` (which must not refer to `owner`) run on the loop when `owner` is collected, or at exit."""
    weakref.finalize(owner, _finish, close)


def _finish(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    from fsspec.asyn import get_loop, iothread

    loop = get_loop()
    if loop.is_closed() or not loop.is_running():
        return
    future = asyncio.run_coroutine_threadsafe(close(), loop)
    if threading.current_thread() is not iothread[0]:
        try:
            future.result(_CLOSING_TIME)
        except Exception:  # noqa: BLE001 - the process is done with it either way
            future.cancel()


class Pieces:
    """The body of a response in pieces of up to `PIECE` bytes; the next one is fetched while one is in use.

    Args:
        source: The body, in chunks of any size.
        expected: How many bytes there have to be.
        where: The URI, for messages.
        release: Gives the response's connection back, whether its body was read or not.
        translate: Makes an error of refstore of what the client library raised.
    """

    def __init__(
        self,
        source: AsyncIterator[bytes],
        *,
        expected: int | None,
        where: str,
        release: Callable[[], Awaitable[None]],
        translate: Callable[[Exception], Exception],
    ) -> None:
        self._source = source
        self._rest = b""
        self._ended = False
        self._expected = expected
        self._received = 0
        self._where = where
        self._release = release
        self._translate = translate
        self._open = True
        self._next = self._fetch()

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        if not self._open:
            raise StopIteration
        try:
            piece: bytes = self._next.result()
        except Exception as error:
            self.close()
            raise self._translate(error) from error
        if not piece:
            self.close()
            self._check()
            raise StopIteration
        self._received += len(piece)
        if self._expected is not None and self._received > self._expected:
            self.close()
            self._check()
        self._next = self._fetch()
        return piece

    def close(self) -> None:
        """Give the connection back. May be called again, and from any thread."""
        if self._open:
            self._open = False
            self._next.cancel()
            run(self._end())

    def __del__(self) -> None:
        if self.__dict__.get("_open"):
            _finish(self._end)

    def _fetch(self) -> Any:
        from fsspec.asyn import get_loop

        return asyncio.run_coroutine_threadsafe(self._piece(), get_loop())

    async def _piece(self) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < PIECE and not self._ended:
            try:
                part = await self._source.__anext__()
            except StopAsyncIteration:
                self._ended = True
                break
            parts.append(part)
            have += len(part)
        whole = b"".join(parts)
        self._rest = whole[PIECE:]
        return whole[:PIECE]

    async def _end(self) -> None:
        await self._release()

    def _check(self) -> None:
        if self._expected is not None and self._received != self._expected:
            raise SourceUnavailable(
                f"Reading {self._where} gave {self._received} bytes where {self._expected} were announced: try again."
            )
