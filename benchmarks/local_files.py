"""Recording 100,000 local files of 4 KiB: the first time, again, and with ten of them changed.

W&B and refstore record references with MD5 digests, and DVC and LaminDB take MD5 digests too; DVC also moves the files
to its cache and leaves hard links. DataChain takes no checksum. `md5sum` hashes and keeps nothing; the walk asks the
system for the state of each file and reads none. All files are in the system's cache.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import data, dvc, environments
from benchmarks.bench import Bench, Result, forget, peer, refstore
from benchmarks.race import REFSTORE, Entrant, Race

COUNT = 100_000
MD5SUM, WALK = "`xargs -P2 md5sum`", "a walk with stat"
_HERE = Path(__file__).parent


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    tree = data.tree(bench.folder / "input/tree", count)
    peers = Peers(bench, tree, count)
    bench.once(md5sum(tree), bench.folder)
    first = Race(bench, f"record {count:,} files of 4 KiB")
    for name, make in peers.makers(first=True).items():
        first.enter(name, make)
    first.enter(MD5SUM, lambda: Entrant(md5sum(tree), bench.folder))
    yield from first.run().lines({"W&B": 0.25, "DVC": 0.10, MD5SUM: 2.0})
    for what, prepare in (("the same again, nothing changed", lambda: None), ("again, ten changed", peers.change)):
        race = Race(bench, what)
        for name, make in peers.makers(prepare=prepare).items():
            if name not in first.failed:
                race.enter(name, make)
        race.enter(WALK, lambda: Entrant(peer("walk", tree), bench.folder))
        yield from race.run().lines({"DVC": 0.15, WALK: 2.5})


def md5sum(tree: Path) -> list[object]:
    """The MD5 of all files below a folder, by two processes."""
    return ["sh", "-c", f"find {tree} -type f -print0 | xargs -0 -P2 -n500 md5sum > /dev/null"]


class Peers:
    """Each with the last place that it recorded to, so that it can do so again."""

    def __init__(self, bench: Bench, tree: Path, count: int) -> None:
        self._bench, self._tree, self._count = bench, tree, count
        self._place: dict[str, Path] = {}
        self._rounds = itertools.count(1)
        self._prepare: Callable[[], None] = lambda: None
        self._round = 0

    def change(self) -> None:
        """Change ten files, the same ten each time, of the tree and of DVC's copy."""
        round = next(self._rounds)
        for root in (self._tree, *([self._place["DVC"] / "tree"] if "DVC" in self._place else [])):
            data.change(root, self._count, round)

    def makers(
        self, *, first: bool = False, prepare: Callable[[], None] = lambda: None
    ) -> dict[str, Callable[[], Entrant]]:
        """All of them, in a new place each turn or in their last one."""
        words: dict[str, tuple[Callable[[], list[object]], Callable[[], Path]]] = {
            REFSTORE: (self._refstore, self._bench.store),
            "W&B": (self._wandb, self._folder),
            "DVC": (self._dvc, self._repository),
            "LaminDB": (self._lamindb, self._instance),
            "DataChain": (self._datachain, self._folder),
        }

        def entrant(name: str) -> Entrant:
            command, place = words[name]

            def cwd() -> Path:
                if first:
                    if name in self._place:
                        forget(self._place[name])
                    self._place[name] = place()
                prepare()
                return self._place[name]

            return Entrant(command(), cwd)

        return {name: (lambda name=name: entrant(name)) for name in words}

    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._bench.folder))

    def _refstore(self) -> list[object]:
        return refstore("add", self._tree, "--name", "data", "--max-objects", self._count, "--json")

    def _wandb(self) -> list[object]:
        program = [environments.python("wandb"), _HERE / "with_wandb.py"]
        return [*program, "record", self._tree.as_uri(), "manifest.json"]

    def _dvc(self) -> list[object]:
        return [environments.program("dvc"), "add", "--quiet", "tree"]

    def _repository(self) -> Path:
        repository = dvc.Repository(self._bench)
        shutil.copytree(self._tree, repository.folder / "tree")  # DVC takes what is in the repository
        return repository.folder

    def _lamindb(self) -> list[object]:
        return [environments.python("lamindb"), _HERE / "with_lamindb.py", self._tree, "tree"]

    def _instance(self) -> Path:
        folder = self._folder()
        lamin = environments.program("lamindb", "lamin")
        forget(self._tree.parent / ".lamindb")
        for file in self._tree.parent.glob("*.*"):
            file.unlink()
        self._bench.once([lamin, "init", "--storage", self._tree.parent, "--name", folder.name], folder)
        return folder

    def _datachain(self) -> list[object]:
        return [environments.python("datachain"), _HERE / "with_datachain.py", self._tree.as_uri()]
