from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refstore.checkout.cache import Cache
from refstore.checkout.cache_folder import STALE_SECONDS
from refstore.errors import (
    ChecksumMismatch,
    SourceChanged,
    SourceMissing,
    SourceUnreadable,
    StorageFull,
    UsageError,
)
from refstore.manifest.entry import Checksum

DATA = b"some content" * 1000
MD5 = Checksum("md5", hashlib.md5(DATA).hexdigest())


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def test_content_is_kept_once_read_only_and_under_its_digest(cache: Cache, file: Path) -> None:
    assert cache.add_file(file) == (MD5, len(DATA))
    assert cache.add_file(file) == (MD5, len(DATA))
    path = cache.path(MD5)
    assert path == cache.root / "md5" / MD5.value[:2] / MD5.value[2:]
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o444
    assert cache.usage().files == 1
    assert cache.usage().bytes == len(DATA)
    assert list((cache.root / "tmp").iterdir()) == []
    sha256, _ = cache.add_file(file, "sha256")
    assert sha256 == Checksum("sha256", hashlib.sha256(DATA).hexdigest())


def test_what_is_asked_for_with_another_size_is_not_had(cache: Cache, file: Path) -> None:
    cache.add_file(file)
    assert cache.has(MD5)
    assert cache.has(MD5, len(DATA))
    assert not cache.has(MD5, len(DATA) + 1)
    assert not cache.has(Checksum("md5", "0" * 32))


def test_edited_content_is_quarantined_and_not_served(cache: Cache, file: Path) -> None:
    cache.add_file(file)
    cache.path(MD5).chmod(0o644)
    cache.path(MD5).write_bytes(DATA.upper())
    with pytest.raises(SourceMissing):
        cache.open(MD5)
    assert not cache.has(MD5)
    assert [damaged.read_bytes() for damaged in (cache.root / "damaged").iterdir()] == [DATA.upper()]


def test_touched_content_is_looked_at_and_served(cache: Cache, file: Path) -> None:
    cache.add_file(file)
    os.utime(cache.path(MD5))
    with cache.open(MD5) as opened:
        assert opened.read() == DATA


def test_verify_finds_damage_that_time_and_size_hide(cache: Cache, file: Path) -> None:
    cache.add_file(file)
    path = cache.path(MD5)
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"S" + DATA[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ChecksumMismatch, match="damaged"):
        cache.check(MD5)
    with pytest.raises(SourceMissing):
        cache.check(MD5)


def test_reading_is_remembered_for_those_who_remove_what_is_not_used(cache: Cache, file: Path) -> None:
    cache.add_file(file)
    os.utime(cache.path(MD5), ns=(0, cache.path(MD5).stat().st_mtime_ns))
    assert [item.used for item in cache] == [0.0]
    cache.open(MD5).close()
    assert [item.used > time.time() - 60 for item in cache] == [True]


def test_only_unreferenced_content_and_stale_temporary_files_are_removed(cache: Cache, tmp_path: Path) -> None:
    kept, lost = tmp_path / "kept", tmp_path / "lost"
    kept.write_bytes(b"kept")
    lost.write_bytes(b"lost")
    keep = {cache.add_file(kept)[0]}
    gone, _ = cache.add_file(lost)
    stale, fresh = cache.root / "tmp" / "stale", cache.root / "tmp" / "fresh"
    for path in (stale, fresh):
        path.touch()
    old = time.time() - STALE_SECONDS - 1
    os.utime(stale, (old, old))
    assert [item.checksum for item in cache.remove_unreferenced(keep, dry_run=True)] == [gone]
    assert cache.has(gone)
    assert [item.checksum for item in cache.remove_unreferenced(lambda checksum: checksum in keep)] == [gone]
    assert [item.checksum for item in cache] == list(keep)
    assert [path.name for path in (cache.root / "tmp").iterdir()] == ["fresh"]


def test_many_threads_may_store_the_same_and_other_files_at_once(cache: Cache, tmp_path: Path) -> None:
    for n in range(10):
        (tmp_path / f"{n}").write_bytes(str(n).encode() * 10_000)
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda n: cache.add_file(tmp_path / f"{n % 10}"), range(60)))
    assert len(set(added)) == cache.usage().files == 10
    assert all(cache.verify(checksum) for checksum, _ in added)


def test_a_file_that_never_stops_changing_is_refused(cache: Cache, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (4 << 20))
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as log:
            while not stop.wait(0.0005):
                log.write(b"line\n")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(SourceChanged, match="changes while it is read"):
            cache.add_file(path)
    finally:
        stop.set()
        writer.join()
    assert list((cache.root / "tmp").iterdir()) == []


def test_what_is_no_regular_file_is_never_waited_for(cache: Cache, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(SourceUnreadable):
            cache.add_file(path)
    with pytest.raises(SourceMissing):
        cache.add_file(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["md5:../../../etc/passwd", "..:aabbccdd", "md5:AABBCCDD", "md5:ab", "/etc:aabbccdd"])
def test_a_checksum_from_a_hostile_record_never_leads_out_of_the_cache(cache: Cache, text: str) -> None:
    with pytest.raises(UsageError):
        cache.path(Checksum.parse(text))


def test_a_full_disk_is_said_so_and_leaves_nothing_behind(mount: Callable[..., Path], tmp_path: Path) -> None:
    small = Cache(mount("tmpfs", "size=256k") / "cache")
    big = tmp_path / "big"
    big.write_bytes(b"x" * (1 << 20))
    with pytest.raises(StorageFull, match="no space"):
        small.add_file(big)
    assert list((small.root / "tmp").iterdir()) == []
    assert small.usage().files == 0
