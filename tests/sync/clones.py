"""Stores that share a remote, and remotes that count, fail, or forget to list."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import refstore
from refstore.catalog.state import rows
from refstore.errors import SourceUnavailable
from refstore.manifest.entry import Checksum
from refstore.names import ArtifactName
from refstore.records.encoding import FORMAT, canonical, digest
from refstore.sync.remote import Remote
from refstore.sync.stored import StoredRemote
from refstore.tracking.record import Labels, record
from tests.acceptance.synthetic import entry

TIME = "2026-01-01T00:00:00.000000Z"


def add(
    store: refstore.Store,
    count: int = 5,
    changed: Mapping[int, int] | None = None,
    *,
    name: str = "data",
    aliases: Sequence[str] = (),
) -> None:
    """Record a version with so many entries; `changed` says how often each was overwritten."""
    made = record(
        store.catalog,
        ArtifactName("", store.settings.project, name),
        (entry(number, changed or {}) for number in range(count)),
        Labels(aliases=aliases),
        job_type="add",
        sources=["s3://bucket/data/"],
        markers=0,
        notes=(),
        dry_run=False,
    )
    assert made.new


def state(store: refstore.Store) -> list[tuple[Any, ...]]:
    """All that the records add up to."""
    store.catalog.refresh()
    assert store.catalog.problems() == []
    return list(rows(store.catalog._db))


def check_whole(store: refstore.Store) -> None:
    """Every file is what its name says, and an index that is made anew says what this one does."""
    before = state(store)
    for file in (store.folder / "records").iterdir():
        assert file.stem == hashlib.sha256(file.read_bytes()).hexdigest()
    store.close()
    for file in store.folder.glob("catalog.db*"):
        file.unlink()
    with refstore.open(store.root) as again:
        assert state(again) == before


def folder_remote(path: Path, store: refstore.Store) -> StoredRemote:
    return StoredRemote(str(path), store.backends)


class Watched(Remote):
    """Another remote, and what was asked of it.

    Args:
        inner: The other.
        fail: Called with the number of each request, from 1, before it is made; what it returns says whether to fail
            before it ("before"), after it ("after") or not at all ("").
        hide: Names that a listing leaves out, each for so many listings.
    """

    def __init__(
        self,
        inner: Remote,
        fail: Callable[[int], str] = lambda number: "",
        hide: Mapping[str, int] | None = None,
    ) -> None:
        self.inner = inner
        self.url = inner.url
        self.asked: Counter[str] = Counter()
        self.wrote: list[str] = []
        self._fail = fail
        self._hide = dict(hide or {})

    def _ask(self, what: str, action: Callable[[], Any]) -> Any:
        self.asked[what] += 1
        how = self._fail(self.asked.total())
        if how == "before":
            raise SourceUnavailable("The network failed.")
        answer = action()
        if how == "after":
            raise SourceUnavailable("The network failed.")
        return answer

    def identity(self, *, create: bool = False) -> str | None:
        found: str | None = self._ask("identity", lambda: self.inner.identity(create=create))
        return found

    def names(self) -> Iterator[str]:
        for name in self._ask("names", lambda: list(self.inner.names())):
            if self._hide.get(name, 0):
                self._hide[name] -= 1
            else:
                yield name

    def read(self, name: str) -> bytes:
        data: bytes = self._ask("read", lambda: self.inner.read(name))
        return data

    def write(self, name: str, data: bytes) -> None:
        self._ask("write", lambda: self.inner.write(name, data))
        self.wrote.append(name)

    def has_content(self, checksums: Collection[Checksum]) -> set[Checksum]:
        return self.inner.has_content(checksums)

    def write_content(self, checksum: Checksum, path: Path) -> None:
        self.inner.write_content(checksum, path)

    def read_content(self, checksum: Checksum, start: int = 0) -> Iterator[bytes]:
        return self.inner.read_content(checksum, start)


def pack(*lines: Mapping[str, Any] | bytes, header: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
    """A pack by hand, and its name."""
    first = {"refstore": FORMAT, "summary": ["by hand"], "time": TIME} if header is None else header
    data = b"".join(line if isinstance(line, bytes) else canonical(line) + b"\n" for line in (first, *lines))
    return digest(data), data
