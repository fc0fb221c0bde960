"""An event loop for listings, in a thread of its own: fsspec has one too, but costs time to import.

Where the client library has to be asked after all, that happens on fsspec's loop, and this one awaits it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LOCK = threading.Lock()
_LOOPS: list[asyncio.AbstractEventLoop] = []


def get() -> asyncio.AbstractEventLoop:
    """The loop, which runs as long as the process does."""
    with _LOCK:
        if not _LOOPS:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="refstore-listing", daemon=True).start()
            _LOOPS.append(loop)
        return _LOOPS[0]


def start(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Begin something on the loop, from any other thread; cancel the future to give it up."""
    return asyncio.run_coroutine_threadsafe(coroutine, get())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop, from any other thread, and wait for it; an interrupt cancels it."""
    future = start(coroutine)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def soon(call: Callable[[], None]) -> None:
    """Have something called on the loop, if there is one."""
    with _LOCK:
        loops = list(_LOOPS)
    for loop in loops:
        loop.call_soon_threadsafe(call)


def _forked() -> None:
    """The thread is not in the child of a fork."""
    global _LOCK
    _LOCK = threading.Lock()
    _LOOPS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
