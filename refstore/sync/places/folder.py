"""A folder of this machine, or of a disk that is mounted here."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from refstore.backends import Backend, Location
from refstore.backends.local.paths import path_of
from refstore.checkout.disk import PIECE, sync_descriptor, sync_folder, write_all
from refstore.errors import (
    RefstoreError,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
    StorageFull,
)
from refstore.sync.places.place import Place

_TEMPORARY = ".unfinished-"


class Folder(Place):
    """Files appear by fsync and rename. The folder itself is made at the first write, those above it are not."""

    def __init__(self, location: Location, backend: Backend) -> None:
        self.root = Path(path_of(location.key))
        self.url = backend.uri(location)

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        """See `Place.get`."""
        try:
            descriptor = os.open(self.root / key, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            self._refuse_missing()
            return None
        except OSError as error:
            raise self._failure(error, "read") from error
        return self._read(descriptor, start)

    def _read(self, descriptor: int, start: int) -> Iterator[bytes]:
        try:
            os.lseek(descriptor, start, os.SEEK_SET)
            while piece := os.read(descriptor, PIECE):
                yield piece
        except OSError as error:
            raise self._failure(error, "read") from error
        finally:
            os.close(descriptor)

    def put(self, key: str, data: bytes, *, only_new: bool = False) -> bool:
        """See `Place.put`."""
        return self._write(key, lambda: iter((data,)), only_new)

    def put_parts(self, key: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        """See `Place.put_parts`."""
        self._write(key, parts, only_new=False)

    def has(self, key: str) -> bool:
        """See `Place.has`."""
        try:
            (self.root / key).stat()
        except (FileNotFoundError, NotADirectoryError):
            self._refuse_missing()
            return False
        except OSError as error:
            raise self._failure(error, "read") from error
        return True

    def names(self, folder: str) -> Iterator[str]:
        """See `Place.names`."""
        try:
            with os.scandir(self.root / folder) as rows:
                for row in rows:
                    if not row.name.startswith(_TEMPORARY):
                        yield row.name
        except (FileNotFoundError, NotADirectoryError):
            self._refuse_missing()
        except OSError as error:
            raise self._failure(error, "read") from error

    def _write(self, key: str, parts: Callable[[], Iterator[bytes]], only_new: bool) -> bool:
        self._refuse_missing()
        target = self.root / key
        temporary = target.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            self._make(target.parent)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                try:
                    for part in parts():
                        write_all(descriptor, part)
                    sync_descriptor(descriptor)
                finally:
                    os.close(descriptor)
                written = _place_new(temporary, target) if only_new else _place(temporary, target)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
            sync_folder(target.parent)
        except RefstoreError:
            raise
        except OSError as error:
            raise self._failure(error, "write") from error
        return written

    def _make(self, folder: Path) -> None:
        """Make a folder and what is missing above it, from `root` on, so that a loss of power takes none away."""
        missing = []
        while not folder.is_dir() and folder != self.root.parent:
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)

    def _refuse_missing(self) -> None:
        """A folder that is not there can be made; one whose parent is missing too is a disk that is not mounted."""
        if not self.root.parent.is_dir():
            raise SourceMissing(
                f"There is no folder {self.root.parent} for the remote {self.url}: is its disk mounted? If it is to be "
                "there, make it."
            )
        if self.root.exists() and not self.root.is_dir():
            raise SourceMissing(f"The remote {self.url} is no folder: a file has that name.")

    def _failure(self, error: OSError, doing: str) -> RefstoreError:
        if error.errno in (errno.EACCES, errno.EPERM):
            return SourceDenied(f"No permission to {doing} in the remote {self.url}: ask the folder's owner for it.")
        if error.errno == errno.EROFS:
            return SourceDenied(f"The remote {self.url} is on a disk that is mounted read-only.")
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return StorageFull(f"There is no space left in the remote {self.url}; what is finished there is kept.")
        if error.errno in (errno.ENOTDIR, errno.EISDIR):
            return SourceUnreadable(f"The folder {self.url} is not made as a remote is: {error.strerror}.")
        return SourceUnavailable(f"The remote {self.url} can't be used ({error.strerror or error}): is its disk there?")


def _place(temporary: Path, target: Path) -> bool:
    temporary.replace(target)
    return True


def _place_new(temporary: Path, target: Path) -> bool:
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError:
        # Without hard links (exFAT, some shares) two first writers can't be told apart, and both read the file again.
        if target.exists():
            return False
        temporary.replace(target)
    return True
