"""Keeping the index true to the files: what came is read, what went is taken out, what they touch is folded."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from refstore.catalog.applying import Applying
from refstore.catalog.fold import append, refold
from refstore.catalog.freshness import remember, stamp_of
from refstore.catalog.ids import batches, marks, numbers_of, packed
from refstore.catalog.run_fold import ABOUT_RUNS, refold_runs
from refstore.errors import CatalogCorrupt
from refstore.manifest.tree import Chunk
from refstore.names import ArtifactName
from refstore.records.encoding import canonical, digest
from refstore.records.transaction import SUFFIX, Placed, read, read_changes
from refstore.records.types import (
    Alias,
    Logged,
    Manifest,
    Record,
    RunFinished,
    RunResumed,
    RunStarted,
    RunUpdated,
    Used,
    Version,
)

_HELD = 20_000
"""Records that are held before they are written: a few tens of MB."""


@dataclass(slots=True)
class Touched:
    """What has to be folded anew.

    Attributes:
        artifacts: By their full names.
        versions: Whose artifacts have to be, by their numbers in `ids`.
        runs: By their numbers in `ids`.
        new: Versions that came, by their numbers in `ids`, and the full names of their artifacts.
    """

    artifacts: set[str] = field(default_factory=set)
    versions: set[int] = field(default_factory=set)
    runs: set[int] = field(default_factory=set)
    new: dict[str, set[int]] = field(default_factory=dict)

    def came(self, kind: str, artifact: str | None, subject: int | None) -> None:
        """Take in what a new record is about, as its row in `records` says."""
        if kind == Version.kind and artifact is not None and subject is not None:
            self.new.setdefault(artifact, set()).add(subject)
        else:
            self.note(kind, artifact, subject)

    def note(self, kind: str, artifact: str | None, subject: int | None) -> None:
        """Take in what a record is about, as its row in `records` says."""
        if artifact is not None:
            self.artifacts.add(artifact)
        elif subject is not None:
            (self.runs if kind in ABOUT_RUNS else self.versions).add(subject)

    def find_artifacts(self, connection: sqlite3.Connection) -> None:
        """Take in the artifacts of the versions; while the records that say it are there."""
        for some in batches(sorted(self.versions)):
            self.artifacts.update(
                row[0]
                for row in connection.execute(
                    f"SELECT DISTINCT artifact FROM records WHERE id IN ({marks(some)}) AND artifact IS NOT NULL", some
                )
            )
        self.versions.clear()

    def fold(self, connection: sqlite3.Connection) -> None:
        """Fold them anew."""
        self.find_artifacts(connection)
        for name in sorted(self.new.keys() - self.artifacts):
            if not append(connection, _named(name), self.new[name]):
                self.artifacts.add(name)
        refold_all(connection, sorted(self.artifacts))
        refold_runs(connection, self.runs)


def subject(record: Record, id: str) -> tuple[str | None, str]:
    """What a record is about: the full name of an artifact or None, and the id of a version's or a run's record or "".

    A version's own record, and a run's, are about that version or run.

    Args:
        record: The record.
        id: Its id; it costs an encoding to find it out.
    """
    if isinstance(record, Version):
        return str(record.name), id
    if isinstance(record, Alias):
        return str(record.name), record.version
    if isinstance(record, Used | Logged | RunFinished | RunResumed | RunUpdated):
        return None, record.run
    if isinstance(record, RunStarted):
        return None, id
    return None, str(getattr(record, "version", ""))


def insert_records(connection: sqlite3.Connection, records: Iterable[tuple[int, Record]], touched: Touched) -> None:
    """Add records to the index, each with the number of its transaction. What they touch is not folded yet.

    Holds all of them; a handful of statements.
    """
    found = []
    for transaction, record in records:
        body = canonical(record.to_json())
        id = record.id if isinstance(record, Manifest) else digest(body)
        artifact, about = subject(record, id)
        found.append((id, transaction, record.kind, artifact, about, record.time, record.clock, body.decode()))
    known: dict[str, int | None] = {"": None}
    known.update(numbers_of(connection, (id for row in found for id in (row[0], row[4]) if id)))
    rows = [
        (known[id], at, kind, name, known[about], when, clock, body)
        for id, at, kind, name, about, when, clock, body in found
    ]
    connection.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    for row in rows:
        touched.came(row[2], row[3], row[4])
    _raise_clock(connection, max((row[6] for row in rows), default=0))


def clock(connection: sqlite3.Connection) -> int:
    """The highest logical clock that was seen in any record, those that went again included."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
    return int(row[0]) if row else 0


def _raise_clock(connection: sqlite3.Connection, seen: int) -> None:
    if seen > clock(connection):
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", (str(seen),))


