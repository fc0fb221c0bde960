"""Large objects in several ranged reads at once: the same bytes, resumed after a kill, refused when they are others."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from refstore.checkout import parts
from refstore.checkout.parts import LARGE, PART, WINDOW
from refstore.checkout.pinned import OVERLAP
from refstore.errors import CheckoutIncomplete
from refstore.manifest.entry import Checksum
from tests.checkout.workshop import Workshop, moved
from tests.servers.faults import FaultProxy
from tests.servers.s3 import S3Server

SIZE = LARGE + 2 * PART + 12_345


@pytest.fixture
def s3(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in seaweed.environment(reader=True, logged=True).items():
        monkeypatch.setenv(name, value)
    return seaweed


@pytest.fixture
def data() -> bytes:
    return os.urandom(1 << 16) * (SIZE >> 16) + os.urandom(SIZE & 0xFFFF)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No read is fast enough to stay alone."""
    monkeypatch.setattr(parts, "FAST", math.inf)


def partial(folder: Path) -> Path | None:
    found = [path for path in folder.glob(".refstore-tmp/*") if not path.name.startswith("case-")]
    return found[0] if found else None


@pytest.mark.usefixtures("slow")
def test_a_large_object_comes_in_ranges_at_once_and_is_proven(s3: S3Server, tmp_path: Path, data: bytes) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "big", data)
    with Workshop(tmp_path) as workshop:
        entries = workshop.entries(f"s3://{bucket}/big")
        mark = s3.mark()
        result = workshop.checkout(entries, jobs=4)
        assert (result.bytes_transferred, result.unverified) == (SIZE, 0)
        assert (workshop.out / "big").read_bytes() == data
        ranges = sorted(request.range for request in s3.requests_since(mark, bucket))
        wanted = ["", *(f"bytes={at}-{min(at + PART, SIZE) - 1}" for at in range(PART, SIZE, PART))]
        assert [text.strip("-") for text in ranges] == sorted(wanted)


@pytest.mark.usefixtures("slow")
def test_with_one_job_all_comes_in_one_read(s3: S3Server, tmp_path: Path, data: bytes) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "big", data)
    with Workshop(tmp_path) as workshop:
        entries = workshop.entries(f"s3://{bucket}/big")
        mark = s3.mark()
        workshop.checkout(entries, jobs=1)
        assert [request.range.strip("-") for request in s3.requests_since(mark, bucket)] == [""]
        assert (workshop.out / "big").read_bytes() == data


def test_a_fast_read_stays_alone_whatever_the_number_of_jobs(
    s3: S3Server, tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FAST", 0)
    bucket = s3.make_bucket()
    s3.put(bucket, "big", data)
    with Workshop(tmp_path) as workshop:
        entries = workshop.entries(f"s3://{bucket}/big")
        mark = s3.mark()
        workshop.checkout(entries, jobs=4)
        assert [request.range.strip("-") for request in s3.requests_since(mark, bucket)] == [""]
        assert (workshop.out / "big").read_bytes() == data


@pytest.mark.usefixtures("slow")
def test_a_multipart_object_in_ranges_is_proven_too(s3: S3Server, tmp_path: Path, data: bytes) -> None:
    bucket = s3.make_bucket()
    s3.put_multipart(bucket, "big", [data[at : at + (12 << 20)] for at in range(0, SIZE, 12 << 20)])
    with Workshop(tmp_path) as workshop:
        assert workshop.checkout(workshop.entries(f"s3://{bucket}/big"), jobs=4).unverified == 0
        assert (workshop.out / "big").read_bytes() == data


@pytest.mark.usefixtures("slow")
def test_wrong_bytes_in_ranges_are_refused(s3: S3Server, tmp_path: Path, data: bytes) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "big", data)
    with Workshop(tmp_path) as workshop:
        (entry,) = workshop.entries(f"s3://{bucket}/big")
        wrong = replace(entry, object=replace(entry.object, checksum=Checksum("sha256", "0" * 64)))
        with pytest.raises(CheckoutIncomplete) as error:
            workshop.checkout([wrong], jobs=4)
        assert [failure.kind for failure in error.value.failures] == ["mismatch"]
        assert not (workshop.out / "big").exists()


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("fault", ["cut", "truncate"])
def test_broken_ranges_are_fetched_again(
    s3: S3Server,
    tmp_path: Path,
    data: bytes,
    monkeypatch: pytest.MonkeyPatch,
    faults: Callable[..., FaultProxy],
    fault: str,
) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "big", data)
    with Workshop(tmp_path / "before") as before:
        entries = before.entries(f"s3://{bucket}/big")
    proxy = faults(s3.url, **{fault: 1}, after=3 << 20, first=5)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    with Workshop(tmp_path) as workshop:
        result = workshop.checkout(moved(entries, proxy.url), jobs=4)
        assert (workshop.out / "big").read_bytes() == data
        assert result.unverified == 0


def test_a_killed_download_in_ranges_goes_on_where_it_was(
    s3: S3Server,
    tmp_path: Path,
    data: bytes,
    monkeypatch: pytest.MonkeyPatch,
    faults: Callable[..., FaultProxy],
) -> None:
    bucket = s3.make_bucket()
    data = data + data
    s3.put(bucket, "big", data)
    with Workshop(tmp_path / "before") as before:
        entries = before.entries(f"s3://{bucket}/big")
    proxy = faults(s3.url, rate=12 << 20)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    entries = moved(entries, proxy.url)
    with Workshop(tmp_path) as workshop:
        child = workshop.start(entries, jobs=4)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            file = partial(workshop.out)
            if file is not None and file.stat().st_size > WINDOW + 2 * PART:
                break
            time.sleep(0.02)
        workshop.interrupt(child, 0, signal.SIGKILL)
        file = partial(workshop.out)
        assert file is not None
        held = file.stat().st_size - WINDOW - OVERLAP
        assert file.read_bytes()[:held] == data[:held]
        proxy.faults = replace(proxy.faults, rate=0)
        result = workshop.checkout(entries, jobs=4)
        assert (workshop.out / "big").read_bytes() == data
        assert result.bytes_transferred <= len(data) - held
