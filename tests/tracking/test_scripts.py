"""W&B's scripts with only their import line changed, each a process of its own, on every kind of place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import refstore
from tests.job.places import KINDS, make
from tests.servers.s3 import S3Server

SCRIPTS = Path(__file__).parent.parent / "scripts"
FILES = {"train/0.bin": b"zero", "train/1.bin": b"one" * 1000, "labels 1.csv": b"label\n7\n"}


def run(name: str, cwd: Path, **environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, SCRIPTS / name],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def test_only_the_import_line_is_refstores() -> None:
    for script in SCRIPTS.glob("*.py"):
        lines = [line for line in script.read_text().splitlines() if "refstore" in line]
        assert lines == ["import refstore as wandb"]


@pytest.mark.parametrize("kind", KINDS)
def test_log_a_prefix_and_train_on_it(
    kind: str, project: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(kind, request, monkeypatch)
    for path, data in FILES.items():
        place.put(path, data)
    uri = place.uri if "://" in place.uri else Path(place.uri).as_uri()
    logged, read = run("log_dataset.py", project, DATASET_URI=uri)
    assert logged == "logged mnist:v0 3"
    assert read == "read artifacts/mnist:v0 3012"
    first, second = refstore.Api().runs("vision/mnist-example")
    assert (first.state, second.state) == ("finished", "finished")
    assert [a.qualified_name for a in first.logged_artifacts()] == ["vision/mnist-example/mnist:v0"]
    assert [a.qualified_name for a in second.used_artifacts()] == ["vision/mnist-example/mnist:v0"]
    assert second.summary == {"loss": 0.5, "bytes": 3012}
    place.put("train/0.bin", b"ZERO")
    logged, _ = run("log_dataset.py", project, DATASET_URI=uri)
    assert logged == "logged mnist:v1 3"


@pytest.mark.parametrize("kind", KINDS)
def test_log_one_object_by_its_uri(
    kind: str, project: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(kind, request, monkeypatch)
    place.put("model.pt", b"weights")
    uri = place.uri if "://" in place.uri else Path(place.uri).as_uri()
    out = run("log_by_uri.py", project, OBJECT_URI=f"{uri.rstrip('/')}/model.pt")
    assert out == ["nothing there", "entry model.pt 7", "run finished True", "bytes 7"]


def test_train_on_a_draft_and_log_the_uploaded_model(
    project: Path, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {"datasets/mnist/a": b"a", "datasets/mnist/b": b"b"})
    (line,) = run("train_on_draft.py", project, BUCKET=bucket, AWS_ENDPOINT_URL=seaweed.url)
    assert line.startswith("model cnn:v0 ")
    model = refstore.Api().artifact("mnist-example/cnn:best")
    assert seaweed.get(bucket, "models/cnn.pt", line.split()[-1]) == b"ab"
    maker = model.logged_by()
    assert maker is not None
    assert maker.state == "finished"
    assert [a.name for a in maker.used_artifacts()] == ["mnist:v0"]
    assert model.metadata == {"lr": 0.1}


def test_refer_to_a_model_file_and_a_mounted_folder(project: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    (mount / "deep").mkdir(parents=True)
    (mount / "deep" / "x.txt").write_text("x")
    (tmp_path / "model.pt").write_bytes(b"weights")
    out = run("local_model.py", project, MODEL_FILE=str(tmp_path / "model.pt"), MOUNT=str(mount))
    assert out == ["model artifacts/model:v0/model.pt", f"entry file://{mount}/deep/x.txt x"]
    assert (project / "artifacts" / "model:v0" / "model.pt").read_bytes() == b"weights"
