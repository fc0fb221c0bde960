"""How files are read for their digests."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from refstore.backends.local import digests
from refstore.backends.local.digests import BUFFER, FLAGS, LARGE, digest

SIZES = [0, 1, 4096, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER, 2 * BUFFER + 7]


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
def test_files_of_all_sizes_around_that_of_a_read_have_their_digests(tmp_path: Path, algorithm: str) -> None:
    contents = {f"{size:08d}": os.urandom(size) for size in SIZES}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    # Longer ones may leave nothing behind in a buffer that is used again.
    found = [digest(str(tmp_path / name), algorithm, FLAGS) for name in reversed(contents)][::-1]
    assert [one[0] for one in found] == [hashlib.new(algorithm, content).hexdigest() for content in contents.values()]
    some = digests.digests(str(tmp_path), list(contents), algorithm, FLAGS)
    for size, one, other in zip(SIZES, some, found, strict=True):
        assert one[:2] == (other[:2] if size < LARGE else ("large", size))


@pytest.mark.parametrize("more", [1, BUFFER, 2 * BUFFER])
def test_a_file_that_grows_once_while_it_is_read_is_read_again(tmp_path: Path, more: int) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(2 * BUFFER))
    grown: list[bool] = []

    def between_reads() -> bool:
        if not grown:
            grown.append(True)
            with path.open("ab") as file:
                file.write(os.urandom(more))
        return False

    found = digest(str(path), "md5", FLAGS, stopped=between_reads)
    assert found[0] == hashlib.md5(path.read_bytes()).hexdigest()
    assert len(found) == 3
    assert found[1][2] == 2 * BUFFER + more


def test_a_file_that_is_edited_at_its_size_each_time_it_is_read_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(3 * BUFFER))
    times = iter(range(1, 100))

    def between_reads() -> bool:
        with path.open("r+b") as file:
            file.write(b"x")
        os.utime(path, ns=(0, next(times)))
        return False

    assert digest(str(path), "md5", FLAGS, stopped=between_reads) == ("changes", 0)


def test_a_file_that_is_cut_after_the_last_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(2 * BUFFER))
    before = path.stat()

    def between_reads() -> bool:
        if path.stat().st_size > 5:
            os.truncate(path, 5)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return False

    assert digest(str(path), "md5", FLAGS, stopped=between_reads)[0] == hashlib.md5(path.read_bytes()).hexdigest()


def test_a_buffer_begins_where_all_processors_copy_fast(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    digest(str(tmp_path / "a"), "md5", FLAGS)
    for buffer in digests._buffers:
        place = ctypes.addressof(ctypes.c_char.from_buffer(buffer)) % 4096
        assert place >= 32
        assert place % 64 == 0


def test_a_forked_process_has_a_buffer_of_its_own(tmp_path: Path) -> None:
    script = """
import os, sys
from refstore.backends.local import digests
digests.digest(sys.argv[1], "md5", digests.FLAGS)
(buffer,) = digests._buffers
assert buffer[:4] == b"mine"
if not (child := os.fork()):
    digests.digest(sys.argv[2], "md5", digests.FLAGS)
    os._exit(buffer[:4] != b"your")
assert os.waitpid(child, 0)[1] == 0
assert buffer[:4] == b"mine"
"""
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "your").write_bytes(b"your")
    subprocess.run([sys.executable, "-c", script, tmp_path / "mine", tmp_path / "your"], check=True)


def test_a_process_that_hashes_imports_little(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-X", "importtime", digests.__file__]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.decode().splitlines()}
    assert ended.returncode == 0
    assert "hashlib" in imported
    assert not imported & {"typing", "threading", "collections", "functools", "re"}
