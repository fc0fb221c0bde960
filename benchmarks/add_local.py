"""`refstore add` of local files, first, again and after ten changes, against `md5sum` and a bare walk.

All run in turns. Pages of the files are in the system's cache, as they were read just before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, Result, refstore

COUNT, SMALL = 100_000, 4096
LARGE, LARGE_SIZE = 20, 256 << 20
SUMS = "`xargs -P2 md5sum`"
WALK = "a bare walk with `stat`"
_WALK = """
import os, sys
def walk(folder):
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)
            else:
                entry.stat(follow_symlinks=False)
walk(sys.argv[1])
"""


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    tree = _files(bench.folder / "small", count, SMALL)
    sums = ["sh", "-c", f"find {tree} -type f -print0 | xargs -0 -P2 -n 1000 md5sum > sums"]
    bench.once(sums, bench.folder)
    stores: list[Path] = []

    def store() -> Path:
        stores.append(bench.store())
        return stores[-1]

    def used() -> Path:
        return stores[-1]

    def changed() -> Path:
        for number in range(10):
            path = tree / f"d{number * count // 10_000:04d}/f{number * count // 10:07d}.bin"
            path.write_bytes(f"{time.time_ns()}".encode().ljust(SMALL))
        return stores[-1]

    words = refstore("add", tree, "--name", "data", "--max-objects", count, "--json")
    walk = [sys.executable, "-c", _WALK, tree]
    took = bench.interleaved(
        {
            SUMS: (sums, bench.folder),
            WALK: (walk, bench.folder),
            "first": (words, store),
            "again": (words, used),
            "ten": (words, changed),
            "unread": ([*words, "--no-checksum"], store),
        },
        {},
    )
    yield took[SUMS].result(f"{SUMS} of {count:,} files of 4 KiB")
    yield took[WALK].result(f"{WALK} over them")
    yield took["first"].result(f"`add` of {count:,} files", SUMS, took[SUMS])
    yield took["again"].result("`add` again, nothing changed", WALK, took[WALK])
    yield took["ten"].result("`add` again, ten files changed", WALK, took[WALK])
    yield took["unread"].result("`add --no-checksum`", WALK, took[WALK])

    size = LARGE_SIZE // 16 if bench.quick else LARGE_SIZE
    large = _files(bench.folder / "large", LARGE, size)
    sums = ["sh", "-c", f"find {large} -type f -print0 | xargs -0 -P2 -n 1 md5sum > sums"]
    bench.once(sums, bench.folder)
    words = refstore("add", large, "--name", "data", "--json")
    took = bench.interleaved({SUMS: (sums, bench.folder), "add": (words, store)}, {})
    yield took[SUMS].result(f"{SUMS} of {LARGE} files of {size >> 20} MiB")
    yield took["add"].result("`add` of them", SUMS, took[SUMS])


def _files(root: Path, count: int, size: int) -> Path:
    """So many files of so many bytes, a thousand in a folder."""
    for number in range(count):
        folder = root / f"d{number // 1000:04d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        with (folder / f"f{number:07d}.bin").open("wb") as file:
            file.write((b"%016d" % number) * (min(size, 1 << 20) // 16))
            for _ in range(1, size >> 20):
                file.write((b"%016d" % number) * (1 << 16))
    return root
