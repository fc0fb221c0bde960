"""Keeping the index true to the files: what came is read, what went is taken out, what they touch is folded."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from refstore.catalog.chunks import apply, root_number
from refstore.catalog.fold import ABOUT_ARTIFACTS, ABOUT_VERSIONS, refold
from refstore.catalog.run_fold import ABOUT_RUNS, refold_runs
from refstore.errors import CatalogCorrupt
from refstore.names import ArtifactName
from refstore.records.encoding import canonical
from refstore.records.transaction import SUFFIX, Placed, read, read_changes
from refstore.records.types import InArtifact, Logged, Manifest, Record, RunFinished, RunStarted, RunUpdated, Used

_TICK = 50_000_000
"""Nanoseconds within which a folder may change again without a new time on it; only FAT is coarser."""


def _stamp(records: Path) -> str:
    """A token that changes whenever a file of the folder comes or goes; "" where that could not be told yet."""
    changed = records.stat().st_mtime_ns
    return str(changed) if time.time_ns() - changed > _TICK else ""


def is_current(connection: sqlite3.Connection, records: Path) -> bool:
    """Whether nothing came or went since the index was brought up to date. One stat and one row."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'stamp'").fetchone()
    return bool(row and row[0] and row[0] == str(records.stat().st_mtime_ns))


def remember(connection: sqlite3.Connection, records: Path) -> None:
    """Note that the index holds what the folder holds. Use inside the transaction that made it so."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('stamp', ?)", (_stamp(records),))


def subject(record: Record) -> str:
    """What a record is about: an artifact's full name, or the id of a version's or a run's record."""
    if isinstance(record, InArtifact):
        return str(record.name)
    if isinstance(record, Used | Logged | RunFinished | RunUpdated):
        return record.run
    if isinstance(record, RunStarted):
        return record.id
    return str(getattr(record, "version", ""))


def insert_records(connection: sqlite3.Connection, transaction: int, records: Iterable[Record]) -> set[str]:
    """Add records to the index, and fold runs; the names of the artifacts that have to be folded anew."""
    rows = []
    touched: set[str] = set()
    runs: set[str] = set()
    about_versions: list[str] = []
    for record in records:
        about = subject(record)
        rows.append(
            (
                record.id,
                transaction,
                record.kind,
                about,
                record.time,
                record.clock,
                canonical(record.to_json()).decode(),
            )
        )
        if record.kind in ABOUT_ARTIFACTS:
            touched.add(about)
        elif record.kind in ABOUT_VERSIONS:
            about_versions.append(about)
        elif record.kind in ABOUT_RUNS:
            runs.add(about)
    connection.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    refold_runs(connection, runs)
    return touched | _artifacts_of(connection, about_versions)


