"""The forms that a lineage is written in, read by what reads them."""

from __future__ import annotations

import html
import json
import re
import uuid
from pathlib import Path
from typing import Any

import attr
import pytest

import refstore
from refstore.tracking.formats.dot import escaped as dot_escaped
from refstore.tracking.formats.mermaid import escaped as mermaid_escaped
from refstore.tracking.formats.openlineage import dataset_name
from refstore.tracking.lineage import Lineage

EVIL = 'a"b]; style n0 <img src=x> `#` \\N\\ | é\n%% --> c'


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lineage:
    """A dataset, a run with an evil name, what it made, a run that failed, and one that goes on."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.csv").write_text("1\n")
    with refstore.create() as store:
        store.add(data, name="vision/raw", description="as it came")
    with refstore.init(project="vision", name=EVIL, job_type="train", config={"epochs": 3}) as run:
        run.use_artifact("raw", use_as=EVIL)
        (tmp_path / "m").write_text("weights")
        run.log_artifact("m", "cnn", "model")
    failed = refstore.init(project="vision", job_type="eval")
    failed.use_artifact("cnn")
    failed.finish(1)
    going = refstore.init(project="vision", job_type="serve")
    going.use_artifact("cnn")
    with refstore.open() as store:
        found = store.lineage("vision/cnn")
    going.finish()
    return found


def test_a_label_of_mermaid_holds_nothing_that_has_a_meaning_there(graph: Lineage) -> None:
    text = graph.to_mermaid()
    assert text.startswith("flowchart LR\n")
    escaped = mermaid_escaped(EVIL)
    assert escaped in text
    assert not re.search(r'["<>`|\[\]\n\\]', escaped)
    # Mermaid reads `#34;` as the character of that number, as HTML does `&#34;`.
    assert html.unescape(re.sub(r"#(\d+);", r"&#\1;", escaped)) == EVIL
    lines = text.splitlines()[1:-1]
    node = re.compile(r'    n\d+(\(\["[^"]*"\]\)|\["[^"]*"\])')
    edge = re.compile(r'    n\d+ -\.?->(\|"[^"]*"\|)? n\d+')
    assert all(node.fullmatch(line) or edge.fullmatch(line) for line in lines)
    assert len(lines) == len(graph.nodes) + len(graph.edges)


def test_a_label_of_dot_ends_where_it_should(graph: Lineage) -> None:
    text = graph.to_dot()
    string = r'"(?:[^"\\\n]|\\.)*"'
    node = re.compile(rf"    {string} \[label={string}, shape=(box|ellipse)(, style=bold)?\];")
    edge = re.compile(rf"    {string} -> {string}( \[(label={string})?(, )?(style=dashed)?\])?;")
    lines = text.splitlines()[3:-1]
    assert all(node.fullmatch(line) or edge.fullmatch(line) for line in lines), lines
    assert len(lines) == len(graph.nodes) + len(graph.edges)
    assert dot_escaped('\\N"') == '\\\\N\\"'


def test_json_holds_the_whole_graph(graph: Lineage) -> None:
    data = json.loads(json.dumps(graph.to_json()))
    assert {node["id"] for node in data["nodes"]} == {node.id for node in graph.nodes}
    assert len(data["edges"]) == len(graph.edges)
    assert data["start"] in {node["id"] for node in data["nodes"]}


def test_each_run_starts_and_ends_once_in_openlineage(graph: Lineage) -> None:
    events = list(graph.to_openlineage())
    kinds: dict[str, list[str]] = {}
    for event in events:
        kinds.setdefault(event["job"]["name"], []).append(event["eventType"])
    assert kinds == {
        "add": ["START", "COMPLETE"],
        "train": ["START", "COMPLETE"],
        "eval": ["START", "FAIL"],
        "serve": ["START"],
    }
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)
    (trained,) = (e for e in events if e["job"]["name"] == "train" and e["eventType"] == "COMPLETE")
    (added,) = (e for e in events if e["job"]["name"] == "add" and e["eventType"] == "COMPLETE")
    (evaluated,) = (e for e in events if e["job"]["name"] == "eval" and e["eventType"] == "FAIL")
    # What one run wrote is what the next one read: by these two names other tools join the graph.
    named = [(each["namespace"], each["name"]) for each in (*trained["inputs"], *evaluated["inputs"])]
    assert named == [(each["namespace"], each["name"]) for each in (*added["outputs"], *trained["outputs"])]
    assert trained["outputs"][0]["facets"]["version"]["datasetVersion"] == "vision/cnn:v0"
    assert uuid.UUID(trained["run"]["runId"])


def test_the_generated_classes_of_openlineage_take_every_field_of_every_event(graph: Lineage) -> None:
    """They are made of the published JSON schema: names, what is required, and the forms of ids, times and URIs."""
    for event in graph.to_openlineage():
        assert _event(event).schemaURL == event["schemaURL"]


def _event(event: dict[str, Any]) -> Any:
    """The event as the client has it; fails for what its classes don't know."""
    from openlineage.client import event_v2 as classes

    copy = json.loads(json.dumps(event))
    del copy["schemaURL"]
    kinds = {"inputs": classes.InputDataset, "outputs": classes.OutputDataset}
    run, job = copy.pop("run"), copy.pop("job")
    made = classes.RunEvent(
        eventType=classes.RunState[copy.pop("eventType")],
        eventTime=copy.pop("eventTime"),
        producer=copy.pop("producer"),
        run=classes.Run(runId=run.pop("runId"), facets=_facets(run)),
        job=classes.Job(namespace=job.pop("namespace"), name=job.pop("name"), facets=_facets(job)),
        **{key: [_dataset(each, cls) for each in copy.pop(key)] for key, cls in kinds.items()},
    )
    assert (copy, run, job) == ({}, {}, {})
    return made


