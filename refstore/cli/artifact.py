"""`artifact put`, `artifact get`, `artifact ls`: the commands that W&B has, with W&B's spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refstore.cli.options import Json, MaxObjects, Name, Quiet, open_store, short
from refstore.cli.output import Output, columns, count, printable, size, when

app = typer.Typer(
    help="Put, get and list artifacts as 'wandb artifact' does.",
    rich_markup_mode=None,
    no_args_is_help=False,
    invoke_without_command=True,
)


def register(parent: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    parent.add_typer(app, name="artifact")


@app.callback()
def artifact(context: typer.Context) -> None:
    """Put, get and list artifacts as 'wandb artifact' does."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def put(
    context: typer.Context,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A URI, which becomes a reference, or a path, whose content is kept.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", "-n", metavar="NAME", help="[entity/][project/]artifact. Default: the last part of PATH."
        ),
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", "-d", metavar="TEXT", help="What this is.")
    ] = None,
    type: Annotated[str, typer.Option("--type", "-t", metavar="TYPE", help="Such as dataset or model.")] = "dataset",
    alias: Annotated[
        list[str] | None, typer.Option("--alias", "-a", metavar="ALIAS", help="Beside latest; may be repeated.")
    ] = None,
    max_objects: MaxObjects = None,
    skip_cache: Annotated[
        bool, typer.Option("--skip_cache", help="Accepted for W&B's sake: there is one cache, and it is the store.")
    ] = False,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="POLICY", help="Accepted for W&B's sake: files are never changed.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Record a URI by reference, or store a path's content, as a version.

    The same as add for a URI and put for a path.
    """
    from refstore.cli.adding import print_added
    from refstore.cli.bars import bar
    from refstore.errors import UsageError

    out = Output(json, quiet)
    base = name or path.partition("?")[0].rstrip("/").rpartition("/")[2]
    if not base:
        raise UsageError(f"{path!r} has no last part to name the artifact by: give --name.")
    with open_store(context) as store:
        with bar("Listing" if "://" in path else "Storing", out) as progress:
            result = (store.add if "://" in path else store.put)(
                path,
                name=base,
                type=type,
                aliases=alias or (),
                description=description,
                max_objects=max_objects,
                progress=progress,
            )
        print_added(store, result, out)


@app.command()
def get(
    context: typer.Context,
    name: Name,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="PATH", help="The folder. Default: artifacts/NAME:vN.", show_default=False),
    ] = None,
    type: Annotated[str | None, typer.Option("--type", "-t", metavar="TYPE", help="What type it has to be.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download a version's files, byte for byte as recorded.

    The same as checkout.
    """
    from refstore.cli.bars import bar
    from refstore.cli.shapes import checkout_json
    from refstore.errors import TypeConflict

    out = Output(json, quiet)
    with open_store(context) as store:
        version = store.version(name)
        if type is not None and type != version.type:
            raise TypeConflict(f"{version.qualified_name} is of type {version.type!r}, not {type!r}.")
        with bar("Downloading", out) as progress:
            result = version.checkout(root, progress=progress)
        out.record(checkout_json(version.qualified_name, result))
        out.say(printable(str(result.dest)))


@app.command("ls")
def list_(
    context: typer.Context,
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="[entity/]project.", show_default=False)],
    type: Annotated[
        str | None, typer.Option("--type", "-t", metavar="TYPE", help="Only artifacts of this type.")
    ] = None,
    json: Json = False,
) -> None:
    """List a project's artifacts with the latest version, the size and the aliases of each."""
    from refstore.cli.reading import _print_all
    from refstore.cli.shapes import artifact_json

    out = Output(json)
    with open_store(context) as store:
        infos = [info for info in store.artifacts(project.rstrip("/")) if type in (None, info.type)]
        if json:
            for info in infos:
                out.record(artifact_json(info))
            return
        rows = (
            (
                info.type,
                when(info.updated),
                size(info.size),
                count(info.file_count, "file"),
                f"{short(store, str(info.name))}:v{info.latest}",
                ", ".join(alias for alias, number in info.aliases.items() if number == info.latest),
            )
            for info in infos
        )
        _print_all(columns(rows, right=(2, 3)), f"There are no artifacts in {printable(project)}.")
