"""`refstore add` of a tree of small files, against `find` and `md5sum`.

Both read every file once. Pages of the tree are in the system's cache, as it was read just before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, Result, refstore

COUNT = 100_000
PEER = "`find` and `md5sum`"


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    tree = bench.tree(count)
    command = ["sh", "-c", f"find {tree.name} -type f -print0 | xargs -0 md5sum > sums"]
    bench.once(command, bench.folder)
    peer = bench.took(command, bench.folder)
    yield peer.result(f"{PEER} of {count:,} files")
    stores: list[Path] = []

    def store() -> Path:
        stores.append(bench.store())
        return stores[-1]

    words = refstore("add", tree, "--name", "data", "--max-objects", count, "--json")
    yield bench.took(words, store).result(f"`add` of {count:,} files", PEER, peer)
    yield bench.took(words, stores[-1]).result("`add` again, nothing changed", PEER, peer)
    yield bench.took([*words, "--no-checksum"], store).result("`add --no-checksum`", PEER, peer)
