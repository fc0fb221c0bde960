"""A lineage as OpenLineage run events, which Marquez, DataHub, OpenMetadata and others take in.

What each field means: https://openlineage.io/docs/spec/object-model, how datasets are named:
https://openlineage.io/docs/spec/naming.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from refstore.version_number import __version__

if TYPE_CHECKING:
    from refstore.tracking.lineage import Lineage, Node

PRODUCER = f"https://pypi.org/project/refstore/{__version__}/"
_CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
_FACETS = "https://openlineage.io/spec/facets/"
_ENDS = {"finished": "COMPLETE", "failed": "FAIL", "crashed": "ABORT"}


def events(graph: Lineage) -> Iterator[dict[str, Any]]:
    """A START event for each run and, unless it still runs, a COMPLETE, FAIL or (crashed) ABORT event; oldest first.

    Each names the inputs and, at the end, the outputs that are in the graph. Nobody saw a crash, so its event has the
    time of the start.
    """
    found: list[tuple[str, int, str, dict[str, Any]]] = []
    for run in graph.runs:
        if not run.name:
            continue
        start = _event(graph, run, "START", run.time, outputs=False)
        found.append((run.time, 0, run.id, start))
        if run.state in _ENDS:
            time = run.ended or run.time
            found.append((time, 1, run.id, _event(graph, run, _ENDS[run.state], time, outputs=True)))
    return (event for *_, event in sorted(found, key=lambda item: item[:3]))


def run_id(node: Node) -> str:
    """The UUID that a run has in OpenLineage: the same for the same record, wherever it is made."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"refstore:run:{node.id}"))


def dataset_name(uri: str) -> tuple[str, str]:
    """The namespace and the name of the dataset that a URI means: `s3://bucket` and the key.

    The same file has the same two in whatever other tool that follows the naming of OpenLineage.
    """
    parts = urlsplit(uri)
    path = unquote(parts.path).strip("/")
    if parts.scheme in ("", "file"):
        return "file", "/" + path
    account, blob, _ = parts.netloc.partition(".blob.core.")
    if blob:
        container, _, rest = path.partition("/")
        return f"abfss://{container}@{account}.dfs.core.windows.net", rest or "/"
    return f"{parts.scheme}://{parts.netloc}", path or "/"


def _event(graph: Lineage, run: Node, kind: str, time: str, *, outputs: bool) -> dict[str, Any]:
    used = [(graph.node(edge.source), edge.use_as) for edge in graph.before(run) if edge.kind == "used"]
    logged = [graph.node(edge.target) for edge in graph.after(run) if edge.kind == "logged"]
    return {
        "eventType": kind,
        "eventTime": time,
        "producer": PRODUCER,
        "schemaURL": f"{_CORE}RunEvent",
        "run": {"runId": run_id(run), "facets": _run_facets(run)},
        "job": {
            "namespace": "/".join(part for part in (run.entity, run.project) if part),
            "name": run.type or run.title or "run",
            "facets": {
                "jobType": _facet(
                    "2-0-4/JobTypeJobFacet", processingType="BATCH", integration="REFSTORE", jobType="JOB"
                )
            },
        },
        "inputs": [{**dataset, "inputFacets": {}} for node, _ in used for dataset in _datasets(node)],
        "outputs": [
            {**dataset, "outputFacets": _written(node)} for node in logged for dataset in _datasets(node)
        ] if outputs else [],
    }  # fmt: skip


def _run_facets(run: Node) -> dict[str, Any]:
    about = {"name": run.title, "path": run.name, "record": run.id, "git": run.git, "host": run.host}
    known: dict[str, Any] = {key: value for key, value in about.items() if value}
    if run.command:
        known["command"] = list(run.command)
    facets = {"refstore_run": {"_producer": PRODUCER, "_schemaURL": f"{_CORE}RunFacet", **known}}
    if run.python:
        facets["processing_engine"] = _facet("1-1-1/ProcessingEngineRunFacet", version=run.python, name="Python")
    return facets


def _datasets(node: Node) -> list[dict[str, Any]]:
    """A version as datasets, one for each source; content that the store keeps has the artifact's own name."""
    if not node.name:
        return []
    artifact, _, number = node.name.rpartition(":")
    facets: dict[str, Any] = {
        "version": _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=node.name),
        "refstore_version": {
            "_producer": PRODUCER,
            "_schemaURL": f"{_CORE}DatasetFacet",
            "artifact": artifact,
            "version": number,
            "type": node.type,
            "digest": node.digest,
            "record": node.id,
            "size": node.size,
            "fileCount": node.file_count,
        },
    }
    if node.title:
        facets["documentation"] = _facet("1-1-0/DocumentationDatasetFacet", description=node.title)
    if not node.sources:
        return [{"namespace": "refstore", "name": artifact, "facets": facets}]
    alias = {"namespace": "refstore", "name": artifact, "type": "ARTIFACT"}
    facets["symlinks"] = _facet("1-0-1/SymlinksDatasetFacet", identifiers=[alias])
    out = []
    for namespace, name in dict.fromkeys(map(dataset_name, node.sources)):
        out.append({"namespace": namespace, "name": name, "facets": facets})
    return out


def _written(node: Node) -> dict[str, Any]:
    if len(node.sources) > 1:
        return {}
    return {
        "outputStatistics": _facet(
            "1-0-2/OutputStatisticsOutputDatasetFacet", size=node.size, fileCount=node.file_count
        )
    }


def _facet(schema: str, **values: Any) -> dict[str, Any]:
    """A facet of OpenLineage's own; `schema` is its version and name."""
    return {"_producer": PRODUCER, "_schemaURL": f"{_FACETS}{schema}.json#/$defs/{schema.split('/')[1]}", **values}
