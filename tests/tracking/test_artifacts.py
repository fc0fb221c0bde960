"""Artifacts as W&B's scripts use them: drafts, versions, names, aliases, files and links."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

import refstore
from refstore.errors import (
    ArtifactFinalizedError,
    ArtifactNotFound,
    ArtifactNotLoggedError,
    CheckoutIncomplete,
    DuplicatePath,
    EntryNotFound,
    InvalidName,
    InvalidURI,
    NotAsRecorded,
    NothingToAdd,
    TooManyObjects,
    TypeConflict,
    UsageError,
)
from tests.tracking.conftest import tree


@pytest.fixture
def run(project: Path) -> refstore.Run:
    return refstore.init(project="vision")


def logged(run: refstore.Run, data: Path, name: str = "mnist", **options: object) -> refstore.Artifact:
    artifact = refstore.Artifact(name, type="dataset")
    artifact.add_reference(data.as_uri())
    return run.log_artifact(artifact, **options)


# Drafts


def test_a_reference_to_a_folder_is_one_entry_a_file(run: refstore.Run, data: Path) -> None:
    artifact = refstore.Artifact("mnist", type="dataset", description="digits", metadata={"n": 3})
    entries = artifact.add_reference(data.as_uri())
    assert [entry.path for entry in entries] == ["labels.csv", "train/0.bin", "train/1.bin"]
    assert len(entries) == 3
    assert entries[0].ref == f"file://{data}/labels.csv"
    assert entries[-1].size == 3
    assert [e.path for e in entries[:2]] == ["labels.csv", "train/0.bin"]
    assert artifact.is_draft()
    assert (artifact.name, artifact.type, artifact.description, artifact.metadata) == (
        "mnist",
        "dataset",
        "digits",
        {"n": 3},
    )
    assert (artifact.state, artifact.id, artifact.size, artifact.file_count) == ("PENDING", None, 15, 3)
    run.log_artifact(artifact)
    assert (artifact.state, artifact.name, artifact.version) == ("COMMITTED", "mnist:v0", "v0")
    assert (artifact.qualified_name, artifact.project, artifact.entity) == ("vision/mnist:v0", "vision", "")
    assert artifact.aliases == ["latest"]
    assert (artifact.description, artifact.metadata, artifact.size, artifact.file_count) == ("digits", {"n": 3}, 15, 3)
    assert artifact.wait() is artifact


def test_a_name_renames_one_object_and_prefixes_many(run: refstore.Run, data: Path) -> None:
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_reference((data / "labels.csv").as_uri(), name="y/names.csv")
    artifact.add_reference(data / "train", name="x")
    run.log_artifact(artifact)
    assert list(artifact.manifest.entries) == ["x/0.bin", "x/1.bin", "y/names.csv"]


def test_what_a_script_may_not_add(run: refstore.Run, data: Path) -> None:
    artifact = refstore.Artifact("mnist", type="dataset")
    with pytest.raises(ValueError, match="use file://"):
        artifact.add_reference(str(data))
    with pytest.raises(InvalidURI):
        artifact.add_reference("nothing-known://x/y")
    with pytest.raises(NothingToAdd) as missing:
        artifact.add_reference((data / "gone").as_uri())
    assert isinstance(missing.value, ValueError)
    assert isinstance(missing.value, FileNotFoundError)
    with pytest.raises(ValueError, match="not a file"):
        artifact.add_file(data)
    with pytest.raises(TooManyObjects):
        artifact.add_reference(data.as_uri(), max_objects=2)
    assert artifact.file_count == 0
    artifact.add_reference((data / "train" / "0.bin").as_uri())
    with pytest.raises(ValueError, match="same path twice"):
        artifact.add_reference((data / "train" / "1.bin").as_uri(), name="0.bin")
    with pytest.raises(DuplicatePath):
        artifact.add_reference((data / "train").as_uri() + "/../labels.csv", name="0.bin")
    artifact.add_reference((data / "train" / "0.bin").as_uri())
    assert artifact.file_count == 1
    with pytest.raises(InvalidName):
        refstore.Artifact("a b", type="dataset")
    with pytest.raises(ValueError, match="no '/'"):
        refstore.Artifact("a/b", type="dataset")


def test_content_is_kept_and_comes_back_without_its_file(run: refstore.Run, data: Path) -> None:
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_file(data / "labels.csv")
    artifact.add_file(str(data / "labels.csv"), name="again/labels.csv")
    artifact.add_dir(data / "train", name="x")
    with artifact.new_file("notes.txt") as file:
        file.write("æ")
    with artifact.new_file("raw", mode="wb") as file:
        file.write(b"\x00")
    with pytest.raises(DuplicatePath), artifact.new_file("raw") as file:
        pass
    with pytest.raises(KeyError), artifact.new_file("half") as file:
        raise KeyError
    with pytest.raises(ValueError, match="same path twice"):
        artifact.add_file(data / "train" / "0.bin", name="raw")
    artifact.add_file(data / "train" / "0.bin", name="raw", overwrite=True)
    run.log_artifact(artifact)
    for file in data.rglob("*.*"):
        file.unlink()
    folder = artifact.download()
    assert tree(folder) == {
        "labels.csv": b"label\n7\n",
        "again/labels.csv": b"label\n7\n",
        "x/0.bin": b"zero",
        "x/1.bin": b"one",
        "notes.txt": "æ".encode(),
        "raw": b"zero",
    }
    entry = artifact.get_entry("raw")
    assert entry.ref is None
    assert entry.local_path
    assert Path(entry.local_path).read_bytes() == b"zero"
    with pytest.raises(ValueError, match="no reference"):
        entry.ref_target()


def test_entries_are_removed_and_moved(run: refstore.Run, data: Path) -> None:
    first = logged(run, data)
    draft = refstore.Artifact("other", type="dataset")
    draft.add_reference(first.get_entry("train/0.bin"))
    draft.add_reference(first.get_entry("train/0.bin"), name="a/b.bin")
    draft.add_reference(first.get_entry("train/1.bin").ref_url())
    draft.add(first.get_entry("labels.csv"))
    draft.add_reference(data / "train", name="t")
    draft.remove("t")
    draft.remove(draft.get_entry("labels.csv"))
    with pytest.raises(FileNotFoundError):
        draft.remove("t")
    run.log_artifact(draft)
    assert {e.path: e.ref for e in draft.files()} == {
        "0.bin": f"file://{data}/train/0.bin",
        "1.bin": f"file://{data}/train/1.bin",
        "a/b.bin": f"file://{data}/train/0.bin",
    }


def test_a_logged_artifact_is_final_and_a_draft_has_no_version(run: refstore.Run, data: Path) -> None:
    draft = refstore.Artifact("mnist", type="dataset")
    for what in (
        "version",
        "aliases",
        "entity",
        "project",
        "qualified_name",
        "created_at",
        "source_name",
        "collection",
    ):
        with pytest.raises(ArtifactNotLoggedError):
            getattr(draft, what)
    for call in (draft.download, draft.verify, draft.used_by, draft.logged_by, draft.delete, draft.wait, draft.unlink):
        with pytest.raises(ArtifactNotLoggedError):
            call()
    draft.add_reference(data.as_uri())
    draft.finalize()
    with pytest.raises(ArtifactFinalizedError):
        draft.add_reference(data.as_uri())
    run.log_artifact(draft)
    for change in (lambda: draft.add_file(data / "labels.csv"), lambda: draft.remove("labels.csv")):
        with pytest.raises(ArtifactFinalizedError, match="new_draft"):
            change()


def test_a_new_draft_begins_with_the_files_of_its_version(run: refstore.Run, data: Path) -> None:
    first = logged(run, data)
    draft = first.new_draft()
    draft.remove("train")
    with draft.new_file("more.txt") as file:
        file.write("more")
    run.log_artifact(draft)
    assert draft.name == "mnist:v1"
    assert list(draft.manifest.entries) == ["labels.csv", "more.txt"]
    assert list(first.manifest.entries) == ["labels.csv", "train/0.bin", "train/1.bin"]
    with refstore.init(project="elsewhere", reinit=True) as other, pytest.raises(ValueError, match="another project"):
        other.log_artifact(first.new_draft())


def test_an_incremental_draft_keeps_the_files_of_the_latest_version(run: refstore.Run, data: Path) -> None:
    logged(run, data)
    (data / "labels.csv").write_bytes(b"label\n8\n")
    more = refstore.Artifact("mnist", type="dataset", incremental=True)
    more.add_reference(data / "labels.csv")
    with more.new_file("z") as file:
        file.write("z")
    run.log_artifact(more)
    assert list(more.manifest.entries) == ["labels.csv", "train/0.bin", "train/1.bin", "z"]
    assert Path(more.download(), "labels.csv").read_bytes() == b"label\n8\n"


# Versions and names


def test_the_same_content_makes_no_version_but_an_edge(run: refstore.Run, data: Path) -> None:
    logged(run, data)
    run.finish()
    with refstore.init(project="vision") as second:
        again = logged(second, data, aliases=["best"])
    assert (again.version, again.aliases) == ("v0", ["latest", "best"])
    assert [artifact.name for artifact in second.logged_artifacts()] == ["mnist:v0"]
    maker = again.logged_by()
    assert maker is not None
    assert maker.id == run.id
    assert len(refstore.Api().artifacts("dataset", "vision/mnist")) == 1


def test_the_same_bytes_elsewhere_are_another_version(run: refstore.Run, data: Path, tmp_path: Path) -> None:
    first = logged(run, data)
    moved = data.rename(tmp_path / "moved")
    second = logged(run, moved)
    assert (second.version, second.digest) == ("v1", first.digest)
    assert second.commit_hash != first.commit_hash


def test_names_mean_versions(run: refstore.Run, data: Path) -> None:
    run.finish()
    run = refstore.init(project="vision", entity="team")
    logged(run, data, aliases=["best"])
    (data / "more").write_text("x")
    logged(run, data)
    for name, version in {
        "mnist": "v1", "mnist:latest": "v1", "mnist:v0": "v0", "mnist:best": "v0", "vision/mnist:v0": "v0",
        "team/vision/mnist:latest": "v1", f"{run.entity}/{run.project}/mnist:best": "v0",
    }.items():  # fmt: skip
        assert run.use_artifact(name).version == version
        assert refstore.Api().artifact(name).version == version
    for name in ("mnist:v7", "mnist:worst", "other", "other/mnist", "him/vision/mnist"):
        with pytest.raises(refstore.CommError):
            run.use_artifact(name)
    with pytest.raises(ValueError, match="too many parts"):
        run.use_artifact("a/b/c/d")
    with pytest.raises(ValueError, match="type"):
        run.use_artifact("mnist", type="model")
    run.finish()
    with refstore.init(project="vision") as plain:
        logged(plain, data, name="own")
        assert plain.use_artifact(f"{plain.entity}/{plain.project}/own:latest").name == "own:v0"


def test_an_alias_means_one_version_and_reserved_names_are_refused(run: refstore.Run, data: Path) -> None:
    first = logged(run, data, aliases=["best", "first"])
    (data / "more").write_text("x")
    second = logged(run, data, aliases=["best"])
    api = refstore.Api()
    assert api.artifact("mnist:best").version == "v1"
    assert api.artifact("mnist:v0").aliases == ["first"]
    for alias in ("v3", "v0", "a:b", "a/b"):
        with pytest.raises(InvalidName):
            logged(run, data, aliases=[alias])
    second.aliases.append("v9")
    with pytest.raises(InvalidName):
        second.save()
    first.delete(delete_aliases=True)
    assert first.state == "DELETED"
    assert api.artifact("mnist").version == "v1"


def test_latest_never_moves_backward(run: refstore.Run, data: Path) -> None:
    logged(run, data)
    (data / "more").write_text("x")
    logged(run, data)
    (data / "more").unlink()
    third = logged(run, data)
    assert third.version == "v2"
    assert refstore.Api().artifact("mnist:latest").version == "v2"
    old = run.use_artifact("mnist:v0")
    run.log_artifact(old, aliases=["latest", "old"])
    assert refstore.Api().artifact("mnist:latest").version == "v2"
    assert refstore.Api().artifact("mnist:old").version == "v0"


def test_an_artifact_has_one_type(run: refstore.Run, data: Path) -> None:
    logged(run, data)
    other = refstore.Artifact("mnist", type="model")
    other.add_reference(data.as_uri())
    with pytest.raises(TypeConflict) as caught:
        run.log_artifact(other)
    assert isinstance(caught.value, ValueError)
    assert other.is_draft()


def test_what_is_said_of_a_version_can_change(run: refstore.Run, data: Path) -> None:
    artifact = logged(run, data, aliases=["a", "b"], tags=["red"])
    other = refstore.Api().artifact("mnist")
    other.aliases.append("c")
    other.save()
    artifact.aliases.remove("a")
    artifact.tags = ["blue"]
    artifact.description = "digits"
    artifact.metadata["source"] = "camera"
    artifact.ttl = timedelta(days=2)
    artifact.save()
    found = refstore.Api().artifact("mnist")
    assert found.aliases == ["latest", "b", "c"]
    assert (found.tags, found.description, found.metadata) == (["blue"], "digits", {"source": "camera"})
    assert found.ttl == timedelta(days=2)
    found.ttl = None
    found.save()
    assert refstore.Api().artifact("mnist").ttl is None
    with pytest.raises(ValueError, match="ttl"):
        found.ttl = timedelta(0)


def test_the_lifetime_of_a_draft_is_logged_with_it(run: refstore.Run, data: Path) -> None:
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_reference(data.as_uri())
    artifact.ttl = timedelta(hours=1)
    run.log_artifact(artifact)
    assert refstore.Api().artifact("mnist").ttl == timedelta(hours=1)


def test_a_draft_is_used_and_logged_at_once(run: refstore.Run, data: Path) -> None:
    draft = refstore.Artifact("mnist", type="dataset")
    draft.add_reference(data.as_uri())
    used = run.use_artifact(draft, use_as="train")
    assert (used.version, used.is_draft()) == ("v0", False)
    past = refstore.Api().run(run.id)
    assert past.state == "running"
    assert [a.name for a in past.used_artifacts()] == ["mnist:v0"]
    assert [r.id for r in used.used_by()] == [run.id]
    again = refstore.Artifact("mnist", type="dataset")
    again.add_reference(data.as_uri())
    assert run.use_artifact(again).version == "v0"


def test_a_path_or_uri_is_logged_under_the_name_of_its_run(run: refstore.Run, data: Path) -> None:
    content = run.log_artifact(str(data / "labels.csv"))
    assert (content.name, content.type) == (f"run-{run.id}-labels.csv:v0", "unspecified")
    assert content.get_entry("labels.csv").ref is None
    reference = run.log_artifact(data.as_uri(), name="mnist:best", type="dataset", tags="raw")
    assert (reference.name, reference.aliases, reference.tags) == ("mnist:v0", ["latest", "best"], ["raw"])
    model = run.log_model(data / "train" / "0.bin", name="cnn")
    assert model.type == "model"
    assert Path(run.use_model("cnn:latest")).read_bytes() == b"zero"
    with pytest.raises(ValueError, match="type"):
        run.use_model("mnist")


def test_an_artifact_is_saved_without_a_run(project: Path, data: Path) -> None:
    refstore.create().close()
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_reference(data.as_uri())
    artifact.save(project="vision")
    assert artifact.qualified_name == "vision/mnist:v0"
    maker = artifact.logged_by()
    assert maker is not None
    assert (maker.job_type, maker.state) == ("save", "finished")


# Files


def test_download_gives_the_folder(run: refstore.Run, data: Path, project: Path) -> None:
    artifact = logged(run, data)
    assert artifact.download() == "artifacts/mnist:v0"
    assert tree(project / "artifacts" / "mnist:v0") == tree(data)
    artifact.verify()
    assert artifact.checkout() == "artifacts/mnist"
    assert tree("artifacts/mnist") == tree(data)
    assert artifact.download(project / "here") == str(project / "here")
    assert artifact.get_entry("train/0.bin").download(root="one") == "one/train/0.bin"
    assert tree("one") == {"train/0.bin": b"zero"}


def test_the_default_folder_is_set_by_a_variable(
    run: refstore.Run, data: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = logged(run, data)
    monkeypatch.setenv("WANDB_ARTIFACT_DIR", "theirs")
    assert artifact.download() == "theirs/mnist:v0"
    monkeypatch.setenv("REFSTORE_ARTIFACT_DIR", str(project / "ours"))
    assert artifact.download() == f"{project}/ours/mnist:v0"


def test_a_path_prefix_is_a_folder_or_a_file(run: refstore.Run, data: Path) -> None:
    (data / "train-two").mkdir()
    (data / "train-two" / "x").write_text("x")
    (data / "deep" / "train").mkdir(parents=True)
    (data / "deep" / "train" / "y").write_text("y")
    artifact = logged(run, data)
    assert set(tree(artifact.download("a", path_prefix="train"))) == {"train/0.bin", "train/1.bin"}
    assert set(tree(artifact.download("a", path_prefix="labels.csv"))) == {"labels.csv", "train/0.bin", "train/1.bin"}
    with pytest.raises(ArtifactNotFound):
        artifact.download("b", path_prefix="tra")


def test_verify_finds_what_is_other_missing_or_too_much(run: refstore.Run, data: Path) -> None:
    artifact = logged(run, data)
    folder = Path(artifact.download())
    (folder / "extra").write_text("x")
    with pytest.raises(ValueError, match="extra"):
        artifact.verify()
    (folder / "extra").unlink()
    changed = folder / "train" / "0.bin"
    changed.unlink()
    changed.write_bytes(b"ZERO")
    with pytest.raises(NotAsRecorded, match="md5"):
        artifact.verify()
    changed.unlink()
    with pytest.raises(NotAsRecorded, match="not there"):
        artifact.verify()


def test_one_file_is_a_file(run: refstore.Run, data: Path) -> None:
    artifact = refstore.Artifact("labels", type="dataset")
    artifact.add_reference(data / "labels.csv")
    run.log_artifact(artifact)
    assert Path(artifact.file()).read_bytes() == b"label\n7\n"
    with pytest.raises(ValueError, match="exactly one"):
        logged(run, data).file()


def test_entries_are_looked_up(run: refstore.Run, data: Path) -> None:
    artifact = logged(run, data)
    entries = artifact.manifest.entries
    assert len(entries) == len(artifact.manifest) == 3
    assert "train/0.bin" in entries
    assert "train" not in entries
    assert [e.path for e in entries.values()] == list(entries) == [path for path, _ in entries.items()]
    assert [e.path for e in artifact.manifest.get_entries_in_directory("train")] == ["train/0.bin", "train/1.bin"]
    assert artifact.manifest.get_entry_by_path("x") is None
    with pytest.raises(KeyError):
        artifact.get_entry("x")
    with pytest.raises(EntryNotFound, match="no file 'x'"):
        artifact.get_path("x")
    assert [f.name for f in artifact.files()] == list(entries)
    assert [f.name for f in artifact.files(["labels.csv"])] == ["labels.csv"]
    assert artifact.files()[1].size == 4
    assert artifact.get_entry("labels.csv").parent_artifact() is artifact


def test_an_overwritten_file_is_never_passed_off_as_the_recorded_one(
    run: refstore.Run, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = logged(run, data)
    (data / "train" / "0.bin").write_bytes(b"ZERO")
    with pytest.raises(CheckoutIncomplete, match="overwritten"):
        artifact.download("cold")
    (data / "train" / "1.bin").unlink()
    with pytest.raises(CheckoutIncomplete):
        artifact.download("changed", allow_missing_references=True)
    (data / "train" / "0.bin").write_bytes(b"zero")
    artifact.download("gone", allow_missing_references=True)
    assert tree("gone") == {"labels.csv": b"label\n7\n", "train/0.bin": b"zero"}
    assert "1 files are gone" in caplog.text


def test_recorded_bytes_from_the_cache_come_with_word_of_the_drift(
    run: refstore.Run, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = logged(run, data)
    content = refstore.Artifact("copy", type="dataset")
    content.add_file(data / "train" / "0.bin")
    run.log_artifact(content)
    (data / "train" / "0.bin").write_bytes(b"ZERO")
    with caplog.at_level(logging.WARNING, "refstore"):
        assert tree(artifact.download("out"))["train/0.bin"] == b"zero"
    assert "the source has drifted: 1 files" in caplog.text
    assert "train/0.bin was overwritten" in caplog.text


# Links


def test_a_link_is_a_version_elsewhere(run: refstore.Run, data: Path) -> None:
    artifact = logged(run, data)
    linked = run.link_artifact(artifact, "registry/production-mnist", aliases=["live"])
    assert (linked.qualified_name, linked.is_link) == ("registry/production-mnist:v0", True)
    assert (linked.source_qualified_name, linked.source_version) == ("vision/mnist:v0", "v0")
    assert linked.source_artifact.id == artifact.id
    assert linked.linked_at
    assert not artifact.is_link
    assert artifact.source_name == "mnist:v0"
    found = refstore.Api().artifact("registry/production-mnist:live")
    assert tree(found.download("out")) == tree(data)
    maker = found.logged_by()
    assert maker is not None
    assert maker.id == run.id
    assert artifact.link("registry/production-mnist").version == "v0"
    assert [link.qualified_name for link in artifact.linked_artifacts] == ["registry/production-mnist:v0"]
    other = refstore.Artifact("cnn", type="model")
    other.add_reference(data.as_uri())
    with pytest.raises(ValueError, match="type"):
        run.link_artifact(other, "registry/production-mnist")
    with pytest.raises(ValueError, match="not a link"):
        artifact.unlink()
    found.unlink()
    assert artifact.linked_artifacts == []
    assert not refstore.Api().artifact_exists("registry/production-mnist:v0")


def test_a_version_with_an_alias_is_not_deleted_by_accident(run: refstore.Run, data: Path) -> None:
    artifact = logged(run, data, aliases=["best"])
    with pytest.raises(ValueError, match="alias"):
        artifact.delete()
    artifact.delete(delete_aliases=True)
    assert artifact.state == "DELETED"
    with pytest.raises(ArtifactNotFound):
        run.use_artifact("mnist:v0")
    assert logged(run, data).version == "v1"
    assert (data / "train" / "0.bin").exists()


# Api


def test_the_api_lists_what_there_is(run: refstore.Run, data: Path) -> None:
    logged(run, data, tags=["raw"])
    (data / "more").write_text("x")
    logged(run, data)
    run.log_model(data / "labels.csv", name="cnn")
    api = refstore.Api()
    assert [p.name for p in api.projects()] == ["vision"]
    assert [t.name for t in api.artifact_types("vision")] == ["dataset", "model"]
    assert [c.name for c in api.artifact_type("dataset", "vision").collections()] == ["mnist"]
    assert [c.name for c in api.artifact_collections("vision", "model")] == ["cnn"]
    collection = api.artifact_collection("dataset", "vision/mnist")
    assert (collection.name, collection.type, collection.aliases) == ("mnist", "dataset", ["latest"])
    assert [a.version for a in collection.artifacts()] == ["v1", "v0"]
    assert [a.version for a in api.artifacts("dataset", "mnist", tags=["raw"])] == ["v0"]
    assert [a.version for a in api.artifact_versions("dataset", "mnist")] == ["v1", "v0"]
    assert api.artifact_exists("mnist:v1")
    assert not api.artifact_exists("mnist:v2")
    assert not api.artifact_exists("mnist:v1", type="model")
    assert api.artifact_collection_exists("vision/mnist", "dataset")
    assert not api.artifact_collection_exists("vision/other", "dataset")
    past = api.run(f"vision/{run.id}")
    assert [a.name for a in past.logged_artifacts()] == ["cnn:v0", "mnist:v0", "mnist:v1"]
    assert collection.is_sequence()
    with pytest.raises(UsageError):
        refstore.Artifact("x", type="dataset", metadata={str(i): i for i in range(101)})
