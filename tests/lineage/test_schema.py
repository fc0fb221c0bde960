"""Events of OpenLineage, held against the JSON schema of its core, version 2-0-2.

See https://openlineage.io/spec/2-0-2/OpenLineage.json. Only the rules are here; a network is not needed to test.
"""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from refstore.tracking.lineage import Lineage
from tests.lineage.test_formats import graph

__all__ = ["graph"]

TEXT = {"type": "string"}
URI = {"type": "string", "format": "uri"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


def _facets(**more: Any) -> dict[str, Any]:
    facet = _object("_producer _schemaURL", _producer=URI, _schemaURL=URI, **more)
    return {"type": "object", "additionalProperties": facet}


DELETED = {"_deleted": {"type": "boolean"}}


def _dataset(**special: Any) -> dict[str, Any]:
    return _object("namespace name", namespace=TEXT, name=TEXT, facets=_facets(**DELETED), **special)


RUN_EVENT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_object(
        "eventTime producer schemaURL run job",
        eventType={"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        eventTime={"type": "string", "format": "date-time"},
        producer=URI,
        schemaURL=URI,
        run=_object("runId", runId={"type": "string", "format": "uuid"}, facets=_facets()),
        job=_object("namespace name", namespace=TEXT, name=TEXT, facets=_facets(**DELETED)),
        inputs={"type": "array", "items": _dataset(inputFacets=_facets())},
        outputs={"type": "array", "items": _dataset(outputFacets=_facets())},
    ),
}


def problems(event: dict[str, Any]) -> list[str]:
    check = jsonschema.Draft202012Validator(RUN_EVENT, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    return [error.message for error in check.iter_errors(event)]


def test_every_event_obeys_the_schema(graph: Lineage) -> None:
    events = list(graph.to_openlineage())
    assert {event["eventType"] for event in events} == {"START", "COMPLETE", "FAIL"}
    assert [problems(event) for event in events] == [[]] * len(events)
    assert any(event["inputs"] for event in events)
    assert any(event["outputs"] for event in events)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("run", "runId"), "no uuid"),
        (("eventTime",), "yesterday"),
        (("producer",), "no uri"),
        (("eventType",), "BEGIN"),
        (("job", "facets", "jobType", "_schemaURL"), "no uri"),
        (("outputs", 0, "facets", "version", "_producer"), 3),
    ],
)
def test_the_schema_refuses_what_is_no_event(graph: Lineage, path: tuple[Any, ...], value: object) -> None:
    event = copy.deepcopy(next(event for event in graph.to_openlineage() if event["outputs"]))
    place = event
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert problems(event)
