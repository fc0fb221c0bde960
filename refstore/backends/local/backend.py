"""Files on this machine and on what is mounted there: plain paths and `file:///`.

The proof is the digest of a file's content; without it (`checksum=False`) size and time of modification are all that is
known, and the pin is `none`. A key is the path as it was given, made absolute; symbolic links in it are kept.
"""

# a Path for each of a million names costs more than the calls of the operating system themselves.
# ruff: noqa: PTH114, PTH116, PTH119

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import ClassVar

from refstore.backends.base import Backend, Check, Diagnosis, Location, Page, Proof, Reading
from refstore.backends.local.paths import key_of, parse_path, path_of, readable, shown, uri_of
from refstore.backends.local.reading import FileChunks, as_object, hashed, kind_of, open_regular, translated
from refstore.backends.notes import Notes
from refstore.errors import RefstoreError, SourceChanged, SourceMissing, SourceUnreadable
from refstore.manifest.entry import Checksum, Entry, Object, Pin
from refstore.mounts import file_system, is_network

_PAGE = 1000
# A folder is sorted in runs of this many names, so that a million files in one take no more memory than these.
_SORTED_RUN = 10_000
# Measured: below this size a thread costs more than it gains, above it hashing scales with the cores.
_WORTH_A_THREAD = 64 << 10
_STORE = ".refstore"


class LocalBackend(Backend):
    """Reads files and trees of files; see the module."""

    schemes: ClassVar[tuple[str, ...]] = ("file",)

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
        opened; a note names them. The folder `.refstore` is left out.

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
        files = _Walk(root, self.settings.symlinks, found_out).files()
        with ExitStack() as stack:
            pool: ThreadPoolExecutor | None = None
            while page := list(islice(files, _PAGE)):
                if not checksum:
                    objects = [self._look(path, False) for _, path, _ in page]
                else:
                    big = [path for _, path, size in page if size >= _WORTH_A_THREAD]
                    if len(big) > 1 and pool is None:
                        pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "refstore-hash")
                        stack.callback(pool.shutdown, cancel_futures=True)
                    ahead = {path: pool.submit(self._look, path, True) for path in big} if pool is not None else {}
                    objects = [ahead[path].result() if path in ahead else self._look(path, True) for _, path, _ in page]
                yield Page([Entry(readable(rel), obj) for (rel, _, _), obj in zip(page, objects, strict=True)])
        if notes := found_out.sentences():
            yield Page([], notes=notes)


_SPECIAL = "Left out, because FIFOs, sockets and devices have no content to record"
_FOLDER_LINK = "Left out, because links to folders are not walked into"
_LINK = "Left out, because the setting symlinks is 'skip'"
_OWN_STORE = "Left out, because it is a store of refstore itself"
_NOT_UTF8 = "Recorded with %XX for the bytes of its name that are not UTF-8"


def _encoding_note(path: str) -> tuple[str, ...]:
    notes = Notes()
    if key_of(path).startswith("%"):
        notes.add(_NOT_UTF8, shown(path))
    return notes.sentences()


class _Walk:
    """The files below a folder, one folder's entries at a time, and nothing held but where it stands.

    Args:
        root: The folder.
        symlinks: As the setting of that name.
        notes: Learns what is not taken.
    """

    def __init__(self, root: str, symlinks: str, notes: Notes) -> None:
        self._root = root
        self._symlinks = symlinks
        self._notes = notes

    def files(self) -> Iterator[tuple[str, str, int]]:
        """Each file's path below the root, its path, and a guess at its size in bytes (to share out the work)."""
        stack = [_sorted_entries(self._root)]
        cut = len(self._root.rstrip("/")) + 1
        try:
            while stack:
                entry = next(stack[-1], None)
                if entry is None:
                    stack.pop()
                elif entry.is_symlink():
                    if self._takes_link(entry.path):
                        yield entry.path[cut:], entry.path, _WORTH_A_THREAD
                elif entry.is_dir(follow_symlinks=False):
                    if entry.name == _STORE:
                        self._notes.add(_OWN_STORE, shown(entry.path))
                    else:
                        stack.append(_sorted_entries(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    if not entry.path.isascii() and key_of(entry.path).startswith("%"):
                        self._notes.add(_NOT_UTF8, shown(entry.path))
                    yield entry.path[cut:], entry.path, _size(entry)
                elif os.path.lexists(entry.path):
                    self._notes.add(_SPECIAL, shown(entry.path))
        finally:
            for entries in stack:
                entries.close()

    def _takes_link(self, path: str) -> bool:
        if self._symlinks == "error":
            raise SourceUnreadable(
                f"{shown(path)} is a symbolic link, and the setting symlinks = 'error' refuses those."
            )
        if self._symlinks == "skip":
            self._notes.add(_LINK, shown(path))
            return False
        try:
            mode = os.stat(path).st_mode
        except PermissionError as error:
            raise translated(error, path) from error
        except OSError as error:
            raise SourceUnreadable(
                f"The symbolic link {shown(path)} is broken or leads to itself: remove it, or set symlinks = 'skip'."
            ) from error
        if stat.S_ISREG(mode):
            return True
        self._notes.add(_FOLDER_LINK if stat.S_ISDIR(mode) else _SPECIAL, shown(path))
        return False


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _sorted_entries(folder: str) -> Generator[os.DirEntry[str], None, None]:
    try:
        with os.scandir(folder) as entries:
            run = sorted(islice(entries, _SORTED_RUN), key=lambda entry: entry.name)
            while len(run) == _SORTED_RUN:
                yield from run
                run = sorted(islice(entries, _SORTED_RUN), key=lambda entry: entry.name)
        # With the last run in memory the descriptor is no longer needed: a deep tree holds none open.
        yield from run
    except OSError as error:
        raise translated(error, folder) from error
