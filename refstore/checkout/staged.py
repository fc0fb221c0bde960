"""A plan as it lies in its database: what is to be written and what goes, a page at a time."""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from refstore.checkout.destination import Destination
from refstore.checkout.ledger import Ledger
from refstore.checkout.paths import decode, encode, local_path
from refstore.checkout.written import Settled, has_key
from refstore.manifest.entry import Checksum, Entry, Object

PAGE = 1000

SCHEMA = """
create table staging.page (number integer primary key, local blob not null, object blob not null);
create table staging.plan (
    local blob primary key, action integer not null, entry blob, object blob, md5 text, size integer, link text, key
    text, settled integer, old_key text, archived integer
) without rowid;
create table staging.drop_ (local blob primary key, way integer not null, key text) without rowid;
create table staging.appeared (
    local blob primary key, object blob, md5 text, size integer, link text, key text, settled integer
) without rowid;
create table staging.folded (name text primary key, path text not null) without rowid;
"""
WRITE, KEEP, TAKE_OVER = range(3)
FILE_IN_WAY, FOLDER_IN_WAY, LINK_IN_WAY = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Work:
    """One file to write.

    Attributes:
        local: Its path below the destination.
        entry: What it is.
        object: The identity of its object.
        md5: Of its content, where an earlier read of the object told.
        old_key: The stat key of what is in its place and may be replaced; None for nothing, "" for anything (`force`).
    """

    local: str
    entry: Entry
    object: bytes
    md5: str | None
    old_key: str | None


@dataclass(slots=True)
class Totals:
    """What a plan comes to.

    Attributes:
        write: Files to write.
        write_bytes: The sum of their sizes, where known.
        keep: Files that are there already.
        drop: Files to remove.
        archived: Files to write that were in archived storage when they were recorded.
        escaped: Files whose local name is not their path.
    """

    write: int = 0
    write_bytes: int = 0
    keep: int = 0
    drop: int = 0
    archived: int = 0
    escaped: int = 0


class Staged:
    """What a plan holds.

    Attributes:
        totals: What it comes to.
        root: The number of the destination in the ledger.

    Args:
        db: From `Ledger.staging(Staged.schema)`.
        ledger: The ledger.
        dest: The destination.
        owner: The artifact that files belong to.
    """

    schema = SCHEMA

    def __init__(self, db: sqlite3.Connection, ledger: Ledger, dest: Destination, owner: str) -> None:
        self.totals = Totals()
        self._db, self._ledger, self._dest, self._owner = db, ledger, dest, owner
        self.root = ledger.root(dest.path)

    def drops(self, local: str) -> bool:
        """Whether a file goes as part of this plan."""
        row = self._db.execute("select 1 from staging.drop_ where local = ? and way = 0", (encode(local),)).fetchone()
        return row is not None

    def dropped_below(self, local: str) -> list[str]:
        """The files below a folder that go as part of this plan."""
        start = encode(local + "/")
        rows = self._db.execute(
            "select local from staging.drop_ where local > ? and local < ? and way = 0", (start, start[:-1] + b"0")
        )
        return [decode(path) for (path,) in rows.fetchall()]

    def dropped(self) -> Iterator[list[tuple[str, str]]]:
        """All files that go, a page at a time: each with its stat key, or "" where any may go."""
        after = b""
        while rows := self._db.execute(
            "select local, key from staging.drop_ where local > ? and way = 0 order by local limit ?", (after, PAGE)
        ).fetchall():
            after = rows[-1][0]
            yield [(decode(path), key) for path, key in rows]

    def work(self, *, archived: bool = False) -> Iterator[Work]:
        """All files to write, by local path.

        Args:
            archived: Only those that were in archived storage.
        """
        after = b""
        while rows := self._db.execute(
            "select local, entry, object, md5, old_key from staging.plan "
            "where action = ? and archived >= ? and local > ? order by local limit ?",
            (WRITE, archived, after, PAGE),
        ).fetchall():
            after = rows[-1][0]
            for path, entry, object_, md5, old_key in rows:
                yield Work(decode(path), _unpacked(entry), object_, md5, old_key)

    def stale(self, path: str) -> str | None:
        """The local path of an older file of ours that was to be replaced by this entry, if it is still there."""
        local = local_path(path)
        row = self._db.execute("select old_key from staging.plan where local = ?", (encode(local),)).fetchone()
        if row is None or not row[0]:
            return None
        found = self._dest.stat(local)
        return local if found is not None and has_key(found, self._dest.link_target(local), row[0]) else None

    def take_over(self) -> None:
        """Write into the ledger which files were found to be as recorded, and which an unfinished checkout left."""
        self._take_over(f"staging.plan where action = {TAKE_OVER}")
        self._take_over("staging.appeared where 1")

    def _take_over(self, which: str) -> None:
        after = b""
        while rows := self._db.execute(
            f"select local, object, md5, size, link, key, settled from {which} and local > ? order by local limit ?",
            (after, PAGE),
        ).fetchall():
            after = rows[-1][0]
            files = [
                Settled(path, object_, md5, size, link, key, bool(settled), False)
                for path, object_, md5, size, link, key, settled in rows
            ]
            self._ledger.settle(self.root, self._owner, files)


def packed(entry: Entry) -> bytes:
    """An entry for the staging database, which no other process reads: what was checked is not checked again."""
    o = entry.object
    sums = (None, None) if o.checksum is None else (o.checksum.algorithm, o.checksum.value)
    fields = (o.scheme, o.endpoint, o.bucket, o.key, o.size, o.version, o.etag, *sums, o.mtime, o.storage_class)
    return marshal.dumps((entry.path, *fields))


def _unpacked(data: bytes) -> Entry:
    path, scheme, endpoint, bucket, key, size, version, etag, algorithm, value, mtime, storage = marshal.loads(data)
    checksum = None if algorithm is None else Checksum(algorithm, value)
    return Entry(path, Object(scheme, endpoint, bucket, key, size, version, etag, checksum, mtime, storage))
