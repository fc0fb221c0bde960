"""`init`, `add`, `put`: what makes stores and versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refstore.cli.groups import ChoiceOptions, LabelOptions, with_groups
from refstore.cli.options import ArtifactOption, DryRun, Json, Quiet, open_store, short
from refstore.cli.output import Output, coloured, count, printable, size

if TYPE_CHECKING:
    from refstore.store import Store
    from refstore.tracking.result import Recorded


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command()(init)
    app.command()(with_groups(add))
    app.command()(with_groups(put))


def init(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]", help="The folder to make it in. Default: the current one.", show_default=False
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a store here.

    It is the folder .refstore/, to which all other commands look upwards from where they are run.
    """
    import refstore

    out = Output(json, quiet)
    with refstore.create(path or context.obj.store) as store:
        command, ignored = _commit(store)
        out.record({"store": str(store.folder), "created": store.created, "commit": command})
        if not quiet:
            made = "Made a store in" if store.created else "There is a store already in"
            out.say(f"{made} {printable(str(store.folder))}")
            if command is not None:
                out.say(f"Commit it with your code: {printable(command)}")
        out.notes(ignored)
        if store.created:
            _note_outer(store, out)


def _commit(store: Store) -> tuple[str | None, list[str]]:
    """The command by which git takes what is to be committed, and a note where it would not; None outside of git."""
    import os
    import shlex

    from refstore.sync.history import History

    history = History.of(store.folder)
    if history is None:
        return None, []
    rule = history.ignores()
    notes = [f"Git ignores the catalog, by the rule {rule}: take that out, or it is never committed."] if rule else []
    paths = [store.folder, *(path for path in [store.root / ".refstore.toml"] if path.exists())]
    return shlex.join(["git", "add", *map(os.path.relpath, paths)]), notes


def _note_outer(store: Store, out: Output) -> None:
    """Say so where a new store hides another one from the folders below it."""
    from refstore.errors import StoreNotFound
    from refstore.store import find

    try:
        outer = find(store.root.parent)
    except StoreNotFound:
        return
    if outer == store.root:
        return
    out.notes([f"From here on down it takes the place of the store in {outer}."])


def add(
    context: typer.Context,
    uris: Annotated[
        list[str],
        typer.Argument(
            metavar="URI", help="s3://, gs://, az://, https://, a path, or any fsspec URL.", show_default=False
        ),
    ],
    name: ArtifactOption,
    labels: LabelOptions,
    choice: ChoiceOptions,
    checksum: Annotated[
        bool,
        typer.Option(
            "--checksum/--no-checksum",
            help="Whether to read files and web pages for their checksum, where the service has none.",
        ),
    ] = True,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Record external files as a new version.

    The files stay where they are, and nothing is copied. A prefix or folder means all that is below it. ?versionId= and
    #GENERATION pin one version of one object. What is recorded already makes no new version.
    """
    from refstore.cli.bars import bar

    out = Output(json, quiet)
    with open_store(context) as store:
        with bar("Listing", out) as progress:
            result = store.add(
                uris,
                name=name,
                **labels.arguments(),
                **choice.arguments(),
                checksum=checksum,
                dry_run=dry_run,
                progress=progress,
            )
        print_added(store, result, out)


def put(
    context: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files and folders to store.", show_default=False)],
    name: ArtifactOption,
    labels: LabelOptions,
    choice: ChoiceOptions,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Store local files' content as a new version.

    It is kept in the store's cache, by checksum, once however often it is stored. This is for files that have no other
    home; use add for files that stay where they are.
    """
    from refstore.cli.bars import bar

    out = Output(json, quiet)
    with open_store(context) as store:
        with bar("Storing", out) as progress:
            result = store.put(
                paths,
                name=name,
                **labels.arguments(),
                **choice.arguments(),
                dry_run=dry_run,
                progress=progress,
            )
        print_added(store, result, out)


def print_added(store: Store, result: Recorded, out: Output) -> None:
    """What was recorded, or would be: for `add`, `put` and `import`."""
    from refstore.cli.reading import change_lines
    from refstore.cli.shapes import added_json, change_json

    if result.dry_run:
        if out.json:
            for change in result.changes:
                out.record(change_json(change, store.backends))
        elif not out.quiet:
            for line in change_lines(result.changes):
                print(line)
    out.record(added_json(result))
    if out.json:
        return
    label = printable(short(store, result.name))
    if out.quiet:
        print(label)
        return
    out.notes(result.notes)
    if result.markers:
        out.notes([f"Left out: {count(result.markers, 'directory marker')}, which are no files."])
    amount = f"{count(result.file_count, 'file')}, {size(result.size)}"
    pinned = f"pinned: {pins_text(result.pins)}" if result.pins else ""
    if not result.new:
        print(f"{coloured(label, 'bold')} is unchanged: {amount}  {pinned}".rstrip())
        return
    changed = ", ".join(
        f"{number:,} {what}"
        for number, what in ((result.added, "added"), (result.removed, "removed"), (result.changed, "changed"))
        if number
    )
    parts = [coloured(label, "bold"), amount, f"({changed or 'nothing changed'})", pinned]
    if result.dry_run:
        parts[0] = f"Would make {parts[0]}:"
    print("  ".join(part for part in parts if part))


def pins_text(pins: Mapping[Any, int]) -> str:
    """`version 12, checksum 3`, strongest first."""
    ordered = sorted(pins.items(), key=lambda item: -item[0].strength)
    return ", ".join(f"{pin.value} {number:,}" for pin, number in ordered if number)
