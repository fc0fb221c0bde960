"""Manifests that came from elsewhere are built before they are believed: the root hash is what they claim, or not."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refstore.catalog.applying import Applying
from refstore.catalog.chunks import root_numbers
from refstore.errors import CatalogCorrupt, RefstoreError, SourceMissing
from refstore.manifest.tree import Chunk
from refstore.records.transaction import SUFFIX
from refstore.records.types import Manifest
from refstore.sync.pack_reader import Placed

if TYPE_CHECKING:
    from refstore.catalog.catalog import Catalog

_TURN = 1.0
"""Seconds after which the catalog's write lock is given back for a moment."""


@dataclass(slots=True)
class Proof:
    """What came of it.

    Attributes:
        failed: The packs with a manifest that is not what its lines make, each with the reason.
        unready: The packs with a manifest whose base could not be built, each with the base's id.
    """

    failed: dict[str, CatalogCorrupt] = field(default_factory=dict)
    unready: dict[str, str] = field(default_factory=dict)


def prove(catalog: Catalog, find: Callable[[str], Path], manifests: Iterable[tuple[str, Placed]]) -> Proof:
    """Build manifests in the index, each after its base. What is built is not visible: no record names it yet.

    Args:
        catalog: Of the store.
        find: Where a pack or part is, by its name.
        manifests: Each with the name of its pack; held, without their lines.
    """
    proof = Proof()
    waiting: dict[str, list[tuple[str, Placed]]] = {}
    ready: deque[tuple[str, Placed]] = deque()
    given = list(manifests)
    with catalog.exclusive() as db:
        built = root_numbers(db, {_manifest(placed).base for _, placed in given} - {""})
    for name, placed in given:
        base = _manifest(placed).base
        if not base or base in built:
            ready.append((name, placed))
        else:
            waiting.setdefault(base, []).append((name, placed))
    while ready:
        # Before the lock: a part that went meanwhile is read again.
        some = [(*item, _files(find, *item, proof)) for item in list(ready)[:200]]
        for _ in some:
            ready.popleft()
        until = time.monotonic() + _TURN
        with catalog.exclusive() as db:
            applying = Applying(db)
            for done, (name, placed, files) in enumerate(some):
                if time.monotonic() > until:
                    ready.extendleft((name, placed) for name, placed, _ in reversed(some[done:]))
                    break
                if files and _build(applying, name, placed, files, proof):
                    ready += waiting.pop(_manifest(placed).manifest, [])
            applying.flush()
    for base, left in waiting.items():
        proof.unready.update((name, base) for name, _ in left)
    return proof


def _files(find: Callable[[str], Path], name: str, placed: Placed, proof: Proof) -> list[Path]:
    try:
        return [*map(find, _manifest(placed).parts), find(name)]
    except (SourceMissing, CatalogCorrupt) as error:
        proof.failed.setdefault(name, CatalogCorrupt(str(error)))
        return []


def _build(applying: Applying, name: str, placed: Placed, files: list[Path], proof: Proof) -> bool:
    manifest = _manifest(placed)

    def prove(root: Chunk) -> None:
        if (root.id.hex(), root.entries, root.size) != (manifest.manifest, manifest.entries, manifest.size):
            raise CatalogCorrupt("its lines make another one")

    try:
        applying.apply(applying.root(manifest.base) if manifest.base else None, _lines(files, placed), prove)
    except (CatalogCorrupt, ValueError, OverflowError, OSError) as error:
        why = str(error) if isinstance(error, RefstoreError) else f"its lines make none ({error})"
        reason = f"the manifest {manifest.manifest} in {name}{SUFFIX} is not proven: {why.rstrip('.')}."
        proof.failed.setdefault(name, CatalogCorrupt(reason))
        return False
    return True


def _lines(files: list[Path], placed: Placed) -> Iterator[dict[str, Any]]:
    *parts, own = files
    for part in parts:
        with part.open("rb") as file:
            if "part" not in json.loads(file.readline()):
                raise CatalogCorrupt(f"{part.name} is not a part of a manifest")
            yield from map(json.loads, file)
    with own.open("rb") as file:
        file.seek(placed.lines)
        for _ in range(_manifest(placed).changes):
            yield json.loads(file.readline())


def _manifest(placed: Placed) -> Manifest:
    assert isinstance(placed.record, Manifest)
    return placed.record
