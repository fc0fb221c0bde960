"""`run`: a command of whatever language, with its inputs and outputs recorded."""

from __future__ import annotations

import json as json_module
import sys
from typing import Annotated

import typer

from refstore.cli.options import Aliases, Json, Quiet, complete_name, open_store, short
from refstore.cli.output import Output, printable


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.command("run", context_settings={"allow_interspersed_args": False})(run)


def run(
    context: typer.Context,
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND", help="The command and its arguments, after --.", show_default=False),
    ],
    use: Annotated[
        list[str] | None,
        typer.Option(
            "--use", metavar="NAME", help="A version that it uses; may be repeated.", autocompletion=complete_name
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="WHERE=NAME[:TYPE]",
            help="What it makes: a URI (kept as a reference) or a path (kept by content), and the artifact that it "
            "becomes; may be repeated.",
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", metavar="[ENTITY/]PROJECT", help="Where the run belongs.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="The run's name, for people.")
    ] = None,
    job_type: Annotated[
        str | None, typer.Option("--job-type", metavar="TYPE", help="What it does, such as train or eval.")
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", "-c", metavar="KEY=VALUE", help="An input that is no file; JSON, or else text."),
    ] = None,
    alias: Aliases = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a command, and record what it used and what it made.

    The command has this terminal, gets its signals, and its exit code is returned. Inputs are recorded before it
    starts; outputs are logged if it ends with 0, else the run has failed. A Python script that calls refstore.init()
    goes on with this run, and may log and use more by it. The command finds REFSTORE_RUN_ID and REFSTORE_PROJECT in its
    environment.
    """
    from refstore.cli.shapes import run_json
    from refstore.tracking.commanded import Output as Made
    from refstore.tracking.commanded import run_command
    from refstore.tracking.stores import at

    out = Output(json, quiet)
    outputs = [Made.parse(text) for text in log or ()]
    with open_store(context) as store:
        done = run_command(
            at(store.root),
            command,
            uses=use or (),
            outputs=outputs,
            project=project,
            name=name,
            job_type=job_type,
            config=_config(config or ()),
            aliases=alias or (),
        )
        used = [f"{version.artifact}:v{version.number}" for version in done.used]
        logged = [f"{version.artifact}:v{version.number}" for version in done.logged]
        out.record({"run": run_json(done.run), "exit_code": done.exit_code, "used": used, "logged": logged})
        if not quiet and not json:
            said = [f"run {done.run.name} ({done.run.path}) {done.run.state}"]
            said += [f"used {', '.join(short(store, each) for each in used)}"] if used else []
            said += [f"logged {', '.join(short(store, each) for each in logged)}"] if logged else []
            if done.exit_code and outputs:
                said.append(f"nothing was logged, as the command ended with {done.exit_code}")
            print(f"refstore: {printable('; '.join(said))}", file=sys.stderr)
    raise typer.Exit(done.exit_code)


def _config(pairs: list[str] | tuple[str, ...]) -> dict[str, object]:
    from refstore.errors import UsageError

    out: dict[str, object] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"{pair!r} is no setting: write KEY=VALUE, as in epochs=3.")
        try:
            out[key] = json_module.loads(text)
        except ValueError:
            out[key] = text
    return out
