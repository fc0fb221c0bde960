"""Any other protocol that fsspec knows: sftp, ftp, webdav, smb, hf, hdfs, memory and so on.

What such a protocol tells of a file decides how well it is pinned: an ETag or a checksum of its own, else a checksum
that refstore makes by reading the file once (`checksum=False`: nothing). Old versions can't be read through fsspec's
common interface, so a version id counts as an ETag: it tells when a file was replaced.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from refstore.backends.base import Backend, Check, Diagnosis, Location, Page, Proof, Reading
from refstore.backends.generic.fs import FileSystems
from refstore.backends.generic.info import object_of
from refstore.backends.generic.reading import pieces
from refstore.backends.key_escapes import escape, unescape
from refstore.backends.notes import Notes
from refstore.backends.url_secrets import refuse_secret_query, refuse_user_info, shown
from refstore.config import Settings
from refstore.errors import (
    InvalidURI,
    RefstoreError,
    SourceChanged,
    SourceMissing,
    SourceUnreadable,
)
from refstore.manifest.entry import Checksum, Entry, Object, Pin

_PAGE = 1000
_DEEPEST = 200
_READS = 2
# A user name without a password is part of how these are reached; anywhere else it may be a token.
_WITH_USERS = frozenset(("ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs"))

_FOLDER_LINK = "Left out, because links to directories are not walked into"
_LINK = "Left out, because the setting symlinks is 'skip'"
_OTHER = "Left out, because it is neither a file nor a directory"


class GenericBackend(Backend):
    """Reads through one of fsspec's file systems; see the module.

    Args:
        settings: Only `hash` and `symlinks` count here.
        protocol: As in the URI, `sftp` say.

    Raises:
        UnsupportedScheme: fsspec does not know the protocol, or its package is not installed.
    """

    schemes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Settings, protocol: str) -> None:
        super().__init__(settings)
        self.protocol = protocol
        self._systems = FileSystems(protocol)

    def parse(self, uri: str) -> Location:
        """Take a URI apart: `protocol://host/path`, or `protocol://path` where the protocol has no hosts.

        The path is taken as it stands, but for `%25`, `%3F`, `%23` and escapes of what can't be printed.

        Raises:
            InvalidURI: It is a chain (`::`), or lacks a host.
            SecretInURI: It holds a password, or a credential in a query.
        """
        match = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*:(?://)?(.*)", uri, re.DOTALL)
        if not match:
            raise InvalidURI(f"{shown(uri)!r} is not a URI: write {self.protocol}://…")
        rest = match[1]
        refuse_secret_query(uri, rest.partition("?")[2])
        if "::" in rest:
            raise InvalidURI(
                f"{shown(uri)} is a chain of file systems, and a reference can hold only one: give the file's own."
            )
        authority, slash, path = rest.partition("/")
        user, at, _ = authority.rpartition("@")
        if at and (":" in user or self.protocol not in _WITH_USERS):
            refuse_user_info(uri, user)
        if not self._systems.has_host:
            authority, slash, path = "", "", rest
        elif not authority:
            raise InvalidURI(f"{shown(uri)} names no host: write {self.protocol}://host/path.")
        path = unescape(slash + path)
        key = str(self._systems.cls._strip_protocol(path)) if path else ""
        return Location(self.protocol, "", authority, key, directory=not key.strip("/") or path.endswith("/"))

    def uri(self, at: Location | Object) -> str:
        """The protocol, the host and the path, escaped where URIs need it."""
        slash = "/" if isinstance(at, Location) and at.directory and not at.key.endswith("/") else ""
        path = at.key if at.bucket else at.key.lstrip("/")
        return f"{at.scheme}://{at.bucket}{escape(path)}{slash}"

    def find(self, location: Location, *, checksum: bool = True) -> Iterator[Page]:
        """A file, or all files below a directory, one listing for each directory.

        Where listings tell neither ETag nor checksum, each file is read and hashed, unless `checksum` is False. Links
        are treated as those of local files are (`settings.symlinks`), where the protocol tells of links.

        Raises:
            SourceMissing: There is nothing of that name.
            SourceDenied, CredentialsMissing, SourceUnavailable, SourceUnreadable: As the server answers.
        """
        notes = Notes()
        seen: list[Pin] = []
        info = self._info(location)
        if info.get("type") == "directory":
            rows = self._below(location, notes)
            while page := list(islice(rows, _PAGE)):
                entries = [Entry(path, self._pinned(at, row, checksum)) for path, at, row in page]
                seen = seen or [entries[0].object.pin]
                yield Page(entries)
        else:
            if location.directory:
                raise SourceMissing(
                    f"There is no directory {self.uri(location)}: it is a file; leave the / at its end out."
                )
            obj = self._pinned(location, info, checksum)
            seen = [obj.pin]
            yield Page([Entry(location.key.rstrip("/").rpartition("/")[2], obj)])
        said = [*notes.sentences(), *(_how_pinned(self.protocol, pin) for pin in seen)]
        if said:
            yield Page([], notes=tuple(said))

    def stat(self, location: Location) -> Object:
        """A file's size, time and what else the protocol tells; its content is not read.

        Raises:
            SourceMissing: There is no such file.
        """
        info = self._info(location)
        if info.get("type") == "directory":
            raise SourceMissing(f"There is no file {self.uri(location)}: a directory has that name.")
        return object_of(location.scheme, location.bucket, location.key, info)

    def open(self, obj: Object, *, start: int = 0, length: int | None = None) -> Reading:
        """Read a file that is still as recorded: by size, ETag and time, else by its whole content.

        Raises:
            SourceMissing: It is gone.
            SourceChanged: It is not what was recorded.
            SourceDenied, CredentialsMissing, SourceUnavailable, SourceUnreadable: As the server answers.
        """
        now = self.stat(Location.of(obj))
        if not self._is_still(obj, now):
            raise SourceChanged(
                f"{self.uri(obj)} was changed: recorded were {_told(obj)}, and now it has {_told(now)}."
            )
        end = None if length is None else start + length
        if now.size is not None:
            end = now.size if end is None else min(end, now.size)
        proofs = (Proof(obj.checksum),) if obj.checksum is not None else ()
        return Reading(self._pieces(obj, start, end, exact=now.size is not None), proofs)

    def diagnose(self, location: Location) -> Diagnosis:
        """Whether the place can be reached and read, and how well its files can be pinned."""
        checks: list[Check] = []
        pin = Pin.CHECKSUM
        try:
            info = self._info(location)
            checks.append(Check("credentials", True, "What fsspec is configured with is accepted."))
            if info.get("type") == "directory":
                first = next(self._below(location, Notes()), None)
                checks.append(Check("list", True, "The directory can be listed."))
            else:
                first = ("", location, info)
            if first is None:
                checks.append(Check("read", None, "There is no file to try."))
            else:
                obj = object_of(self.protocol, first[1].bucket, first[1].key, first[2])
                pin = obj.pin if obj.pin is not Pin.NONE else Pin.CHECKSUM
                with self.open(obj, length=1) as reading:
                    next(iter(reading.chunks), None)
                checks.append(Check("read", True, f"{self.uri(obj)} can be read."))
                checks.append(Check("pin", None, _how_pinned(self.protocol, pin)))
        except RefstoreError as error:
            checks.append(Check("read", False, str(error)))
        return Diagnosis(location, f"{self.protocol}://{location.bucket}", pin, checks)

    def _info(self, location: Location) -> dict[str, Any]:
        if not location.key.strip("/"):
            # The root of some file systems has no entry of its own.
            return {"type": "directory"}
        return self._systems.call(location.bucket, self.uri(location), lambda fs: dict(fs.info(location.key)))

    def _below(self, location: Location, notes: Notes) -> Iterator[tuple[str, Location, dict[str, Any]]]:
        """Each file's path below a directory, where it is, and its row of the listing."""
        stack = [("", location)]
        while stack:
            prefix, directory = stack.pop()
            if prefix.count("/") > _DEEPEST:
                raise SourceUnreadable(f"Directories nest deeper than {_DEEPEST} levels at {self.uri(directory)}.")
            below = []
            for name, row in self._rows(directory):
                path = f"{prefix}{name}"
                at = replace(
                    location, key=f"{directory.key.rstrip('/')}/{name}" if directory.key else name, directory=False
                )
                kind = row.get("type")
                if kind == "link":
                    kind, row = self._behind_link(at, notes)
                if kind == "directory":
                    below.append((path + "/", at))
                elif kind == "file":
                    yield path, at, row
                elif kind is not None:
                    notes.add(_OTHER, self.uri(at))
            stack += reversed(below)

    def _rows(self, directory: Location) -> list[tuple[str, dict[str, Any]]]:
        listed = self._systems.call(
            directory.bucket, self.uri(directory), lambda fs: [dict(row) for row in fs.ls(directory.key, detail=True)]
        )
        rows = []
        for row in listed:
            # Only the last part counts: what a server calls the directory itself has no say in where a file is.
            whole = str(row["name"]).rstrip("/")
            name = whole.rpartition("/")[2]
            if name not in ("", ".", "..") and whole.strip("/") != directory.key.strip("/"):
                rows.append((name, row))
        return sorted(rows, key=lambda named: named[0])

    def _behind_link(self, at: Location, notes: Notes) -> tuple[str | None, dict[str, Any]]:
        uri = self.uri(at)
        if self.settings.symlinks == "error":
            raise SourceUnreadable(f"{uri} is a symbolic link, and the setting symlinks = 'error' refuses those.")
        if self.settings.symlinks == "skip":
            notes.add(_LINK, uri)
            return None, {}
        try:
            row = self._info(at)
        except SourceMissing as error:
            raise SourceUnreadable(
                f"The symbolic link {uri} is broken: remove it, or set symlinks = 'skip'."
            ) from error
        if row.get("type") == "directory":
            notes.add(_FOLDER_LINK, uri)
            return None, {}
        return row.get("type"), row

    def _pinned(self, at: Location, row: dict[str, Any], checksum: bool) -> Object:
        obj = object_of(self.protocol, at.bucket, at.key, row)
        if not checksum or obj.pin is not Pin.NONE:
            return obj
        for _ in range(_READS):
            digest, size = self._digest(obj, self.settings.hash)
            if obj.size in (None, size):
                # A rewrite of the same length shows by its time: `open` then asks the content.
                return replace(obj, size=size, checksum=digest)
            obj = object_of(self.protocol, at.bucket, at.key, self._info(at))
        raise SourceUnreadable(f"{self.uri(at)} changes while it is read: add it when nothing writes to it any more.")

    def _is_still(self, recorded: Object, now: Object) -> bool:
        if None not in (recorded.size, now.size) and recorded.size != now.size:
            return False
        if recorded.etag is not None and now.etag is not None and not recorded.etag.startswith("W/"):
            return recorded.etag == now.etag
        if recorded.mtime == now.mtime:
            return True
        # Touched or rewritten: only the content can tell, and a part of it could not prove itself later.
        checksum = recorded.checksum
        return checksum is not None and checksum in (now.checksum, self._digest(now, checksum.algorithm)[0])

    def _digest(self, obj: Object, algorithm: str) -> tuple[Checksum, int]:
        digest, size = hashlib.new(algorithm, usedforsecurity=False), 0
        for piece in self._pieces(obj, 0, None):
            digest.update(piece)
            size += len(piece)
        return Checksum(algorithm, digest.hexdigest()), size

    def _pieces(self, obj: Object, start: int, end: int | None, *, exact: bool = False) -> Iterator[bytes]:
        # This file system's `open` hands out the one buffer that holds the file, position and all, to everybody.
        shared = self.protocol == "memory"
        return pieces(self._systems, obj, self.uri(obj), start, end, exact=exact, shared=shared)


def _told(obj: Object) -> str:
    parts = [f"{obj.size} bytes"]
    if obj.etag:
        parts.append(f"ETag {obj.etag}")
    if obj.mtime:
        parts.append(f"time {obj.mtime}")
    return ", ".join(parts)


def _how_pinned(protocol: str, pin: Pin) -> str:
    if pin is Pin.CHECKSUM:
        return f"{protocol}:// has no versions to go back to: files are pinned by a checksum of their content."
    if pin is Pin.ETAG:
        return f"{protocol}:// can't give back old versions: files are pinned by what tells that they were replaced."
    return f"{protocol}:// tells nothing that would pin files, and without checksums only size and time are compared."
