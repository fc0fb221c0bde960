"""From an artifact to files in a folder, and from such a folder back to a judgement of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, overload

from refstore.backends.base import Proof
from refstore.catalog.infos import VersionInfo
from refstore.checkout.checkout import checkout
from refstore.checkout.proof import Digests, Verdict, computable
from refstore.checkout.result import GONE, OVERWRITTEN, CheckoutResult
from refstore.checkout.verify import verify as verify_sources
from refstore.errors import NotAsRecorded
from refstore.manifest.entry import Entry
from refstore.tracking.manifest import ArtifactManifestEntry, Entries
from refstore.tracking.stores import logger

if TYPE_CHECKING:
    from refstore.store import Store
    from refstore.tracking.artifact import Artifact

_PIECE = 1 << 20


def default_root(name: str) -> Path:
    """Where an artifact is downloaded to: `artifacts/mnist:v0`, with `-` for `:` on Windows."""
    folder = os.environ.get("REFSTORE_ARTIFACT_DIR") or os.environ.get("WANDB_ARTIFACT_DIR") or "artifacts"
    return Path(folder).expanduser() / (name.replace(":", "-") if os.name == "nt" else name)


def download(
    store: Store,
    info: VersionInfo,
    entries: Iterator[Entry],
    dest: Path,
    *,
    part: bool = False,
    allow_missing: bool = False,
    skip_cache: bool = False,
) -> CheckoutResult:
    """Make some files of a version in a folder, and say so where what they refer to has changed since.

    Args:
        store: Where the version is.
        info: The version.
        entries: Those of its entries that are wanted, by path.
        dest: The folder.
        part: Not all of its entries are there: leave alone what else is in the folder.
        allow_missing: Files that are gone are reported, and don't make it fail.
        skip_cache: Don't keep the bytes in the cache.

    Raises:
        CheckoutIncomplete: Some could not be had; all others were.
        DestinationConflict: Files are in the way; nothing was done.
    """
    title = f"{info.artifact}:v{info.number}"
    local: list[Entry] = []

    def seen() -> Iterator[Entry]:
        for entry in entries:
            if entry.object.scheme == "file" and len(local) < _MOST:
                local.append(entry)
            yield entry

    result = checkout(
        seen(),
        dest,
        label=title,
        backends=store.backends,
        cache=store.cache,
        ledger=store.ledger,
        paths=["**"] if part else (),
        jobs=store.settings.jobs,
        link="copy" if skip_cache else store.settings.link,
        allow_missing=allow_missing,
    )
    if result.failures:
        logger.warning(
            "refstore: %s: %d files are gone and were left out, the first of them %s: %s",
            title, len(result.failures), result.failures[0].path, result.failures[0].message,
        )  # fmt: skip
    if local and (result.from_cache or result.kept):
        _tell_drift(store, title, local)
    return result


_MOST = 10_000
"""Of how many local files it is looked up whether they changed since, where their bytes came from the cache."""


def _tell_drift(store: Store, title: str, entries: list[Entry]) -> None:
    drifted = [
        found
        for found in verify_sources(entries, store.backends, store.cache, jobs=store.settings.jobs)
        if found.state in (GONE, OVERWRITTEN)
    ]
    if drifted:
        logger.warning(
            "refstore: %s: the source has drifted: %d files are not what was recorded any more, and their recorded "
            "bytes came from the cache. The first: %s",
            title, len(drifted), drifted[0].message,
        )  # fmt: skip


def verify(store: Store, title: str, entries: Entries, root: Path) -> None:
    """Compare the files in a folder with the entries of a version: that they are there, their bytes, and no others.

    Raises:
        NotAsRecorded: They differ.
    """
    if not root.is_dir():
        raise NotAsRecorded(f"{title} is not in {root}: there is no such folder.")
    for folder, _, names in os.walk(root):
        for name in names:
            path = (Path(folder) / name).relative_to(root).as_posix()
            if path not in entries:
                raise NotAsRecorded(f"{root} has the file {path!r}, which {title} does not have.")
    for entry in entries.stream():
        if (problem := _differs(store, entry, root / entry.path)) is not None:
            raise NotAsRecorded(f"{entry.path!r} in {root} is not as {title} has it: {problem}.")


def _differs(store: Store, entry: Entry, path: Path) -> str | None:
    obj = entry.object
    if not path.is_file():
        return "it is not there"
    size = path.stat().st_size
    if obj.size is not None and size != obj.size:
        return f"it has {size:,} bytes, and {obj.size:,} are recorded"
    # Of an object without a checksum the ledger knows what arrived when it was read under its version or ETag.
    known = obj.checksum or store.ledger.content(obj)
    if known is None or not computable(known.algorithm):
        return None
    digests = Digests((Proof(known),))
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digests.update(piece)
    return digests.difference() if digests.verdict() is Verdict.WRONG else None


class Files(Sequence[ArtifactManifestEntry]):
    """All files of an artifact, read as they are asked for."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def __len__(self) -> int:
        return self._artifact.file_count

    def __iter__(self) -> Iterator[ArtifactManifestEntry]:
        return iter(self._artifact.manifest.entries.values())

    @overload
    def __getitem__(self, index: int) -> ArtifactManifestEntry: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ArtifactManifestEntry]: ...

    def __getitem__(self, index: int | slice) -> ArtifactManifestEntry | Sequence[ArtifactManifestEntry]:
        if isinstance(index, slice):
            return list(islice(self, *index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        for entry in islice(self, at, at + 1) if at >= 0 else ():
            return entry
        raise IndexError(f"There is no file {index} among {len(self)}.")
