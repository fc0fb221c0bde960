"""Whether a store is whole: its files, what they refer to, its index, and its cache; and putting right what can be."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from refstore.catalog.catalog import Catalog
from refstore.catalog.index_place import index_path
from refstore.catalog.state import differences
from refstore.errors import CatalogTooNew, RefstoreError, StoreError
from refstore.records.transaction import SUFFIX
from refstore.sync import finding as kinds
from refstore.sync.examine import examine, take_bytes
from refstore.sync.finding import Finding
from refstore.sync.history import History
from refstore.sync.references import Missing, References
from refstore.sync.restore import search, whole, write

if TYPE_CHECKING:
    from refstore.progress import Progress
    from refstore.store.parts import StoreParts

_FRESH = 3600.0
"""Seconds for which a part file that nothing refers to may belong to a transaction that is still being written."""


class Fsck:
    """One check of a store: iterate over it for what is wrong, as it is found. Made by `Store.fsck`.

    Attributes:
        files: How many files of the catalog were read so far.
        records: How many different records they hold; known at the end.
        contents: How many files of the cache were read so far.
    """

    def __init__(self, store: StoreParts, *, content: bool, repair: bool, progress: Progress | None) -> None:
        self._store = store
        self._content = content
        self._repair = repair
        self._progress = progress
        self._records = store.folder / "records"
        self._scratch = store.folder / "tmp"
        self._remotes = tuple(f"the remote {remote.name}" for remote in store.settings.remotes)
        self._history = History.of(store.folder)
        self._told: set[str] = set()
        self.files = self.records = self.contents = 0

    def __iter__(self) -> Iterator[Finding]:
        with References() as references:
            for found in self._catalog(references):
                self._told.add(found.where)
                yield found
            self.records = len(references)
        yield from self._index()
        if self._content:
            yield from self._cache()

    # The files

    def _catalog(self, references: References) -> Iterator[Finding]:
        names = sorted(self._names())
        if self._progress is not None:
            self._progress.total(len(names), 0)
        for name in names:
            path = self._records / (name + SUFFIX)
            found = examine(path, references)
            self.files += 1
            if self._progress is not None:
                self._progress.advance(1, 0)
            if found is not None:
                yield self._mend(found, name, references) if found.kind in (kinds.DAMAGED, kinds.UNREADABLE) else found
        yield from self._gone(references)
        yield from self._dangling(references)
        for name in references.unused_parts():
            yield self._unused(name)

    def _names(self) -> Iterator[str]:
        try:
            with os.scandir(self._records) as listing:
                for item in listing:
                    if item.name.endswith(SUFFIX):
                        yield item.name.removesuffix(SUFFIX)
        except FileNotFoundError:
            return

    def _mend(self, found: Finding, name: str, references: References) -> Finding:
        """Put a damaged file right, or say from where it could be had."""
        path = self._records / (name + SUFFIX)
        right = search(name, path, self._history)
        if right is None:
            return replace(found, message=f"{found.message} {self._lost()}", sources=self._remotes)
        take_bytes(right.data, name, references)
        sources = (right.source,) if right.source else ()
        if not self._repair:
            return replace(found, sources=sources)
        write(self._records, self._scratch, right.data)
        return replace(found, repaired=True, sources=sources)

    def _lost(self) -> str:
        where = "git has no commit with the right bytes" if self._history else "this is no git repository"
        return f"What it held is lost here: {where}."

    def _gone(self, references: References) -> Iterator[Finding]:
        """Files that git tracks and that are not there, and hold what no other file does: a pack may have them."""
        if self._history is None:
            return
        for name in self._history.gone():
            right = search(name, self._records / (name + SUFFIX), self._history)
            if right is None:
                continue
            with References() as there:
                take_bytes(right.data, name, there)
                if not there.beyond(references):
                    continue
            take_bytes(right.data, name, references)
            if self._repair:
                write(self._records, self._scratch, right.data)
            yield Finding(
                kinds.GONE,
                name + SUFFIX,
                f"{name}{SUFFIX} is missing: git tracks it, and no other file holds all of its records.",
                self._repair,
                (right.source,),
            )

    def _dangling(self, references: References) -> Iterator[Finding]:
        told: set[tuple[str, str]] = set()
        while new := [m for m in references.missing() if (m.kind, m.id) not in told]:
            places = self._places(new)
            for missing in new:
                told.add((missing.kind, missing.id))
                place = places.get((missing.kind, missing.id))
                if place is None:
                    yield self._reference(missing, False, self._remotes)
                    continue
                commit, name, data = place
                if self._repair and not (self._records / (name + SUFFIX)).exists():
                    write(self._records, self._scratch, data)
                    take_bytes(data, name, references)
                yield self._reference(missing, self._repair, (f"commit {commit}",))

    def _reference(self, missing: Missing, repaired: bool, sources: tuple[str, ...]) -> Finding:
        return Finding(
            kinds.DANGLING,
            missing.file,
            f"{missing.by[0].upper()}{missing.by[1:]} in {missing.file} refers to the {missing.kind} "
            f"{missing.id[:12]}, which no file of the catalog holds.",
            repaired,
            sources,
        )

    def _places(self, wanted: list[Missing]) -> dict[tuple[str, str], tuple[str, str, bytes]]:
        """Where in the history what is missing stands: commit, name and bytes of the file that holds it."""
        places: dict[tuple[str, str], tuple[str, str, bytes]] = {}
        if self._history is None:
            return places
        left = {(m.kind, m.id) for m in wanted}
        for commit, name in self._history.elsewhere(set(self._names())):
            if not left:
                break
            for _, held in self._history.bytes_of(name):
                data = whole(held, name)
                if data is None:
                    continue
                with References() as there:
                    take_bytes(data, name, there)
                    for key in [key for key in left if there.holds(*key)]:
                        places[key] = (commit, name, data)
                        left.discard(key)
                break
        return places

    def _unused(self, name: str) -> Finding:
        path = self._records / (name + SUFFIX)
        message = f"{name}{SUFFIX} is a part file that no manifest names: a command was ended before it was done."
        repaired = False
        if self._repair and path.exists():
            if time.time() - path.stat().st_mtime > _FRESH:
                path.unlink(missing_ok=True)
                repaired = True
            else:
                message += " It is less than an hour old, so it may still be needed, and stays."
        return Finding(kinds.UNUSED, name + SUFFIX, message, repaired)

    # The index

    def _index(self) -> Iterator[Finding]:
        """Make the index again, elsewhere, and compare."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="refstore-fsck-"))
            try:
                fresh = stack.enter_context(Catalog(self._store.folder, folder))
            except CatalogTooNew as error:
                if not any(name in str(error) for name in self._told):
                    yield Finding(kinds.NEWER, "records", str(error))
                return
            for problem in fresh.problems():
                if not any(name in problem for name in self._told):
                    yield Finding(kinds.MALFORMED, "records", problem, sources=self._remotes)
            where = str(index_path(self._store.folder, self._store.settings.index_dir))
            try:
                mine = self._store.catalog
                mine.refresh(thorough=True)
                message = mine.damage() or _compared(mine, fresh)
            except StoreError as error:
                message = str(error)
            if not message:
                return
            if self._repair:
                self._store.catalog.rebuild()
                message += " It was made again."
            yield Finding(kinds.INDEX, where, message, self._repair)

    # The cache

    def _cache(self) -> Iterator[Finding]:
        cache = self._store.cache
        if self._progress is not None:
            usage = cache.usage()
            self._progress.total(self.files + usage.files, usage.bytes)
        for cached in cache:
            self.contents += 1
            message = ""
            try:
                if cache.is_whole(cached.checksum) is False:
                    message = f"The cached content {cached.checksum} is not what its name says."
            except RefstoreError as error:
                message = str(error)
            if self._progress is not None:
                self._progress.advance(1, cached.size)
            if not message:
                continue
            repaired = self._repair and not cache.verify(cached.checksum) and not cache.path(cached.checksum).exists()
            if repaired:
                message += f" It was moved to {cache.root / 'damaged'}, and is fetched again when it is needed."
            yield Finding(kinds.CONTENT, str(cached.checksum), message, repaired, self._remotes)


def _compared(mine: Catalog, fresh: Catalog) -> str:
    """How an index differs from one that was made anew, in a sentence; "" where it does not."""
    first, number = "", 0
    for one, other in differences(mine.state(), fresh.state()):
        if one is not None and other is not None and _built_here_only(one, other):
            continue
        number += 1
        if not first:
            row = one or other
            assert row is not None
            first = f"{row[0]} {'/'.join(str(part) for part in row[1:4])[:120]}"
    if not number:
        return ""
    more = f" and {number - 1:,} more" if number > 1 else ""
    return f"The index {mine.path} does not say what the files say: {first}{more}."


def _built_here_only(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two rows differ in that only one index has a manifest whose base has gone from the files: it had it once.

    The files' own fault is told where their references are checked.
    """
    differ = {at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b}
    return one[0] == "version" and bool(differ) and differ <= {7, 8, 9} and one[7] == one[6] and other[7] is None
