"""Folders below one that is open, each opened from the one above it, and kept open for a while.

No symbolic link is ever followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import OrderedDict

_OPEN_FOLDERS = 64
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Blocked(Exception):
    """On the way to a file there is something that is no folder.

    Attributes:
        local: What is in the way, below the destination.
        link: Whether it is a symbolic link.
    """

    def __init__(self, local: str, link: bool) -> None:
        super().__init__(local)
        self.local = local
        self.link = link


class OpenFolders:
    """The folders that were used last. One thread uses it.

    Attributes:
        touched: Where names were given or taken away since somebody last cleared it.

    Args:
        root: The open folder that all are below; it is not closed here.
    """

    def __init__(self, root: int) -> None:
        self.touched: set[str] = set()
        self._root = root
        self._folders: OrderedDict[str, int] = OrderedDict()

    def get(self, local: str, make: bool = False) -> int | None:
        """An open folder; None if it isn't there. It stays open for a while, and is not the caller's to close.

        Args:
            local: Its path below the first one.
            make: Whether to make it where it is missing, and those above it.

        Raises:
            Blocked: Something on the way, or itself, is no folder.
            OSError: The system refuses.
        """
        if not local:
            return self._root
        if (fd := self._folders.get(local)) is not None:
            self._folders.move_to_end(local)
            return fd
        above, _, name = local.rpartition("/")
        up = self.get(above, make)
        if up is None:
            return None
        try:
            fd = os.open(name, FOLDER, dir_fd=up)
        except FileNotFoundError:
            if not make:
                return None
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=up)
            self.touched.add(above)
            fd = os.open(name, FOLDER, dir_fd=up)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            found = os.stat(name, dir_fd=up, follow_symlinks=False)
            raise Blocked(local, stat.S_ISLNK(found.st_mode)) from None
        self._folders[local] = fd
        if len(self._folders) > _OPEN_FOLDERS:
            os.close(self._folders.popitem(last=False)[1])
        return fd

    def let_go(self, local: str) -> None:
        """Close a folder, and those below it."""
        for known in [known for known in self._folders if known == local or known.startswith(local + "/")]:
            os.close(self._folders.pop(known))

    def close(self) -> None:
        """Close all but the first."""
        for fd in self._folders.values():
            os.close(fd)
        self._folders.clear()
