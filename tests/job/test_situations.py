"""Situations in which tools for references have lost data or handed out wrong bytes, and what must happen instead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import refstore
from refstore.errors import (
    ArtifactNotFound,
    CheckoutError,
    CheckoutIncomplete,
    ChecksumMismatch,
    DuplicatePath,
    InvalidURI,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnreadable,
    TooManyObjects,
    UsageError,
)
from refstore.manifest.entry import Pin
from tests.servers.nginx import Nginx
from tests.servers.s3 import S3Server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[refstore.Store]:
    with refstore.create(tmp_path / "repo") as store:
        yield store


@pytest.fixture
def s3(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return seaweed


@pytest.fixture
def exact(rgw: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server that keeps every key byte for byte."""
    for name, value in rgw.environment().items():
        monkeypatch.setenv(name, value)
    return rgw


def nothing_recorded(store: refstore.Store) -> bool:
    return store.artifacts() == [] and not list((store.folder / "records").iterdir())


def checked_out(version: refstore.Version, dest: Path) -> dict[str, bytes]:
    version.checkout(dest)
    return {str(f.relative_to(dest)): f.read_bytes() for f in dest.rglob("*") if f.is_file()}


def test_an_old_version_is_pinned_by_its_id_and_a_bogus_id_is_refused(
    s3: S3Server, store: refstore.Store, tmp_path: Path
) -> None:
    bucket = s3.make_bucket()
    old = s3.put(bucket, "k", b"old")
    s3.put(bucket, "k", b"new!")
    store.add(f"s3://{bucket}/k?versionId={old}", name="pinned")
    entry = store.version("pinned").entry("k")
    assert (entry.object.version, entry.object.size) == (old, 3)
    assert checked_out(store.version("pinned"), tmp_path / "out") == {"k": b"old"}
    with pytest.raises(SourceMissing, match="bogus"):
        store.add(f"s3://{bucket}/k?versionId=bogus", name="bogus")
    with pytest.raises((SourceMissing, InvalidURI)):
        store.add(f"s3://{bucket}/?versionId={old}", name="bogus")


def test_more_objects_than_the_limit_are_an_error_that_names_it(s3: S3Server, store: refstore.Store) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {f"p/{i}": b"x" for i in range(5)})
    with pytest.raises(TooManyObjects, match=r"more objects than the limit of 2;.*--max-objects"):
        store.add(f"s3://{bucket}/p", name="many", max_objects=2)
    assert nothing_recorded(store)
    assert store.add(f"s3://{bucket}/p", name="many", max_objects=5).file_count == 5


def test_a_prefix_is_a_directory_and_takes_in_no_sibling(s3: S3Server, store: refstore.Store) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {"p/mnist/a": b"1", "p/mnist2/b": b"2", "p/mnist.txt": b"3"})
    for name, uri in (("one", f"s3://{bucket}/p/mnist"), ("two", f"s3://{bucket}/p/mnist/")):
        store.add(uri, name=name)
        assert [entry.path for entry in store.version(name).files()] == ["a"]


def test_empty_objects_are_kept_and_directory_markers_are_counted(
    s3: S3Server, store: refstore.Store, tmp_path: Path
) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {"p/empty": b"", "p/full": b"1"})
    s3.put(bucket, "p/sub/", b"")
    added = store.add(f"s3://{bucket}/p/", name="x")
    assert checked_out(store.version("x"), tmp_path / "out") == {"empty": b"", "full": b"1"}
    assert added.markers <= 1  # SeaweedFS lists a marker only sometimes; the exact count is checked below
    store.add(f"s3://{bucket}/p/empty", name="single")
    assert checked_out(store.version("single"), tmp_path / "single") == {"empty": b""}


def test_directory_markers_are_counted_where_the_server_lists_them(exact: S3Server, store: refstore.Store) -> None:
    bucket = exact.make_bucket()
    exact.put_many(bucket, {"p/": b"", "p/sub/": b"", "p/sub/a": b"1"})
    added = store.add(f"s3://{bucket}/p/", name="x")
    assert (added.file_count, added.markers) == (1, 2)


