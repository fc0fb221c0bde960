"""What W&B's scripts may call: every name and argument of its released package that users of references touch."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import refstore
from refstore.catalog.run_queries import RunInfo, RunQueries
from refstore.errors import ArtifactNotLoggedError, TypeConflict
from refstore.tracking.collections import ArtifactCollection, ArtifactType
from refstore.tracking.manifest import ArtifactManifest, ArtifactManifestEntry
from refstore.tracking.past_run import PastRun

SURFACE: dict[Any, str] = {
    refstore: "init run finish Artifact Api config summary login",
    refstore.Artifact: """add_reference add_file add_dir new_file add remove get_entry get_path get
        get_added_local_path_name download checkout verify file files save wait finalize is_draft new_draft delete link
        unlink used_by logged_by json_encode name type version aliases tags description metadata ttl digest
        digest_algorithm size file_count manifest state id entity project qualified_name source_entity source_project
        source_name source_version source_artifact source_collection source_qualified_name collection created_at
        updated_at commit_hash history_step is_link linked_artifacts linked_at incremental use_as distributed_id url
        __getitem__ __setitem__""",
    ArtifactManifestEntry: """digest ref size extra birth_artifact_id local_path download ref_target ref_url
        parent_artifact""",
    ArtifactManifest: """digest size to_manifest_json add_entry remove_entry get_entry_by_path get_entries_in_directory
        __len__""",
    refstore.Run: """use_artifact log_artifact upsert_artifact finish_artifact link_artifact log_model use_model
        link_model id name project entity path url log finish __enter__ __exit__ notes tags group job_type""",
    refstore.Api: """artifact artifacts artifact_versions artifact_type artifact_types artifact_collection
        artifact_collections artifact_exists artifact_collection_exists run runs projects project""",
    PastRun: "logged_artifacts used_artifacts use_artifact log_artifact id name state config summary tags",
    ArtifactType: "collections collection",
    ArtifactCollection: """name type description tags aliases created_at updated_at artifacts save delete change_type
        is_sequence entity project id""",
    refstore.errors: "ArtifactNotLoggedError ArtifactFinalizedError WaitTimeoutError CommError",
}
"""By class; what instances get when they are made (`config`, `entries`, `path`) is shown by other tests."""


@pytest.mark.parametrize(("where", "names"), SURFACE.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_every_name_is_there(where: Any, names: str) -> None:
    assert [name for name in names.split() if not hasattr(where, name)] == []


def test_the_modules_own_functions_are_those_of_its_run(project: Path) -> None:
    with refstore.init(project="vision") as run:
        for name in ("log", "log_artifact", "use_artifact", "link_artifact", "log_model", "use_model", "define_metric"):
            assert getattr(refstore, name) == getattr(run, name)


def arguments(method: Callable[..., Any]) -> set[str]:
    return {
        p.name for p in inspect.signature(method).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }


def test_every_argument_of_wandbs_methods_is_taken() -> None:
    from wandb.apis.public import Api
    from wandb.sdk.artifacts.artifact import Artifact
    from wandb.sdk.wandb_run import Run

    lacking = []
    for theirs, ours in ((Artifact, refstore.Artifact), (Run, refstore.Run), (Api, refstore.Api)):
        for name in SURFACE[ours].split():
            method, mine = getattr(theirs, name, None), getattr(ours, name)
            if not inspect.isfunction(method) or not inspect.isfunction(mine) or name.startswith("__"):
                continue
            if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(mine).parameters.values()):
                continue
            lacking += [f"{name}({argument})" for argument in arguments(method) - arguments(mine)]
    # Where a page of W&B's server begins: nothing here has such a name.
    assert [each for each in lacking if not each.endswith("(start)")] == []


def test_a_file_that_is_no_media_object_is_none_to_get(project: Path, data: Path) -> None:
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_reference(data.as_uri())
    with pytest.raises(ArtifactNotLoggedError):
        artifact.get("labels.csv")
    with refstore.init(project="vision") as run:
        run.log_artifact(artifact)
    assert artifact.get("labels.csv") is None
    assert artifact["labels.csv"] is None


def test_the_path_that_a_local_file_was_given(project: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_file(data / "labels.csv", "deep/labels.csv")
    artifact.add_dir(str(data / "train"), name="t")
    hidden = artifact.add_file(data / "train" / "0.bin", is_tmp=True).path
    monkeypatch.chdir(data)

    def given(path: str) -> str | None:
        return artifact.get_added_local_path_name(path)

    paths = [given("labels.csv"), given(f"{data}/train/1.bin"), given("train/0.bin"), given("train"), given("nothing")]
    assert paths == ["deep/labels.csv", "t/1.bin", hidden, None, None]
    with refstore.init(project="vision", dir=str(project)) as run:
        other = refstore.Artifact("labels", type="dataset")
        other.add_file("labels.csv")
        run.log_artifact(other)
    assert other.get_added_local_path_name("labels.csv") == "labels.csv"
    found = refstore.Api(store=project).artifact("vision/labels:v0")
    assert found.get_added_local_path_name("labels.csv") is None


def test_an_entry_is_set_like_an_item(project: Path, data: Path) -> None:
    first = refstore.Artifact("first", type="dataset")
    (entry,) = first.add_reference((data / "labels.csv").as_uri())
    second = refstore.Artifact("second", type="dataset")
    second["copy.csv"] = entry
    assert second.file_count == 1


def test_runs_are_counted_and_paged_without_reading_all(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        refstore.init(project="vision", config={"n": number}).finish()
    refstore.init(project="speech").finish()
    read: list[RunInfo] = []
    real = RunQueries.runs

    def counted(self: RunQueries, *place: Any, **options: Any) -> Any:
        found = list(real(self, *place, **options))
        read.extend(found)
        return iter(found)

    monkeypatch.setattr(RunQueries, "runs", counted)
    runs = refstore.Api().runs("vision", per_page=5)
    assert (len(runs), len(read)) == (12, 0)
    assert [runs[0].config["n"], runs[11].config["n"], runs[-1].config["n"]] == [0, 11, 11]
    assert len(read) <= 5 + 1 + 1
    read.clear()
    first = iter(runs)
    assert [next(first).config["n"] for _ in range(3)] == [0, 1, 2]
    assert len(read) == 5
    assert [run.config["n"] for run in runs[3:9:2]] == [3, 5, 7]
    assert [run.config["n"] for run in runs[::-4]] == [11, 7, 3]
    with pytest.raises(IndexError):
        runs[12]
    with pytest.raises(IndexError):
        runs[-13]


@pytest.mark.parametrize("order", ["+created_at", "-created_at"])
@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pages_of_runs_leave_none_out_and_none_twice(project: Path, order: str, size: int) -> None:
    with refstore.create() as store, store.catalog.writing() as writing:
        from refstore.records.types import RunStarted

        for number in range(7):
            # All at the same time, so that their ids alone tell them apart.
            writing.add(RunStarted(**writing.stamp, run=f"r{number}", project="vision"))
        writing.commit()
    api = refstore.Api()
    runs = api.runs("vision", order=order, per_page=size)
    assert sorted(run.id for run in runs) == [f"r{number}" for number in range(7)]
    other = api.runs("vision", order="-created_at" if order[0] == "+" else "+created_at")
    assert [run.id for run in runs] == [run.id for run in other][::-1]


def test_a_collection_is_described_by_its_latest_version(project: Path, data: Path) -> None:
    with refstore.init(project="vision") as run:
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference(data.as_uri())
        run.log_artifact(artifact)
    found = refstore.Api().artifact_collection("dataset", "vision/mnist")
    found.description = "digits"
    found.tags.append("small")
    found.save()
    again = refstore.Api().artifact_collection("dataset", "vision/mnist")
    assert (again.description, again.tags) == ("digits", ["small"])
    assert refstore.Api().artifact("vision/mnist").description == "digits"
    found.change_type("dataset")
    with pytest.raises(TypeConflict, match="for good"):
        found.change_type("model")


def test_unchanged_content_takes_the_metadata_that_come_with_it(
    project: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def log(metadata: dict[str, Any] | None, description: str | None = None) -> refstore.Artifact:
        with refstore.init(project="vision") as run:
            artifact = refstore.Artifact("mnist", type="dataset", metadata=metadata, description=description)
            artifact.add_reference(data.as_uri())
            return run.log_artifact(artifact)

    assert log({"split": "a", "n": 1}).version == "v0"
    with caplog.at_level(logging.WARNING, "refstore"):
        again = log({"split": "b"}, "better")
    assert (again.version, again.metadata, again.description) == ("v0", {"split": "b"}, "better")
    assert refstore.Api().artifact("vision/mnist").metadata == {"split": "b"}
    assert not [each.message for each in caplog.records if "metadata" in each.message]
    # Metadata that are not given are left alone.
    assert log(None).metadata == {"split": "b"}
    with refstore.open() as store:
        done = store.add(data, name="vision/mnist", metadata={"split": "c"})
        assert not done.new
        assert done.version is not None
        assert done.version.metadata == {"split": "c"}
        before = len(list((project / ".refstore" / "records").iterdir()))
        store.add(data, name="vision/mnist", metadata={"split": "c"})
        assert len(list((project / ".refstore" / "records").iterdir())) == before
        assert store.add(data, name="vision/mnist", metadata={"split": "d"}, dry_run=True).dry_run
        assert store.version("vision/mnist").metadata == {"split": "c"}


def test_a_logged_artifact_that_is_logged_again_keeps_what_was_changed_of_it(project: Path, data: Path) -> None:
    with refstore.init(project="vision") as run:
        artifact = refstore.Artifact("mnist", type="dataset", metadata={"n": 1})
        artifact.add_reference(data.as_uri())
        run.log_artifact(artifact)
        artifact.metadata["n"] = 2
        run.log_artifact(artifact, aliases=["best"])
        assert (artifact.metadata, artifact.aliases) == ({"n": 2}, ["latest", "best"])
    assert refstore.Api().artifact("vision/mnist:best").metadata == {"n": 2}
