"""Files on this machine and on what is mounted there: plain paths and `file:///`.

The proof is the digest of a file's content; without it (`checksum=False`) size and time of modification are all that is
known, and the pin is `none`. A key is the path as it was given, made absolute; symbolic links in it are kept.
"""

# a Path for each of a million names costs more than the calls of the operating system themselves.
# ruff: noqa: PTH112, PTH114, PTH116, PTH119

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from refstore.backends.base import Backend, Check, Diagnosis, Location, Page, Proof, Reading
from refstore.backends.local.hashing import Hashing
from refstore.backends.local.paths import key_of, parse_path, path_of, readable, shown, uri_of
from refstore.backends.local.reading import FileChunks, as_object, hashed, kind_of, open_regular, translated
from refstore.backends.local.relook import Relook
from refstore.backends.local.seen import Seen
from refstore.backends.local.tree import Digesting, paged, rows
from refstore.backends.local.walk import NOT_UTF8, Part, Walk
from refstore.backends.notes import Notes
from refstore.config import Settings
from refstore.errors import RefstoreError, SourceChanged, SourceMissing, SourceUnreadable
from refstore.manifest.entry import Checksum, Entry, Object, Pin
from refstore.manifest.rows import Rows
from refstore.mounts import file_system, is_network

_PAGE = 1000


