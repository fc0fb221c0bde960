"""Sending what a remote lacks: parts first, then packs in order, so that what is there has all that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from refstore.checkout.parallel import in_parallel
from refstore.errors import CatalogCorrupt, CatalogTooNew, RemoteCorrupt
from refstore.progress import Progress, Silent
from refstore.records.encoding import digest
from refstore.records.transaction import SUFFIX
from refstore.sync.bundles import Piece, Source, bundles, in_order, read_source
from refstore.sync.fetch import JOBS, Fetched, Fetching, check_identity
from refstore.sync.known import Known
from refstore.sync.remote import MAX_PACK

if TYPE_CHECKING:
    import sqlite3

    from refstore.catalog.catalog import Catalog
    from refstore.sync.remote import Remote


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did.

    Attributes:
        remote: The remote's URL.
        records: How many records the remote gained.
        packs: How many packs were written, parts included.
        size: Their bytes, before compression.
        summary: A sentence for each thing that was sent, as its writer put it.
        refused: Packs of the remote that can't be believed, where it had to be read first.
        notes: What else a person should know.
    """

    remote: str
    records: int = 0
    packs: int = 0
    size: int = 0
    summary: tuple[str, ...] = ()
    refused: tuple[RemoteCorrupt, ...] = ()
    notes: tuple[str, ...] = ()


def push(
    catalog: Catalog, remote: Remote, name: str = "", *, jobs: int = JOBS, progress: Progress | None = None
) -> Pushed:
    """Send the records that a remote is not known to have.

    Costs a request for its identity, and one for each pack: the number depends on what is new. Where nothing is known
    of the remote (a fresh clone, an index that was made anew), it is read first, as `fetch` does.

    Args:
        catalog: Of the store.
        remote: Where to write.
        name: What the user calls it; see `fetch`.
        jobs: How many requests at once.
        progress: Who to tell how far it has come; it counts packs.

    Raises:
        SourceUnavailable, AccessError, SourceError: It can't be written. The next push sends the rest.
        RemoteCorrupt: It is no remote.
        CatalogCorrupt: A file of the catalog was damaged meanwhile.
    """
    identity = remote.identity(create=True)
    if identity is None:
        raise RemoteCorrupt(f"{remote.url} did not take the name that a remote is given: may you write there?")
    check_identity(identity, remote.url)
    progress = progress or Silent()
    with catalog.exclusive() as db:
        learnt = Known.of(db, identity, remote.url).learnt
    fetched = Fetched(remote.url)
    if not learnt:
        fetched = Fetching(catalog, remote, name, identity, jobs, Silent()).run()
    pushing = Pushing(catalog, remote, identity, jobs, progress)
    pushing.run()
    return Pushed(
        remote.url,
        pushing.records,
        pushing.packs,
        pushing.size,
        tuple(pushing.summary),
        fetched.refused,
        (*fetched.held_back, *fetched.notes, *pushing.notes),
    )


@dataclass(slots=True)
class Pushing:
    """One push, step by step."""

    catalog: Catalog
    remote: Remote
    identity: str
    jobs: int
    progress: Progress
    records: int = 0
    packs: int = 0
    size: int = 0
    summary: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def run(self) -> None:
        """All of it."""
        sources, pieces = self._gather()
        if not pieces:
            return
        parts = self._parts(pieces)
        weight = sum(piece.end - piece.start for piece in pieces)
        self.progress.total(len(parts) + 1, weight)
        for name, size in in_parallel(self._send_part, parts, self.jobs):
            self._sent(name, (), size)
        for bundle in bundles(self.catalog.records, sources, pieces):
            self.remote.write(bundle.name, bundle.data)
            self._sent(bundle.name, bundle.ids, len(bundle.data))
            self.records += len(bundle.ids)
        for source in sorted(sources.values(), key=lambda s: (s.header.time, s.name)):
            self.summary.update(dict.fromkeys(source.header.summary))

    def _known(self, db: sqlite3.Connection) -> Known:
        return Known.of(db, self.identity, self.remote.url)

    def _gather(self) -> tuple[dict[str, Source], list[Piece]]:
        """What is to be sent, in order, and the files that it stands in."""
        with self.catalog.exclusive() as db:
            names: dict[str, None] = {}
            wanted: set[bytes] = set()
            for id, name in self._known(db).to_push():
                wanted.add(id)
                names[name] = None
            damaged = len(self.catalog.problems())
        if damaged:
            self.notes.append(f"Damaged files of the catalog were not sent ({damaged}): run `refstore fsck`.")
        sources: dict[str, Source] = {}
        found: list[Piece] = []
        # In the order of their names, so that of equal records always the same copy is sent.
        for name in sorted(names):
            try:
                sources[name], pieces = read_source(self.catalog.records, name, wanted)
            except (CatalogCorrupt, CatalogTooNew) as error:
                self.notes.append(f"{error} Nothing of it was sent.")
                continue
            found += pieces
        too_long = [piece for piece in found if piece.end - piece.start > MAX_PACK - (1 << 20)]
        referred = {id for piece in found for id in piece.needs} - wanted
        with self.catalog.exclusive() as db:
            there = self._known(db).holds(referred)
        ordered = in_order((piece for piece in found if piece not in too_long) if too_long else found, there)
        if left := len(wanted) - len(ordered):
            self.notes.append(
                f"{left} records were not sent, since what they refer to is not in the catalog, or they are too long: "
                "`refstore fsck` names them."
            )
        used = {piece.file for piece in ordered}
        return {name: source for name, source in sources.items() if name in used}, ordered

    def _parts(self, pieces: Sequence[Piece]) -> list[str]:
        names = dict.fromkeys(part for piece in pieces for part in piece.parts)
        if not names:
            return []
        with self.catalog.exclusive() as db:
            return sorted(names.keys() - self._known(db).packs())

    def _send_part(self, name: str) -> tuple[str, int]:
        try:
            data = (self.catalog.records / (name + SUFFIX)).read_bytes()
        except FileNotFoundError as error:
            raise CatalogCorrupt(f"The part file {name}{SUFFIX} is missing: run `refstore fsck`.") from error
        if digest(data) != name:
            raise CatalogCorrupt(f"{name}{SUFFIX} is not what its name says: run `refstore fsck`.")
        self.remote.write(name, data)
        return name, len(data)

    def _sent(self, name: str, ids: Sequence[bytes], size: int) -> None:
        with self.catalog.exclusive() as db:
            self._known(db).add(name, ids)
        self.packs += 1
        self.size += size
        self.progress.advance(1, size)
