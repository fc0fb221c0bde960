"""Checkouts of local files: what is written, kept, removed and refused."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from refstore.checkout.result import Failure
from refstore.errors import (
    ArtifactNotFound,
    CheckoutIncomplete,
    DestinationConflict,
    InvalidSetting,
    SourceDenied,
    StorageFull,
    StoreLocked,
    UnsafePath,
)
from refstore.manifest.entry import STORED, Checksum, Entry, Object
from tests.checkout.workshop import LONG_AGO, Workshop, ordered, tree

FILES = {"a.txt": b"alpha", "train/1.bin": b"one" * 5000, "train/deep/2.bin": b"two", "empty": b""}


def failures(error: pytest.ExceptionInfo[CheckoutIncomplete]) -> dict[str, Failure]:
    return {failure.path: failure for failure in error.value.failures}


def test_a_checkout_writes_the_recorded_bytes_with_their_times(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    result = workshop.checkout(entries)
    assert tree(workshop.out) == FILES
    assert (result.written, result.kept, result.removed, result.from_cache, result.unverified) == (4, 0, 0, 0, 0)
    assert result.bytes_transferred == sum(map(len, FILES.values()))
    assert (workshop.out / "a.txt").stat().st_mtime == LONG_AGO
    assert stat.S_IMODE((workshop.out / "a.txt").stat().st_mode) & 0o200


def test_a_second_checkout_transfers_nothing_and_needs_no_source(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    workshop.checkout(entries)
    source.rename(workshop.root / "elsewhere")

    def seen() -> dict[Path, tuple[int, int, int]]:
        # without the time of access, which looking at a folder changes
        found = {path: path.stat() for path in workshop.out.rglob("*")}
        return {path: (each.st_ino, each.st_size, each.st_mtime_ns) for path, each in found.items()}

    before = seen()
    result = workshop.checkout(entries)
    assert (result.written, result.kept, result.bytes_transferred) == (0, 4, 0)
    assert seen() == before


def test_the_files_of_an_older_version_that_nobody_changed_make_way_with_their_folders(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries)
    (workshop.out / "mine.txt").write_text("not refstore's")
    changed = workshop.write({"a.txt": b"ALPHA"}, "source-2")
    result = workshop.checkout(workshop.entries(changed), label="m:v1")
    assert tree(workshop.out) == {"a.txt": b"ALPHA", "mine.txt": b"not refstore's"}
    assert (result.written, result.removed) == (1, 3)
    assert not (workshop.out / "train").exists()


def test_a_folder_that_was_there_before_stays_when_it_gets_empty(workshop: Workshop) -> None:
    (workshop.out / "train").mkdir(parents=True)
    workshop.checkout(workshop.entries(workshop.write(FILES)))
    workshop.checkout([], label="m:v1")
    assert tree(workshop.out) == {}
    assert (workshop.out / "train").is_dir()
    assert not (workshop.out / "train" / "deep").exists()


def test_the_files_of_another_artifact_in_the_same_folder_stay(workshop: Workshop) -> None:
    workshop.checkout(workshop.entries(workshop.write({"i.png": b"image"}, "images")), label="images:v0")
    workshop.checkout(workshop.entries(workshop.write({"l.csv": b"label"}, "labels")), label="labels:v0")
    workshop.checkout([], label="images:v1")
    assert tree(workshop.out) == {"l.csv": b"label"}


def test_going_back_and_forth_between_versions_ends_in_each_of_them(workshop: Workshop) -> None:
    one = workshop.entries(workshop.write(FILES, "one"))
    other = workshop.entries(workshop.write({"a.txt": b"A", "train": b"now a file", "x/y": b"y"}, "other"))
    for _ in range(2):
        workshop.checkout(one, label="m:v0")
        assert tree(workshop.out) == FILES
        workshop.checkout(other, label="m:v1")
        assert tree(workshop.out) == {"a.txt": b"A", "train": b"now a file", "x/y": b"y"}


def test_the_same_bytes_in_another_version_are_kept_without_a_transfer(workshop: Workshop) -> None:
    workshop.checkout(workshop.entries(workshop.write(FILES, "one")))
    result = workshop.checkout(workshop.entries(workshop.write(FILES, "other")), label="m:v1")
    assert (result.written, result.kept) == (0, 4)


@pytest.mark.parametrize("age", [LONG_AGO, None])
def test_changed_and_foreign_files_are_all_listed_before_anything_is_done(workshop: Workshop, age: int | None) -> None:
    workshop.checkout(workshop.entries(workshop.write(FILES)))
    (workshop.out / "train/1.bin").write_bytes(b"ONE" * 5000)
    (workshop.out / "b.txt").write_bytes(b"foreign")
    if age:
        os.utime(workshop.out / "train/1.bin", (age, age))
    before = tree(workshop.out)
    version = workshop.entries(workshop.write({"a.txt": b"A", "b.txt": b"B", "new": b"n"}, "other"))
    with pytest.raises(DestinationConflict) as error:
        workshop.checkout(version, label="m:v1")
    assert "train/1.bin" in str(error.value)
    assert "b.txt" in str(error.value)
    assert "a.txt" not in str(error.value)
    assert tree(workshop.out) == before
    result = workshop.checkout(version, label="m:v1", force=True)
    assert tree(workshop.out) == {"a.txt": b"A", "b.txt": b"B", "new": b"n"}
    assert result.removed == 3


def test_an_edit_in_the_tick_of_the_write_is_noticed(workshop: Workshop) -> None:
    source = workshop.write({"a.txt": b"alpha"}, age=int(time.time()) + 100)
    entries = workshop.entries(source)
    workshop.checkout(entries)
    written = workshop.out / "a.txt"
    before = written.stat()
    # what an edit in the same tick of the clock would look like: nothing but the content differs
    with workshop.ledger.transaction() as db:
        written.write_bytes(b"omega")
        os.utime(written, ns=(before.st_atime_ns, before.st_mtime_ns))
        db.execute("update files set key = ?", (_key(written),))
    with pytest.raises(DestinationConflict):
        workshop.checkout(entries)


def _key(path: Path) -> str:
    found = path.lstat()
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def test_a_touched_file_is_still_ours(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries)
    (workshop.out / "a.txt").touch()
    assert workshop.checkout(entries).kept == 4


def test_a_file_that_was_deleted_here_comes_back(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries)
    (workshop.out / "a.txt").unlink()
    result = workshop.checkout(entries)
    assert (result.written, result.kept) == (1, 3)
    assert tree(workshop.out) == FILES


def test_without_its_ledger_a_store_takes_over_what_it_can_prove_and_nothing_else(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries)
    with Workshop(workshop.root / "new") as fresh:
        result = fresh.checkout(entries, workshop.out)
        assert (result.written, result.kept) == (0, 4)
        (workshop.out / "a.txt").write_bytes(b"ALPHA")
    with Workshop(workshop.root / "newer") as fresh, pytest.raises(DestinationConflict, match=r"a\.txt"):
        fresh.checkout(entries, workshop.out)


def test_a_glob_takes_only_its_files_and_leaves_the_others_alone(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    workshop.checkout(entries, paths=["train"])
    assert set(tree(workshop.out)) == {"train/1.bin", "train/deep/2.bin"}
    workshop.checkout(entries, paths=["*.txt"])
    assert set(tree(workshop.out)) == {"train/1.bin", "train/deep/2.bin", "a.txt"}
    with pytest.raises(ArtifactNotFound, match="nothing-like-it"):
        workshop.checkout(entries, paths=["nothing-like-it"])


def test_gone_overwritten_and_forbidden_are_told_apart_and_the_rest_is_there(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    (source / "a.txt").unlink()
    (source / "empty").write_bytes(b"no longer")
    (source / "train/1.bin").unlink()
    (source / "train/1.bin").mkdir()
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    found = failures(error)
    assert list(found) == ["a.txt", "empty", "train/1.bin"]
    assert (found["a.txt"].kind, found["a.txt"].found) == ("gone", None)
    assert found["empty"].kind == "overwritten"
    assert found["empty"].found is not None
    assert (found["empty"].recorded.size, found["empty"].found.size) == (0, 9)
    assert found["empty"].uri == f"file://{source}/empty"
    assert found["train/1.bin"].kind == "unreadable"
    assert "1 of 4 files" in str(error.value)
    assert tree(workshop.out) == {"train/deep/2.bin": b"two"}


def test_what_is_gone_may_be_missing_if_the_caller_says_so(workshop: Workshop) -> None:
    old = workshop.entries(workshop.write({"a.txt": b"older"}, "older"))
    workshop.checkout(old)
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    (source / "a.txt").unlink()
    result = workshop.checkout(entries, label="m:v1", allow_missing=True)
    assert [(failure.path, failure.kind) for failure in result.failures] == [("a.txt", "gone")]
    # the older bytes must not stand for those that are gone
    assert set(tree(workshop.out)) == set(FILES) - {"a.txt"}
    (source / "train/1.bin").write_bytes(b"other")
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries, workshop.root / "out-2", allow_missing=True)
    assert failures(error)["train/1.bin"].kind == "overwritten"


def test_bytes_that_changed_behind_a_kept_time_and_size_are_refused(workshop: Workshop) -> None:
    source = workshop.write({"a.txt": b"alpha"})
    entries = workshop.entries(source)
    workshop.write({"a.txt": b"omega"})
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    assert failures(error)["a.txt"].kind == "mismatch"
    assert tree(workshop.out) == {}


def test_an_entry_without_any_proof_is_written_and_counted(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES), checksum=False)
    assert workshop.checkout(entries).unverified == 4
    assert workshop.checkout(entries).kept == 4
    assert tree(workshop.out) == FILES


def test_stored_content_comes_from_the_cache_or_not_at_all(workshop: Workshop) -> None:
    checksum, size = workshop.cache.add_file(workshop.write({"a": b"stored"}) / "a")
    lost = Checksum("md5", "0" * 32)
    entries = [
        Entry("a", Object(STORED, "", "", "", size=size, checksum=checksum)),
        Entry("b", Object(STORED, "", "", "", size=3, checksum=lost)),
    ]
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    assert tree(workshop.out) == {"a": b"stored"}
    assert failures(error)["b"].kind == "gone"
    assert str(lost) in failures(error)["b"].message


def test_content_in_the_cache_is_taken_from_there(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    for name in FILES:
        workshop.cache.add_file(source / name)
        (source / name).unlink()
    result = workshop.checkout(entries)
    assert (result.from_cache, result.bytes_transferred) == (4, 0)
    assert tree(workshop.out) == FILES


def test_cached_content_that_was_edited_is_fetched_again(workshop: Workshop) -> None:
    source = workshop.write({"a": b"alpha"})
    entries = workshop.entries(source)
    checksum, _ = workshop.cache.add_file(source / "a")
    cached = workshop.cache.path(checksum)
    sealed = cached.stat()
    cached.chmod(0o644)
    cached.write_bytes(b"omega")
    # even with its time put back
    os.utime(cached, ns=(sealed.st_atime_ns, sealed.st_mtime_ns))
    result = workshop.checkout(entries, link="copy")
    assert (result.written, result.from_cache) == (1, 0)
    assert tree(workshop.out) == {"a": b"alpha"}
    assert not workshop.cache.has(checksum)


def test_a_file_and_a_folder_of_one_name_are_both_named_and_one_can_be_left_out(workshop: Workshop) -> None:
    first = workshop.entries(workshop.write({"a": b"file"}, "one"))
    second = workshop.entries(workshop.write({"a/b": b"below"}, "two"))
    with pytest.raises(UnsafePath) as error:
        workshop.checkout(ordered(first + second))
    assert "'a'" in str(error.value)
    assert "'a/b'" in str(error.value)
    assert "--path" in str(error.value)
    assert not workshop.out.exists()
    workshop.checkout(ordered(first + second), paths=["a/b"])
    assert tree(workshop.out) == {"a/b": b"below"}


def test_a_folder_of_somebody_elses_is_never_replaced_by_a_file(workshop: Workshop) -> None:
    (workshop.out / "a.txt").mkdir(parents=True)
    (workshop.out / "a.txt" / "mine").write_text("precious")
    for force in (False, True):
        with pytest.raises(DestinationConflict, match=r"a\.txt/mine"):
            workshop.checkout(workshop.entries(workshop.write(FILES)), force=force)
    assert tree(workshop.out) == {"a.txt/mine": b"precious"}


def test_a_file_in_the_place_of_a_folder_needs_force(workshop: Workshop) -> None:
    workshop.out.mkdir()
    (workshop.out / "train").write_text("mine")
    entries = workshop.entries(workshop.write(FILES))
    with pytest.raises(DestinationConflict, match="train"):
        workshop.checkout(entries)
    assert tree(workshop.out) == {"train": b"mine"}
    workshop.checkout(entries, force=True)
    assert tree(workshop.out) == FILES


def test_a_destination_that_is_a_file_is_refused(workshop: Workshop) -> None:
    workshop.out.write_text("a file")
    with pytest.raises(DestinationConflict, match="is a file"):
        workshop.checkout(workshop.entries(workshop.write(FILES)))


def test_two_checkouts_into_one_folder_exclude_each_other(workshop: Workshop) -> None:
    from refstore.checkout.destination import Destination

    entries = workshop.entries(workshop.write(FILES))
    with Destination(workshop.out, workshop.root), pytest.raises(StoreLocked, match="Another checkout"):
        workshop.checkout(entries)
    assert workshop.checkout(entries).written == 4


def test_what_cannot_fit_is_refused_before_the_first_byte(workshop: Workshop) -> None:
    entries = workshop.entries(workshop.write(FILES))
    huge = [replace(entry, object=replace(entry.object, size=1 << 52)) for entry in entries]
    with pytest.raises(StorageFull, match="Nothing was transferred"):
        workshop.checkout(huge)
    assert not workshop.out.exists()


def test_the_sources_themselves_are_never_taken_over_replaced_or_removed(workshop: Workshop) -> None:
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    assert workshop.checkout(entries, source).kept == 4
    workshop.checkout([], source, label="m:v1", force=True)
    assert tree(source) == FILES
    workshop.cache.add_file(source / "a.txt")
    (source / "a.txt").write_bytes(b"edited by its owner")
    for force in (False, True):
        with pytest.raises(DestinationConflict, match=r"a\.txt"):
            workshop.checkout(entries, source, force=force)
    assert (source / "a.txt").read_bytes() == b"edited by its owner"


def test_the_store_itself_is_no_destination(workshop: Workshop) -> None:
    with pytest.raises(UnsafePath, match="inside the store"):
        workshop.checkout(workshop.entries(workshop.write(FILES)), workshop.cache.root / "md5")


def test_odd_paths_are_escaped_and_stay_inside(workshop: Workshop) -> None:
    obj = workshop.entries(workshop.write({"f": b"bytes"}))[0].object
    paths = ["../up", "/abs", ".git/hooks/post-checkout", "dd//x", "folder/", "p%20#?&", "s p", "x" * 300]
    result = workshop.checkout(ordered([Entry(path, obj) for path in paths]))
    assert result.escaped == 6
    assert set(tree(workshop.out)) == {
        "%_%2E%2E/up",
        "%_/abs",
        "%_%2Egit/hooks/post-checkout",
        "dd/%_/x",
        "folder/%_",
        "p%20#?&",
        "s p",
        "%+" + "x" * 253 + "/%_" + "x" * 47,
    }
    assert {path.name for path in workshop.root.iterdir()} == {"source", "store", "out"}
    workshop.checkout([], label="m:v1")
    assert tree(workshop.out) == {}


def test_an_unreadable_source_is_denied_for_an_ordinary_user(workshop: Workshop) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    source = workshop.write(FILES)
    entries = workshop.entries(source)
    (source / "a.txt").chmod(0)
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    assert failures(error)["a.txt"].kind == "denied"
    assert SourceDenied.exit_code == 5


def test_an_unknown_kind_of_link_is_a_usage_error(workshop: Workshop) -> None:
    with pytest.raises(InvalidSetting, match="reflink"):
        workshop.checkout([], link="junction")


def test_progress_adds_up(workshop: Workshop) -> None:
    class Bar:
        objects = size = 0
        totals = (0, 0)

        def total(self, objects: int, size: int, /) -> None:
            self.totals = (objects, size)

        def advance(self, objects: int, size: int, /) -> None:
            self.objects += objects
            self.size += size

    bar = Bar()
    workshop.checkout(workshop.entries(workshop.write(FILES)), progress=bar)
    assert bar.totals == (bar.objects, bar.size) == (4, sum(map(len, FILES.values())))


def test_a_thousand_and_more_entries_cross_pages_and_batches(workshop: Workshop) -> None:
    files = {f"d{n % 7}/{n:05}": str(n).encode() for n in range(2300)}
    entries = workshop.entries(workshop.write(files))
    assert workshop.checkout(entries).written == 2300
    assert tree(workshop.out) == files
    half = entries[::2]
    result = workshop.checkout(half, label="m:v1")
    assert (result.kept, result.removed) == (1150, 1150)
    assert set(tree(workshop.out)) == {entry.path for entry in half}