def _artifacts_of(connection: sqlite3.Connection, versions: list[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(versions), 500):
        some = versions[start : start + 500]
        marks = ",".join("?" * len(some))
        found.update(row[0] for row in connection.execute(f"SELECT subject FROM records WHERE id IN ({marks})", some))
    return found


def refold_all(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Fold artifacts anew, by their full names."""
    for name in names:
        parts = name.split("/")
        refold(connection, ArtifactName(*(["", *parts] if len(parts) == 2 else parts)))


def catch_up(connection: sqlite3.Connection, records: Path) -> None:
    """Bring the index to what the folder holds. Use inside a write transaction.

    Costs a listing of the folder, and a read of the files that are new. A damaged file is passed over, with its problem
    noted in `transactions.problem`: the rest of the catalog still answers.

    Raises:
        CatalogTooNew: A newer refstore wrote a file.
    """
    stamp = _stamp(records)
    with os.scandir(records) as listing:
        there = {item.name[: -len(SUFFIX)]: item.stat().st_size for item in listing if item.name.endswith(SUFFIX)}
    known = {name: (id, size, problem) for id, name, size, problem in connection.execute("SELECT * FROM transactions")}
    went = [name for name in known if name not in there or (known[name][2] is not None)]
    came = [name for name in there if name not in known or known[name][2] is not None]
    touched: set[str] = set()
    for name in went:
        touched |= _remove(connection, known[name][0])
    manifests: list[tuple[str, Placed]] = []
    for name in came:
        touched |= _ingest(connection, records, name, there[name], manifests)
    touched |= _apply_all(connection, records, manifests)
    refold_all(connection, touched)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('stamp', ?)", (stamp,))


def _remove(connection: sqlite3.Connection, transaction: int) -> set[str]:
    rows = connection.execute("SELECT kind, subject FROM records WHERE transaction_id = ?", (transaction,)).fetchall()
    touched = {about for kind, about in rows if kind in ABOUT_ARTIFACTS}
    touched |= _artifacts_of(connection, [about for kind, about in rows if kind in ABOUT_VERSIONS])
    connection.execute("DELETE FROM records WHERE transaction_id = ?", (transaction,))
    refold_runs(connection, {about for kind, about in rows if kind in ABOUT_RUNS})
    connection.execute("DELETE FROM transactions WHERE id = ?", (transaction,))
    return touched


def _ingest(
    connection: sqlite3.Connection, records: Path, name: str, size: int, manifests: list[tuple[str, Placed]]
) -> set[str]:
    cursor = connection.execute("INSERT INTO transactions (name, size) VALUES (?, ?)", (name, size))
    try:
        placed = list(read(records / (name + SUFFIX)))
    except CatalogCorrupt as error:
        _note(connection, name, error)
        return set()
    manifests += [(name, p) for p in placed if isinstance(p.record, Manifest)]
    assert cursor.lastrowid is not None
    return insert_records(connection, cursor.lastrowid, [p.record for p in placed])


def _note(connection: sqlite3.Connection, name: str, problem: object) -> None:
    sentence = str(problem) if name in str(problem) else f"{name}{SUFFIX}: {problem}"
    connection.execute("UPDATE transactions SET problem = ? WHERE name = ?", (sentence, name))


def _apply_all(connection: sqlite3.Connection, records: Path, manifests: list[tuple[str, Placed]]) -> set[str]:
    """Build the manifests that came, each after its base; the artifacts whose versions have them."""
    waiting: dict[str, list[tuple[str, Placed]]] = {}
    ready: list[tuple[str, Placed]] = []
    for name, placed in manifests:
        manifest = placed.record
        assert isinstance(manifest, Manifest)
        if manifest.base and root_number(connection, manifest.base) is None:
            waiting.setdefault(manifest.base, []).append((name, placed))
        else:
            ready.append((name, placed))
    built: list[str] = []
    while ready:
        name, placed = ready.pop()
        manifest = placed.record
        assert isinstance(manifest, Manifest)
        if root_number(connection, manifest.manifest) is None:
            connection.execute("SAVEPOINT manifest")
            try:
                _build(connection, records, name, placed, manifest)
            except (CatalogCorrupt, ValueError) as error:
                connection.execute("ROLLBACK TO manifest")
                _note(connection, name, error)
                continue
            finally:
                connection.execute("RELEASE manifest")
        built.append(manifest.manifest)
        ready += waiting.pop(manifest.manifest, [])
    for base, left in waiting.items():
        for name, _ in left:
            _note(
                connection, name, f"{name}{SUFFIX} needs the manifest {base[:12]}, which no file of the catalog holds."
            )
    touched: set[str] = set()
    for start in range(0, len(built), 500):
        some = built[start : start + 500]
        marks = ",".join("?" * len(some))
        rows = connection.execute(
            "SELECT a.entity, a.project, a.name FROM versions v JOIN artifacts a ON a.id = v.artifact_id WHERE "
            f"v.manifest IN ({marks})",
            some,
        )
        touched.update(str(ArtifactName(*row)) for row in rows)
    return touched


def _build(connection: sqlite3.Connection, records: Path, name: str, placed: Placed, manifest: Manifest) -> None:
    base = root_number(connection, manifest.base) if manifest.base else None
    root = apply(connection, base, read_changes(records, name, placed))
    if root.id.hex() != manifest.manifest or root.entries != manifest.entries:
        raise CatalogCorrupt(
            f"The manifest in {name}{SUFFIX} is not what its lines make: the file was changed after it was written. "
            "Restore it from git or from a remote."
        )
