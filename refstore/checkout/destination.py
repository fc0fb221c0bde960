"""The folder that a checkout writes to, and the only code that touches what is in it.

No symbolic link inside the destination is ever followed: each folder on the way to a file is opened from the one above
it with `O_NOFOLLOW`, and files are named relative to their open folder. So a link that somebody plants there, even
while a checkout runs, can't lead outside.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from refstore.checkout.disk import storage_error, sync_descriptor, write_all, writing
from refstore.checkout.open_folders import FOLDER, Blocked, OpenFolders
from refstore.errors import DestinationConflict, StoreLocked, UnsafePath

TEMPORARY = ".refstore-tmp"
"""The folder inside the destination for what is not complete. No entry's local path can begin with it."""


class Destination:
    """An open destination, locked for one checkout at a time. Paths are local paths (see `paths.local_path`).

    Args:
        path: The folder; made if it isn't there. It may itself be a symbolic link.
        locks: Where to put a lock file if the destination's file system can't lock folders (NFS).

    Raises:
        DestinationConflict: There is a file of that name.
        StoreLocked: Another checkout writes there.
    """

    def __init__(self, path: Path, locks: Path) -> None:
        self.path = path
        self._made = not path.exists()
        with writing(path):
            try:
                path.mkdir(parents=True, exist_ok=True)
                self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except (FileExistsError, NotADirectoryError):
                raise DestinationConflict(
                    f"{path} is a file, and a checkout needs a folder: give another DEST."
                ) from None
        self._folders = OpenFolders(self._root)
        self._lock_file = -1
        try:
            self._lock(locks)
            self._temporary = self._open_temporary()
        except BaseException:
            os.close(self._root)
            raise

    def _lock(self, locks: Path) -> None:
        try:
            try:
                fcntl.flock(self._root, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError:
                # NFS locks a file only when it is open for writing, which a folder can't be
                name = hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:32]
                self._lock_file = os.open(locks / f"checkout-{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreLocked(
                f"Another checkout is writing to {self.path}: wait for it, or give another DEST."
            ) from None

    def _open_temporary(self) -> int:
        with writing(self.path):
            with contextlib.suppress(FileExistsError):
                os.mkdir(TEMPORARY, 0o700, dir_fd=self._root)
            try:
                return os.open(TEMPORARY, FOLDER, dir_fd=self._root)
            except NotADirectoryError:
                raise UnsafePath(
                    f"{self.path / TEMPORARY} is not a folder, and refstore needs one there: remove it."
                ) from None

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folders.close()
        with contextlib.suppress(OSError):
            os.rmdir(TEMPORARY, dir_fd=self._root)
        os.close(self._temporary)
        if self._made:
            # only if the checkout came to nothing
            with contextlib.suppress(OSError):
                self.path.rmdir()
        os.close(self._root)
        if self._lock_file >= 0:
            os.close(self._lock_file)

    @property
    def is_new(self) -> bool:
        """Whether it was not there before."""
        return self._made

    @property
    def temporary(self) -> int:
        """The open folder for temporary files, on the destination's file system."""
        return self._temporary

    @property
    def temporary_path(self) -> Path:
        """Where that folder is."""
        return self.path / TEMPORARY

    def folder(self, local: str) -> int | None:
        """A folder, open until the next one is asked for; None if it isn't there.

        Raises:
            Blocked: Something on the way, or itself, is no folder.
        """
        with writing(self.path / local):
            return self._folders.get(local)

    def missing_folders(self, local: str) -> list[str]:
        """The folders on the way to a file that would have to be made, outermost first."""
        missing: list[str] = []
        folder = local.rpartition("/")[0]
        while folder:
            try:
                if self._folders.get(folder) is not None:
                    break
            except Blocked:
                # what is in the way goes first, and then it is missing
                pass
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        return missing[::-1]

    def stat(self, local: str) -> os.stat_result | None:
        """What is at a path (`lstat`); None if nothing is.

        Raises:
            Blocked: Something on the way is no folder.
        """
        above, _, name = local.rpartition("/")
        try:
            fd = self._folders.get(above)
            return None if fd is None else os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, self.path / local) from error

    def read(self, local: str) -> int:
        """A regular file, open for reading.

        Raises:
            OSError: It can't be opened, or is a symbolic link.
        """
        above, _, name = local.rpartition("/")
        fd = self._folders.get(above)
        if fd is None:
            raise FileNotFoundError(errno.ENOENT, "no such folder", above)
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)

    def link_target(self, local: str) -> str:
        """Where a symbolic link points; "" if it is none."""
        above, _, name = local.rpartition("/")
        fd = self._folders.get(above)
        if fd is None:
            return ""
        try:
            return os.readlink(name, dir_fd=fd)
        except OSError:
            return ""

    def files_below(self, local: str) -> Iterator[str]:
        """All that is below a folder and is no folder itself."""
        fd = self._folders.get(local)
        if fd is None:
            return
        with os.scandir(fd) as items:
            found = [(item.name, item.is_dir(follow_symlinks=False)) for item in items]
        for name, is_folder in found:
            if is_folder:
                yield from self.files_below(f"{local}/{name}")
            else:
                yield f"{local}/{name}"

    def remove_empty_folders(self, local: str) -> None:
        """Remove a folder if nothing but folders is below it."""
        fd = self._folders.get(local)
        if fd is None:
            return
        with os.scandir(fd) as items:
            below = [item.name for item in items if item.is_dir(follow_symlinks=False)]
        for name in below:
            self.remove_empty_folders(f"{local}/{name}")
        self.remove_folder(local)

    def place(self, temporary: str, local: str) -> os.stat_result:
        """Give a finished temporary file its name, in the place of what is there.

        Returns:
            What is there now (`lstat`).

        Raises:
            Blocked: Something on the way is no folder.
            OSError: The system refuses.
        """
        above, _, name = local.rpartition("/")
        fd = self._folders.get(above, make=True)
        assert fd is not None
        try:
            os.rename(temporary, name, src_dir_fd=self._temporary, dst_dir_fd=fd)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._carry_over(temporary, name, fd)
        self._folders.touched.add(above)
        return os.stat(name, dir_fd=fd, follow_symlinks=False)

    def _carry_over(self, temporary: str, name: str, fd: int) -> None:
        """The same where another file system is mounted inside the destination: a copy beside it, and then a rename."""
        beside = f".refstore-{uuid.uuid4().hex}"
        try:
            found = os.stat(temporary, dir_fd=self._temporary, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                os.symlink(os.readlink(temporary, dir_fd=self._temporary), beside, dir_fd=fd)
            else:
                source = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._temporary)
                target = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(found.st_mode), dir_fd=fd)
                try:
                    while piece := os.read(source, 1 << 20):
                        write_all(target, piece)
                    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
                    os.fsync(target)
                finally:
                    os.close(source)
                    os.close(target)
            os.rename(beside, name, src_dir_fd=fd, dst_dir_fd=fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=fd)
            raise
        os.unlink(temporary, dir_fd=self._temporary)

    def remove(self, local: str) -> None:
        """Remove a file. Behind anything that is no folder there is none."""
        above, _, name = local.rpartition("/")
        try:
            fd = self._folders.get(above)
        except Blocked:
            return
        if fd is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
            self._folders.touched.add(above)

    def remove_folder(self, local: str) -> bool:
        """Remove a folder if it is empty; whether it is gone."""
        above, _, name = local.rpartition("/")
        self._folders.let_go(local)
        fd = self._folders.get(above)
        if fd is None:
            return True
        try:
            os.rmdir(name, dir_fd=fd)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        self._folders.touched.discard(local)
        self._folders.touched.add(above)
        return True

    def sync(self) -> None:
        """Make all names that were given or taken away survive a loss of power."""
        for local in sorted(self._folders.touched):
            with contextlib.suppress(Blocked):
                fd = self._folders.get(local)
                if fd is not None:
                    sync_descriptor(fd)
        self._folders.touched.clear()

    def has_temporary(self, name: str) -> bool:
        """Whether a temporary file is there."""
        try:
            os.stat(name, dir_fd=self._temporary, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def temporary_bytes(self) -> int:
        """How much the temporary files take."""
        with os.scandir(self._temporary) as items:
            return sum(item.stat(follow_symlinks=False).st_size for item in items)

    def clear_temporary(self) -> None:
        """Remove all temporary files."""
        with os.scandir(self._temporary) as items:
            names = [item.name for item in items]
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._temporary)

    def ignores_case(self) -> bool:
        """Whether the file system takes `A` and `a` for one name. Tries it out."""
        name = f"case-{uuid.uuid4().hex}"
        with writing(self.path):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=self._temporary))
            try:
                os.stat(name.upper(), dir_fd=self._temporary)
            except FileNotFoundError:
                return False
            finally:
                os.unlink(name, dir_fd=self._temporary)
        return True

    def free_bytes(self) -> int:
        """How much an ordinary user may still write there."""
        found = os.fstatvfs(self._root)
        return found.f_bavail * found.f_frsize
