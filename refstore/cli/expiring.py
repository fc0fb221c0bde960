"""`gc`: the end of versions whose lifetime is over."""

from __future__ import annotations

from typing import Annotated

import typer

from refstore.cli.options import Json, Quiet, open_store, short
from refstore.cli.output import Output, count, printable, when


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command()(gc)


def gc(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them. Without it they are only listed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them, whatever else is said.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove versions whose lifetime (ttl) has ended from the catalog; list them without --yes.

    A version with an alias or a link stays, and so does the latest of each artifact. No source is ever touched.
    """
    from refstore.tracking.expiry import ends

    out = Output(json, quiet)
    dry = dry_run or not yes
    with open_store(context) as store:
        gone = store.gc(dry_run=dry)
        for version in gone:
            ended = ends(version.info)
            out.record({"name": version.qualified_name, "created": version.created, "ended": ended, "removed": not dry})
            out.say(printable(f"{short(store, version.qualified_name)}  ended {when(ended)}"))
    if quiet:
        return
    if not gone:
        out.say("No version's lifetime has ended.")
    elif dry:
        out.say(f"Would remove {count(len(gone), 'version')} from the catalog: repeat it with --yes.")
    else:
        out.say(f"Removed {count(len(gone), 'version')} from the catalog. No source was touched.")
