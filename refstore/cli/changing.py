"""`alias`, `tag`, `describe`, `rm`: what changes in the catalog after a version was made. No source is ever touched."""

from __future__ import annotations

from typing import Annotated

import typer

from refstore.cli.options import Json, Name, Quiet, complete_name, open_store, short
from refstore.cli.output import Output, count, printable

VersionName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The version, as in mnist:v3.", autocompletion=complete_name, show_default=False
    ),
]

alias_app = typer.Typer(
    help="Give movable names to versions.",
    rich_markup_mode=None,
    no_args_is_help=False,
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.add_typer(alias_app, name="alias")
    app.command()(tag)
    app.command()(describe)
    app.command("rm")(remove)


@alias_app.callback()
def alias(context: typer.Context) -> None:
    """Give movable names to versions."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@alias_app.command("set")
def alias_set(
    context: typer.Context,
    name: VersionName,
    aliases: Annotated[list[str], typer.Argument(metavar="ALIAS", help="Such as best.", show_default=False)],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let an alias name this version.

    One that names another version of the artifact moves here.
    """
    out = Output(json, quiet)
    with open_store(context) as store:
        for each in aliases:
            store.set_alias(name, each)
        version = store.version(name)
        out.record({"name": version.name, "qualified_name": version.qualified_name, "aliases": list(version.aliases)})
        if not quiet:
            out.say(
                f"{printable(short(store, version.qualified_name))}  aliases: {printable(', '.join(version.aliases))}"
            )


@alias_app.command("rm")
def alias_remove(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME:ALIAS", help="Such as mnist:best.", autocompletion=complete_name, show_default=False
        ),
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take an alias away. The version that it named stays."""
    out = Output(json, quiet)
    with open_store(context) as store:
        store.remove_alias(name)
    out.record({"removed": name})
    if not quiet:
        out.say(f"Removed the alias {printable(name)}.")


def tag(
    context: typer.Context,
    name: Name,
    tags: Annotated[list[str], typer.Argument(metavar="TAG", help="Made of words.", show_default=False)],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tags away.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Give tags to a version, or take them away."""
    out = Output(json, quiet)
    with open_store(context) as store:
        (store.untag if remove else store.tag)(name, tags)
        version = store.version(name)
        out.record({"name": version.name, "qualified_name": version.qualified_name, "tags": list(version.tags)})
        if not quiet:
            label = short(store, version.qualified_name)
            out.say(printable(f"{label}  tags: {', '.join(version.tags) or 'none'}"))


def describe(
    context: typer.Context,
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help='What it is; "" for nothing.', show_default=False)],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Change the description of a version."""
    out = Output(json, quiet)
    with open_store(context) as store:
        store.describe(name, text)
        version = store.version(name)
        out.record({"name": version.name, "qualified_name": version.qualified_name, "description": text})
        if not quiet:
            out.say(f"{printable(short(store, version.qualified_name))}  {printable(text)}".rstrip())


def remove(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A version, or an artifact for all of its versions.",
            autocompletion=complete_name,
            show_default=False,
        ),
    ],
    force: Annotated[bool, typer.Option("--force", "-f", help="Also versions that an alias names.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove a version from the catalog.

    Its number is never used again, and its source files are never touched.
    """
    out = Output(json, quiet)
    with open_store(context) as store:
        names = [version.qualified_name for version in store.remove(name, force=force)]
        out.record({"removed": names})
        names = [short(store, name) for name in names]
    if not quiet:
        out.say(f"Removed {count(len(names), 'version')}: {printable(', '.join(names))}. No source was touched.")
