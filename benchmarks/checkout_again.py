"""`refstore checkout` where all is there already, against a look at each file.

The peer, `find -size`, asks the file system for the state of every file, which is the least that a check can do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, Result, forget, refstore

COUNT = 100_000
PEER = "`find -size`"


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    store, tree = bench.store(), bench.tree(count)
    bench.once(refstore("add", tree, "--name", "data", "--max-objects", count), store)
    words = refstore("checkout", "data", "out", "--json")

    def clean() -> Path:
        forget(store / "out")
        return store

    first = bench.took(words, clean, runs=1)
    yield first.result(f"`checkout` of {count:,} local files")
    # what was written in the last two seconds is hashed once more
    bench.once(words, store)
    peer = bench.took(["sh", "-c", "find out -type f -size +0 | wc -l"], store)
    yield peer.result(f"{PEER} over {count:,} files")
    yield bench.took(words, store).result("`checkout` again, all there", PEER, peer)
