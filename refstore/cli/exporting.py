"""`export`: the list of a version's files for other programs."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import IO, Annotated

import typer

from refstore.cli.options import Json, Name, Paths, Quiet, open_store, short
from refstore.cli.output import Output, coloured, count, printable


class Format(str, Enum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    WANDB = "wandb"
    REFERENCES = "references"


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command()(export)


def export(
    context: typer.Context,
    name: Name,
    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            help="jsonl, csv or parquet: a row a file; wandb: a W&B manifest; references: a set for fsspec's "
            "reference://. Default: what the ending of FILE says, or jsonl.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is stdout.", show_default=False)
    ] = "-",
    path: Paths = None,
    skip_content: Annotated[
        bool, typer.Option("--skip-content", help="Leave out stored content, where the format has no word for it.")
    ] = False,
    allow_unpinned: Annotated[
        bool, typer.Option("--allow-unpinned", help="Let references hold URLs that no object version pins.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the list of a version's files for other programs.

    No source is asked, and nothing is downloaded. FILE appears whole or not at all. 'import jsonl' reads jsonl back.
    """
    from refstore.cli.bars import bar
    from refstore.cli.shapes import exported_json

    out = Output(json, quiet)
    with open_store(context) as store:
        version = store.version(name)
        target = _stdout(format) if output == "-" else Path(output)
        with bar("Writing", out) as progress:
            result = version.export(
                target,
                format=format and format.value,
                paths=path or (),
                skip_content=skip_content,
                allow_unpinned=allow_unpinned,
                force=force,
                progress=progress,
            )
        out.notes(result.notes)
        if result.path is None:
            return
        out.record(exported_json(version.qualified_name, result))
        if not quiet:
            label = coloured(printable(short(store, version.qualified_name)), "bold")
            out.say(f"{label} -> {printable(str(result.path))}  {count(result.files, 'file')} as {result.format}")


def _stdout(format: Format | None) -> IO[bytes]:
    """Stdout for bytes.

    Raises:
        UsageError: It is a terminal, and the format is nothing to look at.
    """
    from refstore.errors import UsageError

    if format is Format.PARQUET and sys.stdout.isatty():
        raise UsageError("Parquet is nothing for a terminal: name a file with --output.")
    return sys.stdout.buffer
