"""The lineage of the last of 100,000 runs and 100,000 versions, against a flat read of the same rows.

Each run uses the two versions before and logs one, so that all of it is reached. The peer is one scan of each table,
in a process that has them open already: what no walk can do without.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import refstore as api
from benchmarks.bench import Bench, Result
from tests.lineage.synthetic import chain, fill

COUNT, DEPTH = 100_000, 3
FLAT = "a flat read of the rows"
TABLES = ("runs", "versions", "edges", "ids")


@dataclass(frozen=True)
class _Times:
    """The medians of some runs: seconds by the clock, and of the processor."""

    seconds: float
    cpu: float
    runs: int
    low: float
    high: float


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    with api.open(bench.store()) as store:
        fill(store, count, chain(count))
        start = f"m:v{count - 1}"
        place = store.catalog.queries.projects()[0]
        name = f"{place.project}/{start}"

        def flat() -> None:
            for table in TABLES:
                store.catalog._db.execute(f"SELECT * FROM {table}").fetchall()

        def whole() -> None:
            found = store.lineage(name)
            if len(found.nodes) < 2 * count:
                raise SystemExit(f"the lineage has {len(found.nodes)} nodes, not {2 * count}")

        read, walked = _timed(flat), _timed(whole)
        near = _timed(lambda: store.lineage(name, depth=DEPTH))
    yield _result(f"{FLAT} of {count:,} runs and versions", read)
    yield _result("the lineage in full", walked, read)
    yield _result(f"the lineage, {DEPTH} runs deep", near, read)


def _timed(what: Callable[[], object], runs: int = 5) -> _Times:
    seconds, cpu = list[float](), list[float]()
    for _ in range(runs):
        start, spent = time.monotonic(), time.process_time()
        what()
        seconds.append(time.monotonic() - start)
        cpu.append(time.process_time() - spent)
    return _Times(statistics.median(seconds), statistics.median(cpu), runs, min(seconds), max(seconds))


def _result(what: str, took: _Times, other: _Times | None = None) -> Result:
    ratio = took.seconds / other.seconds if other else None
    return Result(
        what,
        took.seconds,
        took.runs,
        took.cpu,
        against=FLAT if other else "",
        ratio=ratio,
        low=took.low,
        high=took.high,
        note="in a process",
    )
