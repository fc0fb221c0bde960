"""The files below a folder, a folder at a time: in the byte order of their paths, with what `stat` says of them."""

# a Path for each of a million names costs more than the calls of the operating system themselves
# ruff: noqa: PTH116

from __future__ import annotations

import os
import stat
from bisect import bisect
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter

from refstore.backends.local.digests import Failed, Found
from refstore.backends.local.left_out import leaves_out
from refstore.backends.local.paths import key_of, shown
from refstore.backends.local.reading import translated
from refstore.backends.notes import Notes
from refstore.errors import SourceUnreadable

RUN = 10_000
"""A folder is read in runs of this many names, so that a million files in one take no more memory than these."""

Key = tuple[int, int, int, int, int]
"""See `digests.key_of`."""

UNKNOWN: Key = (0, 0, 0, 0, 0)
"""The key of a file that nobody looked at yet."""

stat_key = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""The same, for the many."""


@dataclass(slots=True)
class Run:
    """Files of one folder, sorted by name: all of them, or as many as are held at once.

    Attributes:
        folder: Its path, with a slash at its end.
        before: Its path below the one that was asked for, with a slash at its end; "" for that one itself.
        number: Which run of its folder it is, from 0.
        alone: Whether it is the only one.
        names: Of the files.
        keys: What changes when one of them does (`digests.key_of`).
        sums: Their digests in hex, where they are known.
        same: Whether it is known, without them, that they are as the last walk found them.
        unseen: Whether nobody looked at the files, and the keys are `UNKNOWN` until the digests are there.
        racy: Which of them could be edited once more without a change of their keys, by their places.
        awaited: The places of files whose digests are being made, a batch at a time.
        begun: Whether somebody looked for the digests.
        changed: Whether there is something in it that the stat cache lacks.
    """

    folder: str
    before: str
    number: int
    alone: bool
    names: list[str]
    keys: list[Key]
    unseen: bool = False
    sums: list[str | None] = field(default_factory=list)
    racy: set[int] = field(default_factory=set)
    awaited: deque[tuple[list[int], Future[list[Found | Failed]]]] = field(default_factory=deque)
    begun: bool = False
    changed: bool = False
    same: bool = False


Part = tuple[Run, int, int]
"""Some of the files of a run: from the first place up to the second."""


class Walk:
    """The files below a folder; holds nothing but where it stands.

    Args:
        root: The folder.
        symlinks: As the setting of that name.
        notes: Learns what is not taken.
        unseen: Whether to leave it to those who open the files to look at them.
    """

    def __init__(self, root: str, symlinks: str, notes: Notes, *, unseen: bool = False) -> None:
        self._root = root.rstrip("/") + "/"
        self._symlinks = symlinks
        self._notes = notes
        self._unseen = unseen

    def parts(self) -> Iterator[Part]:
        """All files in order. What stands below a folder comes between the files of the folder above.

        A run comes first with none of its files, in the order of the folders.

        The order is lost only in a folder of more than `RUN` names: its runs come first, then what is below.

        Raises:
            SourceMissing, SourceDenied, SourceUnavailable: As the operating system says.
            SourceUnreadable: A link is broken, or refused by the setting.
        """
        cut = len(self._root)
        stack: list[Generator[Part | str, None, None]] = [self._folder(self._root, cut)]
        try:
            while stack:
                item = next(stack[-1], None)
                if item is None:
                    stack.pop()
                elif isinstance(item, str):
                    stack.append(self._folder(item, cut))
                else:
                    yield item
        finally:
            for folder in stack:
                folder.close()

    def _folder(self, folder: str, cut: int) -> Generator[Part | str, None, None]:
        number, below = 0, list[str]()
        try:
            # Relative to a descriptor the system looks up one name for each file, and not the whole path.
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
            try:
                with os.scandir(descriptor) as entries:
                    while found := list(islice(entries, RUN)):
                        run, folders = self._run(found, folder, folder[cut:], number)
                        run.alone = not number and len(found) < RUN
                        below += folders
                        if run.alone:
                            break
                        number += 1
                        yield run, 0, len(run.names)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise translated(error, folder.rstrip("/") or "/") from error
        below.sort()
        if number or not found:
            for name in below:
                yield folder + name
            return
        done = 0
        if run.names:
            yield run, 0, 0
        for name in below:
            place = bisect(run.names, name)
            if place > done:
                yield run, done, place
                done = place
            yield folder + name
        if done < len(run.names):
            yield run, done, len(run.names)

    def _run(self, found: list[os.DirEntry[str]], folder: str, before: str, number: int) -> tuple[Run, list[str]]:
        below: list[str] = []
        files = [entry for entry in found if entry.is_file(follow_symlinks=False)]
        names = [entry.name for entry in files]
        if not "".join(names).isascii():
            for name in names:
                if not name.isascii() and key_of(folder + name).startswith("%"):
                    self._notes.add(NOT_UTF8, shown(folder + name))
        keys = dict.fromkeys(names, UNKNOWN) if self._unseen else self._looked(files, folder)
        others = [] if len(files) == len(found) else sorted(set(found).difference(files), key=attrgetter("name"))
        for entry in others:
            if entry.is_symlink():
                key = self._link(folder + entry.name)
                if key is not None:
                    keys[entry.name] = key
            elif entry.is_dir(follow_symlinks=False):
                if not leaves_out(folder, entry.name, self._notes):
                    below.append(entry.name + "/")
            elif os.path.lexists(folder + entry.name):
                self._notes.add(SPECIAL, shown(folder + entry.name))
        names = sorted(keys)
        return Run(folder, before, number, False, names, list(map(keys.__getitem__, names)), self._unseen), below

    def _looked(self, files: list[os.DirEntry[str]], folder: str) -> dict[str, Key]:
        keys: dict[str, Key] = {}
        for entry in files:
            try:
                keys[entry.name] = stat_key(entry.stat(follow_symlinks=False))
            except OSError as error:
                raise translated(error, folder + entry.name) from error
        return keys

    def _link(self, path: str) -> Key | None:
        if self._symlinks == "error":
            raise SourceUnreadable(
                f"{shown(path)} is a symbolic link, and the setting symlinks = 'error' refuses those."
            )
        if self._symlinks == "skip":
            self._notes.add(_LINK, shown(path))
            return None
        try:
            found = os.stat(path)
        except PermissionError as error:
            raise translated(error, path) from error
        except OSError as error:
            raise SourceUnreadable(
                f"The symbolic link {shown(path)} is broken or leads to itself: remove it, or set symlinks = 'skip'."
            ) from error
        if stat.S_ISREG(found.st_mode):
            return stat_key(found)
        self._notes.add(_FOLDER_LINK if stat.S_ISDIR(found.st_mode) else SPECIAL, shown(path))
        return None


SPECIAL = "Left out, because FIFOs, sockets and devices have no content to record"
NOT_UTF8 = "Recorded with %XX for the bytes of its name that are not UTF-8"
_FOLDER_LINK = "Left out, because links to folders are not walked into"
_LINK = "Left out, because the setting symlinks is 'skip'"
