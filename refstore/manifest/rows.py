"""Entries as plain tuples: the form in which a million of them come from a listing into the index.

To make an `Entry` with its `Object` takes ten times as long as to make a tuple. So pages of a listing hold rows, and
make entries for those who ask for entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, overload

from refstore.manifest.entry import Checksum, Entry, Object

Row = tuple[Any, ...]
"""Path, scheme, endpoint, bucket, key, size, version, ETag, checksum, mtime, storage class: as in `Entry` and `Object`,
but the checksum is its text."""

PATH, KEY, SIZE, VERSION = 0, 4, 5, 6
"""Places in a row."""

_PAGE = 1000


def row_of(entry: Entry) -> Row:
    """The row that an entry is."""
    o = entry.object
    checksum = str(o.checksum) if o.checksum is not None else None
    return (
        entry.path,
        o.scheme,
        o.endpoint,
        o.bucket,
        o.key,
        o.size,
        o.version,
        o.etag,
        checksum,
        o.mtime,
        o.storage_class,
    )


def entry_of(row: Row) -> Entry:
    """The entry that a row is."""
    path, scheme, endpoint, bucket, key, size, version, etag, checksum, mtime, storage_class = row
    found = Checksum.parse(checksum) if checksum is not None else None
    return Entry(path, Object(scheme, endpoint, bucket, key, size, version, etag, found, mtime, storage_class))


class Rows(Sequence[Entry]):
    """A page of entries; each is made when it is asked for.

    Attributes:
        rows: What they are made of.
    """

    __slots__ = ("rows",)

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Rows:
        """Some entries as a page of rows; one that is such a page stays what it is."""
        return entries if isinstance(entries, Rows) else cls([row_of(entry) for entry in entries])

    @property
    def size(self) -> int:
        """The sum of the sizes that are known, in bytes."""
        return sum([row[SIZE] or 0 for row in self.rows])

    def placed(self, path: Callable[[Row], str]) -> Rows:
        """The same objects at other paths."""
        return Rows([(path(row), *row[1:]) for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Entry]:
        return map(entry_of, self.rows)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Rows: ...

    def __getitem__(self, index: int | slice) -> Entry | Rows:
        return Rows(self.rows[index]) if isinstance(index, slice) else entry_of(self.rows[index])


class RowStream(Iterator[Entry]):
    """Entries one after another, for those who don't know what to do with pages of rows.

    Args:
        pages: What they are made of.
    """

    def __init__(self, pages: Iterator[list[Row]]) -> None:
        self.pages = pages
        self._entries = map(entry_of, chain.from_iterable(pages))

    def __next__(self) -> Entry:
        return next(self._entries)


def pages_of(entries: Iterable[Entry]) -> Iterator[list[Row]]:
    """Some entries as rows, a page at a time; streams."""
    if isinstance(entries, RowStream):
        yield from entries.pages
        return
    left = iter(entries)
    while rows := [row_of(entry) for entry in islice(left, _PAGE)]:
        yield rows
