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
    """Notes each `syncfs` and `fsync` of this process, and each rename."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusal: int = 0) -> None:
        self.calls: list[tuple[str, int]] = []
        self._refusal = refusal
        library = ctypes.CDLL(None, use_errno=True)
        self._syncfs: Callable[[int], int] = library.syncfs
        self._fsync, self._rename = os.fsync, os.rename
        monkeypatch.setattr(ctypes, "CDLL", lambda *words, **options: self)
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "rename", self.rename)

    def syncfs(self, folder: int) -> int:
        self.calls.append(("syncfs", len(os.listdir(folder))))
        if self._refusal:
            ctypes.set_errno(self._refusal)
            return -1
        return self._syncfs(folder)

    def fsync(self, fd: int) -> None:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            self.calls.append(("fsync", os.fstat(fd).st_ino))
        self._fsync(fd)

    def rename(self, *words: Any, **options: Any) -> None:
        self.calls.append(("rename", os.stat(words[0], dir_fd=options["src_dir_fd"]).st_ino))
        self._rename(*words, **options)


def test_each_batch_is_synced_before_its_files_get_their_names(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = workshop.entries(workshop.write(FILES))
    asked = Asked(monkeypatch)
    workshop.checkout(entries, link="copy")
    assert tree(workshop.out) == FILES
    covered = named = 0
    for what, number in asked.calls:
        if what == "syncfs":
            # all that lies there is unnamed, and is on the disk afterwards
            covered = max(covered, named + number)
        else:
            assert what == "rename"
            named += 1
            assert named <= covered
    assert named == len(FILES)
    assert asked.calls[0][0] == "syncfs"


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EIO])
def test_where_syncfs_fails_each_file_is_synced_before_it_gets_its_name(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    entries = workshop.entries(workshop.write(FILES))
    asked = Asked(monkeypatch, refusal)
    workshop.checkout(entries, link="copy")
    assert tree(workshop.out) == FILES
    synced: set[int] = set()
    for what, number in asked.calls:
        if what == "fsync":
            synced.add(number)
        elif what == "rename":
            assert number in synced
    assert sum(what == "rename" for what, _ in asked.calls) == len(FILES)


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
