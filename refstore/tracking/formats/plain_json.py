"""A lineage as one JSON object, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refstore.tracking.lineage import Lineage, Node


def plain_json(graph: Lineage) -> dict[str, Any]:
    """The object: nodes hold what `Node` documents, null for what is not known."""
    return {
        "start": graph.start.id,
        "nodes": [node_json(node) for node in graph.nodes],
        "edges": [
            {"kind": e.kind, "source": e.source, "target": e.target, "use_as": e.use_as or None} for e in graph.edges
        ],
    }


def node_json(node: Node) -> dict[str, Any]:
    """One node."""
    out: dict[str, Any] = {
        "kind": node.kind,
        "id": node.id,
        "name": node.name or None,
        "entity": node.entity or None,
        "project": node.project or None,
        "type": node.type or None,
        "state": node.state or None,
        "time": node.time or None,
    }
    if node.kind == "run":
        out |= {"title": node.title or None, "ended": node.ended or None, "command": list(node.command)}
        out |= {"git": node.git or None, "host": node.host or None, "python": node.python or None}
    else:
        out |= {"description": node.title or None, "digest": node.digest or None, "sources": list(node.sources)}
        out |= {"size": node.size, "file_count": node.file_count}
        out |= {"made_by": node.made_by or None, "link_to": node.link_to or None}
    return out
