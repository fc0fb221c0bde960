"""What is finished is on the disk before it gets its name: what a checkout asks of the system, and in which order."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refstore.checkout.disk import sync_files
from tests.checkout.workshop import Workshop, tree

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has syncfs")

FILES = {f"d{n % 3}/{n:03}": b"%d" % n for n in range(300)}


class Asked:
    """Notes each `syncfs`, `fsync` and rename of this process, with the inodes of the files that it is about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusal: int = 0) -> None:
        self.calls: list[tuple[str, set[int]]] = []
        self._refusal = refusal
        library = ctypes.CDLL(None, use_errno=True)
        self._syncfs: Callable[[int], int] = library.syncfs
        self._fsync, self._rename = os.fsync, os.rename
        monkeypatch.setattr(ctypes, "CDLL", lambda *words, **options: self)
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "rename", self.rename)

    def syncfs(self, folder: int) -> int:
        with os.scandir(folder) as there:
            self.calls.append(("syncfs", {entry.inode() for entry in there}))
        if self._refusal:
            ctypes.set_errno(self._refusal)
            return -1
        return self._syncfs(folder)

    def fsync(self, fd: int) -> None:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            self.calls.append(("fsync", {os.fstat(fd).st_ino}))
        self._fsync(fd)

    def rename(self, *words: Any, **options: Any) -> None:
        self.calls.append(("rename", {os.stat(words[0], dir_fd=options["src_dir_fd"]).st_ino}))
        self._rename(*words, **options)

    def renamed_what_was_on_the_disk(self) -> int:
        """How many files were renamed; each of them has to have been synced before."""
        synced: set[int] = set()
        renamed = 0
        for what, files in self.calls:
            if what == "rename":
                assert files <= synced
                renamed += 1
            else:
                synced |= files
        return renamed


def test_each_batch_is_synced_before_its_files_get_their_names(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = workshop.entries(workshop.write(FILES))
    asked = Asked(monkeypatch)
    workshop.checkout(entries, link="copy")
    assert tree(workshop.out) == FILES
    assert asked.renamed_what_was_on_the_disk() == len(FILES)
    assert "syncfs" in {what for what, _ in asked.calls}


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EIO])
def test_where_syncfs_fails_each_file_is_synced_before_it_gets_its_name(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    entries = workshop.entries(workshop.write(FILES))
    asked = Asked(monkeypatch, refusal)
    workshop.checkout(entries, link="copy")
    assert tree(workshop.out) == FILES
    asked.calls = [(what, files) for what, files in asked.calls if what != "syncfs"]
    assert asked.renamed_what_was_on_the_disk() == len(FILES)


def test_what_fsync_says_of_a_file_is_an_error_even_after_a_syncfs_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(n) for n in range(20)]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    Asked(monkeypatch, errno.EIO)

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match="Input/output"):
            sync_files(folder, names)
    finally:
        os.close(folder)
