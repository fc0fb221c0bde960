"""The kinds of link between the cache and a destination, on file systems that can and can't make them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refstore.checkout.links import can_clone
from refstore.errors import DestinationConflict, LinkError
from refstore.manifest.entry import Checksum
from tests.checkout.workshop import Workshop, tree

FILES = {"a": b"alpha", "b/c": b"gamma" * 9000, "b/d": b"alpha"}


@pytest.fixture
def cloning(tmp_path: Path, mount: Callable[..., Path]) -> Iterator[Workshop]:
    """A workshop on a file system that can clone files."""
    mkfs = shutil.which("mkfs.xfs", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if mkfs is None:
        pytest.skip("no mkfs.xfs here")
    image = tmp_path / "xfs"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run([mkfs, "-q", "-m", "reflink=1", image], check=True)
    with Workshop(mount("xfs", "loop", str(image))) as shop:
        yield shop


def test_hard_links_share_one_read_only_file(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    result = workshop.checkout(entries, link="hardlink")
    assert result.written == 3
    assert tree(workshop.out) == FILES
    assert (workshop.out / "a").samefile(workshop.out / "b/d")
    assert (workshop.out / "a").stat().st_mode & 0o777 == 0o444
    assert workshop.checkout(entries, link="hardlink").kept == 3
    again = workshop.checkout(entries, workshop.root / "out-2", link="hardlink")
    assert (again.from_cache, again.bytes_transferred) == (3, 0)
    assert workshop.checkout(entries).kept == 3


def test_symbolic_links_point_into_the_cache(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries, link="symlink")
    assert (workshop.out / "a").readlink().is_relative_to(workshop.cache.root.absolute())
    assert tree(workshop.out) == FILES
    assert workshop.checkout(entries, link="symlink").kept == 3
    assert {checksum.value for checksum in workshop.ledger.linked()} == {
        entry.object.checksum.value for entry in entries if entry.object.checksum
    }


def test_symbolic_links_whose_content_left_the_cache_are_made_again(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries, link="symlink")
    assert len(list(workshop.cache.remove_unreferenced(set()))) == 2
    assert workshop.checkout(entries, link="symlink").written == 3
    assert tree(workshop.out) == FILES
    list(workshop.cache.remove_unreferenced(set(workshop.ledger.linked())))
    assert tree(workshop.out) == FILES


def test_an_edit_through_a_hard_link_is_noticed_here_and_not_served_elsewhere(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries, link="hardlink")
    (workshop.out / "a").chmod(0o644)
    (workshop.out / "a").write_bytes(b"ALPHA")
    with pytest.raises(DestinationConflict, match="a"):
        workshop.checkout(entries, link="hardlink")
    result = workshop.checkout(entries, workshop.root / "out-2", link="hardlink", jobs=1)
    assert tree(workshop.root / "out-2") == FILES
    assert result.from_cache == 2  # b/c, and the second of the two that share one content
    assert [path.name[:3] for path in (workshop.cache.root / "damaged").iterdir()] == ["md5"]


def test_a_kind_that_is_impossible_between_two_file_systems_is_refused_first(
    workshop: Workshop, mount: Callable[..., Path]
) -> None:
    entries = workshop.entries(workshop.write(FILES))
    other = mount("tmpfs", "size=4m") / "out"
    for link in ("hardlink", "reflink"):
        with pytest.raises(LinkError, match="different file systems"):
            workshop.checkout(entries, other, link=link)
        assert not other.exists()
    workshop.checkout(entries, other, link="symlink")
    assert tree(other) == FILES
    workshop.checkout(entries, other.with_name("copies"), link="copy")
    assert tree(other.with_name("copies")) == FILES


def test_without_clones_auto_keeps_nothing_twice(workshop: Workshop) -> None:
    if can_clone(workshop.root, workshop.root):
        pytest.skip("files can be cloned here")
    workshop.checkout(workshop.entries(workshop.write(FILES)))
    assert list(workshop.cache) == []


def test_where_files_can_be_cloned_auto_keeps_a_clone(cloning: Workshop) -> None:
    cloning.cache.make()
    entries = cloning.entries(cloning.write(FILES))
    cloning.checkout(entries)
    assert cloning.cache.usage().files == 2
    shutil.rmtree(cloning.root / "source")
    again = cloning.checkout(entries, cloning.root / "out-2")
    assert (again.from_cache, again.bytes_transferred) == (3, 0)
    assert tree(cloning.root / "out-2") == FILES
    (cloning.out / "a").write_bytes(b"mine")
    assert cloning.cache.verify(Checksum("md5", "2c1743a391305fbf367df8e4f069f9f9"))


def test_clones_are_made_on_demand_and_are_independent(cloning: Workshop) -> None:
    entries = cloning.entries(cloning.write(FILES))
    cloning.checkout(entries, link="reflink")
    assert tree(cloning.out) == FILES
    (cloning.out / "a").write_bytes(b"mine")
    cloning.checkout(entries, cloning.root / "out-2", link="reflink")
    assert tree(cloning.root / "out-2") == FILES


def test_putting_a_file_where_files_can_be_cloned_takes_no_space(cloning: Workshop) -> None:
    source = cloning.write({"big": os.urandom(20 << 20)})
    os.sync()
    before = os.statvfs(cloning.root).f_bavail
    cloning.cache.add_file(source / "big")
    os.sync()
    assert (before - os.statvfs(cloning.root).f_bavail) * os.statvfs(cloning.root).f_frsize < 5 << 20
