"""References of W&B and DVC become versions, and no request is made and no data touched."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import refstore
from refstore.manifest.entry import Checksum, Entry
from tests.cli.conftest import Cli

MD5 = hashlib.md5(b"7\n", usedforsecurity=False)
BASE64 = base64.b64encode(MD5.digest()).decode()


def manifest(path: Path, contents: dict[str, Any], version: int = 1) -> Path:
    path.write_text(json.dumps({"version": version, "storagePolicy": "wandb-storage-policy-v1", "contents": contents}))
    return path


def entries(name: str) -> dict[str, Entry]:
    with refstore.open() as store:
        return {entry.path: entry for entry in store.version(name).files()}


CONTENTS: dict[str, Any] = {
    "s3.csv": {
        "digest": "etag-1", "ref": "s3://bucket/d/50%?#é.csv", "size": 3,
        "extra": {"etag": "etag-1", "versionID": "abc"},
    },
    "null.csv": {
        "digest": "etag-2", "ref": "s3://bucket/d/null.csv", "size": 3,
        "extra": {"etag": "etag-2", "versionID": "null"},
    },
    "bare.csv": {"digest": "etag-3", "ref": "s3://bucket/bare.csv", "size": 3},
    "unread.csv": {"digest": "s3://bucket/unread.csv", "ref": "s3://bucket/unread.csv"},
    "gs.csv": {"digest": BASE64, "ref": "gs://bucket/a b.csv", "size": 2, "extra": {"versionID": 1700000000000001}},
    "web.csv": {"digest": '"w-1"', "ref": "https://example.org/a.csv", "size": 2, "extra": {"etag": '"w-1"'}},
    "weak.csv": {"digest": 'W/"w-2"', "ref": "https://example.org/b.csv", "size": 2, "extra": {"etag": 'W/"w-2"'}},
    "az.csv": {
        "digest": "0x8D", "ref": "https://acc.blob.core.windows.net/box/a b.csv",
        "extra": {"etag": "0x8D", "versionID": "2026-01-01T00:00:00.0000000Z"},
    },
    "local.csv": {"digest": BASE64, "ref": "file:///srv/100%25 data.csv", "size": 2},
}  # fmt: skip


def test_each_field_of_a_wandb_manifest_finds_its_place(project: Path, cli: Cli) -> None:
    ran = cli("import", "wandb", manifest(project / "m.json", CONTENTS), "--name", "x", "--type", "dataset")
    assert "x:v0  9 files" in ran.out
    assert "not pinned: 2." in ran.err
    found = {path: entry.object for path, entry in entries("x").items()}
    s3 = found["s3.csv"]
    assert (s3.scheme, s3.bucket, s3.key, s3.version, s3.etag, s3.size) == (
        *("s3", "bucket", "d/50%?#é.csv", "abc", "etag-1"),
        3,
    )
    assert (found["null.csv"].version, found["null.csv"].etag) == (None, "etag-2")
    assert (found["bare.csv"].etag, found["bare.csv"].version) == ("etag-3", None)
    assert (found["unread.csv"].etag, found["unread.csv"].checksum) == (None, None)
    assert (found["gs.csv"].key, found["gs.csv"].version) == ("a b.csv", "1700000000000001")
    assert found["gs.csv"].checksum == Checksum("md5", MD5.hexdigest())
    assert found["web.csv"].etag == "w-1"
    assert found["weak.csv"].etag == "W/w-2"
    az = found["az.csv"]
    assert (az.scheme, az.bucket, az.key, az.version) == ("az", "box", "a b.csv", "2026-01-01T00:00:00.0000000Z")
    local = found["local.csv"]
    assert (local.scheme, local.key, local.checksum) == (
        "file",
        "/srv/100%25 data.csv",
        Checksum("md5", MD5.hexdigest()),
    )


def test_what_wandb_keeps_itself_is_refused_or_left_out(project: Path, cli: Cli) -> None:
    path = manifest(
        project / "m.json",
        {
            "kept.csv": {"digest": BASE64, "size": 2, "birthArtifactID": "x"},
            "other.csv": {"digest": "d", "ref": "wandb-artifact://abc/other.csv"},
            "a.csv": {"digest": "e", "ref": "s3://bucket/d/a.csv", "extra": {"etag": "e", "versionID": "1"}},
        },
    )
    refused = cli("import", "wandb", path, "-n", "x", code=2).err
    assert "2 of 3 files" in refused
    assert "kept.csv: its content is kept by W&B itself" in refused
    assert "other.csv" in refused
    cli("show", "x", code=3)
    assert "can't be references: 2." in cli("import", "wandb", path, "-n", "x", "--skip-content").err
    assert list(entries("x")) == ["a.csv"]
    only = manifest(project / "n.json", {"kept.csv": {"digest": BASE64}})
    assert "no reference" in cli("import", "wandb", only, "-n", "y", "--skip-content", code=2).err


def test_the_same_manifest_again_is_no_new_version_and_its_source_is_known(project: Path, cli: Cli) -> None:
    contents = {
        path: {"digest": path, "ref": f"s3://bucket/data/{path}", "size": 1, "extra": {"etag": path, "versionID": "1"}}
        for path in ("a.csv", "b/c.csv")
    }
    path = manifest(project / "m.json", contents)
    assert cli("import", "wandb", path, "-n", "x", "--dry-run", "--json").lines[-1]["dry_run"]
    assert cli("import", "wandb", path, "-n", "x", "-a", "best", "--json").object["new"]
    assert not cli("import", "wandb", path, "-n", "x", "--json").object["new"]
    version = cli("show", "x:best", "--json").object
    assert version["sources"] == ["s3://bucket/data/"]
    assert version["pins"] == {"version": 2}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "contents": {}}', '{"version": 1, "contents": {"a": 1}}']
)
def test_what_is_no_manifest_is_refused_in_a_sentence(text: str, project: Path, cli: Cli) -> None:
    (project / "m.json").write_text(text)
    assert "m.json" in cli("import", "wandb", "m.json", "-n", "x", code=2).err
    assert "can't be read" in cli("import", "wandb", "missing.json", "-n", "x", code=2).err


def test_a_secret_in_a_reference_is_not_taken_in(project: Path, cli: Cli) -> None:
    path = manifest(project / "m.json", {"a": {"digest": "e", "ref": "https://me:hunter2@example.org/a", "size": 1}})
    ran = cli("import", "wandb", path, "-n", "x", code=2)
    assert "hunter2" not in ran.err + ran.out


VERSION_AWARE = """
md5: 1f5
frozen: true
deps:
- path: s3://bucket/data
  files:
  - size: 3
    version_id: v-1
    etag: 0123456789abcdef0123456789abcdef
    relpath: raw/a b.csv
  - size: 4
    version_id: v-2
    etag: "e-2"
    relpath: c.csv
