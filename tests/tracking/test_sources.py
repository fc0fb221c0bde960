"""Artifacts of several sources: each keeps its own name, by which `status` finds what is new at it."""

from __future__ import annotations

from pathlib import Path

import pytest

import refstore
from refstore.errors import UsageError
from refstore.records.types import Version as VersionRecord
from refstore.records.types import parse
from refstore.tracking import draft as drafts
from tests.servers.s3 import S3Server


def found(name: str) -> dict[str, str]:
    """What `status` says is not as it was."""
    with refstore.open() as store:
        return {d.path: d.state for d in store.version(name).status() if d.state != "unchanged"}


def sources(name: str) -> list[str]:
    with refstore.open() as store:
        return store.version(name).sources


def test_what_is_new_at_each_of_several_sources_is_found_under_its_name(
    project: Path, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {"a/x": b"1", "a/deep/y": b"2", "b/x": b"3", "model.pt": b"4"})
    with refstore.init(project="vision") as run:
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference(f"s3://{bucket}/a", name="train")
        artifact.add_reference(f"s3://{bucket}/b/", name="test/part")
        artifact.add_reference(f"s3://{bucket}/model.pt", name="weights/cnn.pt")
        run.log_artifact(artifact)
    assert set(artifact.manifest.entries) == {"train/x", "train/deep/y", "test/part/x", "weights/cnn.pt"}
    assert found("vision/mnist") == {}
    assert len(sources("vision/mnist")) == 3
    seaweed.put_many(bucket, {"a/new": b"5", "b/deep/new": b"6"})
    assert found("vision/mnist") == {"train/new": "added", "test/part/deep/new": "added"}


def test_one_renamed_object_is_its_own_source(project: Path, data: Path) -> None:
    with refstore.init(project="vision") as run:
        artifact = refstore.Artifact("labels", type="dataset")
        artifact.add_reference((data / "labels.csv").as_uri(), name="all/labels.csv")
        run.log_artifact(artifact)
    assert sources("vision/labels") == [(data / "labels.csv").as_uri()]
    assert found("vision/labels") == {}
    (data / "labels.csv").write_bytes(b"other")
    assert found("vision/labels") == {"all/labels.csv": "changed"}
    (data / "labels.csv").unlink()
    assert found("vision/labels") == {"all/labels.csv": "gone"}


def test_one_folder_under_two_names_and_content_beside_it(project: Path, data: Path) -> None:
    with refstore.init(project="vision") as run:
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference(data.as_uri())
        artifact.add_reference((data / "train").as_uri(), name="again/")
        with artifact.new_file("notes.txt") as file:
            file.write("kept")
        run.log_artifact(artifact)
    assert found("vision/mnist") == {}
    (data / "train" / "2.bin").write_bytes(b"two")
    assert list(found("vision/mnist").values()) == ["added"]
    with refstore.init(project="vision") as run:
        again = refstore.Artifact("mnist", type="dataset")
        again.add_reference(data.as_uri())
        again.remove("train/0.bin")
        run.log_artifact(again)
    # A listing would find what was taken out.
    assert sources("vision/mnist") == []
    assert found("vision/mnist") == {}


def test_a_link_and_a_rebuilt_index_know_the_names_too(project: Path, data: Path) -> None:
    with refstore.init(project="vision") as run:
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference((data / "train").as_uri(), name="one")
        artifact.add_reference((data / "labels.csv").as_uri(), name="two.csv")
        run.log_artifact(artifact)
        run.link_artifact(artifact, "registry/mnist")
    for file in (project / ".refstore").glob("catalog.db*"):
        file.unlink()
    (data / "train" / "new").write_bytes(b"n")
    for name in ("vision/mnist", "registry/mnist"):
        assert found(name) == {"one/new": "added"}


def test_a_thousand_single_objects_are_not_a_thousand_listings(
    project: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "MOST_SOURCES", 3)
    with refstore.init(project="vision") as run:
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference((data / "train").as_uri(), name="train")
        for number in range(5):
            artifact.add_reference((data / "labels.csv").as_uri(), name=f"{number}.csv")
        run.log_artifact(artifact)
    assert sources("vision/mnist") == [(data / "train").as_uri()]
    (data / "train" / "new").write_bytes(b"n")
    (data / "labels.csv").write_bytes(b"other")
    assert found("vision/mnist") == {"train/new": "added"} | {f"{number}.csv": "changed" for number in range(5)}


def test_what_add_records_is_as_it_was(project: Path, data: Path) -> None:
    with refstore.create() as store:
        store.add([data / "train", data / "labels.csv"], name="vision/mnist", prefix="p")
        version = store.version("vision/mnist")
        assert version.info.names == ()
        assert version.info.prefix == "p/"
        assert {entry.path for entry in version.files()} == {"p/train/0.bin", "p/train/1.bin", "p/labels.csv"}
        (data / "train" / "new").write_bytes(b"n")
        assert [d.path for d in version.status() if d.state == "added"] == ["p/train/new"]
    old = VersionRecord(time="t", clock=1, project="p", artifact="a", type="dataset", number=0, manifest="m")
    assert "names" not in old.to_json()
    assert parse(old.to_json(), "here") == old


@pytest.mark.parametrize("name", ["../up", "/absolute"])
def test_a_name_stays_inside_the_artifact(project: Path, data: Path, name: str) -> None:
    artifact = refstore.Artifact("mnist", type="dataset")
    with pytest.raises(UsageError, match="relative"):
        artifact.add_reference(data.as_uri(), name=name)
    assert artifact.file_count == 0
