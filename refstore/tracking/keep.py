"""From local files to staged entries with their content in the cache: the reading half of `put`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from refstore.backends.local.paths import path_of
from refstore.backends.registry import Backends
from refstore.backends.sources import Choice
from refstore.catalog.staging import Staging
from refstore.checkout.cache import Cache
from refstore.errors import InvalidURI
from refstore.manifest.entry import STORED, Entry, Object
from refstore.progress import Progress
from refstore.tracking.gather import Gathered, gather


def keep(
    backends: Backends,
    cache: Cache,
    paths: Sequence[str],
    staging: Staging,
    choice: Choice,
    *,
    algorithm: str,
    max_objects: int,
    allow_empty: bool,
    dry_run: bool,
    jobs: int,
    progress: Progress | None,
) -> Gathered:
    """Walk some local paths, take the content of each file into the cache, and stage an entry for it.

    The walk comes first, so that a limit or a missing file is found before anything is read. One pass over the bytes.

    Args:
        backends: Where the walk of local files is.
        cache: Where the content goes.
        paths: Files and folders.
        staging: Where the entries go.
        choice: Which paths to take, and where to put them.
        algorithm: Of the checksum that the content is kept by.
        max_objects: The most files to take.
        allow_empty: No files are no error.
        dry_run: Read the files for their checksums, and keep nothing.
        jobs: Files at once.
        progress: Told of each file.

    Raises:
        InvalidURI: A path is a URI.
        SourceMissing: There is no such file.
        StorageFull: There is no space for the content.
    """
    for path in paths:
        if "://" in path and not path.startswith("file://"):
            raise InvalidURI(
                f"'put' keeps the content of local files, and {path.partition('?')[0]} is not one: use 'refstore "
                "add' for it."
            )
    options: dict[str, Any] = {"max_objects": max_objects, "allow_empty": allow_empty}
    if dry_run:
        return _dry(backends, paths, staging, choice, progress, options)
    with Staging() as walked:
        found = gather(backends, paths, walked, choice, checksum=False, progress=None, **options)

        def take(entry: Entry) -> Entry:
            checksum, size = cache.add_file(Path(path_of(entry.object.key)), algorithm)
            return _stored(entry, Object(STORED, "", "", "", size, checksum=checksum, mtime=entry.object.mtime))

        with ThreadPoolExecutor(max(1, min(jobs, 8))) as pool:
            for batch in _batches(walked.entries(), 1000):
                kept = list(pool.map(take, batch))
                staging.add(kept)
                if progress is not None:
                    progress.advance(len(kept), sum(entry.object.size or 0 for entry in kept))
    return found


def _dry(
    backends: Backends,
    paths: Sequence[str],
    staging: Staging,
    choice: Choice,
    progress: Progress | None,
    options: dict[str, Any],
) -> Gathered:
    with Staging() as walked:
        found = gather(backends, paths, walked, choice, checksum=True, progress=progress, **options)
        for batch in _batches(walked.entries(), 1000):
            staging.add(
                _stored(e, Object(STORED, "", "", "", e.object.size, checksum=e.object.checksum, mtime=e.object.mtime))
                for e in batch
            )
    return found


def _stored(entry: Entry, obj: Object) -> Entry:
    return Entry(entry.path, obj)


def _batches(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
