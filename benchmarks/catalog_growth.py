"""What a version with ten changes adds to the catalog, against its change lines and against a whole listing.

The lines that say what changed are the least that can be kept; a listing of all entries is what a tool keeps that
writes each version anew.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, Result
from tests.acceptance.synthetic import add, lines

COUNT, VERSIONS, CHANGES = 100_000, 20, 10


def run(bench: Bench) -> Iterator[Result]:
    count, store = bench.scaled(COUNT), bench.store()
    folder, state, seconds = store / ".refstore", dict[int, int](), list[float]()
    add(store, count, state)
    records, index = _size(folder, "records/*"), _size(folder, "catalog.db*")
    listing = sum(len(line) for line in lines(range(count), state))
    yield Result(
        f"records of the first version, {count:,} files: {records:,} bytes",
        against="its lines",
        ratio=records / listing,
    )
    yield Result(f"index of the first version: {index:,} bytes", against="its lines", ratio=index / listing)
    for number in range(1, VERSIONS + 1):
        changed = [(place * count // CHANGES + number * 97) % count for place in range(CHANGES)]
        state |= dict.fromkeys(changed, number)
        start = time.monotonic()
        add(store, count, state)
        seconds.append(time.monotonic() - start)
    least = sum(len(line) for line in lines(changed, state))
    more = (_size(folder, "records/*") - records) // VERSIONS
    yield Result(
        f"records of a version with {CHANGES} changes: {more:,} bytes",
        statistics.median(seconds),
        VERSIONS,
        against=f"its {CHANGES} lines",
        ratio=more / least,
        note="without the listing",
    )
    yield Result("the same", against="a whole listing", ratio=more / listing)
    more = (_size(folder, "catalog.db*") - index) // VERSIONS
    yield Result(
        f"index of a version with {CHANGES} changes: {more:,} bytes", against="a whole listing", ratio=more / listing
    )


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))
