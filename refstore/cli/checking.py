"""`checkout`, `status`, `verify`, `doctor`: what asks the sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refstore.cli.ending import DRIFTED, TOLD_IN_FULL, print_failures
from refstore.cli.options import Jobs, Json, Name, Paths, Quiet, open_store, short
from refstore.cli.output import Output, coloured, columns, count, printable, size
from refstore.manifest.entry import Object, Pin

if TYPE_CHECKING:
    from refstore.checkout.status import Drift

_NOTHING = Object("", "", "", "")


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command()(checkout)
    app.command()(status)
    app.command()(verify)
    app.command()(doctor)


def checkout(
    context: typer.Context,
    name: Name,
    dest: Annotated[
        str | None,
        typer.Argument(metavar="[DEST]", help="The folder. Default: artifacts/NAME:vN/ here.", show_default=False),
    ] = None,
    path: Paths = None,
    jobs: Jobs = None,
    link: Annotated[
        Literal["auto", "reflink", "hardlink", "symlink", "copy"] | None,
        typer.Option(
            "--link",
            metavar="auto|reflink|hardlink|symlink|copy",
            help="How files are made from the cache. Default: the setting, auto.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace files that refstore did not write, or that were changed.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Files whose source is gone are listed, and are no error.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the files of a version, as recorded.

    Each has exactly the bytes that were recorded, or is listed with why it can't be had. Files that are there
    already are not fetched again, and an interrupted checkout carries on where it stopped. An artifacts/ folder that it
    makes is kept out of git.
    """
    from refstore.cli.bars import bar
    from refstore.cli.shapes import checkout_json

    out = Output(json, quiet)
    with open_store(context) as store:
        version = store.version(name)
        with bar("Checking out", out) as progress:
            result = version.checkout(
                dest,
                paths=path or (),
                jobs=jobs,
                link=link,
                force=force,
                allow_missing=allow_missing,
                progress=progress,
            )
        out.record(checkout_json(version.qualified_name, result))
        if json:
            return
        print_failures(result.failures)
        if quiet:
            print(printable(str(result.dest)))
            return
        parts = [
            f"{count(result.written, 'file')} written" if result.written or not result.kept else "",
            f"{result.kept:,} already there" if result.kept else "",
            f"{result.removed:,} removed" if result.removed else "",
            f"{len(result.failures):,} missing" if result.failures else "",
        ]
        label = coloured(printable(short(store, version.qualified_name)), "bold")
        said = f"{label} -> {printable(str(result.dest))}  {', '.join(part for part in parts if part)}"
        source = f", {result.from_cache:,} from the cache" if result.from_cache else ""
        print(f"{said}  ({size(result.bytes_transferred)} transferred{source})")
        if result.unverified:
            out.notes(
                [f"Nothing vouches for {count(result.unverified, 'file')}: no digest, version or ETag is recorded."]
            )
        if result.escaped:
            out.notes([f"{count(result.escaped, 'file')} got another name, as theirs can't exist here."])


STATES = {
    "changed": ("~", "yellow", "changed"),
    "gone": ("-", "red", "gone"),
    "added": ("+", "green", "new at the source"),
    "unpinned": ("?", "yellow", "unpinned: nothing recorded can tell"),
}
"""How `status` shows each state but `unchanged`: a letter, its colour, and words for the sum."""


def status(
    context: typer.Context,
    name: Name,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the sum.")] = False,
) -> None:
    """Compare the sources with what was recorded.

    Lists them again, and downloads nothing. A ~ is a file that was changed, a - one that is gone, a + one that is new
    at the source, a ? one of which nothing was recorded that could tell. Ends with 4 if any was changed or is gone.
    """
    from refstore.cli.bars import bar
    from refstore.cli.shapes import drift_json

    out = Output(json, quiet)
    counts = dict.fromkeys(("unchanged", *STATES), 0)
    with open_store(context) as store:
        version = store.version(name)
        label = printable(short(store, version.qualified_name))

        with bar("Comparing", out) as progress:

            def rows() -> Iterator[tuple[str, str, str]]:
                for drift in version.status():
                    counts[drift.state] += 1
                    if progress is not None:
                        progress.advance(1, (drift.recorded or drift.found or _NOTHING).size or 0)
                    out.record(drift_json(drift, store.backends))
                    if drift.state != "unchanged":
                        yield STATES[drift.state][0], _sizes(drift), drift.path

            colours = {letter: colour for letter, colour, _ in STATES.values()}
            for line in columns(rows(), right=(1,)):
                if not json and not quiet:
                    if progress is not None:
                        progress.stop()
                    print(coloured(line, colours[line[0]]))
    drifted = counts["changed"] + counts["gone"]
    if not json:
        if drifted or counts["added"] or counts["unpinned"]:
            parts = [f"{number:,} {STATES[state][2]}" for state, number in counts.items() if number and state in STATES]
            print(f"{label}: {counts['unchanged']:,} unchanged, {', '.join(parts)}")
        else:
            print(f"{label} is as recorded: {count(counts['unchanged'], 'file')} unchanged")
    if drifted:
        raise typer.Exit(DRIFTED)


