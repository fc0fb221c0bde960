"""Two versions of 100,000 files, ten changed: what comparing them costs, moving between them, and keeping the second.

refstore and DVC keep the files in their caches, and DVC a list of all of them for each version; W&B keeps
a manifest of all entries, which is compared by reading both. To move, each makes files from its own cache. Sizes are
without the content of the files.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import data, dvc, environments
from benchmarks.bench import Bench, Result, refstore
from benchmarks.race import REFSTORE, Entrant, Race

COUNT = 100_000
RECORDS, INDEX = 10_000, 200_000


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    two = Versions(bench, count)
    diff = Race(bench, f"compare two versions of {count:,} files, ten changed", runs=5)
    diff.enter(REFSTORE, lambda: Entrant(refstore("diff", "data:v0", "data:v1", "--json"), two.refstore()))
    diff.enter("W&B", lambda: Entrant([*_wandb(), "diff", "v0.json", "v1.json"], two.wandb()))
    diff.enter("DVC", lambda: Entrant([environments.program("dvc"), "diff", "--json", "HEAD~1", "HEAD"], two.dvc()))
    yield from diff.run().lines({"DVC": 0.06})

    move = Race(bench, f"move a checkout of {count:,} files to a version in which ten changed")
    move.enter(REFSTORE, two.move_refstore)
    move.enter("DVC", two.move_dvc)
    yield from move.run().lines({"DVC": 0.15})

    what = f"kept for a version of {count:,} files, ten changed"
    for name, kept in two.kept.items():
        yield Result(f"{name}: {what}", kept=kept)
    for part, limit in (("records", RECORDS), ("index", INDEX)):
        if (kept := two.kept.get(f"refstore, {part}")) is not None:
            yield Result(f"refstore, {part}: {what}", against="KB", ratio=kept / 1000, at_most=limit / 1000)


class Versions:
    """The same two versions in each tool; a tool is asked for them when its turn comes first."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench, self._count = bench, count
        self._trees = [data.tree(bench.folder / f"input/v{number}/tree", count) for number in range(2)]
        data.change(self._trees[1], count, 1)
        self._made: dict[str, Path] = {}
        self.kept: dict[str, int] = {}

    def _once(self, name: str, make: Callable[[], Path]) -> Path:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def refstore(self) -> Path:
        """A store; one tree is put, changed in its place, and put again."""
        return self._once(REFSTORE, self._refstore)

    def _refstore(self) -> Path:
        store, tree = self._bench.store(), self._bench.folder / "input/tree"
        shutil.copytree(self._trees[0], tree, copy_function=shutil.copy2)
        words = refstore("put", tree, "--name", "data", "--max-objects", self._count)
        self._bench.once(words, store)
        before = {part: _size(store / ".refstore", part) for part in ("records/*", "catalog.db*")}
        data.change(tree, self._count, 1)
        self._bench.once(words, store)
        for part, size in before.items():
            name = "refstore, records" if part == "records/*" else "refstore, index"
            self.kept[name] = _size(store / ".refstore", part) - size
        return store

    def wandb(self) -> Path:
        """A folder with two manifests."""
        return self._once("W&B", self._wandb_manifests)

    def _wandb_manifests(self) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self._bench.folder))
        for number, tree in enumerate(self._trees):
            self._bench.once([*_wandb(), "record", tree.as_uri(), f"v{number}.json"], folder)
        self.kept["W&B, manifest"] = (folder / "v1.json").stat().st_size
        return folder

    def dvc(self) -> Path:
        """A repository with two commits."""
        return self._once("DVC", self._dvc)

    def _dvc(self) -> Path:
        repository = dvc.Repository(self._bench)
        tree, before = repository.folder / "tree", 0
        shutil.copytree(self._trees[0], tree)
        for number in range(2):
            repository.do("add", "--quiet", "tree")
            repository.commit()
            shutil.copy(repository.folder / "tree.dvc", repository.folder / f"v{number}.dvc.kept")
            before, self.kept["DVC, list"] = repository.lists(), repository.lists() - before
            if number == 0:
                data.change(tree, self._count, 1)
        return repository.folder

    def move_refstore(self) -> Entrant:
        """From the first version to the second; before each turn back again."""
        store = self.refstore()
        back, there = (refstore("checkout", f"data:v{number}", "out", "--json") for number in range(2))

        def cwd() -> Path:
            self._bench.once(back, store)
            return store

        return Entrant(there, cwd)

    def move_dvc(self) -> Entrant:
        """From the first version to the second; before each turn back again."""
        folder, program = self.dvc(), environments.program("dvc")
        words = [program, "checkout", "--quiet", "tree.dvc"]

        def cwd() -> Path:
            for number in range(2):
                shutil.copy(folder / f"v{number}.dvc.kept", folder / "tree.dvc")
                if number == 0:
                    self._bench.once(words, folder)
            return folder

        return Entrant(words, cwd)


def _wandb() -> list[object]:
    return [environments.python("wandb"), Path(__file__).with_name("with_wandb.py")]


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))
