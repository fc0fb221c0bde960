"""What this machine checked out, and where: `.refstore/local.db`.

The ledger tells a checkout which files at a destination are its own. It is not derived from the records, and is never
committed. Losing it loses no data: files whose bytes prove to be what they should be are taken over again, and all
others are conflicts.

A file goes through it twice. Before the rename that makes a file appear, an *intent* says what will appear there; after
the rename the row is *settled*. So a process that is killed between the two leaves a file that the next checkout can
call its own.

A settled row holds a stat key: the file is taken as unchanged while its key is the same. As a key can miss an edit in
the very tick of the clock in which it was taken (git's racy rule, https://git-scm.com/docs/racy-git), the row also
holds whether the file's time of modification was well in the past then; if it was not, the file is hashed once more.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

from refstore.checkout.disk import writing
from refstore.checkout.written import Settled, Whole, identity
from refstore.errors import StorageFull, StoreError, StoreLocked
from refstore.manifest.entry import Checksum, Object

_SCHEMA = """
create table if not exists roots (id integer primary key, path blob not null unique);
create table if not exists files (
    root integer not null, path blob not null, owner text not null,
    object blob, md5 text, size integer, link text, key text, settled integer not null default 0,
    pending_object blob, pending_md5 text,
    primary key (root, path)
) without rowid;
create table if not exists folders (root integer not null, path blob not null, primary key (root, path)) without rowid;
create table if not exists contents (object blob primary key, md5 text not null, size integer not null) without rowid;
create table if not exists wholes (
    root integer not null, owner text not null, manifest text not null, escaped integer not null,
    primary key (root, owner)
) without rowid;
"""
_VERSION = 2


class Ledger:
    """The ledger of one store on one machine. One thread uses it; several processes may.

    Args:
        path: The database file; made on demand.

    Raises:
        StoreError: It can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._guard():
            self._db = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
            self._prepare()

    def _prepare(self) -> None:
        self._db.execute("pragma journal_mode = wal")
        # an intent has to be on the disk before the file it speaks of
        self._db.execute("pragma synchronous = full")
        (version,) = self._db.execute("pragma user_version").fetchone()
        if version > _VERSION:
            raise StoreError(f"{self.path} was written by a newer refstore: update refstore, or delete that file.")
        if version < _VERSION:
            self._db.execute("begin immediate")
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"pragma user_version = {_VERSION}")
            self._db.execute("commit")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            text = str(error)
            if "full" in text:
                raise StorageFull(f"Can't write to {self.path}: no space is left there.") from error
            if "locked" in text:
                raise StoreLocked(f"Another process has held {self.path} for a minute: try again.") from error
            raise StoreError(f"{self.path} can't be used: {text}. Deleting it loses no data.") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path} is damaged ({error}). Delete it: that loses no data.") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the database.

        Raises:
            StorageFull: No space for it.
            StoreLocked: Another process holds the database.
            StoreError: It can't be used.
        """
        with self._guard():
            self._db.execute("begin immediate")
            try:
                yield self._db
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    @contextmanager
    def staging(self, schema: str) -> Iterator[sqlite3.Connection]:
        """The database with an empty one attached to it as `staging`, on the disk, that is gone afterwards.

        Args:
            schema: Statements that make its tables, each ended by a semicolon at the end of its line.
        """
        with self._guard():
            with writing(self.path.parent):
                handle, name = tempfile.mkstemp(prefix="staging-", suffix=".db", dir=self.path.parent)
                os.close(handle)
            try:
                self._db.execute("attach ? as staging", (name,))
                self._db.execute("pragma staging.journal_mode = off")
                self._db.execute("pragma staging.synchronous = off")
                for statement in schema.split(";\n"):
                    self._db.execute(statement)
                # nobody else needs its name, and so it can't be left behind
                Path(name).unlink()
                yield self._db
            finally:
                Path(name).unlink(missing_ok=True)
                if self._db.in_transaction:
                    self._db.execute("rollback")
                self._db.execute("detach staging")

    def root(self, dest: Path) -> int:
        """The number of a destination."""
        path = os.fsencode(os.path.realpath(dest))
        with self._guard():
            row = self._db.execute("select id from roots where path = ?", (path,)).fetchone()
        if row is None:
            with self.transaction() as db:
                row = db.execute(
                    "insert into roots (path) values (?) on conflict (path) do update set path = path returning id",
                    (path,),
                ).fetchone()
        return int(row[0])

    def intend(
        self, root: int, owner: str, files: Sequence[tuple[bytes, bytes, str]], folders: Iterable[bytes]
    ) -> None:
        """Write down what is about to appear. It is on the disk when this returns.

        Args:
            root: From `root`.
            owner: The artifact that it belongs to.
            files: Path, identity of the object, and MD5 of each file.
            folders: The folders that will be made.
        """
        with self.transaction() as db:
            db.execute("delete from wholes where root = ?", (root,))
            db.executemany(
                "insert into files (root, path, owner, pending_object, pending_md5) values (?, ?, ?, ?, ?) "
                "on conflict (root, path) do update "
                "set pending_object = excluded.pending_object, pending_md5 = excluded.pending_md5",
                [(root, path, owner, object_, md5) for path, object_, md5 in files],
            )
            db.executemany("insert or ignore into folders values (?, ?)", [(root, path) for path in folders])

    def settle(self, root: int, owner: str, files: Sequence[Settled]) -> None:
        """Write down that files are in their places.

        Args:
            root: From `root`.
            owner: The artifact that they belong to.
            files: The files.
        """
        with self.transaction() as db:
            db.execute("delete from wholes where root = ?", (root,))
            db.executemany(
                "insert or replace into files (root, path, owner, object, md5, size, link, key, settled) "
                "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(root, f.path, owner, f.object, f.md5, f.size, f.link, f.key, f.settled) for f in files],
            )

    def remember(self, contents: Iterable[tuple[bytes, str, int]]) -> None:
        """Write down what objects turned out to hold.

        Args:
            contents: The identity of each object, the MD5 of its bytes, and their number. As identities are spread over
                the whole table, the more come at once, the fewer pages are written.
        """
        with self.transaction() as db:
            db.executemany(
                "insert into contents values (?, ?, ?) on conflict (object) do update set md5 = excluded.md5, "
                "size = excluded.size where (md5, size) <> (excluded.md5, excluded.size)",
                sorted(contents),
            )

    def forget(self, root: int, files: Iterable[bytes], folders: Iterable[bytes] = ()) -> None:
        """Write down that files and folders are gone."""
        with self.transaction() as db:
            db.execute("delete from wholes where root = ?", (root,))
            db.executemany("delete from files where root = ? and path = ?", [(root, path) for path in files])
            db.executemany("delete from folders where root = ? and path = ?", [(root, path) for path in folders])

    def complete(self, root: int, owner: str, whole: Whole, files: int) -> None:
        """Write down that a destination holds a version in full, if the ledger has just its files.

        Every later change to what is written of a destination takes this back.

        Args:
            root: From `root`.
            owner: The artifact that the files belong to.
            whole: The version.
            files: How many files it has.
        """
        if self.whole(root, owner) == whole:
            return
        with self.transaction() as db:
            db.execute(
                "insert or replace into wholes select ?1, ?2, ?3, ?4 where ?5 = (select count(*) from files "
                "where root = ?1 and owner = ?2 and object is not null and pending_object is null)",
                (root, owner, whole.manifest, whole.escaped, files),
            )

    def whole(self, root: int, owner: str) -> Whole | None:
        """The version of an artifact that a destination holds in full since the last change to it."""
        with self._guard():
            row = self._db.execute(
                "select manifest, escaped from wholes where root = ? and owner = ?", (root, owner)
            ).fetchone()
        return Whole(*row) if row else None

    def keys(self, root: int, owner: str) -> Iterator[tuple[bytes, str, bool]]:
        """The files of an artifact at a destination, by path: each with its stat key, and whether that can be trusted.

        A page at a time: the ledger may be written to in between.
        """
        after = b""
        while True:
            with self._guard():
                rows = self._db.execute(
                    "select path, key, settled and pending_object is null from files "
                    "where root = ? and path > ? and owner = ? and object is not null order by path limit 5000",
                    (root, after, owner),
                ).fetchall()
            if not rows:
                return
            yield from rows
            after = rows[-1][0]

    def made_folder(self, root: int, path: bytes) -> bool:
        """Whether a checkout made this folder."""
        with self._guard():
            found = self._db.execute("select 1 from folders where root = ? and path = ?", (root, path)).fetchone()
        return found is not None

    def content(self, obj: Object) -> Checksum | None:
        """The checksum that an object's bytes turned out to have when they were last read here."""
        with self._guard():
            row = self._db.execute("select md5 from contents where object = ?", (identity(obj),)).fetchone()
        return Checksum("md5", row[0]) if row else None

    def linked(self) -> Iterator[Checksum]:
        """All cached content that symbolic links of checkouts point to: removing it would break them."""
        with self._guard(), closing(self._db.cursor()) as cursor:
            for root, path, key in cursor.execute(
                "select r.path, f.path, f.key from files f join roots r on r.id = f.root where f.link = 'symlink'"
            ):
                target = Path(key.removeprefix("->"))
                with contextlib.suppress(OSError):
                    if Path(os.fsdecode(root + b"/" + path)).readlink() == target:
                        yield Checksum(target.parts[-3], target.parts[-2] + target.name)
