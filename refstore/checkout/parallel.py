"""One question about each of many things, asked in parallel, and answered in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(ask: Callable[[T], R], things: Iterable[T], jobs: int) -> Iterator[R]:
    """The answers, in the order of the things; a few for each thread are held, whatever their number.

    Args:
        ask: Called in several threads. What it raises is raised here.
        things: Taken as answers are consumed.
        jobs: How many threads.
    """
    jobs = max(1, jobs)
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(jobs, "refstore-ask") as pool:
        try:
            for thing in things:
                waiting.append(pool.submit(ask, thing))
                if len(waiting) >= 4 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
