"""`cache ls|gc`, `config`: the store's own keeping."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from refstore.cli.options import Json, Quiet, complete_setting, open_store
from refstore.cli.output import Output, columns, count, printable, size

cache_app = typer.Typer(
    help="See and clear the store's cache of content.",
    rich_markup_mode=None,
    no_args_is_help=False,
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.add_typer(cache_app, name="cache")
    app.command()(config)


@cache_app.callback()
def cache(context: typer.Context) -> None:
    """See and clear the store's cache of content."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@cache_app.command("ls")
def cache_list(context: typer.Context, json: Json = False) -> None:
    """List the content in the cache."""
    out = Output(json)
    with open_store(context) as store:
        files = total = 0

        def rows() -> Any:
            nonlocal files, total
            for cached in store.cache:
                files += 1
                total += cached.size
                if json:
                    out.record({"checksum": str(cached.checksum), "size": cached.size})
                yield size(cached.size), str(cached.checksum)

        for line in columns(rows(), right=(0,)):
            out.say(line)
        out.say(f"{count(files, 'file')}, {size(total)} in {printable(str(store.cache.root))}")


@cache_app.command("gc")
def cache_gc(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove cached content that nothing needs.

    What put stored for a version stays while the version does.
    """
    out = Output(json, quiet)
    with open_store(context) as store:
        gone = store.cache_gc(dry_run=dry_run)
    for checksum, length in gone:
        out.record({"checksum": str(checksum), "size": length, "removed": not dry_run})
    if not quiet:
        what = "Would remove" if dry_run else "Removed"
        out.say(f"{what} {count(len(gone), 'file')}, {size(sum(length for _, length in gone))}.")


def config(
    context: typer.Context,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="[KEY]",
            help="Such as jobs or endpoints.lab.url.",
            autocompletion=complete_setting,
            show_default=False,
        ),
    ] = None,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="What to write into .refstore.toml.", show_default=False)
    ] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Take the setting out of .refstore.toml.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show or change settings.

    Each is shown with where it comes from. Settings stand in .refstore.toml beside .refstore/, and REFSTORE_* variables
    win over it.
    """
    from refstore.config import settings_with_origin
    from refstore.errors import StoreNotFound, UsageError
    from refstore.settings_file import set_setting, unset_setting

    out = Output(json, quiet)
    root = store_root(context)
    if key is not None and (value is not None or unset):
        if root is None:
            raise StoreNotFound("There is no store here whose settings could change: 'refstore init' makes one.")
        if unset and value is not None:
            raise UsageError("Give a value or --unset, not both.")
        if value is None:
            unset_setting(root, key)
        else:
            set_setting(root, key, value)
    elif unset:
        raise UsageError("Name the setting to unset, as in 'refstore config jobs --unset'.")
    found = settings_with_origin(root)
    if key is not None:
        chosen = [setting for setting in found if setting.name == key or setting.name.startswith(f"{key}.")]
        if not chosen and not key.startswith("endpoints"):
            raise UsageError(f"{key!r} is no setting: there are {', '.join(s.name for s in found)}.")
        found = chosen
    if json:
        for setting in found:
            out.record({"name": setting.name, "value": setting.value, "origin": setting.origin})
        return
    if key is not None and len(found) == 1 and found[0].name == key:
        if value is None and not unset:
            print(printable(_text(found[0].value)))
        elif not quiet:
            print(f"{key} = {printable(_text(found[0].value))}  ({printable(found[0].origin)})")
        return
    for line in columns((s.name, _text(s.value), "" if s.origin == "default" else s.origin) for s in found):
        print(line)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else str(value)


def store_root(context: typer.Context) -> Path | None:
    """The folder of the store, without opening its catalog; None where there is none."""
    from refstore.errors import StoreNotFound
    from refstore.store import find

    try:
        return find(context.obj.store)
    except StoreNotFound:
        return None
