"""`sync`, `fsck`, `pack`: the files of the catalog and what is made from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from refstore.cli.options import DryRun, Json, Quiet, open_store, short
from refstore.cli.output import Output, coloured, count, printable, size

if TYPE_CHECKING:
    from refstore.store import Store
    from refstore.sync.follow import Synced

FAULTY = 8
"""`fsck` ends with it where something is wrong and stays so: the code of all troubles of the store itself."""


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command()(sync)
    app.command()(fsck)
    app.command()(pack)


def sync(context: typer.Context, json: Json = False, quiet: Quiet = False) -> None:
    """Bring the index up to date and say what came and went.

    Every command does the former by itself, after a git pull or a change of branch too. This one looks at each file as
    well, for those that were changed in their place.
    """
    from refstore.cli.shapes import synced_json

    out = Output(json, quiet)
    with open_store(context, follow=False) as store:
        found = store.sync()
        out.record(synced_json(found))
        if json:
            return
        out.warn_of(found.problems)
        if quiet:
            return
        for line in _told(store, found):
            print(line)


def _told(store: Store, found: Synced) -> list[str]:
    def names(full: tuple[str, ...]) -> str:
        return ", ".join(printable(short(store, name)) for name in full)

    lines = []
    if found.came:
        lines.append(f"Came: {names(found.came)}")
    if found.went:
        lines.append(f"Went: {names(found.went)}")
    lines += [f"Renumbered: {names((was,))} is {names((now,))} now" for was, now in found.renumbered]
    for alias, version in found.moved:
        lines.append(f"Alias: {names((alias,))} {f'means {names((version,))} now' if version else 'is gone'}")
    if not lines and found.records:
        way = "came" if found.records > 0 else "went"
        lines.append(f"{count(abs(found.records), 'record')} {way}, and no version did.")
    return lines or ["Nothing came and nothing went."]


def fsck(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be: files from git, the index, the cache.")
    ] = False,
    content: Annotated[
        bool, typer.Option("--content/--no-content", help="Whether to read all of the cache too.")
    ] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that the store is whole.

    Compares every file of the catalog with its name, every record with those that it refers to, the index with one that
    is made anew, and the cache with its checksums. Says what is wrong, what is lost, and where it could be had again.
    Asks no source and no remote. Ends with 8 if something is wrong and was not repaired.
    """
    from refstore.cli.bars import bar
    from refstore.cli.shapes import finding_json

    out = Output(json, quiet)
    wrong = repaired = 0
    with open_store(context, follow=False) as store:
        with bar("Checking", out) as progress:
            check = store.fsck(content=content, repair=repair, progress=progress)
            for found in check:
                wrong += 1
                repaired += found.repaired
                out.record(finding_json(found))
                if json:
                    continue
                if progress is not None:
                    progress.stop()
                mark, colour = ("ok", "green") if found.repaired else ("no", "red")
                print(f"{coloured(mark, colour)}  {printable(found.message)}")
                where = " or ".join(map(printable, found.sources))
                if found.repaired:
                    print(f"    repaired{f', from {where}' if where else ''}")
                elif where:
                    print(f"    it could be had again from {where}")
        if not json and not quiet:
            seen = [count(check.files, "file") + " of the catalog", count(check.records, "record")]
            seen += [count(check.contents, "file") + " in the cache"] if content else []
            result = count(wrong, "problem") if wrong else "nothing is wrong"
            print(f"{', '.join(seen)}: {result}{f', {repaired:,} repaired' if repaired else ''}")
    if wrong > repaired:
        raise typer.Exit(FAULTY)


def pack(
    context: typer.Context,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=0, help="Leave the newest N files as they are. Default: 100.")
    ] = 100,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fold old files of the catalog into few.

    What the catalog says stays the same, here and after a merge with a branch that was not folded. Files that git has
    not committed stay as they are.
    """
    from refstore.cli.bars import bar
    from refstore.cli.shapes import packed_json

    out = Output(json, quiet)
    with open_store(context) as store, bar("Folding", out) as progress:
        result = store.pack(keep=keep, dry_run=dry_run, progress=progress)
    out.record(packed_json(result))
    if json or quiet:
        return
    if result.folded:
        print(
            f"{'Would fold' if dry_run else 'Folded'} {count(result.folded, 'file')} of {size(result.size_before)} "
            f"into {result.packs:,} of {size(result.size_after)}; {count(result.kept, 'file')} left as they are."
        )
    else:
        print("There is nothing to fold.")
    if result.uncommitted:
        out.notes([f"{count(result.uncommitted, 'old file')} not committed to git yet, and left as they are."])
