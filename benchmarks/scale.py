"""Time against the number of objects, and the size of the catalog against the number of versions; the plots show it.

`add` lists the S3 stub, which costs next to nothing. `diff` and `checkout --path` ask catalogs that were made without a
listing, of ten local files and, but for those, objects that don't exist: the first compares two versions with ten
changes, and the second makes those ten files. Everything runs three times, and the medians are kept in `scale.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import refstore as package
from benchmarks import data, stubbed
from benchmarks.bench import Bench, Result, forget, refstore
from benchmarks.race import Entrant, Race
from refstore.manifest.entry import Entry
from refstore.names import ArtifactName
from refstore.tracking.record import Labels, record
from tests.acceptance import synthetic

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
VERSIONED, VERSIONS, CHANGES = 100_000, 100, 10
LIMITS = {"records": 10_000, "index": 200_000}
"""The most bytes that a version with ten changes may add."""
POINTS = Path(__file__).with_name("scale.csv")
SECONDS, BYTES = "seconds by objects", "bytes by versions"

Point = tuple[str, str, int, float]


def run(bench: Bench) -> Iterator[Result]:
    points: list[Point] = []
    for count in (size for size in SIZES if size <= bench.scaled(SIZES[-1])):
        race = Race(bench, f"{count:,} objects")
        _add(bench, race, count)
        _ask(bench, race, count)
        race.run()
        for name, reason in race.failed.items():
            yield Result(f"{name}: {count:,} objects", note=f"failed: {reason}", failed=True)
        for name, took in race.took.items():
            points.append((SECONDS, name, count, took.seconds))
            yield took.result(f"`{name}`: {count:,} objects")
    for number, sizes in _versions(bench, bench.scaled(VERSIONED)):
        points += [(BYTES, name, number, size) for name, size in sizes.items()]
    for name in sizes:
        yield Result(f"{name}: {number} versions of {bench.scaled(VERSIONED):,} files", kept=sizes[name])
    (_, one), (_, two) = _versions(bench, bench.scaled(SIZES[-1]), 2)
    for name, limit in LIMITS.items():
        what = f"{name}: a second version of {bench.scaled(SIZES[-1]):,} files, ten changed"
        grown = two[name] - one[name]
        yield Result(what, kept=grown, against="KB", ratio=grown / 1000, at_most=limit / 1000)
    if not bench.quick:
        with POINTS.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("plot", "line", "x", "y"), *points])


def _add(bench: Bench, race: Race, count: int) -> None:
    stub, stores = stubbed.shared(bench, count), list[Path]()

    def new() -> Path:
        if stores:
            forget(stores.pop())
        stores.append(bench.store())
        return stores[-1]

    env = ["env", *(f"{name}={value}" for name, value in stub.environment.items())]
    words = [*env, *refstore("add", stubbed.URI, "--name", "data", "--max-objects", count, "--json")]
    race.enter("add", lambda: Entrant(words, new))
    race.enter("add, unchanged", lambda: Entrant(words, lambda: stores[-1]))


def _ask(bench: Bench, race: Race, count: int) -> None:
    store, tree = bench.store(), data.tree(bench.folder / "input/ten", CHANGES)
    with package.open(store) as opened:
        opened.add(tree, name="ten", prefix="a")
        ten = list(opened.version("ten").files())
    for state in ({}, dict.fromkeys(data.changed(count - CHANGES, CHANGES), 1)):
        _record(store, chain(ten, (synthetic.entry(number, state) for number in range(count - CHANGES))))

    def clean() -> Path:
        forget(store / "out")
        return store

    race.enter("diff", lambda: Entrant(refstore("diff", "data:v0", "data:v1", "--json"), store))
    words = refstore("checkout", "data:v1", "out", "--path", "a/*", "--json")
    race.enter("checkout --path", lambda: Entrant(words, clean))


def _versions(bench: Bench, count: int, versions: int = VERSIONS) -> Iterator[tuple[int, Mapping[str, int]]]:
    """The sizes after so many versions of `count` files, each with ten changes."""
    store, state = bench.store(), dict[int, int]()
    for number in range(1, versions + 1):
        _record(store, (synthetic.entry(entry, state) for entry in range(count)))
        if number in (1, 2, 5) or number % 10 == 0:
            folder = store / ".refstore"
            yield number, {"records": _size(folder, "records/*"), "index": _size(folder, "catalog.db*")}
        changed = ((place * count // CHANGES + number * 97) % count for place in range(CHANGES))
        state |= dict.fromkeys(changed, number)


def _record(root: Path, entries: Iterable[Entry]) -> None:
    with package.open(root) as store:
        record(
            store.catalog,
            ArtifactName("", store.settings.project, "data"),
            entries,
            Labels(),
            job_type="add",
            sources=["s3://bucket/data/"],
            markers=0,
            notes=(),
            dry_run=False,
        )


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))
