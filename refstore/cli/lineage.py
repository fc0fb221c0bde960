"""`lineage`: which run made a version, from what, and what came of it."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

import typer

from refstore.cli.options import Json, complete_name, open_store, short
from refstore.cli.output import Output, print_json, printable


class Form(str, Enum):
    """How a lineage is printed."""

    TREE = "tree"
    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"
    OPENLINEAGE = "openlineage"


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command()(lineage)


def lineage(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A version, as in mnist:v3, or a run, as in 3f2k9x0a.",
            autocompletion=complete_name,
            show_default=False,
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="Only what it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what came of it.")] = False,
    depth: Annotated[
        int | None, typer.Option("--depth", metavar="N", min=1, help="Pass at most so many runs each way.")
    ] = None,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            "-f",
            help="tree for people; json; mermaid for Markdown; dot for Graphviz; openlineage for Marquez and others.",
        ),
    ] = Form.TREE,
    json: Json = False,
) -> None:
    """Show which run made a version, from what, and what came of it.

    Runs of all projects count. Events of openlineage are printed one a line.
    """
    from refstore.tracking.lineage import shortened

    direction: Literal["both", "up", "down"] = "both" if up == down else "up" if up else "down"
    out = Output(json)
    with open_store(context) as store:
        graph = store.lineage(name, direction=direction, depth=depth)
        if json or form is Form.JSON:
            print_json(graph.to_json())
        elif form is Form.OPENLINEAGE:
            for event in graph.to_openlineage():
                print_json(event)
        elif form is Form.TREE:
            for line in shortened(graph, {node.id: short(store, node.name) for node in graph.nodes}).to_tree():
                out.say(printable(line))
        else:
            print(graph.to_mermaid() if form is Form.MERMAID else graph.to_dot(), end="")
