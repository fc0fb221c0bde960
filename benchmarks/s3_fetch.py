"""Fetching 10,000 objects of 100 KiB and 4 of 256 MiB from S3, with versions; and again, when all are there.

Only refstore and DVC prove what they wrote: s5cmd and rclone write what comes. W&B compares ETags, not bytes. Files go
to memory where the system has a file system there, since a disk is slow to make files after many were deleted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import data, dvc, environments, rclone
from benchmarks.bench import Bench, Result, forget, refstore
from benchmarks.race import REFSTORE, Entrant, Race

SMALL, SMALL_SIZE = 10_000, 100 << 10
LARGE, LARGE_SIZE = 4, 256 << 20
MEMORY = Path("/dev/shm")
PEAK = 150_000_000
S5CMD, RCLONE = "`s5cmd cp`", "`rclone copy`"


def run(bench: Bench) -> Iterator[Result]:
    small, size = bench.scaled(SMALL), bench.scaled(LARGE_SIZE)
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 8 << 30
    with tempfile.TemporaryDirectory(prefix="refstore-bench-", dir=MEMORY if in_memory else None) as folder:
        files = {f"data/{data.path(number)}": (number, SMALL_SIZE) for number in range(small)}
        what = f"fetch {small:,} objects of 100 KiB"
        fetches = Fetches(bench, Path(folder), files)
        yield from fetches.first(what, {S5CMD: 1.0, "W&B": 0.10, "DVC": 0.30}).lines()
        yield from fetches.again(f"fetch {small:,} objects again, all there", {"DVC": 0.5}).lines()
        fetches.close()
        files = {f"data/large-{number}": (number, size) for number in range(LARGE)}
        fetches = Fetches(bench, Path(folder), files)
        race = fetches.first(f"fetch {LARGE} objects of {size >> 20} MiB", {RCLONE: 1.5, "W&B": 0.5})
        yield from race.lines()
        if mine := race.race.took.get(REFSTORE):
            yield Result("refstore: peak memory of that", against="MB", ratio=mine.peak / 1e6, at_most=PEAK / 1e6)


class Aimed:
    """A race that is over, with its targets."""

    def __init__(self, race: Race, at_most: Mapping[str, float]) -> None:
        self.race, self._at_most = race.run(), at_most

    def lines(self) -> Iterator[Result]:
        """See `Race.lines`."""
        return self.race.lines(self._at_most)


class Fetches:
    """One bucket, recorded by all who record, and fetched by each into a folder of its own."""

    def __init__(self, bench: Bench, folder: Path, files: Mapping[str, tuple[int, int]]) -> None:
        self._bench, self._out = bench, Path(tempfile.mkdtemp(dir=folder))
        server = bench.server
        self._bucket, self._env = server.make_bucket(), server.environment(logged=True)
        self._uri = f"s3://{self._bucket}/data/"

        def put(key: str) -> None:
            number, size = files[key]
            server.put(self._bucket, key, b"".join(data.pieces(number, size)))

        with ThreadPoolExecutor(16 if len(files) > LARGE else 1) as pool:
            list(pool.map(put, files))
        self._count = len(files)
        self._made: dict[str, Entrant] = {}

    def first(self, what: str, at_most: Mapping[str, float]) -> Aimed:
        """All fetch to where nothing is."""
        race = Race(self._bench, what, self._env, requests=self._bench.requests(self._bucket))
        for name, make in (
            (REFSTORE, self._refstore),
            ("W&B", self._wandb),
            ("DVC", self._dvc),
            (S5CMD, self._s5cmd),
            (RCLONE, self._rclone),
        ):
            race.enter(name, lambda name=name, make=make: self._keep(name, make()))
        return Aimed(race, at_most)

    def again(self, what: str, at_most: Mapping[str, float]) -> Aimed:
        """Those who know what they have fetch again."""
        race = Race(self._bench, what, self._env, requests=self._bench.requests(self._bucket))
        for name in (REFSTORE, "W&B", "DVC"):
            if name in self._made:
                entrant = self._made[name]
                words = [*entrant.words[:-2], "checkout", "--quiet"] if name == "DVC" else entrant.words
                there = self._out / name.replace("&", "")
                race.enter(name, lambda words=words, there=there: Entrant(words, there))
        return Aimed(race, at_most)

    def close(self) -> None:
        """Delete what was fetched: memory is dear."""
        forget(self._out)

    def _keep(self, name: str, entrant: Entrant) -> Entrant:
        self._made[name] = entrant
        return entrant

    def _place(self, name: str) -> Path:
        folder = self._out / name
        folder.mkdir(parents=True)
        return folder

    def _clean(self, place: Path, *names: str) -> Callable[[], Path]:
        def clean() -> Path:
            for name in names:
                forget(place / name)
            return place

        return clean

    def _refstore(self) -> Entrant:
        place = self._place(REFSTORE)
        self._bench.once(refstore("init"), place)
        self._bench.once(refstore("add", self._uri, "--name", "data", "--max-objects", self._count), place, self._env)
        return Entrant(refstore("checkout", "data", "out", "--json"), self._clean(place, "out", ".refstore/cache"))

    def _wandb(self) -> Entrant:
        place = self._place("WB")
        program = [environments.python("wandb"), Path(__file__).with_name("with_wandb.py")]
        self._bench.once([*program, "record", self._uri, "manifest.json"], place, self._env)
        env = ["env", f"WANDB_CACHE_DIR={place / 'cache'}", f"WANDB_DATA_DIR={place / 'cache'}"]
        return Entrant([*env, *program, "fetch", "manifest.json", "out"], self._clean(place, "out", "cache"), turns=1)

    def _dvc(self) -> Entrant:
        repository = dvc.Repository(self._bench, self._out / "DVC")
        imported = ["import-url", "--quiet", "--version-aware", "--no-download", self._uri, "out"]
        repository.do(*imported, env=self._env)
        clean = self._clean(repository.folder, "out", ".dvc/cache")
        return Entrant(repository.words("pull", "--quiet"), clean)

    def _s5cmd(self) -> Entrant:
        place = self._place("s5cmd")
        words = ["--endpoint-url", self._env["AWS_ENDPOINT_URL"], "--log", "error", "cp", f"{self._uri}*", "out/"]
        return Entrant([environments.program("s5cmd"), *words], self._clean(place, "out"))

    def _rclone(self) -> Entrant:
        place = self._place("rclone")
        words = [*rclone.words(self._env), "copy", "--transfers", "16", rclone.path(self._uri), "out"]
        return Entrant(words, self._clean(place, "out"))