def test_a_prefix_with_a_typo_is_an_error_and_not_an_empty_version(s3: S3Server, store: refstore.Store) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "data/a", b"1")
    for uri in (f"s3://{bucket}/dta", f"s3://{bucket}/dta/", f"s3://{bucket}x/data"):
        with pytest.raises(SourceMissing, match=r"dta|bucket"):
            store.add(uri, name="x")
    assert nothing_recorded(store)
    assert store.add(f"s3://{bucket}/dta/", name="x", allow_empty=True).file_count == 0


def test_keys_with_empty_and_dot_segments_are_exact_and_stay_inside_the_destination(
    exact: S3Server, store: refstore.Store, tmp_path: Path
) -> None:
    bucket = exact.make_bucket()
    keys = ["p/dd//x", "p/dd/x", "p/../up", "p/./here", "p/a/../../b", "p//lead"]
    exact.put_many(bucket, {key: key.encode() for key in keys})
    store.add(f"s3://{bucket}/p/", name="odd")
    entries = list(store.version("odd").files())
    assert {entry.object.key for entry in entries} == set(keys)
    outside = {p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "in")}
    result = store.version("odd").checkout(tmp_path / "in" / "dest")
    assert result.written == len(keys)
    files = [f for f in (tmp_path / "in").rglob("*") if f.is_file()]
    assert sorted(f.read_bytes() for f in files) == sorted(key.encode() for key in keys)
    assert all(f.is_relative_to(tmp_path / "in" / "dest") for f in files)
    new = {p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "in")} - outside
    assert not {p for p in new if not p.is_relative_to(store.folder)}


def test_keys_that_look_like_urls_come_back(s3: S3Server, store: refstore.Store, tmp_path: Path) -> None:
    bucket = s3.make_bucket()
    keys = ["a#b.txt", "what?.txt", "sp ace.txt", "per%20cent.txt", "plus+.txt", "v?versionId=1"]
    s3.put_many(bucket, {f"p/{key}": key.encode() for key in keys})
    store.add(f"s3://{bucket}/p/", name="odd")
    assert checked_out(store.version("odd"), tmp_path / "out") == {key: key.encode() for key in keys}


def test_an_object_and_a_directory_of_one_name_are_recorded_and_checkout_says_so(
    s3: S3Server, store: refstore.Store, tmp_path: Path
) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {"cf/a": b"file", "cf/a/b": b"below", "cf/c": b"c"})
    assert store.add(f"s3://{bucket}/cf/", name="both").file_count == 3
    with pytest.raises(CheckoutError, match="'a'"):
        store.version("both").checkout(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("c")) if (tmp_path / "out").exists() else True
    store.version("both").checkout(tmp_path / "part", paths=["c"])
    assert (tmp_path / "part" / "c").read_bytes() == b"c"


def test_an_object_overwritten_after_it_was_listed_can_still_be_had(
    s3: S3Server, store: refstore.Store, tmp_path: Path
) -> None:
    bucket = s3.make_bucket()
    version = s3.put(bucket, "p/a", b"first")
    store.add(f"s3://{bucket}/p", name="x")
    entry = store.version("x").entry("a").object
    s3.put(bucket, "p/a", b"second")
    s3.delete(bucket, "p/a")
    assert entry.version == version
    assert checked_out(store.version("x"), tmp_path / "out") == {"a": b"first"}


def test_what_was_added_without_checksums_can_be_checked_out_and_is_called_unverified(
    store: refstore.Store, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"1")
    added = store.add(str(tmp_path / "data"), name="quick", checksum=False)
    assert added.pins == {Pin.NONE: 1}
    result = store.version("quick").checkout(tmp_path / "out")
    assert (result.written, result.unverified) == (1, 1)
    assert (tmp_path / "out" / "a").read_bytes() == b"1"


def test_the_same_bytes_under_another_prefix_are_another_version(s3: S3Server, store: refstore.Store) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {"one/a": b"1", "two/a": b"1"})
    first, second = (store.add(f"s3://{bucket}/{p}", name="x") for p in ("one", "two"))
    assert second.new
    assert first.version is not None
    assert second.version is not None
    assert first.version.manifest != second.version.manifest


