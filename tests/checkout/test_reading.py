"""`open_entry`: a file object on the pinned bytes."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path

import pytest

from refstore.checkout.reader import open_entry
from refstore.errors import ChecksumMismatch, SourceChanged, SourceMissing
from refstore.manifest.entry import STORED, Checksum, Entry, Object
from tests.checkout.workshop import Workshop
from tests.servers.nginx import Nginx
from tests.servers.s3 import S3Server

DATA = random.Random(3).randbytes(9 << 20)


@pytest.fixture
def s3(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in seaweed.environment(reader=True, logged=True).items():
        monkeypatch.setenv(name, value)
    return seaweed


def test_small_reads_in_sequence_cost_few_requests_and_give_the_old_version(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "big", DATA)
    with Workshop(tmp_path) as workshop:
        (entry,) = workshop.entries(f"s3://{bucket}/big")
        s3.put(bucket, "big", b"newer")
        mark = s3.mark()
        with open_entry(entry, workshop.backends, workshop.cache) as file:
            assert b"".join(iter(lambda: file.read(10_000), b"")) == DATA
        assert s3.operations_since(mark, bucket) == {"GetObject": 2}


def test_seeking_reads_only_what_is_asked_for(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "big", DATA)
    with Workshop(tmp_path) as workshop:
        (entry,) = workshop.entries(f"s3://{bucket}/big")
        with open_entry(entry, workshop.backends, workshop.cache) as file:
            draw = random.Random(5)
            for _ in range(12):
                start, length = draw.randrange(len(DATA)), draw.randrange(70_000)
                assert file.seek(start) == start
                assert file.read(length) == DATA[start : start + length]
            assert file.seek(-4, io.SEEK_END) == len(DATA) - 4
            assert file.read() == DATA[-4:]
            assert file.read() == b""
            file.seek(len(DATA) + 5)
            assert file.read(1) == b""
            with pytest.raises(ValueError, match="offset"):
                file.seek(-1)


def test_a_zip_in_a_bucket_can_be_read_in_place(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.make_bucket()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for n in range(20):
            archive.writestr(f"{n}.txt", os.urandom(1000) + str(n).encode())
    s3.put(bucket, "a.zip", made.getvalue())
    with Workshop(tmp_path) as workshop:
        (entry,) = workshop.entries(f"s3://{bucket}/a.zip")
        with (
            open_entry(entry, workshop.backends, workshop.cache) as file,
            zipfile.ZipFile(file) as archive,
        ):
            assert archive.read("7.txt").endswith(b"7")
            assert archive.testzip() is None


def test_an_unversioned_object_that_changes_between_two_ranges_is_refused(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put(bucket, "big", DATA)
    with Workshop(tmp_path) as workshop:
        (entry,) = workshop.entries(f"s3://{bucket}/big")
        with open_entry(entry, workshop.backends, workshop.cache) as file:
            file.read(10)
            s3.put(bucket, "big", DATA[::-1])
            file.seek(8 << 20)
            with pytest.raises(SourceChanged):
                file.read(10)


def test_a_local_file_is_proven_before_its_first_byte_and_not_affected_by_later_edits(workshop: Workshop) -> None:
    source = workshop.write({"f": b"alpha" * 1000})
    (entry,) = workshop.entries(source)
    with open_entry(entry, workshop.backends, workshop.cache) as file:
        (source / "f").write_bytes(b"omega" * 1000)
        assert file.read() == b"alpha" * 1000
        file.seek(5)
        assert file.read(5) == b"alpha"
    with pytest.raises(SourceChanged):
        open_entry(entry, workshop.backends, workshop.cache)
    workshop.write({"f": b"omega" * 1000})
    with pytest.raises(ChecksumMismatch):
        open_entry(entry, workshop.backends, workshop.cache)
    assert list((workshop.cache.root / "tmp").iterdir()) == []


def test_a_page_without_an_etag_is_proven_before_its_first_byte(workshop: Workshop, nginx: Nginx) -> None:
    folder = nginx.folder({"page.txt": b"first"})
    (entry,) = workshop.entries(nginx.odd("bare", folder, "page.txt"))
    with open_entry(entry, workshop.backends, workshop.cache) as file:
        assert file.read() == b"first"
    folder.write({"page.txt": b"other"})
    with pytest.raises((ChecksumMismatch, SourceChanged)):
        open_entry(entry, workshop.backends, workshop.cache)


def test_cached_content_needs_no_source(workshop: Workshop) -> None:
    source = workshop.write({"f": b"alpha"})
    (entry,) = workshop.entries(source)
    workshop.cache.add_file(source / "f")
    (source / "f").unlink()
    with open_entry(entry, workshop.backends, workshop.cache) as file:
        assert file.read() == b"alpha"


def test_stored_content_that_is_not_here_is_said_so(workshop: Workshop) -> None:
    entry = Entry("f", Object(STORED, "", "", "", size=1, checksum=Checksum("md5", "0" * 32)))
    with pytest.raises(SourceMissing, match="cache"):
        open_entry(entry, workshop.backends, workshop.cache)


def test_an_empty_object_is_an_empty_file(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "empty", b"")
    with Workshop(tmp_path) as workshop:
        (entry,) = workshop.entries(f"s3://{bucket}/empty")
        with open_entry(entry, workshop.backends, workshop.cache) as file:
            assert file.read() == b""


def test_a_gone_object_shows_when_it_is_opened(tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put(bucket, "k", b"data")
    with Workshop(tmp_path) as workshop:
        (entry,) = workshop.entries(f"s3://{bucket}/k")
        s3.delete(bucket, "k")
        with pytest.raises(SourceMissing):
            open_entry(entry, workshop.backends, workshop.cache)
