"""The stat cache, `seen.db`: digests of files that were read before, and what was found below which folder.

A digest is used again while device, inode, size, time of modification and time of change of its file are all the same.
A file that had been changed within two seconds of the look at it could be edited once more without a change of those
(git's racy rule, https://git-scm.com/docs/racy-git), so what is known of it is never used. Where another machine could
write, on a network file system, nothing is known at all. What no stat tells, nothing here can: an edit through mmap on
a tmpfs, or of the bytes of the disk itself.

Nothing in it is needed: it may be deleted at any time, and whatever is wrong with it, files are read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from refstore.backends.local.walk import Key, Run
from refstore.backends.local.walked import BROKEN, Walked, mark, state

RACY_NS = 2 * 10**9
"""How much older than the look at it a file has to be, in ns: the coarsest clock of a file system (FAT's) ticks so."""

_SCHEMA = """
create table runs (version integer primary key autoincrement, mode text not null, folder blob not null,
    number integer not null, mark blob not null, proof blob not null, data blob not null,
    unique (mode, folder, number));
create table walks (id integer primary key autoincrement, mode text not null, root blob not null, manifest text);
create table walked (walk integer not null, folder blob not null, number integer not null, version integer not null,
    primary key (walk, folder, number)) without rowid;
"""
# what marshal writes may change with its version
_FORM = 200 + marshal.version
_HELD = 8 << 20
_MOST = 1 << 30


def is_racy(key: Key, look: int) -> bool:
    """Whether a file that was looked at could be edited afterwards and have the same key."""
    return max(key[3], key[4]) >= look - RACY_NS


class Seen:
    """A connection to the cache, for one walk. Whatever fails, it knows nothing from then on.

    Args:
        path: Of the database; made on demand.
        mode: What the digests depend on: the algorithm, and which links are followed.
        root: The folder that is walked, with a slash at its end.

    Attributes:
        kept: Whether there was anything to `keep`.
    """

    def __init__(self, path: Path, mode: str, root: str) -> None:
        self._path, self._mode, self._root = path, mode, root
        self.kept = False
        self._held: list[tuple[bytes, int, bytes, bytes, bytes]] = []
        self._size = 0
        self._rows: list[tuple[bytes, int, int]] = []
        self._db: sqlite3.Connection | None = None
        with self._guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._open()

    def __enter__(self) -> Seen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What was read before an interrupt need not be read again.
        self._flush()
        if self._db is not None:
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        if self._path.exists() and self._path.stat().st_size > _MOST:
            self._path.unlink()
        db = sqlite3.connect(self._path, isolation_level=None, timeout=1, check_same_thread=False)
        try:
            db.execute("pragma journal_mode = wal")
            # A crash may lose what was just learnt, and damages nothing.
            db.execute("pragma synchronous = normal")
            if db.execute("pragma user_version").fetchone()[0] != _FORM:
                db.execute("begin immediate")
                for table in ("runs", "walks", "walked"):
                    db.execute(f"drop table if exists {table}")
                for statement in _SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"pragma user_version = {_FORM}")
                db.execute("commit")
            db.execute("create temp table walking (folder blob, number integer, version integer)")
        except BaseException:
            db.close()
            raise
        return db

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        # Whatever is wrong with the cache is no error of the walk.
        try:
            yield
        except BROKEN as error:
            db, self._db = self._db, None
            if db is not None:
                db.close()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                for suffix in ("", "-wal", "-shm"):
                    with contextlib.suppress(OSError):
                        Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def knows_nothing(self) -> bool:
        """Whether no file below the root is known."""
        with self._guard():
            if self._db is not None:
                return (
                    self._db.execute(
                        "select 1 from runs where mode = ? and folder >= ? and folder < ? limit 1", self._below()
                    ).fetchone()
                    is None
                )
        return True

    def _below(self) -> tuple[str, bytes, bytes]:
        return self._mode, _bytes(self._root), _bytes(self._root) + b"\xff"

    def know(self, run: Run) -> bool:
        """Fill in what is known of a run's files; whether all is as it was, and there is nothing to `keep`."""
        run.sums = [None] * len(run.names)
        with self._guard():
            if self._db is None:
                return False
            near = (run.number, run.number) if run.alone else (run.number - 1, run.number + 1)
            rows = self._db.execute(
                "select number, version, proof, data from runs"
                " where mode = ? and folder = ? and number between ? and ?",
                (self._mode, _bytes(run.folder), *near),
            ).fetchall()
            known: dict[str, tuple[Key | None, str]] = {}
            for number, version, proof, data in rows:
                names, keys, sums = state(proof, data)
                if number == run.number and names == run.names and keys == run.keys:
                    run.sums = list(sums)
                    self._note(_bytes(run.folder), number, version)
                    return True
                known.update(zip(names, zip(keys, sums, strict=True), strict=True))
            for at, (name, key) in enumerate(zip(run.names, run.keys, strict=True)):
                there = known.get(name)
                if there is not None and there[0] == key:
                    run.sums[at] = there[1]
        return False

    def keep(self, run: Run) -> None:
        """Remember a run whose digests are all there."""
        self.kept = True
        if self._db is None:
            return
        keys = [None if at in run.racy else key for at, key in enumerate(run.keys)] if run.racy else run.keys
        data = marshal.dumps((run.names, keys, run.sums))
        known = b"" if run.racy else mark(run)
        self._held.append((_bytes(run.folder), run.number, known, hashlib.sha256(data).digest(), data))
        self._size += len(data)
        if self._size >= _HELD:
            self._flush()

    def _flush(self) -> None:
        held, self._held, self._size = self._held, [], 0
        with self._guard():
            if self._db is None or not held:
                return
            self._db.execute("begin immediate")
            for row in held:
                version = self._db.execute(
                    "insert or replace into runs (mode, folder, number, mark, proof, data) values (?, ?, ?, ?, ?, ?)",
                    (self._mode, *row),
                ).lastrowid
                assert version is not None
                self._note(row[0], row[1], version)
            self._db.execute("commit")

    def _note(self, folder: bytes, number: int, version: int) -> None:
        self._rows.append((folder, number, version))
        if len(self._rows) >= 1000:
            self._spill()

    def _spill(self) -> None:
        rows, self._rows = self._rows, []
        if self._db is not None:
            self._db.executemany("insert into temp.walking values (?, ?, ?)", rows)

    def walked(self) -> int | None:
        """Remember that the walk is complete, and what it found; its number. What is gone is forgotten."""
        self._flush()
        walk: int | None = None
        with self._guard():
            if self._db is None:
                return None
            self._db.execute("begin immediate")
            self._spill()
            walk = self._db.execute(
                "insert into walks (mode, root) values (?, ?)", (self._mode, _bytes(self._root))
            ).lastrowid
            self._db.execute("insert or replace into walked select ?, * from temp.walking", (walk,))
            self._db.execute(
                """delete from runs where mode = ? and folder >= ? and folder < ? and not exists (
                   select 1 from walked w where w.walk = ? and w.folder = runs.folder and w.number = runs.number)""",
                (*self._below(), walk),
            )
            # one that came to no manifest is of no use once there is another
            self._forget("mode = ? and root = ? and manifest is null and id <> ?", *self._below()[:2], walk)
            self._db.execute("commit")
        return walk

    def _forget(self, which: str, *values: Any) -> None:
        assert self._db is not None
        self._db.execute(f"delete from walked where walk in (select id from walks where {which})", values)
        self._db.execute(f"delete from walks where {which}", values)

    def settle(self, walk: int, manifest: str) -> None:
        """Remember the manifest that the files of a walk make."""
        with self._guard():
            if self._db is None:
                return
            self._db.execute("begin immediate")
            self._forget("mode = ? and root = ? and id <> ?", self._mode, _bytes(self._root), walk)
            self._db.execute("update walks set manifest = ? where id = ?", (manifest, walk))
            self._db.execute("commit")

    def walk_to(self, manifest: str) -> int | None:
        """The number of the walk whose files make a manifest; None where none is known."""
        row = None
        with self._guard():
            if self._db is None:
                return None
            row = self._db.execute(
                "select id from walks where mode = ? and root = ? and manifest = ? order by id desc",
                (self._mode, _bytes(self._root), manifest),
            ).fetchone()
        return int(row[0]) if row else None

    def carry_on(self, walk: int, gone: Iterable[tuple[bytes, int]], manifest: str) -> None:
        """Remember what changed since a walk, and that this makes another manifest.

        Args:
            walk: Its number.
            gone: Folders that are no more, and which run of theirs.
            manifest: What the files make now.
        """
        self._flush()
        with self._guard():
            if self._db is None:
                return
            self._db.execute("begin immediate")
            self._spill()
            for folder, number in gone:
                at = (folder, number)
                self._db.execute("delete from walked where walk = ? and folder = ? and number = ?", (walk, *at))
                self._db.execute("delete from runs where mode = ? and folder = ? and number = ?", (self._mode, *at))
            self._db.execute("insert or replace into walked select ?, * from temp.walking", (walk,))
            self._db.execute("update walks set manifest = ? where id = ?", (manifest, walk))
            self._db.execute("commit")

    def walked_before(self, walk: int) -> Walked:
        """What a walk found.

        Raises:
            Lost: It can't be read.
        """
        return Walked(self._path, self._mode, walk)


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
