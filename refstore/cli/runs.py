"""`runs ls`, `runs show`: what ran, and what became of it."""

from __future__ import annotations

import json as json_module
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refstore.cli.options import Json, Quiet, complete_run, open_store, short
from refstore.cli.output import Output, coloured, columns, printable, when

if TYPE_CHECKING:
    from refstore.catalog.infos import VersionInfo
    from refstore.catalog.run_queries import RunInfo
    from refstore.store import Store

COLOURS = {"finished": "green", "failed": "red", "crashed": "red", "running": "blue"}

app = typer.Typer(
    help="Show what ran, and what became of it.",
    rich_markup_mode=None,
    no_args_is_help=False,
    invoke_without_command=True,
)

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Its id, as in 3f2k9x0a, or [entity/]project/id.",
        autocompletion=complete_run,
        show_default=False,
    ),
]


def register(parent: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    parent.add_typer(app, name="runs")


@app.callback()
def runs(context: typer.Context) -> None:
    """Show what ran, and what became of it."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("ls")
def list_(
    context: typer.Context,
    project: Annotated[
        str | None, typer.Option("--project", metavar="[ENTITY/]PROJECT", help="Only the runs of this project.")
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help="Only running, finished, failed or crashed ones.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Also the runs that commands such as refstore add imply.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many, the newest.")
    ] = None,
    long: Annotated[
        bool, typer.Option("-l", "--long", help="Also the host, the user, the commit and the command.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List runs, newest first.

    A run that never ended, and whose process on this machine is gone, has crashed.
    """
    from itertools import islice

    from refstore.cli.reading import _print_all
    from refstore.cli.shapes import run_json
    from refstore.errors import UsageError

    if state is not None and state not in COLOURS:
        raise UsageError(f"{state!r} is no state of a run: there are {', '.join(sorted(COLOURS))}.")
    out = Output(json, quiet)
    with open_store(context) as store:
        found = (run for run in store.runs(project) if (all_ or run.pid) and state in (None, run.state))
        chosen = islice(found, limit)
        if json:
            for run in chosen:
                out.record(run_json(run))
            return
        rows = (_row(store, run, long) for run in chosen)
        where = f" in {printable(project)}" if project else ""
        _print_all(columns(rows), f"There are no runs{where}.")


def _row(store: Store, run: RunInfo, long: bool) -> list[str]:
    row = [short(store, run.path), run.state, when(run.started), took(run), run.job_type or "-", run.name or "-"]
    if long:
        commit = f"{run.git[:12]}{'+' if run.dirty else ''}" if run.git else "-"
        row += [f"{run.user or '?'}@{run.host or '?'}", commit, " ".join(run.command)]
    return row


def took(run: RunInfo) -> str:
    """How long a run took, for people: `1:02:03`; "-" where it did not end."""
    if not run.finished:
        return "-"
    start, end = (datetime.fromisoformat(time.replace("Z", "+00:00")) for time in (run.started, run.finished))
    seconds = max(0, round((end - start).total_seconds()))
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


@app.command()
def show(context: typer.Context, run: RunName, json: Json = False) -> None:
    """Show everything that is known of a run: state, inputs, outputs, config, code and times."""
    from refstore.cli.shapes import run_json

    out = Output(json)
    with open_store(context) as store:
        info = store.run(run)
        queries = store.catalog.runs
        used, logged, roles = queries.used(info.id), queries.logged(info.id), queries.used_as(info.id)
        if json:
            inputs = [
                {"name": _name(version), "id": version.id, "use_as": roles.get(version.id) or None} for version in used
            ]
            outputs = [{"name": _name(version), "id": version.id} for version in logged]
            out.record({**run_json(info), "used": inputs, "logged": outputs})
            return
        dirty = " with changes that were not committed" if info.dirty else ""
        rows: list[tuple[str, str]] = [
            ("run", info.path),
            ("name", info.name),
            ("state", info.state),
            ("job type", info.job_type),
            ("group", info.group),
            ("tags", ", ".join(info.tags)),
            ("notes", info.notes),
            ("started", f"{when(info.started)} UTC"),
            ("ended", f"{when(info.finished)} UTC, after {took(info)}" if info.finished else ""),
            ("command", " ".join(info.command)),
            ("user", f"{info.user}@{info.host}".strip("@")),
            ("python", info.python),
            ("commit", info.git + dirty if info.git else ""),
            ("diff", info.diff),
            *(("used", _said(short(store, _name(v)), roles.get(v.id, ""), v)) for v in used),
            *(("logged", _said(short(store, _name(v)), "", v)) for v in logged),
            *((f"config {key}", _text(value)) for key, value in sorted(info.config.items())),
            *((f"summary {key}", _text(value)) for key, value in sorted(info.summary.items())),
            ("record", info.id),
        ]
        for line in columns((key + ":", value) for key, value in rows if value):
            key, _, rest = line.partition(info.state) if line.startswith("state:") else ("", "", "")
            print(f"{key}{coloured(info.state, COLOURS.get(info.state, 'bold'))}{rest}" if key else line)


def _name(version: VersionInfo) -> str:
    return f"{version.artifact}:v{version.number}"


def _said(name: str, role: str, version: VersionInfo) -> str:
    parts = [name, version.type, f"as {role}" if role else "", "removed" if version.deleted else ""]
    return "  ".join(part for part in parts if part)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)