outs:
- hash: md5
  path: data
  push: false
"""

ONE_FILE = f"""
deps:
- etag: '"w-1"'
  size: 2
  hash: md5
  path: https://example.org/data/a.csv
outs:
- md5: {MD5.hexdigest()}
  size: 2
  hash: md5
  path: a.csv
"""


def test_a_version_aware_import_of_dvc_becomes_pinned_references(project: Path, cli: Cli) -> None:
    (project / "data.dvc").write_text(VERSION_AWARE)
    cli("import", "dvc", "data.dvc", "--name", "x")
    found = entries("x")
    assert list(found) == ["c.csv", "raw/a b.csv"]
    obj = found["raw/a b.csv"].object
    assert (obj.scheme, obj.bucket, obj.key, obj.version, obj.size) == ("s3", "bucket", "data/raw/a b.csv", "v-1", 3)
    assert (obj.etag, obj.checksum) == ("0123456789abcdef0123456789abcdef", None)
    assert cli("show", "x", "--json").object["sources"] == ["s3://bucket/data/"]


def test_the_md5_of_dvcs_copy_proves_the_one_file_that_it_is_of(project: Path, cli: Cli) -> None:
    (project / "a.csv.dvc").write_text(ONE_FILE)
    cli("import", "dvc", "a.csv.dvc", "--name", "x")
    obj = entries("x")["a.csv"].object
    assert (obj.scheme, obj.etag, obj.checksum) == ("https", "w-1", Checksum("md5", MD5.hexdigest()))
    # Before DVC 3.0 the digest was not of the bytes as they are.
    (project / "old.dvc").write_text(ONE_FILE.replace("  hash: md5\n", ""))
    cli("import", "dvc", "old.dvc", "--name", "y")
    assert entries("y")["a.csv"].object.checksum is None


def test_a_local_dependency_is_beside_the_dvc_file(project: Path, cli: Cli) -> None:
    (project / "a").mkdir()
    (project / "a" / "x.dvc").write_text(
        f"deps:\n- path: ../x.csv\n  md5: {MD5.hexdigest()}\n  hash: md5\nouts:\n- path: x.csv\n"
    )
    cli("import", "dvc", project / "a" / "x.dvc", "--name", "x")
    (entry,) = entries("x").values()
    assert (entry.path, entry.object.key) == ("x.csv", str(project / "x.csv"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("outs:\n- path: big\n  md5: abc.dir\n", "kept by DVC itself"),
        (
            "deps:\n- path: data\n  repo:\n    url: https://example.org/r\nouts:\n- path: data\n",
            "another DVC repository",
        ),
        ("deps:\n- path: remote://store/data\nouts:\n- path: data\n", "a remote of DVC's configuration"),
        ("deps:\n- path: s3://b/d\n  md5: abc.dir\n  nfiles: 3\nouts:\n- path: data\n", "--version-aware"),
        ("just text", "is no .dvc file"),
        ("deps: 3", "is no .dvc file"),
        ("a: [", "is no .dvc file"),
    ],
)
def test_what_dvc_did_not_record_is_explained(text: str, why: str, project: Path, cli: Cli) -> None:
    (project / "x.dvc").write_text(text)
    assert why in cli("import", "dvc", "x.dvc", "--name", "x", code=2).err
