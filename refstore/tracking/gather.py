"""From URIs to staged entries: the listing half of `add`, which holds a page at a time."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from refstore.backends.base import Backend, Location
from refstore.backends.registry import Backends
from refstore.catalog.staging import Staging
from refstore.errors import SourceMissing, TooManyObjects, UsageError
from refstore.globs import matcher
from refstore.manifest.entry import Entry
from refstore.progress import Progress


@dataclass(slots=True)
class Gathered:
    """What a listing told besides its entries."""

    sources: list[str] = field(default_factory=list)
    markers: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Keep a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def check_prefix(prefix: str) -> str:
    """A path inside an artifact to put before others, with `/` at its end; "" for none.

    Raises:
        UsageError: It is absolute or climbs out.
    """
    parts = prefix.replace("\\", "/").strip("/").split("/")
    if prefix.startswith("/") or ".." in parts:
        raise UsageError(f"The path in the artifact {prefix!r} must be relative and without '..'.")
    return "/".join(part for part in parts if part not in ("", ".")) + "/" if prefix.strip("/.") else ""


def selector(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path is wanted: taken by an `include` glob (or there is none), and by no `exclude` glob."""
    included, excluded = matcher(include), matcher(exclude)
    return lambda path: (not include or included(path)) and not excluded(path)


def _text(location: Location) -> str:
    key = location.key.rstrip("/")
    return unquote(key.partition("?")[0]) if location.scheme in ("http", "https") else key


def roots(locations: Sequence[Location]) -> list[str]:
    """What stands before the relative paths of each location.

    One location alone stands for itself. Several in one bucket keep their paths below the folder that they have in
    common.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for at in locations:
        groups.setdefault((at.scheme, at.endpoint, at.bucket), []).append(_text(at))
    out = []
    for at in locations:
        texts = groups[(at.scheme, at.endpoint, at.bucket)]
        if len(set(texts)) == 1:
            out.append("")
            continue
        parents = [posixpath.dirname(text) for text in texts]
        common = posixpath.commonpath(parents) if all(parents) else ""
        out.append(_text(at)[len(common) :].lstrip("/"))
    return out


def gather(
    backends: Backends,
    uris: Sequence[str],
    staging: Staging,
    *,
    checksum: bool,
    wanted: Callable[[str], bool],
    prefix: str,
    max_objects: int,
    allow_empty: bool,
    progress: Progress | None,
) -> Gathered:
    """List everything that some URIs name into `staging`.

    Raises:
        TooManyObjects: More than `max_objects` were found.
        SourceMissing: One of them names nothing.
    """
    found = Gathered()
    places: list[tuple[Backend, Location]] = []
    for uri in uris:
        backend = backends.for_uri(uri)
        places.append((backend, backend.parse(uri)))
    befores = roots([location for _, location in places])
    for (backend, location), before in zip(places, befores, strict=True):
        source = backend.uri(location)
        found.sources.append(source)
        seen = False
        for page in backend.find(location, checksum=checksum):
            found.markers += page.markers
            for note in page.notes:
                found.note(note)
            seen = seen or bool(page.entries)
            entries = [entry for entry in _placed(page.entries, location, before, prefix) if wanted(entry.path)]
            staging.add(entries)
            if staging.count > max_objects:
                raise TooManyObjects(
                    f"{source} has more than {max_objects:,} objects, which is the limit; nothing was recorded. "
                    "Raise it with --max-objects (in Python max_objects=), or choose fewer with --include."
                )
            if progress is not None:
                progress.advance(len(entries), sum(entry.object.size or 0 for entry in entries))
        if not seen and not allow_empty:
            markers = f" but {found.markers} directory marker(s)" if found.markers else ""
            raise SourceMissing(
                f"There is nothing at {source}{markers}: check the spelling, or record it as empty with --allow-empty."
            )
    if not staging.count and not allow_empty:
        raise SourceMissing(f"None of the objects at {', '.join(found.sources)} is taken by --include and --exclude.")
    return found


def _placed(entries: list[Entry], location: Location, before: str, prefix: str) -> list[Entry]:
    if not before and not prefix:
        return entries
    out = []
    for entry in entries:
        single = entry.object.key == location.key and not location.directory
        path = (before or entry.path) if single else (f"{before}/{entry.path}" if before else entry.path)
        out.append(Entry(prefix + path, entry.object))
    return out
