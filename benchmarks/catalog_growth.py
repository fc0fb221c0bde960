"""What a version with ten changes adds to a catalog of 1,000 versions, and what the commands that follow take.

Each version changes ten of 100,000 files. What it adds is measured in `records/`, in `.git` after `git gc`, in SQLite
and on a remote (a folder), and compared with the same for a tenth of the files: what depends on the change alone stays.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import refstore as api
from benchmarks.bench import Bench, Result, refstore
from refstore.catalog.applying import apply
from refstore.catalog.chunks import root_number
from refstore.catalog.writing import Built
from refstore.names import ArtifactName
from refstore.records.types import Logged, Version
from refstore.tracking import implied_run
from refstore.tracking.record import _summarise
from tests.acceptance.synthetic import add, entry

COUNT, VERSIONS, CHANGES = 100_000, 1_000, 10
PLACES = {
    "records": ("`records/`", 10),
    "git": ("`.git` after gc", 10),
    "remote": ("a remote", 10),
    "index": ("SQLite", 200),
}
"""Where it is kept, and the most KB that a version may add there."""
WANDB, DVC = 13_600_000, 8_100_000
"""Bytes that W&B 0.31.0 and DVC 3.67.1 keep for a version of such a dataset, as their own releases were measured."""


@dataclass(frozen=True)
class Sizes:
    """What a catalog takes in each place, in bytes."""

    records: int
    git: int
    index: int
    remote: int


@dataclass(frozen=True)
class Grown:
    """A store with all its versions: what the first of them took, what all took, and the median seconds of steps."""

    store: Path
    remote: Path
    first: Sizes
    last: Sizes
    adding: float
    pushing: float

    def each(self, place: str, versions: int) -> float:
        """What a version added to a place, in bytes."""
        return float(getattr(self.last, place) - getattr(self.first, place)) / versions


def run(bench: Bench) -> Iterator[Result]:
    count, versions = bench.scaled(COUNT), bench.scaled(VERSIONS)
    small, large = _grow(bench, count // 10, versions), _grow(bench, count, versions)
    for place, (where, limit) in PLACES.items():
        more = large.each(place, versions)
        yield Result(
            f"{where}: what one of {versions:,} versions of {count:,} files adds",
            against="KB",
            ratio=more / 1000,
            at_most=limit,
            note=f"{more / small.each(place, versions):.2f} x what one of {count // 10:,} files does",
        )
    more = large.each("records", versions)
    yield Result(
        "`records/`: the same", against=f"W&B 0.31.0, {WANDB:,} bytes a version (as given)", ratio=more / WANDB
    )
    yield Result("`records/`: the same", against=f"DVC 3.67.1, {DVC:,} bytes a version (as given)", ratio=more / DVC)
    yield Result("recording ten changed files, in a process", large.adding, versions, note="no listing")
    yield Result("pushing it to a folder, in a process", large.pushing, versions)
    yield from _commands(bench, large, count, versions)


def _grow(bench: Bench, count: int, versions: int) -> Grown:
    store = bench.store()
    remote = store.parent / f"remote-{store.name}"
    _git(store, "init", "-q", "-b", "main")
    add(store, count, {})
    bench.once(refstore("remote", "add", "origin", remote), store)
    bench.once(refstore("push"), store)
    _commit(store)
    first = _sizes(store, remote)
    adding, pushing = list[float](), list[float]()
    with api.open(store) as opened:
        for number in range(1, versions + 1):
            start = time.monotonic()
            _add_changes(opened, count, number)
            added = time.monotonic()
            opened.remotes.push()
            adding.append(added - start)
            pushing.append(time.monotonic() - added)
            _commit(store)
    last = _sizes(store, remote)
    return Grown(store, remote, first, last, statistics.median(adding), statistics.median(pushing))


def _add_changes(store: api.Store, count: int, number: int) -> None:
    """A version that overwrote ten files of the latest one, without a listing of the others."""
    changes = {(place * count // CHANGES + number * 97) % count: number for place in range(CHANGES)}
    name = ArtifactName("", store.settings.project, "data")
    with store.catalog.writing() as writing:
        latest = writing.queries.latest(name)
        assert latest is not None
        base = root_number(writing._db, latest.manifest)
        lines = ({"put": entry(place, changes).to_json()} for place in sorted(changes))
        built = Built(apply(writing._db, base, lines), writing._chunk(base), 0, 0, CHANGES)
        run = implied_run.start(writing, name, "add")
        version = Version(
            **writing.stamp,
            **name.parts,
            type=latest.type,
            number=writing.queries.next_number(name),
            manifest=writing.add_manifest(built),
            sources=("s3://bucket/data/",),
            run=run,
        )
        writing.add(Logged(**writing.stamp, run=run, version=writing.add(version)))
        implied_run.finish(writing, run)
        _summarise(writing, built, f"{name}:v{version.number}", latest)
        writing.commit()


def _commands(bench: Bench, grown: Grown, count: int, versions: int) -> Iterator[Result]:
    store, number = grown.store, versions
    show = refstore("show", "data")
    idle = bench.took(show, store, runs=5)
    yield idle.result("`show`, nothing new")
    clones = itertools.count()

    def cloned() -> Path:
        folder = bench.folder / f"clone-{next(clones)}"
        _git(store, "clone", "-q", str(store), str(folder))
        return folder

    yield bench.took(show, cloned).result("`show`, the first command in a git clone", "`show`", idle)
    follower = cloned()
    bench.once(show, follower)

    def one_more() -> None:
        nonlocal number
        number += 1
        with api.open(store) as opened:
            _add_changes(opened, count, number)
        _commit(store)

    def pulled() -> Path:
        one_more()
        _git(follower, "pull", "-q")
        return follower

    yield bench.took(show, pulled, runs=5).result("`show`, after a `git pull` of one version", "`show`", idle)
    bench.once(refstore("push"), store)

    def ahead() -> Path:
        one_more()
        return store

    yield bench.took(refstore("push"), ahead, runs=5).result("`push` of one version to a folder", "`show`", idle)

    def empty() -> Path:
        folder = bench.folder / f"from-remote-{next(clones)}"
        folder.mkdir()
        return folder

    yield bench.took(refstore("clone", grown.remote, "store"), empty, runs=1).result("`clone` from the remote")
    before = _sizes(store, grown.remote)
    packed = bench.took(refstore("pack", "--keep", versions // 10), store, runs=1)
    yield packed.result("`pack`", note=packed.last.out.strip())
    _commit(store)
    after = _sizes(store, grown.remote)
    files = len(list((store / ".refstore" / "records").iterdir()))
    yield Result(
        f"after `pack`: {files:,} files; a version takes {(after.records - before.records) / number:+,.0f} bytes in "
        "`records/`, "
        f"{(after.git - before.git) / number:+,.0f} in `.git`"
    )
    yield bench.took(show, cloned).result("`show`, the first command in a git clone, after `pack`", "`show`", idle)


def _sizes(store: Path, remote: Path) -> Sizes:
    folder = store / ".refstore"
    _git(store, "gc", "-q", "--prune=now")
    with contextlib.closing(sqlite3.connect(folder / "catalog.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    index = sum(path.stat().st_size for path in folder.glob("catalog.db*"))
    return Sizes(_size(folder / "records"), _size(store / ".git"), index, _size(remote))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _commit(store: Path) -> None:
    _git(store, "add", ".refstore")
    _git(store, "commit", "-q", "--allow-empty", "-m", "a version")


def _git(folder: Path, *words: str) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    settings = ("user.name=Ada", "user.email=ada@example.org", "gc.auto=0", "commit.gpgsign=false")
    chosen = [word for setting in settings for word in ("-c", setting)]
    subprocess.run(["git", *chosen, *words], cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL)
