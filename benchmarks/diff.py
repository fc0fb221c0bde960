"""`refstore diff` of two large versions with ten changes, against `diff` of two listings.

The peer reads two sorted text files of a line per entry, and knows nothing of either.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Result, refstore
from tests.acceptance.synthetic import add

COUNT, CHANGES = 100_000, 10
PEER = "`diff` of two listings"


def run(bench: Bench) -> Iterator[Result]:
    count, store = bench.scaled(COUNT), bench.store()
    add(store, count, {})
    add(store, count, {place * count // CHANGES: 1 for place in range(CHANGES)})
    for number in range(2):
        (store / f"v{number}").write_text(bench.once(refstore("ls", f"data:v{number}", "--json"), store).out)
    start = bench.took(refstore("--version"), store, runs=5)
    yield start.result("`refstore --version`", note="the start of an interpreter, which is in all that follows")
    peer = bench.took(["sh", "-c", "diff v0 v1 | grep -c ^"], store, runs=5)
    yield peer.result(f"{PEER} of {count:,} lines")
    took = bench.took(refstore("diff", "data:v0", "data:v1", "--json"), store, runs=5)
    if len(took.last.lines) < CHANGES:
        raise SystemExit(f"diff found {len(took.last.lines)} changes, not {CHANGES}")
    yield took.result(f"`diff`, {CHANGES} changes in {count:,} files", PEER, peer)