def _sizes(drift: Drift) -> str:
    old, new = drift.recorded, drift.found
    if old is not None and new is not None and old.size != new.size:
        return f"{size(old.size)} -> {size(new.size)}"
    return size((old or new or _NOTHING).size)


def verify(
    context: typer.Context,
    name: Name,
    bytes: Annotated[bool, typer.Option("--bytes", help="Read all bytes and compare their digests.")] = False,
    jobs: Jobs = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the sum.")] = False,
) -> None:
    """Find out whether each file can still be had.

    Asks the source of each file once, or with --bytes reads it all. Ends with 4 if a file can't be had as recorded.
    """
    from refstore.checkout.result import SHUT_OUT
    from refstore.cli.bars import bar
    from refstore.cli.shapes import verified_json

    out = Output(json, quiet)
    had = unproven = failed = 0
    told: Counter[str] = Counter()
    with open_store(context) as store:
        version = store.version(name)
        label = printable(short(store, version.qualified_name))
        with bar("Verifying", out) as progress:
            if progress is not None:
                progress.total(version.file_count, version.size)
            for found in version.verify(content=bytes, jobs=jobs):
                if progress is not None:
                    progress.advance(1, found.recorded.size or 0)
                failed += found.failed
                unproven += not found.failed and found.state != "ok"
                had += not found.failed
                out.record(verified_json(found))
                if found.state != "ok" and not quiet and not json:
                    mark, colour = ("-", "red") if found.failed else ("?", "yellow")
                    if progress is not None:
                        progress.stop()
                    print(coloured(f"{mark}  {printable(found.path)}: {found.state}", colour))
                    told[found.state] += 1
                    if found.state not in SHUT_OUT or told[found.state] <= TOLD_IN_FULL:
                        print(f"   {printable(found.message)}")
    if not json:
        how = "were read, and are as recorded" if bytes else "can be had"
        unsure = f"; of {unproven:,} nothing can tell whether their bytes are the same" if unproven else ""
        print(f"{label}: {had:,} of {count(had + failed, 'file')} {how}{unsure}")
    if failed:
        raise typer.Exit(DRIFTED)


def doctor(
    context: typer.Context,
    uri: Annotated[str, typer.Argument(metavar="URI", help="A bucket, prefix or object.", show_default=False)],
    json: Json = False,
) -> None:
    """Find out what works at a URI.

    Tries credentials, endpoint, listing, versions and reading, and changes nothing there.
    """
    from refstore.backends.registry import Backends
    from refstore.cli.keeping import store_root
    from refstore.cli.shapes import diagnosis_json
    from refstore.config import load

    out = Output(json)
    backend = Backends(load(store_root(context))).for_uri(uri)
    found = backend.diagnose(backend.parse(uri))
    failed = [check for check in found.checks if check.ok is False]
    out.record(diagnosis_json(uri, found))
    if not json:
        marks = {True: ("ok", "green"), False: ("no", "red"), None: ("-", "yellow")}
        at = found.location
        print(f"{printable(backend.uri(at))}  asked at {printable(found.url)}")
        if at.endpoint and at.endpoint != found.url:
            print(f"endpoint: {printable(at.endpoint)}")
        for check in found.checks:
            mark, colour = marks[check.ok]
            print(f"  {coloured(f'{mark:<2}', colour)}  {printable(check.name):<14}  {printable(check.detail)}")
        works = any(check.ok for check in found.checks if check.name in ("list", "read"))
        told = works and found.pin is not Pin.NONE and not any(check.name == "read" for check in failed)
        print(f"The best pin there: {found.pin.value}." if told else "How files there are pinned can't be told.")
    if failed:
        raise typer.Exit(DRIFTED)
