"""Stored content at remotes: sent and fetched by a push, a pull and a checkout, verified on the way."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import refstore
from refstore.backends import Backends
from refstore.errors import CheckoutIncomplete, ChecksumMismatch, SourceMissing, SourceUnavailable
from refstore.manifest.entry import Checksum
from refstore.store import Store
from refstore.sync.content import bring, push_content
from refstore.sync.stored import StoredRemote
from tests.servers.faults import FaultProxy
from tests.servers.s3 import S3Server

FILES = {"a.bin": b"a" * 1000, "b.bin": b"b" * 2000, "deep/c.bin": b"c" * 3000}


def stored(store: Store, folder: Path, files: dict[str, bytes], name: str = "kept") -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    store.put(folder, name=name)


@pytest.fixture
def share(tmp_path: Path) -> Path:
    return tmp_path / "share"


@pytest.fixture
def ours(tmp_path: Path, share: Path) -> Iterator[Store]:
    """A store with three files in its cache, and a remote that has nothing yet."""
    with refstore.create(tmp_path / "ours") as store:
        store.remotes.add("origin", str(share))
        stored(store, tmp_path / "data", FILES)
        yield store


@pytest.fixture
def theirs(tmp_path: Path, ours: Store) -> Iterator[Store]:
    """A clone, after all was pushed; its cache is empty."""
    ours.remotes.push(content=True)
    with refstore.clone(str(tmp_path / "share"), tmp_path / "theirs") as store:
        yield store


def in_share(share: Path) -> list[Path]:
    return sorted(path for path in (share / "content").rglob("*") if path.is_file())


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_push_sends_what_the_remote_lacks_and_the_next_one_nothing(ours: Store, share: Path) -> None:
    sent = ours.remotes.push(content=True).content
    assert sent
    assert (sent.files, sent.size, sent.missing_count) == (3, 6000, 0)
    again = ours.remotes.push(content=True).content
    assert again
    assert again.files == 0
    assert len(in_share(share)) == 3


def test_without_being_asked_a_push_sends_no_content(ours: Store, share: Path) -> None:
    assert ours.remotes.push().content is None
    assert in_share(share) == []


def test_content_of_removed_versions_is_not_sent(ours: Store, share: Path, tmp_path: Path) -> None:
    stored(ours, tmp_path / "other", {"gone.bin": b"gone"}, "other")
    ours.remove("other:v0", force=True)
    ours.remotes.push(content=True)
    assert len(in_share(share)) == 3


def test_a_checkout_fetches_what_the_cache_lacks_and_says_from_where(theirs: Store, tmp_path: Path) -> None:
    notes: list[str] = []
    theirs.on_note = notes.append
    done = theirs.version("kept").checkout(tmp_path / "out")
    assert read_all(tmp_path / "out") == FILES
    assert done.bytes_transferred == 6000
    assert len(notes) == 1
    assert "3 files came from the remote origin" in notes[0]
    theirs.version("kept").checkout(tmp_path / "again")
    assert len(notes) == 1


def test_one_file_can_be_read_without_a_checkout(theirs: Store) -> None:
    with theirs.version("kept").open("deep/c.bin") as file:
        assert file.read() == FILES["deep/c.bin"]
    assert theirs.cache.usage().files == 1


def test_verify_asks_the_remote_and_fetches_only_to_compare_bytes(theirs: Store) -> None:
    assert [found.state for found in theirs.version("kept").verify()] == ["ok"] * 3
    assert theirs.cache.usage().files == 0
    assert [found.state for found in theirs.version("kept").verify(content=True)] == ["ok"] * 3
    assert theirs.cache.usage().files == 3


def test_a_pull_with_content_fetches_everything(theirs: Store) -> None:
    fetched = theirs.remotes.pull(content=True).content
    assert fetched
    assert (fetched.files, fetched.size) == (3, 6000)
    again = theirs.remotes.pull(content=True).content
    assert again
    assert again.files == 0


def test_content_that_nobody_has_is_named_with_what_to_do(theirs: Store, share: Path, tmp_path: Path) -> None:
    in_share(share)[0].unlink()
    with pytest.raises(CheckoutIncomplete) as raised:
        theirs.version("kept").checkout(tmp_path / "out")
    (failure,) = raised.value.failures
    assert "refstore push --content" in failure.message
    fetched = theirs.remotes.pull(content=True).content
    assert fetched
    assert fetched.missing_count == 1


def test_without_a_remote_the_sentence_says_how_to_add_one(theirs: Store) -> None:
    theirs.remotes.remove("origin")
    with pytest.raises(SourceMissing, match="refstore remote add origin URL"):
        theirs.version("kept").open("a.bin")


def test_a_second_remote_is_asked_where_the_first_one_lacks_it(theirs: Store, share: Path, tmp_path: Path) -> None:
    share.rename(tmp_path / "moved")
    theirs.remotes.add("backup", str(tmp_path / "moved"))
    with theirs.version("kept").open("a.bin") as file:
        assert file.read() == FILES["a.bin"]


def test_content_that_is_something_else_at_the_remote_never_gets_in(theirs: Store, share: Path, tmp_path: Path) -> None:
    for path in in_share(share):
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(CheckoutIncomplete) as raised:
        theirs.version("kept").checkout(tmp_path / "out")
    assert "something else" in raised.value.failures[0].message
    assert read_all(tmp_path / "out") == {}
    assert theirs.cache.usage().files == 0
    with pytest.raises(ChecksumMismatch):
        theirs.remotes.pull(content=True)


def test_damaged_content_is_never_sent(ours: Store, share: Path) -> None:
    checksum = next(iter(ours.cache)).checksum
    path = ours.cache.path(checksum)
    path.chmod(0o644)
    path.write_bytes(b"edited")
    with pytest.raises(ChecksumMismatch, match=checksum.value):
        ours.remotes.push(content=True)
    assert checksum.value[2:] not in {file.name for file in in_share(share)}
    assert not list((share / "packs").glob("*"))


def test_what_is_in_neither_place_does_not_keep_the_rest_back(ours: Store, share: Path) -> None:
    checksum = next(iter(ours.cache)).checksum
    ours.cache.path(checksum).unlink()
    shared = ours.remotes.push(content=True)
    assert shared.content
    assert (shared.content.files, shared.content.missing) == (2, (checksum,))
    assert shared.records.records


def test_an_interrupted_push_sends_no_record_and_the_next_one_only_the_rest(
    ours: Store, share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = StoredRemote.write_content
    calls = []

    def interrupted(self: StoredRemote, checksum: Checksum, path: Path) -> None:
        calls.append(checksum)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(self, checksum, path)

    monkeypatch.setattr(StoredRemote, "write_content", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ours.remotes.push(content=True, jobs=1)
    # The third may have begun before the caller heard of the second.
    arrived = len(in_share(share))
    assert arrived in (1, 2)
    assert not list((share / "packs").glob("*"))
    monkeypatch.setattr(StoredRemote, "write_content", write)
    sent = ours.remotes.push(content=True).content
    assert sent
    assert sent.files == 3 - arrived
    with refstore.clone(str(share), tmp_path / "theirs", content=True) as theirs:
        assert theirs.cache.usage().files == 3


def test_an_interrupt_does_not_wait_for_a_long_file(ours: Store, share: Path, tmp_path: Path) -> None:
    """A file in parts stops at the next part, and nothing of it can be seen."""
    long = tmp_path / "long"
    stored(ours, long, {"long.bin": os.urandom(1 << 20) * 24}, "long")
    remote = ours.remotes.get()[1]
    remote.stop()
    with pytest.raises(SourceUnavailable, match="given up"):
        push_content(map(Checksum.parse, ours.catalog.queries.stored_checksums()), ours.cache, remote)
    assert in_share(share) == []


def test_one_file_that_two_checkouts_want_at_once_is_fetched_once(theirs: Store, share: Path) -> None:
    checksum = Checksum("md5", in_share(share)[0].parent.name + in_share(share)[0].name)
    remote = theirs.remotes.get()[1]
    threads = [threading.Thread(target=bring, args=(theirs.cache, remote, checksum)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert theirs.cache.has(checksum)
    assert list((theirs.cache.root / "tmp").iterdir()) == []


@pytest.fixture
def bucket(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in seaweed.environment(logged=True).items():
        monkeypatch.setenv(name, value)
    return seaweed.make_bucket(versioned=False)


def test_in_a_bucket_the_second_push_costs_no_request_for_each_file(
    seaweed: S3Server, bucket: str, tmp_path: Path
) -> None:
    with refstore.create(tmp_path / "ours") as store:
        store.remotes.add("origin", f"s3://{bucket}/team")
        crowd = {f"{number}.bin": b"%d" % number for number in range(60)}
        stored(store, tmp_path / "data", crowd)
        first = store.remotes.push(content=True)
        assert first.content
        assert first.content.files == 60
        mark = seaweed.mark()
        store.remotes.push(content=True)
        asked = seaweed.operations_since(mark, bucket)
        assert not any("put" in operation.lower() for operation in asked), asked


def test_what_broke_off_goes_on_where_it_stopped(
    seaweed: S3Server, bucket: str, tmp_path: Path, faults: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(6 << 20)
    with refstore.create(tmp_path / "ours") as ours:
        ours.remotes.add("origin", f"s3://{bucket}/team")
        stored(ours, tmp_path / "data", {"long.bin": data}, "long")
        ours.remotes.push(content=True)
    with refstore.clone(f"s3://{bucket}/team", tmp_path / "theirs") as theirs:
        # Closed tidily: a reset would take with it what has arrived and was not read yet.
        broken = faults(seaweed.url, truncate=1, after=2_500_000)
        monkeypatch.setenv("AWS_ENDPOINT_URL", broken.url)
        checksum = Checksum.parse(next(theirs.catalog.queries.stored_checksums()))
        # Every connection breaks after 2.5 MB, and yet it arrives: each goes on behind the last byte that came.
        remote = StoredRemote(f"s3://{bucket}/team", Backends(theirs.settings))
        assert bring(theirs.cache, remote, checksum) == len(data)
        assert theirs.cache.verify(checksum)


def test_what_an_earlier_process_left_is_used_if_it_is_right_and_not_if_it_is_wrong(theirs: Store, share: Path) -> None:
    for start in (b"a" * 400, b"wrong" * 20):
        file = next(path for path in in_share(share) if path.read_bytes() == FILES["a.bin"])
        checksum = Checksum("md5", file.parent.name + file.name)
        theirs.cache.path(checksum).unlink(missing_ok=True)
        partial = theirs.cache.make() / f"remote-md5-{checksum.value}"
        partial.write_bytes(start)
        assert bring(theirs.cache, theirs.remotes.get()[1], checksum) == 1000
        assert theirs.cache.verify(checksum)
