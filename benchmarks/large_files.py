"""Recording 20 local files of 256 MiB, which is as fast as they can be hashed.

All are in the system's cache if it is as large as they are, and each in turn reads all of them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import data, dvc, environments
from benchmarks.bench import Bench, Result, forget, refstore
from benchmarks.local_files import MD5SUM
from benchmarks.race import REFSTORE, Entrant, Race

COUNT, SIZE = 20, 256 << 20


def run(bench: Bench) -> Iterator[Result]:
    size = bench.scaled(SIZE)
    tree = data.large(bench.folder / "input/tree", COUNT, size)
    race = Race(bench, f"record {COUNT} files of {size >> 20} MiB")
    words = refstore("add", tree, "--name", "data", "--json")
    race.enter(REFSTORE, lambda: Entrant(words, bench.store))
    race.enter("W&B", lambda: _wandb(bench, tree))
    race.enter("DVC", lambda: _dvc(bench, tree))
    md5sum = ["sh", "-c", f"find {tree} -type f -print0 | xargs -0 -P2 -n1 md5sum > /dev/null"]
    race.enter(MD5SUM, lambda: Entrant(md5sum, bench.folder))
    yield from race.run().lines({MD5SUM: 1.15})


def _wandb(bench: Bench, tree: Path) -> Entrant:
    program = [environments.python("wandb"), Path(__file__).with_name("with_wandb.py")]
    return Entrant(
        [*program, "record", tree.as_uri(), "manifest.json"], lambda: Path(tempfile.mkdtemp(dir=bench.folder))
    )


def _dvc(bench: Bench, tree: Path) -> Entrant:
    last: list[Path] = []

    def cwd() -> Path:
        if last:
            forget(last.pop())
        repository = dvc.Repository(bench)
        last.append(repository.folder)
        shutil.copytree(tree, repository.folder / "tree")
        return repository.folder

    return Entrant([environments.program("dvc"), "add", "--quiet", "tree"], cwd)