def _dataset(data: dict[str, Any], cls: Any) -> Any:
    # An empty kind of facets is there for `inputs`, and none may be unknown.
    special = next(key for key in ("inputFacets", "outputFacets") if key in data)
    special_facets = _facets({"facets": data.pop(special)})
    made = cls(data.pop("namespace"), data.pop("name"), facets=_facets(data), **{special: special_facets})
    assert data == {}
    return made


def _facets(holder: dict[str, Any]) -> dict[str, Any]:
    """Each facet as the class that its `_schemaURL` names, which knows every field."""
    import importlib
    import pkgutil

    from openlineage.client import generated
    from openlineage.client.generated import base

    classes: dict[str, Any] = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for item in vars(importlib.import_module(f"openlineage.client.generated.{module.name}")).values():
            if isinstance(item, type) and attr.has(item) and hasattr(item, "_get_schema"):
                classes[item._get_schema()] = item
    out = {}
    for name, facet in holder.pop("facets").items():
        url, producer = facet.pop("_schemaURL"), facet.pop("_producer")
        assert producer.startswith("https://")
        cls = classes[url]
        if cls in (base.RunFacet, base.DatasetFacet):
            assert name.startswith("refstore_"), "a facet of our own has our name before it"
            out[name] = cls()
        else:
            assert set(facet) <= {field.name for field in attr.fields(cls)}, (name, facet)
            out[name] = cls(**facet)
    return out


def test_events_replay_into_a_real_client(graph: Lineage, tmp_path: Path) -> None:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport

    written = tmp_path / "events.ndjson"
    client = OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(written), append=True)))
    events = list(graph.to_openlineage())
    for event in events:
        client.emit(_event(event))
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    assert len(lines) == len(events)
    for line, event in zip(lines, events, strict=True):
        for key in ("eventType", "eventTime", "schemaURL"):
            assert line[key] == event[key]
        assert line["run"]["runId"] == event["run"]["runId"]
        for key in ("inputs", "outputs"):
            assert [(d["namespace"], d["name"]) for d in line.get(key, ())] == [
                (d["namespace"], d["name"]) for d in event[key]
            ]


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://bucket/a%20b/c/", ("s3://bucket", "a b/c")),
        ("gs://bucket/a", ("gs://bucket", "a")),
        ("s3://bucket/", ("s3://bucket", "/")),
        ("https://acc.blob.core.windows.net/box/a/b", ("abfss://box@acc.dfs.core.windows.net", "a/b")),
        ("https://example.org/data/x.csv", ("https://example.org", "data/x.csv")),
        ("file:///srv/data/", ("file", "/srv/data")),
    ],
)
def test_a_dataset_is_named_as_openlineage_asks(uri: str, name: tuple[str, str]) -> None:
    assert dataset_name(uri) == name
