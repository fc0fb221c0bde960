"""Connections to `catalog.db` that raise the errors of `refstore.errors`, wherever they are used.

An error of SQLite may come from any statement, and from any row long after a query was begun. So the connection itself
turns it into one of ours, and nobody who asks has to.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from refstore.errors import CatalogCorrupt, StorageFull, StoreError, StoreLocked

BUSY = 300.0
"""Seconds to wait for another process that writes. A commit is short, but many may queue."""


def connect(path: Path) -> Connection:
    """A connection to the index, in autocommit mode, which makes an empty file where there is none.

    Raises:
        StoreError: It can't be opened.
        CatalogCorrupt: It is no database.
    """
    with errors(path):
        db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False, factory=Connection)
        db.path = path
    try:
        # The records are the durable truth, so the index need not be synced at every commit.
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            _write_ahead(db)
        db.execute("PRAGMA cache_size = -8192")
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def errors(path: Path) -> Iterator[None]:
    """Turn the errors that SQLite raises about a database into those that users know.

    Args:
        path: Of the index.

    Raises:
        StoreLocked: Another process writes for too long.
        StorageFull: There is no space.
        CatalogCorrupt: It is damaged.
        StoreError: It can't be used, or was closed.
    """
    try:
        yield
    except sqlite3.Error as error:
        _raise(error, path)


class Connection(sqlite3.Connection):
    """A connection to the index; see `errors` for what it raises.

    Attributes:
        path: Of the index.
    """

    path = Path()

    def cursor(self, *_: Any, **__: Any) -> Cursor:  # type: ignore[override]
        """A cursor whose statements and rows raise them."""
        try:
            return super().cursor(Cursor)
        except sqlite3.Error as error:
            _raise(error, self.path)

    def execute(self, *args: Any) -> Cursor:
        """As `sqlite3.Connection.execute`, which some versions of Python do not send through `Cursor.execute`."""
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Cursor:
        """As `sqlite3.Connection.executemany`."""
        return self.cursor().executemany(*args)


class Cursor(sqlite3.Cursor):
    """A cursor of a `Connection`. It has no context manager a row, since rows are read by the million."""

    connection: Connection

    def execute(self, *args: Any) -> Cursor:
        """As `sqlite3.Cursor.execute`."""
        try:
            super().execute(*args)
        except sqlite3.Error as error:
            _raise(error, self.connection.path)
        return self

    def executemany(self, *args: Any) -> Cursor:
        """As `sqlite3.Cursor.executemany`."""
        try:
            super().executemany(*args)
        except sqlite3.Error as error:
            _raise(error, self.connection.path)
        return self

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            yield from iter(super().__next__, None)
        except sqlite3.Error as error:
            _raise(error, self.connection.path)

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.Error as error:
            _raise(error, self.connection.path)

    def fetchone(self) -> Any:
        """As `sqlite3.Cursor.fetchone`."""
        try:
            return super().fetchone()
        except sqlite3.Error as error:
            _raise(error, self.connection.path)

    def fetchmany(self, size: int | None = 1000) -> list[Any]:
        """As `sqlite3.Cursor.fetchmany`."""
        try:
            return super().fetchmany(size)
        except sqlite3.Error as error:
            _raise(error, self.connection.path)

    def fetchall(self) -> list[Any]:
        """As `sqlite3.Cursor.fetchall`."""
        try:
            return super().fetchall()
        except sqlite3.Error as error:
            _raise(error, self.connection.path)


def _write_ahead(db: Connection) -> None:
    """Changing the journal mode does not wait for other connections by itself."""
    deadline = time.monotonic() + BUSY
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except StoreLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _raise(error: sqlite3.Error, path: Path) -> NoReturn:
    ours = _ours(error, path)
    if ours is None:
        raise error
    raise ours from error


def _ours(error: sqlite3.Error, path: Path) -> StoreError | None:
    """What to say of it; None for a mistake in this program."""
    text = str(error)
    if isinstance(error, sqlite3.ProgrammingError):
        return StoreError(f"The store of {path.parent} was closed: open it again.") if "closed" in text else None
    if not isinstance(error, sqlite3.OperationalError):
        if not isinstance(error, sqlite3.DatabaseError):
            return None
        return CatalogCorrupt(f"The index {path} is damaged ({text}): delete it, and the next command makes it again.")
    if "locked" in text or "busy" in text:
        return StoreLocked(
            f"Another process has been writing to {path.parent} for over {BUSY:.0f} seconds: wait for it, or end it."
        )
    if "full" in text or "disk I/O" in text:
        return StorageFull(
            f"There is no space left for the index {path}, and nothing was changed: free some space and repeat the "
            "command, or keep the index on another disk with REFSTORE_INDEX_DIR."
        )
    if text.startswith("no such") or "has no column" in text or "values" in text:
        return StoreError(
            f"Another version of refstore made the index {path} anew in the meantime: repeat the command, and use one "
            "version on a store at a time."
        )
    return StoreError(
        f"The index {path} can't be used ({text}): may you write there? REFSTORE_INDEX_DIR can name another folder."
    )