def test_the_storage_class_of_an_archived_object_is_recorded(s3: S3Server, store: refstore.Store) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "p/cold", b"1", StorageClass="GLACIER")
    s3.put(bucket, "p/warm", b"2")
    store.add(f"s3://{bucket}/p", name="x")
    assert store.version("x").entry("cold").object.storage_class == "GLACIER"
    assert store.version("x").entry("warm").object.storage_class is None


def test_damaged_content_in_the_cache_is_never_handed_out(store: refstore.Store, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights" * 100)
    store.put(str(tmp_path / "model.bin"), name="model", type="model")
    checksum = store.version("model").entry("model.bin").object.checksum
    assert checksum is not None
    kept = store.cache.path(checksum)
    kept.chmod(0o644)
    kept.write_bytes(b"weightS" * 100)
    with pytest.raises((CheckoutIncomplete, ChecksumMismatch)):
        store.version("model").checkout(tmp_path / "out", link="copy")
    assert not (tmp_path / "out" / "model.bin").exists()


def test_local_names_links_and_pipes(store: refstore.Store, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    names = ["a#b", "what?", "per%20cent", "sp ace", "new\nline"]
    for name in names:
        (data / name).write_text(name)
    os.mkfifo(data / "pipe")
    added = store.add(str(data), name="x")
    assert added.file_count == len(names)
    assert any("pipe" in note for note in added.notes)
    assert checked_out(store.version("x"), tmp_path / "out") == {name: name.encode() for name in names}
    with pytest.raises(SourceUnreadable, match="pipe"):
        store.add(str(data / "pipe"), name="y")
    (data / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises((SourceUnreadable, SourceMissing), match="broken"):
        store.add(str(data), name="y")


def test_an_overwritten_file_is_refused_unless_its_recorded_bytes_are_kept(
    store: refstore.Store, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_bytes(b"first")
    store.add(str(data), name="x")
    (data / "a").write_bytes(b"secnd")
    with pytest.raises(CheckoutIncomplete) as caught:
        store.version("x").checkout(tmp_path / "out")
    assert [failure.kind for failure in caught.value.failures] == ["overwritten"]
    (data / "a").write_bytes(b"first")
    store.version("x").checkout(tmp_path / "linked", link="symlink")
    (data / "a").write_bytes(b"secnd")
    assert checked_out(store.version("x"), tmp_path / "again") == {"a": b"first"}
    assert [d.state for d in store.version("x").status()] == ["changed"]


def test_a_signature_in_a_redirect_is_recorded_nowhere(nginx: Nginx, store: refstore.Store, tmp_path: Path) -> None:
    folder = nginx.folder({"f.bin": b"content"})
    url = nginx.odd("signed", folder, "f.bin")
    store.add(url, name="x")
    assert checked_out(store.version("x"), tmp_path / "out") == {"f.bin": b"content"}
    for file in store.folder.rglob("*"):
        assert file.is_dir() or b"X-Amz-Signature" not in file.read_bytes()


def test_a_body_without_etag_is_hashed_and_its_change_is_seen(
    nginx: Nginx, store: refstore.Store, tmp_path: Path
) -> None:
    folder = nginx.folder({"f.bin": b"content"})
    added = store.add(nginx.odd("bare", folder, "f.bin"), name="x")
    assert added.pins == {Pin.CHECKSUM: 1}
    folder.write({"f.bin": b"CONTENT"})
    with pytest.raises(CheckoutIncomplete) as caught:
        store.version("x").checkout(tmp_path / "out")
    assert [failure.kind for failure in caught.value.failures] in (["mismatch"], ["overwritten"])
    assert not (tmp_path / "out" / "f.bin").exists()


def test_a_server_that_likes_to_compress_gives_the_bytes_that_were_recorded(
    nginx: Nginx, store: refstore.Store, tmp_path: Path
) -> None:
    folder = nginx.folder({"f.txt": b"text " * 1000})
    store.add(nginx.odd("gzip", folder, "f.txt"), name="x")
    assert store.version("x").entry("f.txt").object.size == 5000
    assert checked_out(store.version("x"), tmp_path / "out") == {"f.txt": b"text " * 1000}


# Several sources, filters, and places inside the artifact


def test_several_uris_make_one_version_and_keep_their_paths(
    s3: S3Server, store: refstore.Store, tmp_path: Path
) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {"d/train/a.png": b"1", "d/test/a.png": b"2", "d/readme": b"3"})
    uris = [f"s3://{bucket}/d/train", f"s3://{bucket}/d/test/", f"s3://{bucket}/d/readme"]
    store.add(uris, name="x")
    assert [entry.path for entry in store.version("x").files()] == ["readme", "test/a.png", "train/a.png"]
    (tmp_path / "a.png").write_bytes(b"4")
    with pytest.raises(DuplicatePath, match=r"a\.png.*--prefix-in-artifact"):
        store.add([f"s3://{bucket}/d/train/a.png", str(tmp_path / "a.png")], name="y")
    store.add([f"s3://{bucket}/d/train/a.png", f"s3://{bucket}/d/test/a.png"], name="z")
    assert [entry.path for entry in store.version("z").files()] == ["test/a.png", "train/a.png"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": ["*.png"]}, ["a.png", "sub/b.png"]),
        ({"include": ["/*.png"]}, ["a.png"]),
        ({"exclude": ["sub/"]}, ["a.png", "c.txt"]),
        ({"include": ["sub/**"], "exclude": ["*.txt"]}, ["sub/b.png"]),
        ({"include": ["[ac].*"]}, ["a.png", "c.txt"]),
        ({"prefix": "in/here/"}, ["in/here/a.png", "in/here/c.txt", "in/here/sub/b.png", "in/here/sub/d.txt"]),
    ],
)
def test_filters_and_prefixes(
    store: refstore.Store, tmp_path: Path, options: dict[str, object], expected: list[str]
) -> None:
    for name in ("a.png", "c.txt", "sub/b.png", "sub/d.txt"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    store.add(str(tmp_path / "data"), name="x", **options)  # type: ignore[arg-type]
    assert [entry.path for entry in store.version("x").files()] == expected


def test_status_looks_only_at_what_was_chosen(store: refstore.Store, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.txt", "sub/d.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    store.add(str(tmp_path / "data"), name="x", include=["*.png"], exclude=["b.*"], prefix="in")
    assert {d.path: d.state for d in store.version("x").status()} == {
        "in/a.png": "unchanged",
        "in/sub/d.png": "unchanged",
    }
    for name in ("e.png", "e.txt", "sub/b.png"):
        (tmp_path / "data" / name).write_text(name)
    assert [(d.path, d.state) for d in store.version("x").status() if d.state != "unchanged"] == [("in/e.png", "added")]


def test_a_dry_run_tells_and_records_nothing(store: refstore.Store, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("1")
    told = store.add(str(tmp_path / "data"), name="x", dry_run=True)
    assert (told.new, told.added, told.name) == (True, 1, "uncategorized/x:v0")
    assert [(c.path, c.kind) for c in told.changes] == [("a", "added")]
    assert nothing_recorded(store)
    told = store.put(str(tmp_path / "data"), name="x", dry_run=True)
    assert told.added == 1
    assert nothing_recorded(store)
    assert list(store.cache) == []


@pytest.mark.parametrize(
    ("call", "error", "part"),
    [
        (lambda s, d: s.add([], name="x"), UsageError, "nothing to add"),
        (lambda s, d: s.add(d, name="bad name"), UsageError, "bad name"),
        (lambda s, d: s.add(d, name="x", prefix="../up"), UsageError, "relative"),
        (lambda s, d: s.add(d, name="x", metadata={"a": float("nan")}), UsageError, "JSON"),
        (lambda s, d: s.add(d, name="x", aliases=["v3"]), UsageError, "reserved"),
        (lambda s, d: s.add(d, name="x", max_objects=0), UsageError, "at least 1"),
        (lambda s, d: s.add("nosuch://x/y", name="x"), UsageError, "nosuch"),
        (lambda s, d: s.add(d + "/nope", name="x"), SourceMissing, "nope"),
        (lambda s, d: s.add(d, name="x", include=["*.nope"]), SourceMissing, "--include"),
        (lambda s, d: s.put("s3://bucket/key", name="x"), UsageError, "refstore add"),
        (lambda s, d: s.version("x"), ArtifactNotFound, "no artifact"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_records_nothing(
    store: refstore.Store, tmp_path: Path, call: Callable[[refstore.Store, str], object], error: type, part: str
) -> None:
    (tmp_path / "a").write_text("1")
    with pytest.raises(error, match=part) as caught:
        call(store, str(tmp_path))
    assert "\n" not in str(caught.value)
    assert nothing_recorded(store)


# Content that the store keeps


def test_content_is_kept_once_and_comes_back_without_its_source(store: refstore.Store, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "a").write_bytes(b"same")
    (data / "sub" / "b").write_bytes(b"same")
    (data / "c").write_bytes(b"other")
    put = store.put(str(data), name="model", type="model")
    assert (put.file_count, put.pins) == (3, {Pin.CHECKSUM: 3})
    assert len(list(store.cache)) == 2
    assert store.put(str(data), name="model").new is False
    for file in data.rglob("*"):
        if file.is_file():
            file.unlink()
    expected = {"a": b"same", "sub/b": b"same", "c": b"other"}
    assert checked_out(store.version("model"), tmp_path / "out") == expected
    assert store.cache_gc() == []
    store.remove("model:v0")
    assert len(store.cache_gc(dry_run=True)) == 2
    assert len(list(store.cache)) == 2
    store.cache_gc()
    assert list(store.cache) == []


# The sources are only read


def test_everything_works_with_credentials_that_can_only_read(
    seaweed: S3Server, store: refstore.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {"p/a": b"1", "p/b": b"2"})
    for name, value in seaweed.environment(reader=True).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Exception, match="AccessDenied"):
        seaweed.client(reader=True).put_object(Bucket=bucket, Key="p/a", Body=b"3")
    store.add(f"s3://{bucket}/p", name="x")
    store.doctor(f"s3://{bucket}/p")
    version = store.version("x")
    assert {d.state for d in version.status()} == {"unchanged"}
    assert all(not found.failed for found in version.verify(content=True))
    assert checked_out(version, tmp_path / "out") == {"a": b"1", "b": b"2"}
    store.remove("x", force=True)
    store.cache_gc()
    assert seaweed.get(bucket, "p/a") == b"1"


def test_the_wrong_secret_is_a_clear_refusal(
    s3: S3Server, store: refstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "p/a", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    with pytest.raises(SourceDenied) as caught:
        store.add(f"s3://{bucket}/p", name="x")
    assert "hunter2" not in str(caught.value)
    assert nothing_recorded(store)


def test_gone_overwritten_and_forbidden_are_told_apart(
    s3: S3Server, store: refstore.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put_many(bucket, {"p/a": b"1", "p/b": b"2", "p/c": b"3"})
    store.add(f"s3://{bucket}/p", name="x")
    s3.put(bucket, "p/a", b"one")
    s3.delete(bucket, "p/b")
    with pytest.raises(CheckoutIncomplete) as caught:
        store.version("x").checkout(tmp_path / "out")
    assert {f.path: f.kind for f in caught.value.failures} == {"a": "overwritten", "b": "gone"}
    assert (tmp_path / "out" / "c").read_bytes() == b"3"
    with pytest.raises(CheckoutIncomplete) as caught:
        store.version("x").checkout(tmp_path / "out", allow_missing=True)
    assert [f.kind for f in caught.value.failures if f.kind != "gone"] == ["overwritten"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with refstore.open(store.root) as other, pytest.raises(CheckoutIncomplete) as caught:
        other.version("x").checkout(tmp_path / "denied")
    assert {f.kind for f in caught.value.failures} == {"denied"}
    with pytest.raises(SourceChanged), store.version("x").open("a") as file:
        file.read()
