"""Symbolic links at a destination: none of them ever leads a checkout outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from refstore.checkout.destination import Destination
from refstore.checkout.open_folders import Blocked
from refstore.errors import DestinationConflict, UnsafePath
from tests.checkout.workshop import Workshop, tree

FILES = {"sub/file": b"new", "top": b"new"}


@pytest.fixture
def outside(workshop: Workshop) -> Path:
    folder = workshop.root / "outside"
    folder.mkdir()
    (folder / "file").write_bytes(b"precious")
    return folder


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("target", ["outside", "missing", "."])
def test_a_link_on_the_way_to_a_file_is_refused_even_with_force(
    workshop: Workshop, outside: Path, target: str, force: bool
) -> None:
    workshop.out.mkdir()
    (workshop.out / "sub").symlink_to(workshop.root / target)
    with pytest.raises(UnsafePath, match="symbolic link"):
        workshop.checkout(workshop.entries(workshop.write(FILES)), force=force)
    assert tree(outside) == {"file": b"precious"}
    assert not (workshop.out / "top").exists()


def test_a_link_in_the_place_of_a_file_is_a_conflict_and_with_force_it_is_replaced_itself(
    workshop: Workshop, outside: Path
) -> None:
    workshop.out.mkdir()
    (workshop.out / "top").symlink_to(outside / "file")
    entries = workshop.entries(workshop.write(FILES))
    with pytest.raises(DestinationConflict, match="top"):
        workshop.checkout(entries)
    workshop.checkout(entries, force=True)
    assert tree(outside) == {"file": b"precious"}
    assert not (workshop.out / "top").is_symlink()
    assert tree(workshop.out) == FILES


def test_a_link_to_the_right_bytes_is_not_taken_for_the_file(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    workshop.out.mkdir()
    (workshop.out / "top").symlink_to(source / "top")
    with pytest.raises(DestinationConflict, match="top"):
        workshop.checkout(workshop.entries(source))


def test_with_symbolic_links_a_file_can_become_a_folder_and_back(workshop: Workshop) -> None:
    one = workshop.entries(workshop.write({"x/1": b"1", "x/2": b"2"}, "one"))
    other = workshop.entries(workshop.write({"x": b"x"}, "other"))
    for _ in range(2):
        workshop.checkout(one, label="m:v0", link="symlink")
        assert tree(workshop.out) == {"x/1": b"1", "x/2": b"2"}
        workshop.checkout(other, label="m:v1", link="symlink")
        assert tree(workshop.out) == {"x": b"x"}
    workshop.checkout([], label="m:v2")
    assert list(workshop.out.iterdir()) == []


def test_a_folder_that_became_a_link_is_not_removed_from(workshop: Workshop, outside: Path) -> None:
    workshop.checkout(workshop.entries(workshop.write(FILES)))
    (workshop.out / "sub/file").unlink()
    (workshop.out / "sub").rmdir()
    (workshop.out / "sub").symlink_to(outside)
    workshop.checkout([], label="m:v1")
    assert tree(outside) == {"file": b"precious"}


def test_a_link_planted_while_a_checkout_runs_leads_nowhere(workshop: Workshop, outside: Path) -> None:
    workshop.out.mkdir()
    with Destination(workshop.out, workshop.root) as dest:
        (dest.temporary_path / "ready").write_bytes(b"new")
        assert dest.stat("sub/file") is None
        (workshop.out / "sub").symlink_to(outside)
        with pytest.raises(Blocked) as error:
            dest.place("ready", "sub/file")
        assert (error.value.local, error.value.link) == ("sub", True)
        dest.remove("sub/file")
    assert tree(outside) == {"file": b"precious"}


def test_a_planted_temporary_file_is_not_written_through(workshop: Workshop, outside: Path) -> None:
    from refstore.checkout.fetch import _open_partial

    workshop.out.mkdir()
    with Destination(workshop.out, workshop.root) as dest:
        (dest.temporary_path / "link").symlink_to(outside / "file")
        os.link(outside / "file", dest.temporary_path / "hard")
        os.mkfifo(dest.temporary_path / "fifo")
        for name in ("link", "hard", "fifo"):
            fd, empty = _open_partial(name, dest.temporary)
            assert empty
            os.write(fd, b"new")
            os.close(fd)
        dest.clear_temporary()
    assert tree(outside) == {"file": b"precious"}


def test_the_folder_for_temporary_files_may_not_be_a_link(workshop: Workshop, outside: Path) -> None:
    workshop.out.mkdir()
    (workshop.out / ".refstore-tmp").symlink_to(outside)
    with pytest.raises(UnsafePath, match="refstore-tmp"):
        workshop.checkout(workshop.entries(workshop.write(FILES)))


def test_the_destination_itself_may_be_a_link(workshop: Workshop) -> None:
    (workshop.root / "real").mkdir()
    workshop.out.symlink_to(workshop.root / "real")
    workshop.checkout(workshop.entries(workshop.write(FILES)))
    assert tree(workshop.root / "real") == FILES
