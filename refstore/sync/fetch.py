"""Reading what a remote has that was not read yet: checked, proven, and kept where the catalog does not show it.

A listing is no snapshot: a pack may be listed whose base, written earlier, is not. So there is another look for what is
lacking, and what lacks it for good is held back. What proves to be damaged is refused, and the rest does not wait.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from refstore.checkout.parallel import in_parallel
from refstore.errors import CatalogCorrupt, CatalogTooNew, RemoteCorrupt, SourceMissing
from refstore.progress import Progress, Silent
from refstore.records.checks import is_digest
from refstore.records.transaction import SUFFIX
from refstore.sync.arrivals import REFUSED, Arrivals, Pack
from refstore.sync.incoming import Incoming
from refstore.sync.known import Known
from refstore.sync.pack_reader import Placed, Reader, refusal
from refstore.sync.proving import prove

if TYPE_CHECKING:
    from refstore.catalog.catalog import Catalog
    from refstore.sync.remote import Remote

JOBS = 8
"""Packs that are read or written at once; each may be held in memory."""

AHEAD = timedelta(days=1)
"""How far in the future a record may be that comes from a remote: it would win over all that is done until then."""

_AGAIN = (0.2, 0.8, 2.0)
"""Seconds to wait before each new look for what a listing may have missed."""

_IDENTITY = 200
"""The most characters that the identity of a remote may have."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did.

    Attributes:
        remote: The remote's URL.
        packs: How many packs were new, parts included.
        size: Their bytes, before compression.
        records: How many records the remote is now known to hold that the catalog lacks.
        refused: One for each pack that can't be believed; nothing of it will be taken in.
        held_back: A sentence for each pack that refers to what is not there (yet).
        notes: What else a person should know.
    """

    remote: str
    packs: int = 0
    size: int = 0
    records: int = 0
    refused: tuple[RemoteCorrupt, ...] = ()
    held_back: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def fetch(
    catalog: Catalog, remote: Remote, name: str = "", *, jobs: int = JOBS, progress: Progress | None = None
) -> Fetched:
    """Read what is new at a remote, and keep it in `.refstore/incoming/` for a later pull. The catalog stays as it is.

    Costs a request for its identity, the listing of its packs, and one for each pack that was not read before.

    Args:
        catalog: Of the store.
        remote: Where to read.
        name: What the user calls it, which names the folder; "" to make a name from the URL.
        jobs: How many requests at once.
        progress: Who to tell how far it has come; it counts packs.

    Raises:
        InvalidName: The name can't be a folder.
        SourceUnavailable, AccessError, SourceError: It can't be read. What was read stays for the next time.
        RemoteCorrupt: It is no remote.
        StorageFull: There is no space.
    """
    identity = remote.identity()
    if identity is None:
        return Fetched(remote.url, notes=(nothing_there(remote.url),))
    return Fetching(catalog, remote, name, identity, jobs, progress or Silent()).run()


def nothing_there(url: str) -> str:
    """What to say of a remote that is empty."""
    return f"Nothing was pushed to {url} yet."


def held_back(name: str, url: str, lacked: str) -> str:
    """What to say of a pack that is not whole."""
    return f"The pack {name} of {url} was held back: it refers to {lacked}, which is not there (yet)."


def check_identity(identity: str, url: str) -> str:
    """The identity itself, if a remote may have it.

    Raises:
        RemoteCorrupt: It may not.
    """
    if not 0 < len(identity) <= _IDENTITY or not identity.isprintable():
        raise RemoteCorrupt(f"{url} is no refstore remote: its identity is not one that refstore gives.")
    return identity


@dataclass(slots=True)
class Fetching:
    """One fetch, step by step."""

    catalog: Catalog
    remote: Remote
    name: str
    identity: str
    jobs: int
    progress: Progress
    incoming: Incoming = field(init=False)
    arrivals: Arrivals = field(init=False)
    refused: dict[str, RemoteCorrupt] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    manifests: list[tuple[str, Placed]] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    fresh: set[str] = field(default_factory=set)
    packs: int = 0
    size: int = 0

    def __post_init__(self) -> None:
        check_identity(self.identity, self.remote.url)
        self.incoming = Incoming(self.catalog, self.remote, self.name)

    def run(self) -> Fetched:
        """All of it."""
        self.incoming.remove_unfinished()
        with self.catalog.exclusive() as db:
            self.arrivals = Arrivals(db)
            row = Known.of(db, self.identity, self.remote.url).remote
        self._read(self._new_names())
        for pause in _AGAIN:
            with self.catalog.temporary():
                lacking = self.arrivals.lacking(row)
            if not self.fresh.intersection(lacking):
                break
            time.sleep(pause)
            self._read(self._new_names())
        held = self._prove(row)
        records = self._remember(row)
        for name in self.refused:
            self.incoming.drop(name)
        sentences = [held_back(name, self.remote.url, lacked) for name, lacked in sorted(held.items())]
        refused = tuple(error for _, error in sorted(self.refused.items()))
        return Fetched(self.remote.url, self.packs, self.size, records, refused, tuple(sentences), tuple(self.notes))

    def _new_names(self) -> list[str]:
        """The packs that were not read before; all of them, where some that were are gone."""
        names = self._listed()
        with self.catalog.exclusive() as db:
            seen = Known.of(db, self.identity, self.remote.url).packs()
        gone = seen - names
        if gone:
            gone -= self._listed()
        if gone:
            with self.catalog.exclusive() as db:
                Known.of(db, self.identity, self.remote.url).forget()
            seen = set()
            self.notes.append(
                f"{self.remote.url} lost packs since the last time, such as {min(gone)}: a push brings back what the "
                "catalog has of them."
            )
        return sorted(names - seen - self.done)

    def _listed(self) -> set[str]:
        names = set(self.remote.names())
        if bad := [name for name in names if not is_digest(name)]:
            raise RemoteCorrupt(f"{self.remote.url} lists a pack by the name {bad[0]!r}, which is none.")
        return names

    def _read(self, names: list[str]) -> None:
        self.progress.total(len(self.done) + len(names), 0)
        latest = datetime.now(timezone.utc) + AHEAD
        limit = latest.isoformat(timespec="microseconds").replace("+00:00", "Z")
        here = {name for name in names if self.incoming.path(name).exists()}

        def ask(name: str) -> Pack | RemoteCorrupt | SourceMissing:
            try:
                return read_pack(name, self.incoming.read(name), limit)
            except SourceMissing as error:
                return error
            except (RemoteCorrupt, CatalogCorrupt, CatalogTooNew) as error:
                return error if isinstance(error, RemoteCorrupt) else refusal(name, self.remote.url, error)

        for name, found in zip(names, in_parallel(ask, names, self.jobs), strict=True):
            self.done.add(name)
            if isinstance(found, RemoteCorrupt):
                self.refused[name] = found
            elif isinstance(found, SourceMissing):
                self.notes.append(f"The pack {name} of {self.remote.url} was listed, and is gone.")
            else:
                with self.catalog.temporary():
                    self.arrivals.add(found)
                self.manifests += [(name, placed) for placed in found.manifests]
                self.packs += 1
                self.size += found.size
                if name not in here:
                    self.fresh.add(name)
            self.progress.advance(1, found.size if isinstance(found, Pack) else 0)

    def _prove(self, row: int) -> dict[str, str]:
        """Hold back what is not whole and refuse what does not prove itself; what was held back, and what it lacks."""
        self._refuse({})
        held = self._hold_back(row)
        proof = prove(self.catalog, self.incoming.find, self._to_prove(held))
        self._refuse(proof.failed)
        held |= self._hold_back(row)
        self._refuse(
            {
                name: CatalogCorrupt(f"a manifest in {name}{SUFFIX} is a change to {base}, which can't be built.")
                for name, base in proof.unready.items()
                if name not in held
            }
        )
        held |= self._hold_back(row)
        return {name: lacked for name, lacked in held.items() if name not in self.refused}

    def _refuse(self, failed: Mapping[str, CatalogCorrupt]) -> None:
        for name, error in failed.items():
            self.refused.setdefault(name, refusal(name, self.remote.url, error))
        with self.catalog.temporary():
            for name in self.refused:
                self.arrivals.mark(name, REFUSED)

    def _hold_back(self, row: int) -> dict[str, str]:
        with self.catalog.temporary():
            return self.arrivals.hold_back(row)

    def _to_prove(self, held: dict[str, str]) -> Iterator[tuple[str, Placed]]:
        # What stands among the records under this very name was proven when it was taken in.
        proven = self.catalog.files()
        for name, placed in self.manifests:
            if name not in held and name not in proven:
                yield name, placed

    def _remember(self, row: int) -> int:
        with self.catalog.exclusive() as db:
            known = Known.of(db, self.identity, self.remote.url)
            for name in self.arrivals.in_order():
                known.add(name, self.arrivals.records(name))
            known.is_learnt()
            return known.count_to_pull()


def read_pack(name: str, data: bytes, latest: str) -> Pack:
    """Read all of a pack and check every line of it.

    Args:
        name: Its name.
        data: Its bytes.
        latest: The last moment that a record of it may be from, UTC.

    Raises:
        CatalogCorrupt: A line says what can't be.
        CatalogTooNew: A newer refstore wrote it.
    """
    if hashlib.sha256(data).hexdigest() != name:
        raise CatalogCorrupt(f"{name}{SUFFIX} is not what its name says.")
    return Pack.of(name, Reader(io.BytesIO(data), name), latest)
