"""`ls`, `show`, `log`, `diff`: what is in the catalog. None of them asks a source."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refstore.cli.options import NAME_GRAMMAR, Json, Name, Paths, complete_name, open_store, short
from refstore.cli.output import Output, coloured, columns, count, printable, size, when

if TYPE_CHECKING:
    from refstore.manifest.diff import Change
    from refstore.store import Store

_HEADER = ("PIN", "SIZE", "MODIFIED (UTC)", "VERSION", "ETAG", "CHECKSUM", "CLASS", "PATH", "URI")
LETTERS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command("ls")(list_)
    app.command()(show)
    app.command()(log)
    app.command()(diff)


def list_(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Nothing: all artifacts. PROJECT/: those of a project. mnist: its versions. mnist:v3: its files.",
            autocompletion=complete_name,
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER]", help="Only the files below this folder.", show_default=False)
    ] = "",
    path: Paths = None,
    long: Annotated[bool, typer.Option("-l", "--long", help="Everything that is known, a line each.")] = False,
    projects: Annotated[bool, typer.Option("--projects", help="List the projects.")] = False,
    json: Json = False,
) -> None:
    """List artifacts, versions, files or projects."""
    from refstore.errors import UsageError

    out = Output(json)
    files = name is not None and any(mark in name for mark in ":@")
    if (folder or path) and not files:
        raise UsageError("A folder or --path is for the files of a version: name one, as in mnist:latest.")
    with open_store(context) as store:
        if projects:
            _list_projects(store, out)
        elif name is None or name.endswith("/"):
            _list_artifacts(store, name and name.rstrip("/"), long, out)
        elif files:
            _list_files(store, name, folder, path or (), long, out)
        else:
            _list_versions(store, name, long, out)


def _list_projects(store: Store, out: Output) -> None:
    from refstore.cli.shapes import project_json

    infos = store.projects()
    if out.json:
        for info in infos:
            out.record(project_json(info))
        return
    rows = [
        (
            "/".join(part for part in (info.entity, info.project) if part),
            count(info.artifacts, "artifact"),
            count(info.versions, "version"),
            when(info.updated) if info.updated else "",
        )
        for info in infos
    ]
    _print_all(columns(rows, right=(1, 2)), "There are no projects yet: 'refstore add' makes the first.")


def _list_artifacts(store: Store, project: str | None, long: bool, out: Output) -> None:
    from refstore.cli.shapes import artifact_json

    infos = store.artifacts(project)
    if out.json:
        for info in infos:
            out.record(artifact_json(info))
        return
    rows = []
    for info in infos:
        aliases = ", ".join(f"{alias}=v{number}" for alias, number in sorted(info.aliases.items()) if alias != "latest")
        latest = "" if info.latest is None else f"v{info.latest}"
        row = [
            short(store, str(info.name)),
            info.type or "",
            latest,
            count(info.file_count, "file"),
            size(info.size),
            aliases,
        ]
        if long:
            row[-1:] = [count(info.versions, "version"), when(info.updated), aliases, info.description or ""]
        rows.append(row)
    where = f" in {printable(project)}" if project else " yet: 'refstore add' makes the first"
    _print_all(columns(rows, right=(3, 4, 5) if long else (3, 4)), f"There are no artifacts{where}.")


def _list_versions(store: Store, name: str, long: bool, out: Output) -> None:
    from refstore.cli.shapes import version_json

    versions = store.versions(name)
    if out.json:
        for version in versions:
            out.record(version_json(version.info))
        return
    rows = []
    for version in versions:
        marks = ", ".join([*version.aliases, *(f"#{tag}" for tag in version.tags)])
        row = [
            short(store, version.qualified_name),
            count(version.file_count, "file"),
            size(version.size),
            when(version.created),
            marks,
        ]
        if long:
            row[1:1] = [version.digest[:12]]
            row.append(version.description or "")
        rows.append(row)
    _print_all(columns(rows, right=(2, 3) if long else (1, 2)), f"{printable(name)} has no versions.")


def _list_files(store: Store, name: str, folder: str, globs: Sequence[str], long: bool, out: Output) -> None:
    from refstore.checkout.result import uri_of
    from refstore.errors import ArtifactNotFound
    from refstore.tracking.exports.row import row

    prefix = folder.rstrip("/") + "/" if folder else ""
    version = store.version(name)
    entries = version.files(prefix, paths=globs)
    if folder:
        first = next(entries, None)
        if first is None:
            raise ArtifactNotFound(f"{version.name} has no folder {prefix!r}: see `refstore ls {version.name}`.")
        entries = chain([first], entries)
    if out.json:
        for entry in entries:
            out.record(row(entry, uri_of(entry.object, store.backends)))
        return
    if long:
        rows: Iterable[Sequence[str]] = (
            (
                entry.object.pin.value,
                size(entry.object.size),
                when(entry.object.mtime or "-"),
                entry.object.version or "-",
                entry.object.etag or "-",
                str(entry.object.checksum or "-"),
                entry.object.storage_class or "-",
                entry.path,
                uri_of(entry.object, store.backends),
            )
            for entry in entries
        )
        rows, right = _headed(rows), (1,)
    else:
        rows = ((size(entry.object.size), entry.object.pin.value, entry.path) for entry in entries)
        right = (0,)
    _print_all(columns(rows, right=right), f"{printable(name)} has no files.")


def _headed(rows: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    """The rows, and before the first one what the columns are, where a person looks."""
    for at, row in enumerate(rows):
        if at == 0 and sys.stdout.isatty():
            yield _HEADER
        yield row


def _print_all(lines: Iterator[str], otherwise: str) -> None:
    """Each line, or a sentence in place of none."""
    empty = True
    for line in lines:
        print(line)
        empty = False
    if empty:
        print(otherwise, file=sys.stderr)


def show(context: typer.Context, name: Name, json: Json = False) -> None:
    """Show everything that is known of a version."""
    from refstore.cli.adding import pins_text
    from refstore.cli.shapes import pins_json, version_json

    out = Output(json)
    with open_store(context) as store:
        version = store.version(name)
        pins = version.pins()
        out.record({**version_json(version.info), "pins": pins_json(pins)})
        if json:
            return
        rows: list[tuple[str, str]] = [
            ("name", version.qualified_name),
            ("type", version.type or ""),
            ("created", f"{when(version.created)} UTC"),
            ("files", f"{version.file_count:,}"),
            ("size", size(version.size) + (f" ({version.size:,} bytes)" if version.size >= 1024 else "")),
            ("pinned", pins_text(pins)),
            ("aliases", ", ".join(version.aliases)),
            ("tags", ", ".join(version.tags)),
            ("description", version.description or ""),
            *(("source", source) for source in version.sources),
            *((f"metadata {key}", _value(value)) for key, value in sorted(version.metadata.items())),
            ("digest", version.digest),
            ("record", version.id),
            ("run", version.info.run),
            ("renumbered from", "" if version.renumbered_from is None else f"v{version.renumbered_from}"),
            ("removed", "yes" if version.info.deleted else ""),
        ]
        for line in columns((key + ":", value) for key, value in rows if value):
            print(line)


def _value(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def log(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Only what happened to this artifact or version.",
            autocompletion=complete_name,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many, the newest.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what happened in the store, newest first."""
    from refstore.cli.shapes import event_json

    out = Output(json)
    with open_store(context) as store:
        events = store.log(name, limit)
        if limit is not None:
            events = islice(events, limit)
        if json:
            for event in events:
                out.record(event_json(event))
            return
        rows = ((when(event.time), event.kind, short(store, event.subject), event.detail) for event in events)
        _print_all(columns(rows), "Nothing has happened yet.")


