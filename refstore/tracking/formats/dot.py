"""A lineage as a digraph for Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refstore.tracking.lineage import Lineage


def dot(graph: Lineage) -> str:
    """The text: runs are ellipses, versions are boxes, and what was asked about is bold."""
    out = ["digraph lineage {", "    rankdir=LR;", '    node [fontname="sans-serif"];']
    for node in graph.nodes:
        title = node.name or f"{node.kind} {node.id[:12]}"
        lines = [node.title, title] if node.kind == "run" else [title]
        lines += [", ".join(part for part in (node.type, node.state) if part)]
        label = "\\n".join(escaped(line) for line in lines if line)
        shape = "ellipse" if node.kind == "run" else "box"
        style = ", style=bold" if node.id == graph.start.id else ""
        out.append(f'    "{node.id}" [label="{label}", shape={shape}{style}];')
    for edge in graph.edges:
        label = f'label="{escaped(edge.use_as)}"' if edge.use_as else ""
        style = "style=dashed" if edge.kind == "link" else ""
        marks = ", ".join(part for part in (label, style) if part)
        out.append(f'    "{edge.source}" -> "{edge.target}"{f" [{marks}]" if marks else ""};')
    out.append("}")
    return "\n".join(out) + "\n"


def escaped(text: str) -> str:
    r"""A text as the inside of a quoted string: a backslash would begin an escape such as `\N`, a quote would end it.

    Control characters are written out, as a line break would make another line of the label.
    """
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\\\x{ord(c):02x}" for c in plain)
