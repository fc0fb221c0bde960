"""The application: the global options. `refstore.cli.commands` has the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from refstore.cli import print_version
from refstore.cli.commands import Commands
from refstore.cli.ending import Session
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
        print_version()
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
