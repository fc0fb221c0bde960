"""Start-up: commands that have next to nothing to do.

Each is run by the interpreter of its own environment, and ten times, as they take less than a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import data, dvc, environments
from benchmarks.bench import Bench, Result, refstore
from benchmarks.race import REFSTORE, Entrant, Race

RUNS = 10
PYTHON, TYPER = "`python -c pass`", "`import typer`"


def run(bench: Bench) -> Iterator[Result]:
    tree = data.tree(bench.folder / "input/tree", 10)
    store = bench.store()
    bench.once(refstore("add", tree, "--name", "data"), store)
    version = Race(bench, "start, print the version", runs=RUNS)
    version.enter(REFSTORE, lambda: Entrant(refstore("--version"), store))
    version.enter("DVC", lambda: Entrant([environments.program("dvc"), "--version"], store))
    version.enter("W&B", lambda: Entrant([environments.program("wandb"), "--version"], store))
    version.enter("sqlite-utils", lambda: Entrant([_own("sqlite-utils"), "--version"], store))
    version.enter(PYTHON, lambda: Entrant([sys.executable, "-c", "pass"], store))
    version.enter(TYPER, lambda: Entrant([sys.executable, "-c", "import typer"], store))
    yield from version.run().lines({"DVC": 0.7})
    small = Race(bench, "say what is in a small store (`refstore ls`, `dvc status`)", runs=RUNS)
    small.enter(REFSTORE, lambda: Entrant(refstore("ls"), store))
    small.enter("DVC", lambda: _dvc(bench, tree))
    yield from small.run().lines({"DVC": 0.5})


def _own(program: str) -> Path:
    return Path(sys.executable).with_name(program)


def _dvc(bench: Bench, tree: Path) -> Entrant:
    repository = dvc.Repository(bench)
    data.tree(repository.folder / tree.name, 10)
    repository.do("add", "--quiet", tree.name)
    return Entrant(repository.words("status"), repository.folder)
