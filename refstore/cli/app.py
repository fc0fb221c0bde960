"""The application: the global options, and every command in the order in which `--help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from refstore.cli import (
    adding,
    artifact,
    changing,
    checking,
    expiring,
    importing,
    keeping,
    lineage,
    reading,
    running,
    runs,
)
from refstore.cli.ending import Commands, Session
from refstore.cli.options import StorePath

app = typer.Typer(
    name="refstore",
    cls=Commands,
    help="Remember which external files a piece of work used and made, and get those exact bytes back.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from refstore.version_number import __version__

        print(f"refstore {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    store: StorePath = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Remember which external files a piece of work used and made, and get those exact bytes back."""
    session: Session = context.obj
    session.store = store
    if context.invoked_subcommand is None:
        print(context.get_help())


for group in (adding, checking, reading, changing, running, runs, lineage, artifact, importing, expiring, keeping):
    group.register(app)
