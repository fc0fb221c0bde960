"""What an earlier walk found, as the stat cache has it: for a second walk to be held against."""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import sqlite3
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from refstore.backends.local.walk import Key, Run

State = tuple[list[str], list[Key | None], list[str]]
"""Names of a run, their keys (None for one that is not to be trusted), and their digests."""

Then = tuple[bytes, int, bytes, int]
"""A run that a walk found: its folder, its number, its mark (`mark`), and the version of what is known of it."""

BROKEN = (sqlite3.Error, OSError, ValueError, EOFError, TypeError)
"""What a damaged cache raises."""

_KINDS = "QQqqq"


class Lost(Exception):
    """The cache can't tell: everything has to be gathered anew."""


def mark(run: Run) -> bytes:
    """A hash of the names and keys of a run: two runs with one mark have the same. Empty where there is none.

    A thousand names and keys are hashed in a quarter of the time that it takes to read them from the cache.
    """
    found = hashlib.sha256(b"%d " % len(run.names))
    found.update("\0".join(run.names).encode("utf-8", "surrogateescape"))
    try:
        for kind, column in zip(_KINDS, zip(*run.keys, strict=True), strict=False):
            found.update(array(kind, column))
    except OverflowError:
        return b""
    return found.digest()


def state(proof: bytes, data: bytes) -> State:
    """What was packed of a run.

    Raises:
        sqlite3.DatabaseError: It was damaged.
    """
    if hashlib.sha256(data).digest() != proof:
        raise sqlite3.DatabaseError("damaged")
    found: State = marshal.loads(data)
    return found


class Walked:
    """A walk as it was when this was made, whatever is kept meanwhile; use it as a context manager.

    Args:
        path: Of the cache.
        mode: As that of `Seen`.
        walk: The number of the walk.

    Raises:
        Lost: The cache can't be read.
    """

    def __init__(self, path: Path, mode: str, walk: int) -> None:
        self._mode, self._walk = mode, walk
        with _losing():
            # On a connection of its own it reads what was there when it began.
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("begin")

    def __enter__(self) -> Walked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def runs(self) -> Iterator[Then]:
        """All runs, by folder and number; streams.

        Raises:
            Lost: One of them is not known any more.
        """
        with _losing():
            for then in self._db.execute(
                """select w.folder, w.number, r.mark, r.version from walked w left join runs r
                   on r.version = w.version and r.mode = ? where w.walk = ? order by w.folder, w.number""",
                (self._mode, self._walk),
            ):
                if then[3] is None:
                    raise Lost
                yield then

    def state(self, version: int) -> State:
        """What was known of a run.

        Raises:
            Lost: It is damaged.
        """
        with _losing():
            return state(*self._db.execute("select proof, data from runs where version = ?", (version,)).fetchone())


@contextlib.contextmanager
def _losing() -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise Lost from error
