"""What came of what: across projects, in one statement each way, whatever the shape of the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import refstore
from refstore.catalog import lineage as index
from refstore.errors import ArtifactNotFound, UsageError
from refstore.tracking.lineage import Lineage, lineage
from tests.lineage.synthetic import chain, fill, record_id, star

HALF = 50_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[refstore.Store]:
    with refstore.create(tmp_path / "project") as store:
        yield store


def names(graph: Lineage) -> set[str]:
    return {node.name for node in graph.nodes}


@pytest.mark.parametrize("shape", [chain, star])
def test_a_hundred_thousand_nodes_are_two_statements(
    shape: Callable[[int], Iterator[tuple[str, str, str]]], store: refstore.Store
) -> None:
    fill(store, HALF, shape(HALF))
    seen: list[str] = []
    start = "p/m:v0" if shape is star else f"p/m:v{HALF - 1}"
    id = store.version(start).id
    store.catalog._db.set_trace_callback(seen.append)
    graph = lineage(store, "version", id, "both", None)
    store.catalog._db.set_trace_callback(None)
    assert len(graph.nodes) == 2 * HALF
    assert len(graph.edges) == len(list(shape(HALF)))
    assert len([each for each in seen if "RECURSIVE" in each]) == 2
    # Besides: the number of the start, each time, and the ids of what is not on the way.
    assert len(seen) <= 6


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("way", ["up", "down"])
def test_every_step_of_a_walk_is_answered_by_an_index(way: index.Way, counted: bool, store: refstore.Store) -> None:
    fill(store, 100, chain(100))
    plan = store.catalog._db.execute(
        f"EXPLAIN QUERY PLAN {index.statement(way, counted=counted)}", {"node": 1, "depth": 3}
    ).fetchall()
    scanned = {detail.split()[1] for *_, detail in plan if detail.startswith("SCAN")}
    # The walk itself is read from end to end, and no table of the catalog.
    assert scanned <= {"CONSTANT", "w", "r", "walk", "reach", "(subquery"}
    assert not [detail for *_, detail in plan if "AUTOMATIC" in detail]


def test_the_work_grows_with_the_answer_and_not_with_the_catalog(store: refstore.Store) -> None:
    fill(store, 20_000, chain(20_000))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    id = store.version("p/m:v10000").id
    store.catalog._db.set_progress_handler(count, 100)
    rows = list(store.catalog.lineage("version", id, "up", 3))
    store.catalog._db.set_progress_handler(None, 0)
    assert len(rows) == 27
    assert steps * 100 < 20_000


@pytest.mark.parametrize("depth", [1, 2, 3, index.LAYERS, index.LAYERS + 1, 30])
def test_a_depth_counts_runs_however_it_is_walked(depth: int, store: refstore.Store) -> None:
    fill(store, 100, chain(100))
    graph = store.lineage("p/m:v90", direction="up", depth=depth)
    # Each run uses two versions, so the walk gets two versions further back with each.
    assert len(list(graph.versions)) == 2 * depth + 1
    assert {n.name for n in graph.runs} == {f"p/r{90 - n:07}" for n in range(2 * depth - 1)}
    ids = {node.id for node in graph.nodes}
    assert all(edge.source in ids and edge.target in ids for edge in graph.edges)


def test_circles_end(store: refstore.Store) -> None:
    fill(store, 3, [*chain(3), ("r1", "v1", "used"), ("r0", "v2", "used"), ("r2", "v0", "logged")])
    for direction in ("up", "down", "both"):
        for depth in (None, 1, 10, 100):
            graph = store.lineage("p/m:v1", direction=direction, depth=depth)
            assert graph.start.name == "p/m:v1"
            assert len(list(graph.to_tree())) < 40
    assert len(store.lineage("p/m:v1").nodes) == 6


def test_a_chain_longer_than_the_stack_can_be_drawn(store: refstore.Store) -> None:
    fill(store, 3000, chain(3000))
    lines = list(store.lineage("p/m:v2999", direction="up").to_tree())
    assert any("… and more" in line for line in lines)
    assert max(map(len, lines)) < 1000


def test_lineage_crosses_projects_and_names_who_made_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refstore.create():
        pass
    (tmp_path / "data.csv").write_text("1\n")
    with refstore.init(project="data", job_type="prepare") as first:
        first.log_artifact("data.csv", "raw", "dataset")
    with refstore.init(project="vision", job_type="train") as second:
        second.use_artifact("data/raw:latest", use_as="training")
        (tmp_path / "model.bin").write_text("weights")
        second.log_artifact("model.bin", "cnn", "model")
    with refstore.init(project="vision", job_type="again") as third:
        third.log_artifact("model.bin", "cnn", "model")
    with refstore.open() as store:
        graph = store.lineage("vision/cnn:v0", direction="up")
        assert names(graph) == {
            *("vision/cnn:v0", "data/raw:v0"),
            *(f"data/{first.id}", f"vision/{second.id}", f"vision/{third.id}"),
        }
        assert graph.start.made_by == second.record_id
        (use,) = (edge for edge in graph.edges if edge.kind == "used")
        assert use.use_as == "training"
        assert sum("logged it again" in line for line in graph.to_tree()) == 1
        down = store.lineage("data/raw", direction="down")
        assert names(down) == {"data/raw:v0", f"vision/{second.id}", "vision/cnn:v0"}
        assert names(store.lineage(second.id, direction="up", depth=1)) == {f"vision/{second.id}", "data/raw:v0"}
        assert store.lineage(store.run(second.id)).start.kind == "run"
        assert store.lineage(store.version("vision/cnn")).start == graph.start


def test_a_removed_version_stays_in_the_lineage_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refstore.create():
        pass
    (tmp_path / "a").write_text("1")
    with refstore.init(project="p") as run:
        run.log_artifact("a", "raw", "dataset")
        run.use_artifact("raw:v0")
        (tmp_path / "a").write_text("2")
        run.log_artifact("a", "out", "dataset")
    with refstore.open() as store:
        store.remove("p/raw:v0")
        graph = store.lineage("p/out", direction="up")
        (gone,) = (node for node in graph.versions if node.state == "removed")
        assert gone.name == "p/raw:v0"


def test_a_link_is_an_edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refstore.create():
        pass
    (tmp_path / "a").write_text("1")
    with refstore.init(project="p") as run:
        run.link_artifact(run.log_artifact("a", "cnn", "model"), "registry/best")
    with refstore.open() as store:
        for name, direction in (("p/cnn", "down"), ("registry/best", "up")):
            graph = store.lineage(name, direction=direction)
            (link,) = (edge for edge in graph.edges if edge.kind == "link")
            assert (graph.node(link.source).name, graph.node(link.target).name) == ("p/cnn:v0", "registry/best:v0")


def test_what_is_not_there_and_what_has_no_meaning_is_said(store: refstore.Store) -> None:
    with pytest.raises(ArtifactNotFound, match="nothing"):
        store.lineage("nothing")
    fill(store, 2, chain(2))
    with pytest.raises(UsageError, match="at least 1"):
        store.lineage("p/m", depth=0)
    with pytest.raises(UsageError, match="'sideways'"):
        store.lineage("p/m", direction="sideways")  # type: ignore[arg-type]


def test_an_edge_to_a_run_whose_records_are_elsewhere_is_shown(store: refstore.Store) -> None:
    fill(store, 2, [*chain(2), ("elsewhere", "v1", "used")])
    graph = store.lineage("p/m:v1", direction="down")
    (unknown,) = graph.runs
    assert (unknown.id, unknown.name) == (record_id("elsewhere"), "")
    assert any("not in this catalog" in line for line in graph.to_tree())
