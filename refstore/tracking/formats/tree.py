"""A lineage as an indented tree, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refstore.tracking.lineage import Lineage, Node

DEEPEST = 60
"""Levels: what is deeper is not read on a screen any more, and each level makes its lines longer."""


def tree(graph: Lineage) -> Iterator[str]:
    """One line a node: the start, what it came from below `from`, and what came of it below `to`.

    A node that was shown already has no tree of its own again, and says so.
    """
    yield text(graph.start)
    for heading, up in (("from", True), ("to", False)):
        if graph.before(graph.start) if up else graph.after(graph.start):
            yield heading
            yield from _branches(graph, up)


def text(node: Node) -> str:
    """What a line says of a node: `run brave-otter-12 (vision/3kd9x2ab)  train, finished`."""
    if not node.name:
        return f"{node.kind} {node.id[:12]}  (its records are not in this catalog)"
    if node.kind == "version":
        return "  ".join([node.name, ", ".join(part for part in (node.type, node.state) if part)])
    name = f"run {node.title} ({node.name})" if node.title else f"run {node.name}"
    about = ", ".join(part for part in (node.type, node.state, node.time[:19].replace("T", " ")) if part)
    return f"{name}  {about}"


def _branches(graph: Lineage, up: bool) -> Iterator[str]:
    shown = {graph.start.id}
    # Each level holds the nodes that are still to come there: a chain may be longer than Python's stack is deep.
    levels = [_next(graph, graph.start, up)]
    while levels:
        if not levels[-1]:
            levels.pop()
            continue
        node, remark = levels[-1].pop(0)
        indent = "".join("│  " if level else "   " for level in levels[:-1])
        line = f"{indent}{'├─' if levels[-1] else '└─'} {text(node)}{remark}"
        below = _next(graph, node, up)
        if node.id in shown and below:
            yield f"{line}  (shown above)"
            continue
        shown.add(node.id)
        if below and len(levels) >= DEEPEST:
            yield f"{line}  … and more: see --format json"
            continue
        yield line
        levels.append(below)


def _next(graph: Lineage, node: Node, up: bool) -> list[tuple[Node, str]]:
    found = []
    for edge in graph.before(node) if up else graph.after(node):
        other = graph.node(edge.source if up else edge.target)
        remark = f"  as {edge.use_as}" if edge.use_as else ""
        if edge.kind == "link":
            remark = "  (this is a link to it)" if up else "  (a link to this)"
        elif edge.kind == "logged":
            run, version = (other, node) if up else (node, other)
            remark = "" if not version.made_by or version.made_by == run.id else "  (logged it again)"
        found.append((other, remark))
    return found
