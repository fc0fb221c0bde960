"""Taking in what a remote has: after `fetch`, everything at once, and each thing after all that it refers to."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from refstore.catalog.ingest import catch_up
from refstore.checkout.parallel import in_parallel
from refstore.errors import CatalogCorrupt, RefstoreError, RemoteCorrupt, SourceMissing
from refstore.progress import Progress, Silent
from refstore.records.encoding import FORMAT, canonical
from refstore.records.transaction import SUFFIX, NewFile, fsync_folder, remove_unfinished
from refstore.records.types import Manifest
from refstore.sync.arrivals import Arrivals, Pack
from refstore.sync.fetch import JOBS, Fetching, held_back, nothing_there
from refstore.sync.incoming import Incoming
from refstore.sync.known import HERE, Known
from refstore.sync.pack_reader import Reader, refusal

if TYPE_CHECKING:
    import sqlite3

    from refstore.catalog.catalog import Catalog
    from refstore.sync.remote import Remote


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did. Where something was refused, the command says the rest and ends with that error.

    Attributes:
        remote: The remote's URL.
        records: How many records the catalog gained.
        packs: How many packs they came from, parts not included.
        size: The bytes of what was fetched, before compression.
        summary: A sentence for each thing that was taken in, as its writer put it.
        refused: One for each pack that can't be believed; nothing of it was taken in.
        held_back: A sentence for each pack that refers to what is not there (yet).
        notes: What else a person should know.
    """

    remote: str
    records: int = 0
    packs: int = 0
    size: int = 0
    summary: tuple[str, ...] = ()
    refused: tuple[RemoteCorrupt, ...] = ()
    held_back: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def pull(
    catalog: Catalog, remote: Remote, name: str = "", *, jobs: int = JOBS, progress: Progress | None = None
) -> Pulled:
    """Fetch what is new at a remote, and take in all that the catalog lacks, in one step.

    A pack of which everything is new becomes a file of the catalog byte for byte. Of others what is new is written.

    Args:
        catalog: Of the store.
        remote: Where to read.
        name: What the user calls it; see `fetch`.
        jobs: How many requests at once.
        progress: Who to tell how far it has come; it counts packs.

    Raises:
        As `fetch` does. A damaged pack is no error: see `Pulled.refused`.
    """
    identity = remote.identity()
    if identity is None:
        return Pulled(remote.url, notes=(nothing_there(remote.url),))
    progress = progress or Silent()
    fetching = Fetching(catalog, remote, name, identity, jobs, progress)
    fetched = fetching.run()
    taking = Taking(catalog, fetching.incoming, identity, remote.url, jobs)
    taking.run()
    return Pulled(
        remote.url,
        taking.records,
        taking.packs,
        fetched.size,
        tuple(taking.summary),
        (*fetched.refused, *taking.refused),
        (*fetched.held_back, *taking.held_back),
        fetched.notes,
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is kept in mind of a pack; the rest is in temporary tables."""

    name: str
    summary: tuple[str, ...]
    parts: tuple[tuple[bytes, tuple[str, ...]], ...]

    @classmethod
    def of(cls, pack: Pack) -> _Wanted:
        manifests = [placed.record for placed in pack.manifests if isinstance(placed.record, Manifest)]
        parts = tuple((bytes.fromhex(m.manifest), m.parts) for m in manifests if m.parts)
        return cls(pack.name, pack.summary, parts)


@dataclass(slots=True)
class Taking:
    """The second half of a pull, step by step."""

    catalog: Catalog
    incoming: Incoming
    identity: str
    url: str
    jobs: int
    records: int = 0
    packs: int = 0
    summary: dict[str, None] = field(default_factory=dict)
    refused: list[RemoteCorrupt] = field(default_factory=list)
    held_back: list[str] = field(default_factory=list)

    def run(self) -> None:
        """All of it."""
        with self.catalog.exclusive() as db:
            names = self._known(db).to_pull()
        if not names:
            self._clear()
            return
        with self.catalog.temporary() as db:
            arrivals = Arrivals(db)
        wanted: dict[str, _Wanted] = {}
        for pack in self._read(names, arrivals):
            wanted[pack.name] = _Wanted.of(pack)
        parts = {part: None for one in wanted.values() for _, names in one.parts for part in names}
        for _ in self._read(list(parts), arrivals, parts=True):
            pass
        with self.catalog.exclusive() as db:
            for name, lacked in arrivals.hold_back(None).items():
                self.held_back.append(held_back(name, self.url, lacked))
            self._take(db, arrivals, [wanted[name] for name in arrivals.in_order() if name in wanted])
            catch_up(db, self.catalog.records)
        self._clear()

    def _known(self, db: sqlite3.Connection) -> Known:
        return Known.of(db, self.identity, self.url)

    def _read(self, names: list[str], arrivals: Arrivals, *, parts: bool = False) -> Iterator[Pack]:
        """Packs as they were fetched and checked; what is not here any more is read again."""

        def ask(name: str) -> Pack | RefstoreError:
            try:
                data = self.incoming.read(name)
                if parts:
                    return Pack(name, True, len(data), (), (), (), ())
                return Pack.of(name, Reader(io.BytesIO(data), name))
            except (RemoteCorrupt, CatalogCorrupt, SourceMissing) as error:
                return error

        for name, found in zip(names, in_parallel(ask, names, self.jobs), strict=True):
            if isinstance(found, Pack):
                with self.catalog.temporary():
                    arrivals.add(found)
                yield found
                continue
            self.refused.append(refusal(name, self.url, found))
            with self.catalog.exclusive() as db:
                self._known(db).drop(name)

    def _clear(self) -> None:
        """Remove what was fetched and is in the catalog by now."""
        with self.catalog.exclusive() as db:
            known = self._known(db)
            done = known.with_records() - set(known.to_pull())
        for path in self.incoming.folder.glob("*" + SUFFIX):
            name = path.name[: -len(SUFFIX)]
            if name in done or (self.catalog.records / path.name).exists():
                self.incoming.drop(name)

    def _take(self, db: sqlite3.Connection, arrivals: Arrivals, wanted: Sequence[_Wanted]) -> None:
        """Write what is new of each pack, first to where nobody looks, and then all of it in order to the records."""
        here: set[bytes] = set()
        files: list[tuple[NewFile | Path, str]] = []
        parts: dict[str, None] = {}
        self.catalog.scratch.mkdir(parents=True, exist_ok=True)
        remove_unfinished(self.catalog.scratch)
        try:
            for pack in wanted:
                ids = arrivals.records(pack.name)
                new = set(ids) - here - _here(db, ids)
                if not new:
                    continue
                here |= new
                for id, names in pack.parts:
                    if id in new:
                        parts.update(dict.fromkeys(names))
                path = self.incoming.path(pack.name)
                whole = len(new) == len(ids) and path.exists()
                files.append((path if whole else self._some(pack.name, new), pack.name))
                self.records += len(new)
                self.packs += 1
                self.summary.update(dict.fromkeys(pack.summary))
            self._place(list(parts), files)
        finally:
            for file, _ in files:
                if isinstance(file, NewFile):
                    file.discard()

    def _some(self, name: str, new: set[bytes]) -> NewFile:
        """A transaction file with some of a pack's records, as they stand there."""
        data = self.incoming.read(name)
        reader = Reader(io.BytesIO(data), name)
        file = NewFile(self.catalog.scratch)
        header = {"refstore": FORMAT, "summary": list(reader.header.summary), "time": reader.header.time}
        file.write(canonical(header) + b"\n")
        done: set[bytes] = set()
        for placed in reader.records():
            id = bytes.fromhex(placed.id)
            if id in new and id not in done:
                done.add(id)
                file.write(data[placed.start : placed.end])
        return file

    def _place(self, parts: Sequence[str], files: Sequence[tuple[NewFile | Path, str]]) -> None:
        records = self.catalog.records
        # A part that is among the records already was read there, unless it is damaged.
        there = [part for part in parts if self.incoming.path(part).exists()]
        ready = [self.incoming.path(part) for part in there] + [file for file, _ in files if isinstance(file, Path)]
        for _ in in_parallel(_sync, ready, self.jobs):
            pass
        for part in there:
            self.incoming.path(part).replace(records / (part + SUFFIX))
        if there:
            fsync_folder(records)
        for file, name in files:
            if isinstance(file, Path):
                file.replace(records / (name + SUFFIX))
            else:
                file.place(records)
        fsync_folder(records)


def _here(db: sqlite3.Connection, ids: Sequence[bytes]) -> set[bytes]:
    """Which of these records the catalog has."""
    found: set[bytes] = set()
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        values = ",".join(["(?)"] * len(some))
        rows = db.execute(
            f"WITH asked(id) AS (VALUES {values}) SELECT a.id FROM asked a WHERE {HERE.format(id='a.id')}", some
        )
        found.update(row[0] for row in rows)
    return found


def _sync(path: Path) -> None:
    with path.open("rb+") as file, suppress(OSError):
        os.fsync(file.fileno())