class LocalBackend(Backend):
    """Reads files and trees of files; see the module.

    Attributes:
        seen_at: Where the stat cache is (`seen.py`); None for none.
    """

    schemes: ClassVar[tuple[str, ...]] = ("file",)
    forgets: ClassVar[str] = (
        "A disk keeps no old versions: once a file is overwritten or deleted, what was recorded of it can't be checked "
        "out any more. To keep the content, use 'refstore put'."
    )

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.seen_at: Path | None = None
        self._walks: dict[tuple[int, str], int | None] = {}

    def parse(self, uri: str) -> Location:
        """Take a plain path or a `file:` URI apart; `paths.parse_path` has the rules.

        Raises:
            InvalidURI: It names no path of this machine.
        """
        path, directory = parse_path(uri)
        return Location("file", "", "", key_of(path), directory=directory)

    def uri(self, at: Location | Object) -> str:
        """`file:///` and the path, escaped where URIs need it."""
        slash = "/" if isinstance(at, Location) and at.directory and at.key != "/" else ""
        return uri_of(at.key) + slash

    def find(self, location: Location, *, checksum: bool = True) -> Iterator[Page]:
        """A file, or all files below a folder, in pages of a thousand; see `Backend.find`.

        The path itself may be a symbolic link to a folder. Below it `settings.symlinks` rules: `follow` takes the
        content of the file that a link leads to under the link's own path, `skip` leaves links out, `error` refuses
        them; a link to a folder is never walked into, and is named in a note. FIFOs, sockets and devices are never
        opened; a note names them. `.refstore`, `.git` and the `artifacts` of checkouts are left out.

        Raises:
            SourceMissing: There is nothing of that name, or it vanished meanwhile.
            SourceDenied: A file or folder may not be read.
            SourceUnreadable: A file asked for by name is no regular file; a link is broken; a file keeps changing.
        """
        path = path_of(location.key)
        try:
            # Following, so that the name of a folder may be a link to it.
            mode = os.stat(path).st_mode
        except OSError as error:
            if os.path.islink(path):
                raise SourceUnreadable(f"The symbolic link {shown(path)} is broken or leads to itself.") from error
            raise translated(error, path) from error
        if stat.S_ISDIR(mode):
            yield from self._find_below(path, checksum)
            return
        if location.directory:
            raise SourceMissing(f"There is no folder {shown(path)}/: it is a file; leave the / at its end out.")
        if kind := kind_of(mode):
            raise SourceUnreadable(f"{shown(path)} is {kind}, not a regular file: refstore never opens it.")
        if self.settings.symlinks != "follow" and os.path.islink(path):
            raise SourceUnreadable(
                f"{shown(path)} is a symbolic link, and the setting symlinks = {self.settings.symlinks!r} excludes it."
            )
        name = readable(os.path.basename(path))
        yield Page([Entry(name, self._look(path, checksum))], notes=_encoding_note(path))

    def stat(self, location: Location) -> Object:
        """A file's size and time of modification; its content is not read, so there is no checksum.

        Raises:
            SourceMissing: There is no such file.
            SourceUnreadable: It is no regular file.
            SourceDenied: This user may not read it.
        """
        path = path_of(location.key)
        try:
            found = os.stat(path, follow_symlinks=self._follow)
        except OSError as error:
            raise translated(error, path) from error
        if stat.S_ISDIR(found.st_mode):
            raise SourceMissing(f"There is no file {shown(path)}: a folder has that name.")
        if kind := kind_of(found.st_mode):
            raise SourceUnreadable(f"{shown(path)} is {kind}, not a regular file.")
        if not os.access(path, os.R_OK):
            raise translated(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path)
        return as_object(path, found)

    def open(self, obj: Object, *, start: int = 0, length: int | None = None) -> Reading:
        """Read a file that is still as recorded: by size and time of modification, else by its whole content.

        Raises:
            SourceMissing: It is gone.
            SourceChanged: It is not what was recorded.
            SourceUnreadable: Something else than a regular file has its name now.
            SourceDenied: It may not be read.
        """
        path = path_of(obj.key)
        descriptor, found = open_regular(path, follow=self._follow)
        chunks = FileChunks(descriptor, path, found, start, length)
        now = as_object(path, found)
        if not self._is_still(obj, now, path):
            chunks.close()
            raise SourceChanged(
                f"{shown(path)} was changed: recorded were {obj.size} bytes of {obj.mtime}, and now it has "
                f"{now.size} bytes of {now.mtime}."
            )
        proofs = (Proof(obj.checksum),) if obj.checksum is not None else ()
        return Reading(chunks, proofs)

    def diagnose(self, location: Location) -> Diagnosis:
        """Whether a path is there and readable, and what kind of file system it lies on."""
        path = path_of(location.key)
        checks = [Check("credentials", True, "None are needed: files are read as the user who runs refstore.")]
        try:
            mode = os.stat(path).st_mode
            checks.append(Check("exists", True, f"{shown(path)} is {kind_of(mode) or 'a file'}."))
            if stat.S_ISDIR(mode):
                with os.scandir(path) as entries:
                    next(entries, None)
                checks.append(Check("list", True, "The folder can be listed."))
            else:
                os.close(open_regular(path, follow=True)[0])
                checks.append(Check("read", True, "The file can be read."))
        except OSError as error:
            checks.append(Check("read", False, str(translated(error, path))))
        except RefstoreError as error:
            checks.append(Check("read", False, str(error)))
        kind = file_system(path)
        if kind is None:
            checks.append(Check("file system", None, "Its kind can't be told here."))
        elif is_network(path):
            checks.append(
                Check(
                    "file system",
                    True,
                    f"{kind}, over a network: what another machine wrote may take a minute to show.",
                )
            )
        else:
            checks.append(Check("file system", True, f"{kind}."))
        return Diagnosis(location, self.uri(location), Pin.CHECKSUM, checks)

    @property
    def _follow(self) -> bool:
        return self.settings.symlinks == "follow"

    def _is_still(self, recorded: Object, now: Object, path: str) -> bool:
        if recorded.size not in (None, now.size):
            return False
        if recorded.mtime == now.mtime:
            return True
        # Touched or rewritten: only the content can tell, and a part of it could not prove itself later.
        return recorded.checksum is not None and recorded.checksum == self._digest(path, recorded.checksum.algorithm)

    def _digest(self, path: str, algorithm: str) -> Checksum | None:
        return hashed(path, algorithm, follow=self._follow).checksum

    def _look(self, path: str, checksum: bool) -> Object:
        if checksum:
            return hashed(path, self.settings.hash, follow=self._follow)
        try:
            return as_object(path, os.stat(path, follow_symlinks=self._follow))
        except OSError as error:
            raise translated(error, path) from error

    def _find_below(self, root: str, checksum: bool) -> Iterator[Page]:
        found_out = Notes()
        algorithm = self.settings.hash if checksum else None
        with ExitStack() as stack:
            seen = self._seen(root, stack) if checksum else None
            unseen = checksum and (seen is None or seen.knows_nothing())
            parts: Iterator[Part] = Walk(root, self.settings.symlinks, found_out, unseen=unseen).parts()
            if checksum:
                hashing = stack.enter_context(Hashing(self.settings.hash, follow=self._follow))
                parts = Digesting(hashing, seen, anywhere=self.settings.stat_cache == "always").parts(parts)
            for some in paged(parts, _PAGE):
                yield Page(Rows([row for part in some for row in rows(part, algorithm)]))
            if seen is not None:
                self._walks[threading.get_ident(), key_of(root)] = seen.walked()
        if notes := found_out.sentences():
            yield Page([], notes=notes)

    def relook(self, location: Location, manifest: str) -> Relook | None:
        """A second walk of a folder, which tells what changed since one that made a manifest; None if none is known."""
        root = path_of(location.key)
        with ExitStack() as stack:
            if not os.path.isdir(root) or (seen := self._seen(root, stack)) is None:
                return None
            walk = seen.walk_to(manifest)
            if walk is None:
                return None
            stack.pop_all()
            return Relook(seen, walk, root, self.settings)

    def settle(self, location: Location, manifest: str) -> None:
        """Have a later `relook` know the manifest that this thread's last walk of a folder made."""
        walk = self._walks.pop((threading.get_ident(), location.key), None)
        with ExitStack() as stack:
            if walk is not None and (seen := self._seen(path_of(location.key), stack)) is not None:
                seen.settle(walk, manifest)

    def _seen(self, root: str, stack: ExitStack) -> Seen | None:
        if self.seen_at is None or self.settings.stat_cache == "never":
            return None
        mode = f"{self.settings.hash} {self.settings.symlinks}"
        return stack.enter_context(Seen(self.seen_at, mode, root.rstrip("/") + "/"))


def _encoding_note(path: str) -> tuple[str, ...]:
    notes = Notes()
    if key_of(path).startswith("%"):
        notes.add(NOT_UTF8, shown(path))
    return notes.sentences()
