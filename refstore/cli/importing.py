"""`import wandb`, `import dvc`, `import jsonl`: references in files of other tools, or in an export, as versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from refstore.cli.groups import LabelOptions, with_groups
from refstore.cli.options import ArtifactOption, DryRun, Json, Quiet, open_store
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


def _file(metavar: str, help: str) -> Any:
    return typer.Argument(metavar=metavar, help=help, show_default=False)


def _command(tool: str, file_argument: Any, help: str) -> None:
    """Make the command for one kind of file, which `Store.import_TOOL` reads."""

    def command(
        context: typer.Context,
        file: Path,
        name: ArtifactOption,
        labels: LabelOptions,
        skip_content: SkipContent = False,
        dry_run: DryRun = False,
        json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        from refstore.cli.adding import print_added

        with open_store(context) as store:
            result = getattr(store, f"import_{tool}")(
                file, name=name, **labels.arguments(), skip_content=skip_content, dry_run=dry_run
            )
            print_added(store, result, Output(json, quiet))

    command.__annotations__["file"] = Annotated[Path, file_argument]
    app.command(tool, help=help)(with_groups(command))


_command(
    "wandb",
    _file("MANIFEST.json", "A manifest of a W&B artifact, version 1."),
    "Make a version of the references in a W&B manifest.\n\nNo data is touched, and no request is made.",
)
_command(
    "dvc",
    _file("FILE.dvc", "What dvc import-url made."),
    "Make a version of the references in a .dvc file.\n\nNo data is touched, and no request is made.",
)
_command(
    "jsonl",
    _file("FILE.jsonl", "What refstore export wrote as jsonl."),
    "Make a version of the files in an export of refstore.\n\nNo data is touched, and no request is made. The digest "
    "is that of the version that was exported.",
)
