"""`status` and `verify`: the sources now against what was recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from refstore.backends.sources import Choice
from refstore.backends.sources import sources as located
from refstore.checkout.compare import Likeness, compare
from refstore.checkout.status import status
from refstore.checkout.verify import verify
from refstore.manifest.entry import STORED, Checksum, Entry, Object
from tests.checkout.workshop import Workshop
from tests.servers.nginx import Nginx
from tests.servers.s3 import S3Server

FILES = {"a.txt": b"alpha", "sub/b": b"beta", "sub/c": b"gamma", "d": b"delta"}


@pytest.fixture
def s3(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in seaweed.environment(reader=True, logged=True).items():
        monkeypatch.setenv(name, value)
    return seaweed


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path) as shop:
        yield shop


def states(workshop: Workshop, entries: list[Entry], *sources: object) -> dict[str, str]:
    return {
        drift.path: drift.state
        for drift in status(entries, located(workshop.backends, [str(s) for s in sources], Choice()), workshop.backends)
    }


def verified(workshop: Workshop, entries: list[Entry], *, bytes: bool = False) -> dict[str, str]:
    return {found.path: found.state for found in verify(entries, workshop.backends, workshop.cache, bytes=bytes)}


def test_a_folder_that_drifted_is_told_file_by_file(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    assert set(states(workshop, entries, source).values()) == {"unchanged"}
    (source / "a.txt").write_bytes(b"longer than before")
    (source / "d").unlink()
    (source / "sub/b").touch()
    (source / "sub/c").write_bytes(b"GAMMA")
    workshop.write({"new": b"n"})
    drifts = list(status(entries, located(workshop.backends, [str(source)], Choice()), workshop.backends))
    assert {drift.path: drift.state for drift in drifts} == {
        "a.txt": "changed",
        "d": "gone",
        "new": "added",
        "sub/b": "unchanged",
        "sub/c": "changed",
    }
    gone = next(drift for drift in drifts if drift.state == "gone")
    assert gone.found is None
    assert gone.to_json()["recorded"]["size"] == 5


def test_a_source_that_is_gone_altogether_is_drift_and_no_error(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    source.rename(workshop.root / "moved")
    assert set(states(workshop, entries, source).values()) == {"gone"}


def test_files_outside_of_every_listed_source_are_looked_at_one_by_one(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    (source / "d").unlink()
    found = states(workshop, entries, source / "sub")
    assert found == {"a.txt": "unchanged", "d": "gone", "sub/b": "unchanged", "sub/c": "unchanged"}


def test_what_nothing_pins_is_called_so_until_it_looks_different(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source, checksum=False)
    assert set(states(workshop, entries, source).values()) == {"unpinned"}
    os.utime(source / "d")
    assert states(workshop, entries, source)["d"] == "changed"


def test_stored_content_does_not_drift(workshop: Workshop) -> None:
    entry = Entry("f", Object(STORED, "", "", "", size=1, checksum=Checksum("md5", "0" * 32)))
    assert states(workshop, [entry]) == {"f": "unchanged"}


def test_a_bucket_is_listed_once_and_nothing_is_downloaded(workshop: Workshop, s3: S3Server) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {f"p/{name}": data for name, data in FILES.items()})
    s3.put(bucket, "p2/sibling", b"no part of it")
    entries = workshop.entries(f"s3://{bucket}/p")
    s3.put(bucket, "p/a.txt", b"ALPHA")
    s3.put(bucket, "p/sub/b", FILES["sub/b"])
    s3.delete(bucket, "p/d")
    s3.put(bucket, "p/new", b"n")
    mark = s3.mark()
    found = states(workshop, entries, f"s3://{bucket}/p/")
    assert found == {"a.txt": "changed", "d": "gone", "new": "added", "sub/b": "unchanged", "sub/c": "unchanged"}
    operations = s3.operations_since(mark, bucket)
    assert operations["ListObjectVersions"] == 1
    assert operations["GetObject"] == operations["HeadObject"] == 0


def test_verify_asks_once_for_each_object_or_reads_each(workshop: Workshop, s3: S3Server) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {f"p/{name}": data for name, data in FILES.items()})
    entries = workshop.entries(f"s3://{bucket}/p/")
    s3.put(bucket, "p/a.txt", b"newer")
    version = next(entry.object.version for entry in entries if entry.path == "d")
    s3.delete(bucket, "p/d", version)
    expected = {"a.txt": "ok", "d": "gone", "sub/b": "ok", "sub/c": "ok"}
    mark = s3.mark()
    assert verified(workshop, entries) == expected
    operations = s3.operations_since(mark, bucket)
    assert operations["HeadObject"] == 5  # one more to say what is there in the place of what is gone
    assert operations["GetObject"] == 0
    assert verified(workshop, entries, bytes=True) == expected


def test_verify_finds_overwritten_objects_and_damaged_stored_content(workshop: Workshop, s3: S3Server) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put(bucket, "p/a", b"alpha")
    checksum, size = workshop.cache.add_file(workshop.write({"stored": b"stored"}) / "stored")
    entries = [
        *workshop.entries(f"s3://{bucket}/p/"),
        Entry("stored", Object(STORED, "", "", "", size=size, checksum=checksum)),
    ]
    assert verified(workshop, entries) == verified(workshop, entries, bytes=True) == {"a": "ok", "stored": "ok"}
    s3.put(bucket, "p/a", b"omega")
    before = workshop.cache.path(checksum).stat()
    workshop.cache.path(checksum).chmod(0o644)
    workshop.cache.path(checksum).write_bytes(b"STORED")
    os.utime(workshop.cache.path(checksum), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert verified(workshop, entries) == {"a": "overwritten", "stored": "ok"}
    assert verified(workshop, entries, bytes=True) == {"a": "overwritten", "stored": "mismatch"}


def test_verify_reads_local_files_that_were_touched(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    os.utime(source / "a.txt")
    (source / "d").write_bytes(b"DELTA")
    assert verified(workshop, entries) == {"a.txt": "ok", "d": "overwritten", "sub/b": "ok", "sub/c": "ok"}
    workshop.write({"sub/b": b"BETA"})
    assert verified(workshop, entries)["sub/b"] == "ok"
    assert verified(workshop, entries, bytes=True)["sub/b"] == "mismatch"


def test_a_page_without_etag_and_date_needs_its_bytes_to_be_verified(workshop: Workshop, nginx: Nginx) -> None:
    folder = nginx.folder({"page.txt": b"first"})
    url = nginx.odd("bare", folder, "page.txt")
    entries = workshop.entries(url)
    assert verified(workshop, entries) == {"page.txt": "unproven"}
    assert states(workshop, entries, url) == {"page.txt": "unpinned"}
    assert verified(workshop, entries, bytes=True) == {"page.txt": "ok"}
    folder.write({"page.txt": b"other"})
    assert verified(workshop, entries, bytes=True) == {"page.txt": "mismatch"}


@pytest.mark.parametrize(
    ("recorded", "found", "likeness"),
    [
        ({"size": 1}, {"size": 2}, Likeness.OTHER),
        ({"version": "1", "etag": "a"}, {"version": "2", "etag": "a"}, Likeness.SAME),
        ({"version": "1", "etag": "a"}, {"version": "2", "etag": "b"}, Likeness.OTHER),
        ({"version": "1"}, {"version": "2"}, Likeness.OTHER),
        (
            {"etag": "a", "checksum": Checksum("crc32c", "0")},
            {"etag": "b", "checksum": Checksum("crc32c", "0")},
            Likeness.SAME,
        ),
        ({"checksum": Checksum("md5", "0")}, {"checksum": Checksum("sha256", "0")}, Likeness.UNKNOWN),
        ({"etag": "W/a"}, {"etag": "W/b"}, Likeness.OTHER),
        ({"etag": "W/a", "checksum": Checksum("md5", "0")}, {"etag": "W/b"}, Likeness.UNKNOWN),
        ({"mtime": "2026-01-01T00:00:00.5Z"}, {"mtime": "2026-01-01T00:00:00Z"}, Likeness.SAME),
        ({}, {}, Likeness.UNKNOWN),
    ],
)
def test_like_is_compared_with_like(recorded: dict[str, object], found: dict[str, object], likeness: Likeness) -> None:
    def made(fields: dict[str, object]) -> Object:
        return Object("s3", "", "b", "k", **fields)  # type: ignore[arg-type]

    assert compare(made(recorded), made(found)) is likeness
