"""The entries of an artifact that is being made: on disk, however many they are."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

from refstore.backends.registry import Backends
from refstore.backends.sources import EVERYTHING, Choice
from refstore.catalog.staging import Staging
from refstore.errors import DuplicatePath, EntryNotFound, NothingToAdd, SourceMissing, TooManyObjects
from refstore.manifest.entry import STORED, Checksum, Entry, Object

_PAGE = 1000


class Draft(Staging):
    """Staged entries that can be looked at, replaced and taken out again. Safe to use from several threads.

    Attributes:
        sources: The URIs that entries are from, while listing them again would find the same paths; else empty.
        choice: What stands before those paths.
        markers: How many directory markers were left out.
        notes: Sentences for people.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._db.execute("CREATE TABLE taken (batch INTEGER, path TEXT, PRIMARY KEY (batch, path)) WITHOUT ROWID")
        self._batches = 0
        self._mixed = False
        self.sources: list[str] = []
        self.choice: Choice = EVERYTHING
        self.markers = 0
        self.notes: list[str] = []

    def __del__(self) -> None:
        db = self.__dict__.get("_db")
        if db is not None:
            db.close()

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
        """
        backend = backends.for_uri(uri)
        location = backend.parse(uri)
        shown = backend.uri(location)
        markers, notes, renamed = 0, list[str](), False
        with Staging() as staged:
            try:
                for page in backend.find(location, checksum=checksum):
                    markers += page.markers
                    notes += page.notes
                    placed = []
                    for entry in page.entries:
                        single = entry.object.key == location.key and not location.directory
                        path = entry.path if not name else name if single else f"{name}/{entry.path}"
                        renamed = renamed or (single and bool(name))
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
            first = self.count == 0 and not self._mixed
            taken = self._absorb(staged)
        self.markers += markers
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]
        self._from(shown, Choice.of((), (), f"{name}/" if name else ""), alone=first and not renamed)
        return taken

    def _from(self, uri: str, choice: Choice, *, alone: bool) -> None:
        if alone:
            self.sources, self.choice = [uri], choice
        else:
            self.mixed()

    def mixed(self) -> None:
        """Note that the entries are not those that one listing gives."""
        self._mixed = True
        self.sources, self.choice = [], EVERYTHING

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
        return [_entry(*row) for row in rows]


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


def _entry(
    path: str, scheme: str, endpoint: str, bucket: str, key: str, size: int | None, version: str | None,
    etag: str | None, checksum: str | None, mtime: str | None, storage_class: str | None,
) -> Entry:  # fmt: skip
    found = Checksum.parse(checksum) if checksum is not None else None
    return Entry(path, Object(scheme, endpoint, bucket, key, size, version, etag, found, mtime, storage_class))


def _place(obj: Object) -> str:
    return f"{obj.checksum}" if obj.scheme == STORED else f"{obj.scheme}://{obj.bucket}{obj.bucket and '/'}{obj.key}"
