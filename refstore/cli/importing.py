"""`import wandb`, `import dvc`: references that other tools recorded become versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refstore.cli.options import (
    Aliases,
    ArtifactOption,
    Description,
    DryRun,
    Json,
    Metadata,
    Quiet,
    Tags,
    TypeOption,
    open_store,
)
from refstore.cli.output import Output

app = typer.Typer(
    help="Make versions of the references that other tools recorded.",
    rich_markup_mode=None,
    no_args_is_help=False,
    invoke_without_command=True,
)

SkipContent = Annotated[
    bool,
    typer.Option("--skip-content", help="Leave out what can't be a reference, such as content that the tool keeps."),
]


def register(parent: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    parent.add_typer(app, name="import")


@app.callback()
def import_(context: typer.Context) -> None:
    """Make versions of the references that other tools recorded."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def wandb(
    context: typer.Context,
    manifest: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST.json", help="A manifest of a W&B artifact, version 1.", show_default=False),
    ],
    name: ArtifactOption,
    type: TypeOption = None,
    alias: Aliases = None,
    tag: Tags = None,
    description: Description = None,
    metadata: Metadata = None,
    skip_content: SkipContent = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a version of the references in a W&B manifest.

    No data is touched, and no request is made.
    """
    from refstore.cli.adding import _metadata, _print_added

    with open_store(context) as store:
        result = store.import_wandb(
            manifest,
            name=name,
            type=type,
            aliases=alias or (),
            tags=tag or (),
            description=description,
            metadata=_metadata(metadata),
            skip_content=skip_content,
            dry_run=dry_run,
        )
        _print_added(store, result, Output(json, quiet))


@app.command()
def dvc(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.dvc", help="What dvc import-url made.", show_default=False)],
    name: ArtifactOption,
    type: TypeOption = None,
    alias: Aliases = None,
    tag: Tags = None,
    description: Description = None,
    metadata: Metadata = None,
    skip_content: SkipContent = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a version of the references in a .dvc file.

    No data is touched, and no request is made.
    """
    from refstore.cli.adding import _metadata, _print_added

    with open_store(context) as store:
        result = store.import_dvc(
            file,
            name=name,
            type=type,
            aliases=alias or (),
            tags=tag or (),
            description=description,
            metadata=_metadata(metadata),
            skip_content=skip_content,
            dry_run=dry_run,
        )
        _print_added(store, result, Output(json, quiet))