def refold_all(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Fold artifacts anew, by their full names."""
    for name in names:
        refold(connection, _named(name))


def _named(name: str) -> ArtifactName:
    parts = name.split("/")
    return ArtifactName(*(["", *parts] if len(parts) == 2 else parts))


def catch_up(connection: sqlite3.Connection, records: Path, *, thorough: bool = False) -> None:
    """Bring the index to what the folder holds. Use inside a write transaction.

    Costs a listing of the folder (no stat of what is known), a read of the files that are new, and the folds of what
    they touch; holds some `_HELD` records at once, and all manifests without their lines. A damaged file is passed
    over, with its problem noted in `transactions.problem`: the rest of the catalog still answers.

    Args:
        connection: To the index.
        records: The folder `records/`.
        thorough: Look at every file too, for those that were changed in their place. Costs a stat a file.

    Raises:
        CatalogTooNew: A newer refstore wrote a file.
    """
    stamp = stamp_of(records)
    seen = connection.execute("SELECT value FROM meta WHERE key = 'stamp'").fetchone()
    since = int(seen[0]) if seen and seen[0] else 0
    with os.scandir(records) as listing:
        # the number of a file comes with the listing, at no cost: it tells one that was replaced under its name
        there = {item.name[: -len(SUFFIX)]: item.inode() for item in listing if item.name.endswith(SUFFIX)}
    known: set[str] = set()
    went: list[int] = []
    moved: list[tuple[int, int]] = []
    for id, name, size, problem, inode in connection.execute("SELECT * FROM transactions"):
        now = there.get(name)
        if now is None or problem is not None:
            went.append(id)
            continue
        other = inode is not None and inode != now
        if (other or thorough) and _looks_edited(records / (name + SUFFIX), size, since):
            went.append(id)
            continue
        known.add(name)
        if inode != now:
            moved.append((now, id))
    connection.executemany("UPDATE transactions SET inode = ? WHERE id = ?", moved)
    came = sorted(there.keys() - known)
    touched = Touched()
    _remove(connection, went, touched)
    manifests = _ingest(connection, records, came, touched)
    touched.artifacts |= _apply_all(connection, records, manifests)
    touched.fold(connection)
    remember(connection, stamp)


def _looks_edited(path: Path, size: int, since: int) -> bool:
    """Whether a file seems to be another than the one that was read: of another size, or written since then (ns)."""
    try:
        found = path.stat()
        return found.st_size != size or found.st_mtime_ns > since
    except OSError:
        return True


def _remove(connection: sqlite3.Connection, transactions: Iterable[int], touched: Touched) -> None:
    for some in batches(list(transactions)):
        for row in connection.execute(
            f"SELECT kind, artifact, subject FROM records WHERE transaction_id IN ({marks(some)})", some
        ):
            touched.note(*row)
        touched.find_artifacts(connection)
        connection.execute(f"DELETE FROM records WHERE transaction_id IN ({marks(some)})", some)
        connection.execute(f"DELETE FROM transactions WHERE id IN ({marks(some)})", some)


def _ingest(
    connection: sqlite3.Connection, records: Path, names: list[str], touched: Touched
) -> list[tuple[str, Placed]]:
    """Read files that came into `records`; the manifests in them, each with the name of its file."""
    manifests: list[tuple[str, Placed]] = []
    held: list[tuple[int, Record]] = []
    files: list[tuple[int, str, int, str | None]] = []
    first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM transactions").fetchone()[0]
    for number, name in enumerate(names, first):
        path, problem = records / (name + SUFFIX), None
        try:
            placed = list(read(path, whole=True))
            held += [(number, p.record) for p in placed]
            manifests += [(name, p) for p in placed if isinstance(p.record, Manifest)]
        except CatalogCorrupt as error:
            problem = _sentence(name, error)
        files.append((number, name, _size(path), problem))
        if len(held) >= _HELD:
            insert_records(connection, held, touched)
            held.clear()
    insert_records(connection, held, touched)
    connection.executemany("INSERT INTO transactions VALUES (?, ?, ?, ?, NULL)", files)
    return manifests


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sentence(name: str, problem: object) -> str:
    return str(problem) if name in str(problem) else f"{name}{SUFFIX}: {problem}"


def _note(connection: sqlite3.Connection, name: str, problem: object) -> None:
    connection.execute("UPDATE transactions SET problem = ? WHERE name = ?", (_sentence(name, problem), name))


def _apply_all(connection: sqlite3.Connection, records: Path, manifests: list[tuple[str, Placed]]) -> set[str]:
    """Build the manifests that came, each after its base; the artifacts whose versions have them."""
    applying = Applying(connection)
    waiting: dict[str, list[tuple[str, Placed]]] = {}
    ready: list[tuple[str, Placed]] = []
    for name, placed in manifests:
        manifest = placed.record
        assert isinstance(manifest, Manifest)
        if manifest.base and applying.root(manifest.base) is None:
            waiting.setdefault(manifest.base, []).append((name, placed))
        else:
            ready.append((name, placed))
    built: list[str] = []
    while ready:
        name, placed = ready.pop()
        manifest = placed.record
        assert isinstance(manifest, Manifest)
        if applying.root(manifest.manifest) is None:
            try:
                _build(applying, records, name, placed, manifest)
            except (CatalogCorrupt, ValueError, OverflowError) as error:
                _note(connection, name, error)
                continue
        built.append(manifest.manifest)
        ready += waiting.pop(manifest.manifest, [])
    applying.flush()
    for base, left in waiting.items():
        for name, _ in left:
            _note(
                connection, name, f"{name}{SUFFIX} needs the manifest {base[:12]}, which no file of the catalog holds."
            )
    touched: set[str] = set()
    for some in batches([packed(manifest) for manifest in built]):
        rows = connection.execute(
            "SELECT DISTINCT a.entity, a.project, a.name FROM versions v JOIN artifacts a ON a.id = v.artifact_id "
            f"WHERE v.manifest IN ({marks(some)})",
            some,
        )
        touched.update(str(ArtifactName(*row)) for row in rows)
    return touched


def _build(applying: Applying, records: Path, name: str, placed: Placed, manifest: Manifest) -> None:
    def prove(root: Chunk) -> None:
        if (root.id.hex(), root.entries, root.size) != (manifest.manifest, manifest.entries, manifest.size):
            raise CatalogCorrupt(
                f"The manifest in {name}{SUFFIX} is not what its lines make: the file was changed after it was "
                "written. Restore it from git or from a remote."
            )

    base = applying.root(manifest.base) if manifest.base else None
    applying.apply(base, read_changes(records, name, placed), prove)
