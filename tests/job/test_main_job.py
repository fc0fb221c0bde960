"""Track a place, change it, and get the old bytes back, or a sentence that says why not: on every kind of place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import refstore
from refstore.errors import CheckoutIncomplete, SourceChanged, SourceMissing
from refstore.manifest.entry import Pin
from tests.job.places import KINDS, Place, make

OLD = {
    "train/0.bin": b"zero",
    "train/1.bin": b"one" * 1000,
    "train/empty.bin": b"",
    "labels 1.csv": b"label\n7\n",
    "æ/日本.txt": "日本".encode(),
}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = make(request.param, request, monkeypatch)
    for path, data in OLD.items():
        place.put(path, data)
    return place


@pytest.fixture
def store(tmp_path: Path) -> Iterator[refstore.Store]:
    with refstore.create(tmp_path / "repo") as store:
        yield store


def tree(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_add_and_check_out(place: Place, store: refstore.Store, tmp_path: Path) -> None:
    added = store.add(place.uri, name="mnist", type="images", aliases=["best"])
    assert (added.new, added.file_count, added.size) == (True, len(OLD), sum(map(len, OLD.values())))
    # SeaweedFS lists no ETag for an empty object without versions; that it is empty is then all there is to know
    assert added.pins in ({place.pin: len(OLD)}, {Pin.ETAG: len(OLD) - 1, Pin.NONE: 1})
    entries = {entry.path: entry.object for entry in store.version("mnist:v0").files()}
    assert {path: obj.size for path, obj in entries.items()} == {path: len(data) for path, data in OLD.items()}
    assert all(obj.mtime and obj.mtime.endswith("Z") for obj in entries.values())

    result = store.version("mnist:best").checkout(tmp_path / "out")
    assert tree(tmp_path / "out") == OLD
    assert (result.written, result.failures) == (len(OLD), ())
    again = store.version("mnist:v0").checkout(tmp_path / "out")
    assert (again.written, again.kept, again.bytes_transferred) == (0, len(OLD), 0)


def test_the_old_bytes_come_back_or_a_sentence_says_why_not(
    place: Place, store: refstore.Store, tmp_path: Path
) -> None:
    store.add(place.uri, name="mnist")
    place.put("train/0.bin", b"ZERO")
    place.delete("train/1.bin")
    place.put("new.bin", b"new")

    drift = {d.path: d.state for d in store.version("mnist:v0").status()}
    assert drift["train/0.bin"] == "changed"
    assert drift["train/1.bin"] == "gone"
    assert drift["labels 1.csv"] == "unchanged"

    second = store.add(place.uri, name="mnist")
    assert (second.name, second.added, second.removed, second.changed) == ("uncategorized/mnist:v1", 1, 1, 1)
    assert [(c.path, c.kind) for c in store.diff("mnist:v0", "mnist:v1")] == [
        ("new.bin", "added"),
        ("train/0.bin", "changed"),
        ("train/1.bin", "removed"),
    ]

    new = {**OLD, "train/0.bin": b"ZERO", "new.bin": b"new"}
    del new["train/1.bin"]
    store.version("mnist").checkout(tmp_path / "new")
    assert tree(tmp_path / "new") == new

    if place.keeps_versions:
        store.version("mnist:v0").checkout(tmp_path / "old")
        assert tree(tmp_path / "old") == OLD
        assert all(not found.failed for found in store.version("mnist:v0").verify(content=True))
        with store.version("mnist:v0").open("train/0.bin") as file:
            assert file.read() == b"zero"
        return
    with pytest.raises(CheckoutIncomplete) as caught:
        store.version("mnist:v0").checkout(tmp_path / "old")
    failures = {failure.path: failure for failure in caught.value.failures}
    assert {path: failure.kind for path, failure in failures.items()} == {
        "train/0.bin": "overwritten",
        "train/1.bin": "gone",
    }
    assert failures["train/0.bin"].recorded.size == 4
    assert failures["train/0.bin"].found is not None
    assert failures["train/1.bin"].found is None
    assert all(failure.uri in failure.message for failure in failures.values())
    kept = {path: data for path, data in OLD.items() if path not in failures}
    assert tree(tmp_path / "old") == kept
    with pytest.raises(SourceChanged):
        store.version("mnist:v0").open("train/0.bin").read()
    with pytest.raises(SourceMissing):
        store.version("mnist:v0").open("train/1.bin").read()
    bad = {found.path for found in store.version("mnist:v0").verify() if found.failed}
    assert bad == {"train/0.bin", "train/1.bin"}


def test_a_file_is_read_from_the_middle(place: Place, store: refstore.Store) -> None:
    store.add(place.uri, name="mnist")
    with store.version("mnist").open("train/1.bin") as file:
        file.seek(1500)
        assert file.read(6) == b"oneone"
        assert file.tell() == 1506
    with store.version("mnist").open("labels 1.csv", "r") as text:
        assert text.readlines() == ["label\n", "7\n"]


def test_the_same_by_the_command_line(place: Place, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "refstore", *arguments],
            cwd=repo, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}, check=False,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + (done.stderr if code else "")

    run("init")
    assert "mnist:v0" in run("add", place.uri, "--name", "mnist", "--type", "dataset")
    place.put("train/0.bin", b"ZERO")
    assert json.loads(run("add", place.uri, "--name", "mnist", "--json"))["changed"] == 1
    assert "unchanged" in run("add", place.uri, "--name", "mnist")
    if place.keeps_versions:
        run("checkout", "mnist:v0")
        assert tree(repo / "artifacts" / "mnist:v0") == OLD
    else:
        said = run("checkout", "mnist:v0", code=7)
        assert "train/0.bin" in said
        assert "overwritten" in said
    run("checkout", "mnist:v1", "here")
    assert tree(repo / "here") == {**OLD, "train/0.bin": b"ZERO"}
    assert "train/0.bin" in run("ls", "-l", "mnist:v0")
    assert "train/0.bin" in run("diff", "mnist:v0", "mnist:v1")
    run("status", "mnist:v1")
    run("status", "mnist:v0", code=4)
    run("verify", "mnist:v1", "--bytes")
    run("doctor", place.uri)
