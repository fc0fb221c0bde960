"""What a push sends: the new records, in order, gathered into a few packs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path

from refstore.errors import CatalogCorrupt
from refstore.records.encoding import FORMAT, canonical, digest
from refstore.records.transaction import SUFFIX
from refstore.records.types import Manifest, RunStarted, Version
from refstore.sync.pack_reader import Header, Placed, Reader
from refstore.sync.references import needs
from refstore.sync.remote import MAX_PACK

BUNDLE = 4 << 20
"""Bytes of records after which a bundle is closed, before compression."""

_SENTENCES = 1000
"""The most sentences that the header of a bundle has."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A record that is to be sent, and where it stands.

    Attributes:
        rank: Runs, then manifests, versions, and the rest.
        time: When it was recorded.
        id: Its id, 32 bytes.
        file: The name of its file.
        start: Where it begins there, in bytes.
        end: Where all that belongs to it ends.
        needs: The ids that it refers to, 32 bytes each.
        parts: The parts that it has.
    """

    rank: int
    time: str
    id: bytes
    file: str
    start: int
    end: int
    needs: tuple[bytes, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the catalog that has something to send.

    Attributes:
        name: Its name.
        header: Its first line.
        records: How many different records it has in all.
        size: Its bytes.
    """

    name: str
    header: Header
    records: int
    size: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A pack that is ready to be sent.

    Attributes:
        name: The SHA-256 of its bytes.
        data: Its bytes.
        ids: The ids of its records, 32 bytes each.
    """

    name: str
    data: bytes
    ids: tuple[bytes, ...]


_RANKS = {RunStarted: 0, Manifest: 1, Version: 2}


def read_source(records: Path, name: str, wanted: set[bytes]) -> tuple[Source, list[Piece]]:
    """A file of the catalog, and those of its records that are wanted.

    Raises:
        CatalogCorrupt: It is damaged.
    """
    pieces, ids = [], set()
    with (records / (name + SUFFIX)).open("rb") as file:
        reader = Reader(file, name)
        end = 0
        for placed in reader.records():
            id = bytes.fromhex(placed.id)
            ids.add(id)
            end = placed.end
            if id in wanted:
                pieces.append(_piece(name, id, placed))
    return Source(name, reader.header, len(ids), end), pieces


def _piece(name: str, id: bytes, placed: Placed) -> Piece:
    record = placed.record
    parts = record.parts if isinstance(record, Manifest) else ()
    referred = {bytes.fromhex(other) for _, other in needs(record) if other not in parts} - {id}
    rank = _RANKS.get(type(record), 3)
    return Piece(rank, record.time, id, name, placed.start, placed.end, tuple(sorted(referred)), parts)


def in_order(pieces: Iterable[Piece], there: set[bytes]) -> list[Piece]:
    """Each record once, after all that it refers to; what refers to what is nowhere is left out.

    The order depends on the records alone. Where a manifest was written as several changes, the first is taken whose
    base is there.

    Args:
        pieces: All that is new.
        there: What else they may refer to.
    """
    after: dict[bytes, list[int]] = {}
    every = sorted(pieces, key=lambda p: (p.rank, p.time, p.id, p.file, p.start))
    waits = [0] * len(every)
    for place, piece in enumerate(every):
        for id in piece.needs:
            if id not in there:
                after.setdefault(id, []).append(place)
                waits[place] += 1
    ready = [place for place, count in enumerate(waits) if not count]
    heapify(ready)
    done: set[bytes] = set()
    out = []
    while ready:
        piece = every[heappop(ready)]
        if piece.id in done:
            continue
        done.add(piece.id)
        out.append(piece)
        for place in after.get(piece.id, ()):
            waits[place] -= 1
            if not waits[place]:
                heappush(ready, place)
    return out


def bundles(records: Path, sources: dict[str, Source], pieces: Sequence[Piece]) -> Iterator[Bundle]:
    """The packs for some records in order, one after another; equal records make equal packs.

    A file of which everything is sent, and nothing else, is its own pack.

    Raises:
        CatalogCorrupt: A file changed meanwhile.
    """
    files = {piece.file for piece in pieces}
    if len(files) == 1:
        source = sources[next(iter(files))]
        if source.records == len(pieces) and source.size <= MAX_PACK:
            data = (records / (source.name + SUFFIX)).read_bytes()
            if digest(data) != source.name:
                raise CatalogCorrupt(f"{source.name}{SUFFIX} is not what its name says: run `refstore fsck`.")
            yield Bundle(source.name, data, tuple(piece.id for piece in pieces))
            return
    some: list[Piece] = []
    size = 0
    for piece in pieces:
        if some and size + piece.end - piece.start > BUNDLE:
            yield _bundle(records, sources, some)
            some, size = [], 0
        some.append(piece)
        size += piece.end - piece.start
    if some:
        yield _bundle(records, sources, some)


def _bundle(records: Path, sources: dict[str, Source], pieces: Sequence[Piece]) -> Bundle:
    headers = sorted(
        (sources[name].header for name in {piece.file for piece in pieces}), key=lambda h: (h.time, h.summary)
    )
    sentences = list(dict.fromkeys(sentence for header in headers for sentence in header.summary))
    if len(sentences) > _SENTENCES:
        sentences[_SENTENCES:] = [f"and {len(sentences) - _SENTENCES} more"]
    header = {"refstore": FORMAT, "summary": sentences, "time": max(piece.time for piece in pieces)}
    lines = [canonical(header) + b"\n"]
    for piece in pieces:
        with (records / (piece.file + SUFFIX)).open("rb") as file:
            file.seek(piece.start)
            lines.append(file.read(piece.end - piece.start))
    data = b"".join(lines)
    return Bundle(digest(data), data, tuple(piece.id for piece in pieces))
