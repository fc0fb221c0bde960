"""A version is written for other programs with every field, and an export as JSON Lines comes back the same."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import refstore
from refstore.errors import ArtifactNotFound, StorageFull, UsageError
from refstore.manifest.entry import Checksum, Entry, Object
from refstore.names import ArtifactName
from refstore.tracking.exports.export import FORMS
from refstore.tracking.exports.references import url_for
from refstore.tracking.exports.row import COLUMNS
from refstore.tracking.record import Labels, record
from tests.servers.s3 import S3Server

MD5 = Checksum("md5", "26ab0db90d72e28ad0ba1e22ee510510")
S3 = Object("s3", "", "bucket", "k", 2, version="v1", etag="e1", mtime="2026-11-20T09:58:12Z", storage_class="GLACIER")
ODD = (
    "a b,c.csv",
    'quo"te',
    "line\nbreak",
    "cr\r\nlf",
    "æ/日本/😀",
    "NA",
    "=1+1",
    "tab\t",
    " spaces ",
    "%20?#&",
    "\u2028",
)


def make(store: refstore.Store, name: str, entries: Iterable[Entry]) -> refstore.Version:
    artifact = ArtifactName("", "p", name)
    ordered = sorted(entries, key=lambda entry: entry.path.encode())
    record(
        store.catalog, artifact, ordered, Labels(), job_type="add", sources=(), markers=0, notes=(), dry_run=False
    )  # fmt: skip
    return store.version(f"p/{name}")


@pytest.fixture
def store(project: Path) -> Iterator[refstore.Store]:
    with refstore.create() as store:
        yield store


@pytest.fixture
def odd(store: refstore.Store) -> refstore.Version:
    """One file of every kind, with paths that every form has to get across."""
    entries = [Entry(path, replace(S3, key=path, size=number)) for number, path in enumerate(ODD)]
    entries += [
        Entry(
            "gs", Object("gs", "", "bucket", "g", 1, version="17", checksum=MD5, mtime="2026-11-20T09:58:12.123456Z")
        ),
        Entry("web", Object("https", "", "example.org:8443", "a%20b?x=1", None, etag="W/weak")),
        Entry("file", Object("file", "", "", "/srv/data/b", 2, checksum=MD5)),
        Entry("lab", replace(S3, endpoint="lab", version=None)),
    ]
    return make(store, "odd", entries)


def rows(version: refstore.Version) -> list[dict[str, Any]]:
    out = io.BytesIO()
    version.export(out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_lines_have_every_field(odd: refstore.Version) -> None:
    found = rows(odd)
    assert [row["path"] for row in found] == [entry.path for entry in odd.files()]
    assert all(list(row) == list(COLUMNS) for row in found)
    by_path = {row["path"]: row for row in found}
    assert by_path["lab"] == {
        "path": "lab", "uri": "s3://bucket/k", "pin": "etag", "size": 2, "scheme": "s3", "endpoint": "lab",
        "bucket": "bucket", "key": "k", "version": None, "etag": "e1", "checksum": None,
        "mtime": "2026-11-20T09:58:12Z", "storage_class": "GLACIER",
    }  # fmt: skip
    assert by_path["gs"]["uri"] == "gs://bucket/g#17"


def test_csv_holds_the_same_rows(odd: refstore.Version, tmp_path: Path) -> None:
    odd.export(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    expected = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows(odd)]
    assert found == expected


def test_parquet_has_proper_types(odd: refstore.Version, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    result = odd.export(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert result.files == table.num_rows == odd.file_count
    assert table.schema.field("size").type == pa.int64()
    assert table.schema.field("mtime").type == pa.timestamp("us", tz="UTC")
    assert table.schema.metadata[b"refstore.digest"].decode() == odd.digest
    found = table.to_pylist()
    for row in found:
        row["mtime"] = row["mtime"] and row["mtime"].isoformat().replace("+00:00", "Z")
    assert found == rows(odd)


def test_duckdb_and_pandas_read_what_is_written(odd: refstore.Version, tmp_path: Path) -> None:
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    total = sum(entry.object.size or 0 for entry in odd.files())
    for name in ("x.jsonl", "x.csv", "x.parquet"):
        odd.export(tmp_path / name)
        found = duckdb.sql(f"select path, size, year(mtime) from '{tmp_path / name}' order by path").fetchall()
        assert {row[0] for row in found} == {entry.path for entry in odd.files()}, name
        assert sum(row[1] or 0 for row in found) == total
        assert {row[2] for row in found} == {2026, None}
    frames = [
        pandas.read_json(tmp_path / "x.jsonl", lines=True),
        pandas.read_csv(tmp_path / "x.csv", keep_default_na=False, na_values={"size": [""]}),
        pandas.read_parquet(tmp_path / "x.parquet"),
    ]
    for frame in frames:
        assert set(frame["path"]) == {entry.path for entry in odd.files()}
        assert frame["size"].sum() == total


def test_a_wandb_manifest_is_that_of_the_artifact(store: refstore.Store, tmp_path: Path) -> None:
    version = make(store, "x", [Entry(path, replace(S3, key=path)) for path in ODD])
    version.export(tmp_path / "x.json", format="wandb")
    artifact = refstore.Api().artifact("p/x:v0")
    assert json.loads((tmp_path / "x.json").read_bytes()) == artifact.manifest.to_manifest_json()


def test_wandb_itself_reads_the_manifest(
    store: refstore.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="the released wandb package is what reads it")
    from wandb.sdk.artifacts.artifact_manifest import ArtifactManifest

    version = make(store, "x", [Entry(path, replace(S3, key=path)) for path in ODD])
    version.export(tmp_path / "x.json", format="wandb")
    theirs = ArtifactManifest.from_manifest_json(json.loads((tmp_path / "x.json").read_bytes()))
    assert set(theirs.entries) == set(ODD)
    assert theirs.digest() == refstore.Api().artifact("p/x:v0").manifest.digest()


def test_stored_content_is_refused_by_name_or_left_out(store: refstore.Store, tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("1\n")
    store.put(tmp_path / "kept.csv", name="p/x")
    kept = next(store.version("p/x").files())
    version = make(store, "x", [kept, Entry("s3", S3)])
    for form in ("wandb", "references"):
        target = tmp_path / f"{form}.json"
        with pytest.raises(UsageError, match=r"(?s)1 of 2 files.*--skip-content.*kept\.csv: its content is kept"):
            version.export(target, format=form)
        assert not target.exists()
        result = version.export(target, format=form, skip_content=True)
        assert (result.files, result.left_out) == (1, 1)
        assert "kept.csv" not in target.read_text()
    assert version.export(tmp_path / "x.jsonl", skip_content=True).files == 2


# Reference sets


def reference_fs(server: S3Server, where: Path) -> Any:
    import fsspec

    keys = server.environment()
    options = {
        "key": keys["AWS_ACCESS_KEY_ID"], "secret": keys["AWS_SECRET_ACCESS_KEY"],
        "client_kwargs": {"endpoint_url": keys["AWS_ENDPOINT_URL"], "region_name": "us-east-1"},
        "version_aware": True, "skip_instance_cache": True,
    }  # fmt: skip
    return fsspec.filesystem(
        "reference", fo=str(where), remote_protocol="s3", remote_options=options, skip_instance_cache=True
    )


def test_a_reference_set_reads_the_pinned_bytes_after_an_overwrite(
    store: refstore.Store, seaweed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    old = {"d/a.csv": b"1\n2\n", "d/x y+æ#?%20&.bin": b"odd", "d/empty": b"", "d/{{t}}.txt": b"braces"}
    seaweed.put_many(bucket, old)
    store.add(f"s3://{bucket}/d/", name="p/d")
    seaweed.put_many(bucket, dict.fromkeys(old, b"overwritten"))
    seaweed.delete(bucket, "d/a.csv")
    result = store.version("p/d").export(tmp_path / "refs.json", format="references")
    assert any("version_aware" in note for note in result.notes)
    fs = reference_fs(seaweed, tmp_path / "refs.json")
    pinned = {key.removeprefix("d/"): data for key, data in old.items()}
    assert {path: fs.cat_file(path) for path in fs.find("")} == pinned
    assert {path: fs.info(path)["size"] for path in pinned} == {path: len(data) for path, data in pinned.items()}
    with fs.open("a.csv") as file:
        file.seek(2)
        assert file.read() == b"2\n"


def test_references_are_pinned_or_refused(odd: refstore.Version, tmp_path: Path) -> None:
    target = tmp_path / "refs.json"
    with pytest.raises(UsageError, match=r"(?s)3 of 15 files.*--allow-unpinned.*file: no object version pins it"):
        odd.export(target, format="references")
    assert not target.exists()
    result = odd.export(target, format="references", allow_unpinned=True)
    assert any("no object version pins" in note for note in result.notes)
    refs = json.loads(target.read_bytes())["refs"]
    assert refs["file"] == ["file:///srv/data/b", 0, 2]
    assert refs["web"] == ["https://example.org:8443/a%20b?x=1"]
    assert refs["gs"] == ["gs://bucket/g#17", 0, 1]
    assert refs["%20?#&"][0] == "s3://bucket/%20?#&?versionId=v1"


@given(
    key=st.text(st.sampled_from("ab/?#:%&= \r\t") | st.characters(exclude_categories=["Cs"]), min_size=1),
    scheme=st.sampled_from(["s3", "gs", "az"]),
    pinned=st.booleans(),
)
@example(key="a?versionId=b", scheme="s3", pinned=True)
@example(key="a#12", scheme="gs", pinned=False)
@example(key="a?versionid=b", scheme="az", pinned=True)
@settings(max_examples=100, deadline=None)
def test_the_url_of_any_key_is_read_as_that_key_or_refused(key: str, scheme: str, pinned: bool) -> None:
    version = "1700000000000001" if pinned else None
    try:
        url = url_for(Object(scheme, "", "bucket", key, 1, version=version))
    except UsageError:
        # nothing that people name their files
        assert set(key) & set("?#:/") or not key.isprintable() or key != key.strip()
        return
    assert read_back(scheme, url) == ("bucket", key, version)


def read_back(scheme: str, url: str) -> tuple[str, str, str | None]:
    """What s3fs, gcsfs and adlfs make of a URL."""
    if scheme == "gs":
        from gcsfs import GCSFileSystem

        return tuple(GCSFileSystem._split_path(url, version_aware=True))  # type: ignore[return-value]
    if scheme == "s3":
        from s3fs import S3FileSystem as Reader
    else:
        pytest.importorskip("adlfs", reason="no part of the extras: refstore reads Azure by itself")
        from adlfs import AzureBlobFileSystem as Reader
    return tuple(Reader.split_path(SimpleReader(Reader), url))  # type: ignore[return-value]


class SimpleReader:
    """As much of a file system as taking a URL apart needs: making a whole one asks for credentials."""

    version_aware = True

    def __init__(self, cls: Any) -> None:
        self._strip_protocol = cls._strip_protocol
        if hasattr(cls, "_find_bucket_key"):
            self._find_bucket_key = cls._find_bucket_key.__get__(self)


# Files


def test_the_ending_tells_the_format(odd: refstore.Version, tmp_path: Path) -> None:
    for name, form in (("a.jsonl", "jsonl"), ("a.NDJSON", "jsonl"), ("a.csv", "csv"), ("a.pq", "parquet")):
        assert odd.export(tmp_path / name).format == form
    for name, why in (("a.json", "of two formats"), ("a.txt", "tells no format"), ("a", "tells no format")):
        with pytest.raises(UsageError, match=why):
            odd.export(tmp_path / name)
    with pytest.raises(UsageError, match="no format 'xml'"):
        odd.export(tmp_path / "a.jsonl", format="xml")


def test_a_file_is_replaced_only_by_force(odd: refstore.Version, tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("mine")
    with pytest.raises(UsageError, match=r"exists: .*--force"):
        odd.export(target)
    assert target.read_text() == "mine"
    odd.export(target, force=True)
    assert target.read_text().startswith("path,")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["x.csv"]


@pytest.mark.parametrize("name", ["nowhere/x.csv", ".", "/dev/null"])
def test_what_no_file_can_be_is_refused_in_a_sentence(name: str, odd: refstore.Version, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't be written|is a folder|no regular file"):
        odd.export(tmp_path / name, format="csv", force=True)


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize(
    ("fault", "seen"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left on device"), StorageFull)]
)
def test_an_interrupted_export_leaves_nothing(
    form: str, fault: BaseException, seen: type[BaseException], odd: refstore.Version, project: Path
) -> None:
    class Failing:
        def total(self, objects: int, size: int, /) -> None: ...

        def advance(self, objects: int, size: int, /) -> None:
            raise fault

    before = set(project.iterdir())
    with pytest.raises(seen):
        odd.export(project / "x", format=form, allow_unpinned=True, progress=Failing())
    assert set(project.iterdir()) == before


def test_globs_choose_and_one_that_takes_nothing_is_an_error(odd: refstore.Version, tmp_path: Path) -> None:
    assert odd.export(tmp_path / "x.jsonl", paths=["æ", "*.csv"]).files == 2
    with pytest.raises(ArtifactNotFound, match="typo"):
        odd.export(tmp_path / "y.jsonl", paths=["æ", "typo"])
    assert not (tmp_path / "y.jsonl").exists()


# There and back

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
MAYBE = st.none() | TEXT
TIMES = st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda time: f"{time.isoformat()}Z")
CHECKSUMS = st.none() | st.binary(min_size=16, max_size=16).map(lambda raw: Checksum("md5", raw.hex()))
OBJECTS = st.builds(
    Object,
    scheme=st.sampled_from(["s3", "file"]),
    endpoint=st.just(""),
    bucket=st.just("bucket"),
    key=TEXT,
    size=st.none() | st.integers(0, (1 << 53) - 1),
    version=MAYBE,
    etag=MAYBE,
    checksum=CHECKSUMS,
    mtime=TIMES,
    storage_class=MAYBE,
).map(lambda o: replace(o, bucket="", key=f"/{o.key}".replace("\0", "0")) if o.scheme == "file" else o)


@given(objects=st.dictionaries(TEXT, OBJECTS, max_size=8))
@settings(max_examples=40, deadline=None)
def test_any_version_comes_back_from_json_lines_with_its_digest(
    objects: dict[str, Object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("x")
    with refstore.create(folder) as store:
        objects = objects or {"a": S3}
        version = make(store, "x", [Entry(path, obj) for path, obj in objects.items()])
        version.export(folder / "x.jsonl")
        again = store.import_jsonl(folder / "x.jsonl", name="y").version
        assert again is not None
        assert again.manifest == version.digest
        version.export(folder / "x.csv")
        with (folder / "x.csv").open(encoding="utf-8", newline="") as file:
            if not any("\0" in text for path, o in objects.items() for text in (path, o.key, str(o))):
                assert [row["path"] for row in csv.DictReader(file)] == [entry.path for entry in version.files()]


def test_stored_content_comes_back_where_the_cache_has_it(store: refstore.Store, tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("1\n")
    store.put(tmp_path / "kept.csv", name="p/x")
    version = store.version("p/x")
    version.export(tmp_path / "x.jsonl")
    again = store.import_jsonl(tmp_path / "x.jsonl", name="y").version
    assert again is not None
    assert again.manifest == version.digest
    (tmp_path / "other").mkdir()
    refused = pytest.raises(UsageError, match=r"(?s)kept\.csv: its content is not in this store's cache")
    with refstore.create(tmp_path / "other") as other, refused:
        other.import_jsonl(tmp_path / "x.jsonl", name="y")


# A page at a time

MANY = 20_000


@pytest.fixture
def large(store: refstore.Store) -> refstore.Version:
    artifact, paths = ArtifactName("", "p", "large"), (f"d/f{number:07d}.bin" for number in range(MANY))
    entries = (Entry(path, replace(S3, key=path)) for path in paths)
    record(
        store.catalog, artifact, entries, Labels(), job_type="add", sources=(), markers=0, notes=(), dry_run=False
    )  # fmt: skip
    return store.version("p/large")


def test_a_large_version_is_never_in_memory(large: refstore.Version, tmp_path: Path) -> None:
    limits = dict.fromkeys(FORMS, 3 << 20) | {"parquet": 24 << 20}
    for form, limit in limits.items():
        with (tmp_path / form).open("wb") as out:
            large.export(io.BytesIO(), format=form, paths=["f0000000.bin"])  # what is imported is not counted
            tracemalloc.start()
            try:
                assert large.export(out, format=form).files == MANY
                assert tracemalloc.get_traced_memory()[1] < limit, form
            finally:
                tracemalloc.stop()
    large.export(tmp_path / "x.jsonl")
