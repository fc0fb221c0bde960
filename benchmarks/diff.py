"""`refstore diff` of two large versions with ten changes, against `diff` of two listings.

The peer reads two sorted text files of a line per entry, and knows nothing of either.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, Result, refstore
from tests.acceptance.synthetic import add

COUNT, MANY, CHANGES = 100_000, 1_000_000, 10
PEER = "`diff` of two listings"
START = "`refstore --version`"


def run(bench: Bench) -> Iterator[Result]:
    words = refstore("diff", "data:v0", "data:v1", "--json")
    few, many = (_two_versions(bench, bench.scaled(count)) for count in (COUNT, MANY))
    for number in range(2):
        (few / f"v{number}").write_text(bench.once(refstore("ls", f"data:v{number}", "--json"), few).out)
    took = bench.interleaved(
        {
            START: (refstore("--version"), few),
            PEER: (["sh", "-c", "diff v0 v1 | grep -c ^"], few),
            "few": (words, few),
            "many": (words, many),
        },
        {},
        runs=5,
    )
    for name in ("few", "many"):
        if len(took[name].last.lines) < CHANGES:
            raise SystemExit(f"diff found {len(took[name].last.lines)} changes, not {CHANGES}")
    small, large = (f"`diff`, {CHANGES} changes in {bench.scaled(count):,} files" for count in (COUNT, MANY))
    yield took[START].result(START, note="the start of an interpreter, which is in all that follows")
    yield took[PEER].result(f"{PEER} of {bench.scaled(COUNT):,} lines")
    yield took["few"].result(small, PEER, took[PEER])
    yield took["many"].result(large, f"{bench.scaled(COUNT):,}", took["few"], at_most=2)


def _two_versions(bench: Bench, count: int) -> Path:
    store = bench.store()
    add(store, count, {})
    add(store, count, {place * count // CHANGES: 1 for place in range(CHANGES)})
    return store
