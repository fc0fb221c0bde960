"""The entries of an artifact that is being made: on disk, however many they are."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

from refstore.backends.registry import Backends
from refstore.backends.sources import EVERYTHING, Choice
from refstore.catalog.staging import SortedRows, Staging
from refstore.errors import DuplicatePath, EntryNotFound, NothingToAdd, SourceMissing, TooManyObjects
from refstore.manifest.entry import Entry
from refstore.manifest.rows import entry_of

_PAGE = 1000
MOST_SOURCES = 100
"""How many sources a version records; `status` lists them one after the other."""


class Draft(Staging):
    """Staged entries that can be looked at, replaced and taken out again. Safe to use from several threads.

    Attributes:
        markers: How many directory markers were left out.
        notes: Sentences for people.
    """

    def __init__(self) -> None:
        super().__init__()
        # What is looked at and changed has to be sorted from the beginning.
        self._table = SortedRows()
        self._db = self._table._db
        self._lock = threading.RLock()
        self._db.execute("CREATE TABLE taken (batch INTEGER, path TEXT, PRIMARY KEY (batch, path)) WITHOUT ROWID")
        self._batches = 0
        self._mixed = False
        self._sources: dict[tuple[str, str], bool] = {}
        self.markers = 0
        self.notes: list[str] = []

    def __del__(self) -> None:
        if "_db" in self.__dict__:
            self.__exit__(None, None, None)

    @property
    def size(self) -> int:
        """The sum of the sizes, in bytes."""
        with self._lock:
            return int(self._db.execute("SELECT coalesce(sum(size), 0) FROM staged").fetchone()[0])

    def get(self, path: str) -> Entry | None:
        """The entry of one path."""
        return next(iter(self._page("path = ?", (path,))), None)

    def page(self, after: str | None = None, prefix: str = "", limit: int = _PAGE) -> list[Entry]:
        """Some entries by path, those after one path that begin with `prefix`."""
        start = prefix if after is None else after
        found = self._page("path >= ? ORDER BY path LIMIT ?", (start, limit + 1))
        return [e for e in found if e.path != after and e.path.startswith(prefix)][:limit]

    def take(self, entries: Iterable[Entry], *, replace: bool = False) -> NewEntries:
        """Take in entries: all of them, or none where one is refused. They are spooled to disk first.

        Args:
            entries: In any order; two with one path must be the same.
            replace: What has one of their paths gives way to it.

        Raises:
            DuplicatePath: Something else has the path.
        """
        with Staging() as staged:
            for some in _batched(entries):
                staged.add(some)
            taken = self._absorb(staged, replace=replace)
        if replace:
            self.mixed()
        return taken

    def _absorb(self, staged: Staging, *, replace: bool = False) -> NewEntries:
        with self._lock:
            if not replace:
                for some in _batched(staged.entries()):
                    self._refuse_others(some)
            self._batches += 1
            for some in _batched(staged.entries()):
                paths = [(entry.path,) for entry in some]
                self.count -= self._delete(paths)
                self.add(some)
                self._db.executemany("INSERT INTO taken VALUES (?, ?)", [(self._batches, path) for (path,) in paths])
            return NewEntries(self, self._batches, staged.count)

    def find(self, backends: Backends, uri: str, name: str | None, *, checksum: bool, max_objects: int) -> NewEntries:
        """List what a URI names and take it in; nothing where something is refused. A page at a time.

        Args:
            backends: Where to list.
            uri: Of an object or a directory, or a path.
            name: The path of a single object, or what stands before the paths of many.
            checksum: False to not read content for its checksum.
            max_objects: The most objects to take.

        Raises:
            TooManyObjects: There are more.
            NothingToAdd: There is nothing.
            DuplicatePath: Something else has one of the paths.
            UsageError: The name is absolute or climbs out.
        """
        backend = backends.for_uri(uri)
        location = backend.parse(uri)
        shown = backend.uri(location)
        before = Choice.of((), (), name or "").prefix.rstrip("/")
        markers, notes, alone = 0, list[str](), False
        with Staging() as staged:
            try:
                for page in backend.find(location, checksum=checksum):
                    markers += page.markers
                    notes += page.notes
                    placed = []
                    for entry in page.entries:
                        single = entry.object.key == location.key and not location.directory
                        path = entry.path if not before else before if single else f"{before}/{entry.path}"
                        alone = alone or single
                        placed.append(Entry(path, entry.object))
                    staged.add(placed)
                    if staged.count > max_objects:
                        raise TooManyObjects(
                            f"{shown} has more than {max_objects:,} objects, which is the limit; nothing was added. "
                            "Raise it with max_objects=."
                        )
            except SourceMissing as error:
                raise NothingToAdd(str(error)) from error
            if not staged.count:
                beside = f" but {markers} directory marker(s)" if markers else ""
                raise NothingToAdd(f"There is nothing at {shown}{beside}: check the spelling.")
            taken = self._absorb(staged)
        self.markers += markers
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]
        with self._lock:
            self._sources[shown, before] = alone
        return taken

    @property
    def sources(self) -> list[str]:
        """The URIs that entries are from, where listing them again would find the same paths; else none."""
        return [uri for uri, _ in self._listed()]

    @property
    def choice(self) -> Choice:
        """What stands before the paths of each source."""
        names = tuple(name for _, name in self._listed())
        return Choice(names=names) if len(names) > 1 or any(names) else EVERYTHING

    def _listed(self) -> list[tuple[str, str]]:
        with self._lock:
            if self._mixed:
                return []
            found = list(self._sources)
            if len(found) > MOST_SOURCES:
                # New objects come to folders alone; `status` looks at single objects many at once.
                found = [source for source, alone in self._sources.items() if not alone]
            return found if len(found) <= MOST_SOURCES else []

    def mixed(self) -> None:
        """Note that listing the sources again would find other paths."""
        self._mixed = True

    def drop(self, path: str) -> int:
        """Take out an entry, or all in a folder; how many.

        Raises:
            EntryNotFound: There is none.
        """
        with self._lock:
            folder = path.rstrip("/") + "/"
            done = self._db.execute(
                "DELETE FROM staged WHERE path = ? OR (path > ? AND substr(path, 1, ?) = ?)",
                (path, folder, len(folder), folder),
            ).rowcount
            if not done:
                raise EntryNotFound(f"There is no file {path!r} in this artifact, and no folder of that name.")
            self.count -= done
            self.mixed()
            return done

    def batch(self, number: int, after: str, limit: int) -> list[Entry]:
        """Some of the entries that one call took in."""
        return self._page(
            "path IN (SELECT path FROM taken WHERE batch = ? AND path > ? ORDER BY path LIMIT ?) ORDER BY path",
            (number, after, limit),
        )

    def _refuse_others(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            there = self.get(entry.path)
            if there is not None and not there.object.same_as(entry.object):
                a, b = (
                    f"{o.scheme}://{o.bucket}{'/' if o.bucket else ''}{o.key}" for o in (there.object, entry.object)
                )
                what = "which was other bytes then" if a == b else f"{b} was to be added under the same path"
                raise DuplicatePath(
                    f"Cannot add the same path twice: {entry.path!r} is {a}, and {what}. Give one of them another "
                    "name=, or remove it first."
                )

    def _delete(self, paths: list[tuple[str]]) -> int:
        return self._db.executemany("DELETE FROM staged WHERE path = ?", paths).rowcount

    def _page(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        with self._lock:
            rows = self._db.execute(f"SELECT * FROM staged WHERE {where}", values).fetchall()
        return [entry_of(row) for row in rows]


class NewEntries(Sequence[Entry]):
    """The entries that one call took into a draft, by path; read from it as they are asked for."""

    def __init__(self, draft: Draft, batch: int, count: int) -> None:
        self._draft, self._batch, self._count = draft, batch, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        after = ""
        while page := self._draft.batch(self._batch, after, _PAGE):
            yield from page
            after = page[-1].path

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._count)
            return list(islice(self, start, stop, step)) if step > 0 else list(self)[index]
        at = index + self._count if index < 0 else index
        for entry in islice(self, at, at + 1) if at >= 0 else ():
            return entry
        raise IndexError(f"There is no entry {index} among {self._count}.")


def _batched(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    iterator = iter(entries)
    while some := list(islice(iterator, _PAGE)):
        yield some
