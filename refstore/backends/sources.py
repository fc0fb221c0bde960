"""Several URIs as one tree: which paths their objects have in an artifact, and which of them are wanted."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from refstore.backends.base import Backend, Location, Page
from refstore.backends.registry import Backends
from refstore.errors import UsageError
from refstore.globs import matcher
from refstore.manifest.rows import KEY, PATH, Row, Rows


@dataclass(frozen=True, slots=True)
class Choice:
    """What is taken of some sources, and where it is put.

    Attributes:
        include: Globs of paths in the artifact, one of which has to take a path; empty for all.
        exclude: Globs of what is left out.
        prefix: A path in the artifact to put before all others, with `/` at its end; "" for none.
        names: For each source what stands before its own paths, or the path of the one object that it is; "" for
            nothing. Empty where that follows from the sources.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str], prefix: str) -> Choice:
        """A choice as a person gives it.

        Raises:
            UsageError: The prefix is absolute or climbs out, or a glob has no meaning.
        """
        parts = prefix.strip("/").split("/")
        if prefix.startswith("/") or ".." in parts:
            raise UsageError(f"The path in the artifact {prefix!r} must be relative and without '..'.")
        kept = [part for part in parts if part not in ("", ".")]
        matcher([*include, *exclude])
        return cls(tuple(include), tuple(exclude), "/".join(kept) + "/" if kept else "")


EVERYTHING = Choice()


class Source:
    """One URI among those of an artifact.

    Attributes:
        backend: What reads it.
        location: What it names.
        uri: For people and for the record; no credential is in it.
    """

    def __init__(self, backend: Backend, location: Location, before: str, choice: Choice) -> None:
        self.backend = backend
        self.location = location
        self.uri = backend.uri(location)
        self._before = before
        self._prefix = choice.prefix
        self._included, self._excluded = matcher(choice.include), matcher(choice.exclude)
        self._takes_all, self._excludes = not choice.include, bool(choice.exclude)

    def pages(self, *, checksum: bool) -> Iterator[tuple[Page, Rows]]:
        """Each page as the backend gives it, and its wanted entries with the paths that they have in the artifact.

        Raises as `Backend.find`.
        """
        as_they_are = self._takes_all and not (self._prefix or self._before or self._excludes)
        for page in self.backend.find(self.location, checksum=checksum):
            if as_they_are:
                yield page, Rows.of(page.entries)
                continue
            placed = Rows.of(page.entries).placed(self._path).rows
            yield page, Rows([row for row in placed if self._wants(row[PATH])])

    def _wants(self, path: str) -> bool:
        return (self._takes_all or self._included(path)) and not self._excluded(path)

    def _path(self, row: Row) -> str:
        path: str = row[PATH]
        if not self._before:
            return self._prefix + path
        single = row[KEY] == self.location.key and not self.location.directory
        return self._prefix + (self._before if single else f"{self._before}/{path}")


def sources(backends: Backends, uris: Sequence[str], choice: Choice) -> list[Source]:
    """What some URIs name. No request is made.

    Raises:
        InvalidURI: One has no meaning.
    """
    places = [(backend := backends.for_uri(uri), backend.parse(uri)) for uri in uris]
    befores = choice.names or _befores([location for _, location in places])
    return [Source(backend, at, before, choice) for (backend, at), before in zip(places, befores, strict=True)]


def _befores(locations: Sequence[Location]) -> Sequence[str]:
    """What stands before the relative paths of each location.

    One location alone stands for itself. Several in one bucket keep their paths below the folder that they share.
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


def _text(location: Location) -> str:
    key = location.key.rstrip("/")
    return unquote(key.partition("?")[0]) if location.scheme in ("http", "https") else key
