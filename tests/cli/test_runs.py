"""`runs`, `lineage`, `artifact` and `gc` on the command line."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

import refstore
from tests.cli.conftest import Cli


@pytest.fixture
def trained(mnist: Path, cli: Cli) -> Path:
    """`mnist:v1` was used by a run, which logged `vision/cnn:v0`."""
    (mnist / "model.bin").write_text("weights")
    cli(
        "run",
        "-q",
        "-p",
        "vision",
        "-n",
        "first",
        "--use",
        "uncategorized/mnist",
        "--log",
        "model.bin=cnn:model",
        "--",
        "true",
    )
    return mnist


def test_runs_are_listed_newest_first_and_implied_ones_only_with_all(trained: Path, cli: Cli) -> None:
    assert [run["name"] for run in cli("runs", "ls", "--json").lines] == ["first"]
    everything = cli("runs", "ls", "--all", "--json").lines
    assert [run["job_type"] for run in everything] == [None, "add", "add"]
    assert cli("runs", "ls", "--project", "vision", "-l").out.split()[1] == "finished"
    assert cli("runs", "ls", "--project", "other").out == ""
    assert "'dead' is no state" in cli("runs", "ls", "--state", "dead", code=2).err


def test_a_run_shows_all_that_is_known_of_it(trained: Path, cli: Cli) -> None:
    id = cli("runs", "ls", "--json").object["run"]
    for name in (id, f"vision/{id}"):
        out = cli("runs", "show", name).out
        assert f"vision/{id}" in out
        assert "mnist:v1  dataset" in out
        assert "vision/cnn:v0  model" in out
    assert "There is no run nothing" in cli("runs", "show", "nothing", code=3).err


def test_lineage_reads_as_a_tree_both_ways(trained: Path, cli: Cli) -> None:
    out = cli("lineage", "mnist:v1").out
    assert out.index("from") < out.index("to\n") < out.index("run first") < out.index("vision/cnn:v0")
    assert "vision/cnn" not in cli("lineage", "mnist", "--up").out
    assert "add" not in cli("lineage", "mnist", "--down").out
    both = cli("lineage", "mnist", "--up", "--down").out
    assert both == out
    assert "cnn" not in cli("lineage", "vision/cnn", "--depth", "1", "--down").out.partition("\n")[2]


@pytest.mark.parametrize("form", ["json", "mermaid", "dot", "openlineage"])
def test_lineage_has_other_forms(form: str, trained: Path, cli: Cli) -> None:
    out = cli("lineage", "vision/cnn", "--format", form).out
    assert {"json": '{"start"', "mermaid": "flowchart", "dot": "digraph", "openlineage": '{"eventType"'}[form] in out
    if form in ("json", "openlineage"):
        assert all(json.loads(line) for line in out.splitlines())
    cli("lineage", "vision/cnn", "--format", "svg", code=2)


def test_artifact_put_keeps_a_path_and_refers_to_a_uri(project: Path, data: Path, cli: Cli) -> None:
    put = cli(
        "artifact", "put", "--name", "vision/mnist", "--type", "dataset", "-a", "best", "-d", "text", data, "--json"
    )
    assert put.object["name"] == "vision/mnist:v0"
    assert put.object["version"]["aliases"] == ["latest", "best"]
    assert put.object["version"]["description"] == "text"
    assert {line["scheme"] for line in cli("ls", "vision/mnist:v0", "--json").lines} == {"store"}
    cli("artifact", "put", "-n", "vision/refs", "-t", "dataset", data.as_uri(), "--skip_cache", "--policy", "immutable")
    assert {line["scheme"] for line in cli("ls", "vision/refs:v0", "--json").lines} == {"file"}
    assert cli("artifact", "put", data / "labels.json", "-q").out == "labels.json:v0\n"


def test_artifact_get_gives_the_files_back(mnist: Path, cli: Cli) -> None:
    assert cli("artifact", "get", "mnist:v1", "--root", "here").out == "here\n"
    assert (mnist / "here" / "raw" / "extra.csv").read_text() == "7\n"
    cli("artifact", "get", "mnist:v1", "--type", "dataset")
    assert (mnist / "artifacts" / "mnist:v1" / "raw" / "extra.csv").exists()
    assert "not 'model'" in cli("artifact", "get", "mnist", "--type", "model", code=2).err


def test_artifact_ls_lists_a_project(trained: Path, cli: Cli) -> None:
    (line,) = cli("artifact", "ls", "vision").out.splitlines()
    assert line.split()[0] == "model"
    assert "vision/cnn:v0" in line
    assert cli("artifact", "ls", "vision", "-t", "dataset").out == ""
    assert [info["artifact"] for info in cli("artifact", "ls", "vision", "--json").lines] == ["cnn"]


def test_gc_lists_first_and_removes_only_what_nothing_holds(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = project / "a"
    with refstore.init(project="p") as run:
        for number in range(4):
            source.write_text(str(number))
            run.log_artifact("a", "x", "dataset", aliases=["kept"] if number == 1 else [])
        for number in range(4):
            artifact = run.use_artifact(f"x:v{number}")
            artifact.ttl = timedelta(seconds=1) if number != 2 else timedelta(days=9)
            artifact.save()
    later = "2100-01-01T00:00:00.000000Z"
    assert cli("gc").out.startswith("No version") or "p/x:v0" in cli("gc").out
    from refstore.tracking import expiry

    with refstore.open() as store:

        def gone(at: str) -> list[int]:
            return [v.number for v in expiry.expire(store.catalog, dry_run=True, at=at)]

        assert gone("2000-01-01T00:00:00Z") == []
        assert gone(later) == [0, 2], "v1 has an alias, and v3 is the latest"
    monkeypatch.setattr(expiry, "now", lambda: later)
    listed = cli("gc")
    assert "p/x:v0" in listed.out
    assert "repeat it with --yes" in listed.out
    assert [line["removed"] for line in cli("gc", "--yes", "--dry-run", "--json").lines] == [False, False]
    with refstore.open() as store:
        removed = expiry.expire(store.catalog, dry_run=False, at=later)
        assert [version.number for version in removed] == [0, 2]
        assert [version.number for version in store.versions("p/x")] == [3, 1]
        assert store.gc() == []
    assert source.read_text() == "3"