def diff(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help=NAME_GRAMMAR, autocompletion=complete_name, show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help=NAME_GRAMMAR, autocompletion=complete_name, show_default=False)],
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the totals.")] = False,
) -> None:
    """Show which files differ between two versions.

    A + is an added file, a - a removed one, a ~ a changed one.
    """
    from refstore.cli.shapes import change_json

    out = Output(json, quiet)
    with open_store(context) as store:
        found = store.diff(a, b)
        if json:
            for change in found.changes():
                out.record(change_json(change, store.backends))
            return
        totals = Totals()
        lines = change_lines(totals.count(found.changes()))
        for line in lines:
            if not quiet:
                print(line)
        print(totals)


class Totals:
    """How many paths differ in which way, and by how many bytes, counted as they stream by."""

    def __init__(self) -> None:
        self._paths = dict.fromkeys(LETTERS, 0)
        self._bytes = dict.fromkeys(LETTERS, 0)

    def count(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The changes themselves, counted."""
        for change in changes:
            obj = change.new or change.old
            self._paths[change.kind] += 1
            self._bytes[change.kind] += (obj.size if obj else None) or 0
            yield change

    def __str__(self) -> str:
        parts = [f"{number:,} {kind} ({size(self._bytes[kind])})" for kind, number in self._paths.items() if number]
        return ", ".join(parts) or "The two are the same."


def change_lines(changes: Iterable[Change]) -> Iterator[str]:
    """One line for each change, as a stream."""

    def row(change: Change) -> tuple[str, str, str]:
        letter = LETTERS[change.kind][0]
        if change.old is not None and change.new is not None:
            sizes = size(change.new.size)
            if change.old.size != change.new.size:
                sizes = f"{size(change.old.size)} -> {sizes}"
            return letter, sizes, change.path
        obj = change.new or change.old
        return letter, size(obj.size if obj else None), change.path

    colours = dict(LETTERS.values())
    for line in columns(map(row, changes), right=(1,)):
        yield coloured(line, colours[line[0]])
