"""For the same files, the manifest and digest that the released wandb package computes; it runs without its server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import refstore
from tests.servers.azurite import Azurite
from tests.servers.gcs import Gcs
from tests.servers.nginx import Nginx
from tests.servers.s3 import S3Server

Adds = Callable[[Any], object]


@pytest.fixture
def both(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Adds], tuple[Any, Any]]:
    """Does the same to an artifact of each package."""
    pytest.importorskip("wandb", reason="the released wandb package is what this compares with")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("CACHE_DIR", "DATA_DIR", "CONFIG_DIR", "DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "wandb" / name))
    import wandb

    def make(adds: Adds) -> tuple[Any, Any]:
        refstore.create().close()
        theirs, ours = wandb.Artifact("mnist", type="dataset"), refstore.Artifact("mnist", type="dataset")
        adds(theirs)
        adds(ours)
        return theirs, ours

    return make


def same(theirs: Any, ours: Any) -> None:
    contents = theirs.manifest.to_manifest_json()["contents"]
    assert contents
    assert ours.manifest.to_manifest_json()["contents"] == contents
    assert ours.digest == ours.manifest.digest() == theirs.digest
    assert ours.manifest.to_manifest_json().keys() == theirs.manifest.to_manifest_json().keys()
    assert ours.size == sum(entry["size"] for entry in contents.values())


def test_local_references_and_content(both: Callable[[Adds], tuple[Any, Any]], data: Path) -> None:
    (data / "a b#c%20?.txt").write_text("odd")
    (data / "empty").touch()

    def adds(artifact: Any) -> None:
        artifact.add_reference(data.as_uri())
        artifact.add_reference((data / "labels.csv").as_uri(), name="names/y.csv")
        artifact.add_reference(f"file://{data}/train", name="x")
        artifact.add_file(str(data / "labels.csv"), name="content/labels.csv")
        artifact.add_dir(str(data), name="all")
        with artifact.new_file("new.txt") as file:
            file.write("new")
        artifact.remove("x/0.bin")

    same(*both(adds))


@pytest.mark.parametrize("versioned", [True, False])
def test_references_to_s3(
    both: Callable[[Adds], tuple[Any, Any]], seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, versioned: bool
) -> None:
    pytest.importorskip("boto3", reason="wandb reads S3 with it")
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket(versioned=versioned)
    for key in ("p/mnist/a.bin", "p/mnist/deep/b c.bin", "p/model.pt", "p/æ.txt"):
        seaweed.put(bucket, key, b"old")
        seaweed.put(bucket, key, key.encode())

    def adds(artifact: Any) -> None:
        artifact.add_reference(f"s3://{bucket}/p/mnist")
        artifact.add_reference(f"s3://{bucket}/p/mnist", name="again")
        artifact.add_reference(f"s3://{bucket}/p/model.pt")
        artifact.add_reference(f"s3://{bucket}/p/model.pt", name="models/best.pt")
        artifact.add_reference(f"s3://{bucket}/p/æ.txt")

    theirs, ours = both(adds)
    same(theirs, ours)
    extra = ours.get_entry("model.pt").extra
    assert set(extra) == ({"etag", "versionID"} if versioned else {"etag"})


def test_references_to_google_cloud(
    both: Callable[[Adds], tuple[Any, Any]], gcs: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = pytest.importorskip("google.cloud.storage", reason="wandb reads Google Cloud Storage with it")
    auth = pytest.importorskip("google.auth.credentials")
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    client = storage.Client
    monkeypatch.setattr(storage, "Client", lambda: client(gcs.project, credentials=auth.AnonymousCredentials()))
    bucket = gcs.make_bucket()
    old = gcs.put(bucket, "p/model.pt", b"old")
    for key in ("p/mnist/a.bin", "p/mnist/deep/b c.bin", "p/model.pt", "p/æ.txt"):
        gcs.put(bucket, key, key.encode())

    def adds(artifact: Any) -> None:
        artifact.add_reference(f"gs://{bucket}/p/mnist")
        artifact.add_reference(f"gs://{bucket}/p/mnist", name="again")
        artifact.add_reference(f"gs://{bucket}/p/model.pt")
        artifact.add_reference(f"gs://{bucket}/p/model.pt#{old}", name="models/old.pt")
        artifact.add_reference(f"gs://{bucket}/p/æ.txt")

    theirs, ours = both(adds)
    same(theirs, ours)
    assert set(ours.get_entry("model.pt").extra) == {"versionID"}


def test_references_to_azure(
    both: Callable[[Adds], tuple[Any, Any]], azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both are given an address at Microsoft, and wandb's client is turned to the server here.
    blob = pytest.importorskip("azure.storage.blob")
    for name, value in azurite.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(blob, "BlobServiceClient", lambda *_, **__: azurite.service())
    container = azurite.make_container()
    azurite.put_many(container, {key: key.encode() for key in ("p/mnist/a.bin", "p/mnist/deep/b.bin", "p/model.pt")})
    place = f"https://{azurite.account}.blob.core.windows.net/{container}"

    def adds(artifact: Any) -> None:
        artifact.add_reference(f"{place}/p/mnist")
        artifact.add_reference(f"{place}/p/mnist", name="again")
        artifact.add_reference(f"{place}/p/model.pt")
        artifact.add_reference(f"{place}/p/model.pt", name="models/best.pt")

    same(*both(adds))


def test_references_to_the_web(both: Callable[[Adds], tuple[Any, Any]], nginx: Nginx) -> None:
    web = nginx.folder({"model.pt": b"model", "deep/labels.csv": b"label\n"})

    def adds(artifact: Any) -> None:
        artifact.add_reference(nginx.href(web, "model.pt"))
        artifact.add_reference(nginx.href(web, "deep/labels.csv"), name="y.csv")

    same(*both(adds))


# What is different on purpose; docs/wandb.md lists each.


def test_a_prefix_takes_no_sibling(
    both: Callable[[Adds], tuple[Any, Any]], seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {"p/mnist/a": b"a", "p/mnist2/b": b"b", "p/mnist/empty": b""})
    refstore.create().close()
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_reference(f"s3://{bucket}/p/mnist")
    assert list(artifact.manifest.entries) == ["a", "empty"]


def test_a_version_in_the_uri_is_the_one_that_is_recorded(
    project: Path, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    old = seaweed.put(bucket, "k", b"old")
    seaweed.put(bucket, "k", b"new")
    with refstore.init() as run:
        artifact = refstore.Artifact("k", type="dataset")
        (entry,) = artifact.add_reference(f"s3://{bucket}/k?versionId={old}")
        assert entry.extra["versionID"] == old
        run.log_artifact(artifact)
        assert Path(artifact.file()).read_bytes() == b"old"
        with pytest.raises(FileNotFoundError):
            refstore.Artifact("k", type="dataset").add_reference(f"s3://{bucket}/k?versionId=bogus")


def test_a_reference_without_a_checksum_can_be_downloaded(
    project: Path, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "k", b"bytes")
    with refstore.init() as run:
        artifact = refstore.Artifact("k", type="dataset")
        artifact.add_reference(f"s3://{bucket}/k", checksum=False)
        artifact.add_reference(data.as_uri(), name="local", checksum=False)
        run.log_artifact(artifact)
        folder = Path(artifact.download())
    assert (folder / "k").read_bytes() == b"bytes"
    assert (folder / "local" / "train" / "0.bin").read_bytes() == b"zero"


def test_a_page_without_an_etag_has_the_digest_of_its_bytes(project: Path, nginx: Nginx) -> None:
    web = nginx.folder({"page.txt": b"one"})
    refstore.create().close()
    digests = []
    for body in (b"one", b"two"):
        web.write({"page.txt": body})
        artifact = refstore.Artifact("page", type="dataset")
        artifact.add_reference(nginx.odd("bare", web, "page.txt"))
        digests.append(artifact.digest)
    assert digests[0] != digests[1]
