"""Checkouts that are killed, interrupted, or run out of space: the same call again ends as if nothing had been."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from refstore.checkout.destination import Destination
from refstore.checkout.plan import Plan
from refstore.checkout.select import Selection
from refstore.checkout.written import identity
from refstore.errors import StorageFull
from tests.checkout.workshop import Workshop, ordered, tree
from tests.servers.faults import FaultProxy
from tests.servers.nginx import Nginx

FILES = {f"d{n % 5}/{n:04}": os.urandom(2000) for n in range(900)}


def test_kill_9_at_any_moment_leaves_only_whole_files_that_the_next_checkout_calls_its_own(workshop: Workshop) -> None:
    # without checksums: a file that was renamed and not yet settled is ours by its intent alone
    entries = workshop.entries(workshop.write(FILES), checksum=False)
    draw = random.Random(7)
    codes = []
    for _ in range(8):
        child = workshop.start(entries)
        codes.append(workshop.interrupt(child, draw.uniform(0, 0.25), signal.SIGKILL))
        assert tree(workshop.out).items() <= FILES.items()
    assert -signal.SIGKILL in codes
    result = workshop.checkout(entries)
    assert result.written + result.kept == len(FILES)
    assert tree(workshop.out) == FILES
    assert not (workshop.out / ".refstore-tmp").exists()


@pytest.mark.parametrize("link", ["auto", "symlink"])
def test_kill_9_while_one_version_replaces_another_ends_in_either_of_them(workshop: Workshop, link: str) -> None:
    one = workshop.entries(workshop.write(FILES, "one"), checksum=False)
    new = {name: data[::-1] for name, data in FILES.items() if name < "d4"} | {"d9/new": b"new", "d4": b"now a file"}
    other = workshop.entries(workshop.write(new, "other"), checksum=False)
    workshop.checkout(one, link=link)
    draw = random.Random(11)
    for n in range(8):
        child = workshop.start((other, one)[n % 2], label=f"m:v{n % 2}", link=link)
        workshop.interrupt(child, draw.uniform(0, 0.3), signal.SIGKILL)
    workshop.checkout(other, label="m:v1", link=link)
    assert tree(workshop.out) == new
    workshop.checkout(one, label="m:v0", link=link)
    assert tree(workshop.out) == FILES


def test_two_kills_in_a_row_around_one_rename_do_not_make_a_file_nobodys(workshop: Workshop) -> None:
    (first,) = workshop.entries(workshop.write({"f": b"first"}, "one"), checksum=False)
    (second,) = workshop.entries(workshop.write({"f": b"second"}, "two"), checksum=False)
    workshop.checkout([first])
    root = workshop.ledger.root(workshop.out)
    # killed after the rename: what was intended is there, and not settled
    md5 = hashlib.md5(b"second").hexdigest()
    workshop.ledger.intend(root, "m", [(b"f", identity(second.object), md5)], [])
    (workshop.out / "f").write_bytes(b"second")
    # and then, on the way back, killed before the rename
    with (
        Destination(workshop.out, workshop.root) as dest,
        workshop.ledger.staging(Plan.schema) as db,
    ):
        plan = Plan(db, workshop.ledger, dest, workshop.cache, "m", False)
        plan.make([first], Selection(), "m:v0")
        plan.take_over()
        workshop.ledger.intend(root, "m", [(b"f", identity(first.object), hashlib.md5(b"first").hexdigest())], [])
    workshop.checkout([first])
    assert tree(workshop.out) == {"f": b"first"}


def partial_size(folder: Path) -> int:
    size = 0
    for path in folder.glob(".refstore-tmp/*"):
        with contextlib.suppress(FileNotFoundError):
            size = max(size, path.stat().st_size)
    return size


def test_an_interrupt_keeps_what_is_finished_and_goes_on_inside_a_large_file(
    workshop: Workshop, nginx: Nginx, faults: Callable[..., FaultProxy]
) -> None:
    big = os.urandom(24 << 20)
    folder = nginx.folder({"big": big, "small": b"s"})
    slow = faults(nginx.url, rate=16_000_000)
    entries = ordered(
        workshop.entries(f"{slow.url}/-/bare/{folder.name}/small")
        + workshop.entries(nginx.odd("bare", folder, "big"), at=slow.url)
    )
    child = workshop.start(entries)
    while partial_size(workshop.out) < 14 << 20:
        assert child.poll() is None
        time.sleep(0.01)
    assert workshop.interrupt(child, 0, signal.SIGINT) not in (0, -signal.SIGKILL)
    assert tree(workshop.out)["small"] == b"s"
    assert not (workshop.out / "big").exists()
    slow.faults = replace(slow.faults, rate=0)
    result = workshop.checkout(entries)
    assert result.written == 1
    assert result.bytes_transferred < len(big) - (10 << 20)
    assert tree(workshop.out) == {"big": big, "small": b"s"}


def test_a_partial_file_with_wrong_bytes_is_found_out_and_fetched_anew(
    workshop: Workshop, nginx: Nginx, faults: Callable[..., FaultProxy]
) -> None:
    big = os.urandom(12 << 20)
    folder = nginx.folder({"big": big})
    slow = faults(nginx.url, rate=16_000_000)
    entries = workshop.entries(nginx.odd("bare", folder, "big"), at=slow.url)
    child = workshop.start(entries)
    while partial_size(workshop.out) < 9 << 20:
        assert child.poll() is None
        time.sleep(0.01)
    workshop.interrupt(child, 0, signal.SIGKILL)
    for partial in workshop.out.glob(".refstore-tmp/*"):
        partial.write_bytes(b"?" * (9 << 20))
    slow.faults = replace(slow.faults, rate=0)
    result = workshop.checkout(entries)
    assert result.bytes_transferred > len(big)
    assert tree(workshop.out) == {"big": big}


def test_a_full_disk_ends_it_with_one_sentence_and_the_same_call_goes_on_when_there_is_room(
    workshop: Workshop, mount: Callable[..., Path]
) -> None:
    files = {f"{n}": os.urandom(100_000) for n in range(12)}
    entries = workshop.entries(workshop.write(files))
    disk = mount("tmpfs", "size=900k")
    # what the service doesn't tell the size of can't be refused beforehand
    unsized = [replace(entry, object=replace(entry.object, size=None)) for entry in entries]
    with pytest.raises(StorageFull, match="no space is left"):
        workshop.checkout(unsized, disk / "out", jobs=2)
    assert tree(disk / "out").items() <= files.items()
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    result = workshop.checkout(unsized, disk / "out")
    assert result.written + result.kept == 12
    assert tree(disk / "out") == files
