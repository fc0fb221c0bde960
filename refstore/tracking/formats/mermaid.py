"""A lineage as a Mermaid flowchart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refstore.tracking.lineage import Lineage

# What has a meaning in Markdown, in HTML or in Mermaid's own labels stands as its number, which Mermaid reads back:
# https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters
_SPECIAL = re.compile(r"[^\w \-.:/,()]", re.ASCII)


def mermaid(graph: Lineage) -> str:
    """The text: runs are rounded, versions are boxes, and what was asked about has a thick border."""
    ids = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    out = ["flowchart LR"]
    for node in graph.nodes:
        title = node.name or f"{node.kind} {node.id[:12]}"
        lines = [node.title or title, title] if node.kind == "run" and node.title else [title]
        lines += [", ".join(part for part in (node.type, node.state) if part)]
        label = "<br/>".join(escaped(line) for line in lines if line)
        opening, closing = ("([", "])") if node.kind == "run" else ("[", "]")
        out.append(f'    {ids[node.id]}{opening}"{label}"{closing}')
    for edge in graph.edges:
        arrow = "-.->" if edge.kind == "link" else "-->"
        label = f'|"{escaped(edge.use_as)}"|' if edge.use_as else ""
        out.append(f"    {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    out.append(f"    style {ids[graph.start.id]} stroke-width:3px")
    return "\n".join(out) + "\n"


def escaped(text: str) -> str:
    """A text as the inside of a quoted label."""
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", text)
