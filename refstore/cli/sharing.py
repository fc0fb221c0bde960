"""`remote`, `push`, `pull`, `fetch`, `clone`: the catalog at other places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from refstore.cli.bars import bar
from refstore.cli.options import Jobs, Json, Quiet, complete_remote, open_store
from refstore.cli.output import Output, columns, count, printable, size

if TYPE_CHECKING:
    from refstore.sync.remotes import Shared

_SAID = 10
"""Sentences of a summary that are shown."""

remote_app = typer.Typer(
    help="Set up the places to push to and pull from.",
    rich_markup_mode=None,
    no_args_is_help=False,
    invoke_without_command=True,
)

RemoteName = Annotated[
    str, typer.Argument(metavar="NAME", help="The remote.", autocompletion=complete_remote, show_default=False)
]
RemoteArgument = Annotated[
    str,
    typer.Argument(metavar="[REMOTE]", help="A remote's name, or a URL.", autocompletion=complete_remote),
]
URL = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="s3://bucket/prefix, gs://, az://, sftp://host/path, or a folder.", show_default=False
    ),
]
Content = Annotated[bool, typer.Option("--content", help="Also the stored content of put and add_file.")]


def register(app: typer.Typer) -> None:
    """Give the commands of this file to the application."""
    app.add_typer(remote_app, name="remote")
    app.command()(push)
    app.command()(pull)
    app.command()(fetch)
    app.command()(clone)


@remote_app.callback()
def remote(context: typer.Context) -> None:
    """Set up the places to push to and pull from."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@remote_app.command("add")
def remote_add(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What to call it; origin is the default.", show_default=False)
    ],
    url: URL,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Set up a remote.

    It is written into .refstore.toml, which is committed, without credentials. No request is made.
    """
    out = Output(json, quiet)
    with open_store(context, follow=False) as store:
        added = store.remotes.add(name, url)
    out.record({"name": added.name, "url": added.url})
    if not quiet:
        out.say(f"Added the remote {added.name} ({printable(added.url)}). 'refstore push' sends the catalog there.")


@remote_app.command("list")
def remote_list(context: typer.Context, json: Json = False) -> None:
    """List the remotes."""
    out = Output(json)
    with open_store(context, follow=False) as store:
        remotes = store.remotes.list()
    for item in remotes:
        out.record({"name": item.name, "url": item.url})
    for line in columns((item.name, item.url) for item in remotes):
        out.say(line)
    if not remotes:
        out.say("There are no remotes. Add one: refstore remote add origin s3://bucket/team")


@remote_app.command("remove")
def remote_remove(context: typer.Context, name: RemoteName, json: Json = False, quiet: Quiet = False) -> None:
    """Forget a remote. What it holds stays there."""
    out = Output(json, quiet)
    with open_store(context, follow=False) as store:
        gone = store.remotes.remove(name)
    out.record({"name": gone.name, "url": gone.url})
    if not quiet:
        out.say(f"Removed the remote {gone.name}. What {printable(gone.url)} holds is still there.")


@remote_app.command("rename")
def remote_rename(
    context: typer.Context,
    name: RemoteName,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What to call it from now on.", show_default=False)],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Give a remote another name."""
    out = Output(json, quiet)
    with open_store(context, follow=False) as store:
        renamed = store.remotes.rename(name, new)
    out.record({"name": renamed.name, "url": renamed.url})
    if not quiet:
        out.say(f"The remote {name} is called {renamed.name} now.")


def push(
    context: typer.Context,
    remote: RemoteArgument = "origin",
    content: Content = False,
    jobs: Jobs = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send what a remote lacks.

    Any number of people may push at once. An interrupted push is carried on by the next one.
    """
    out = Output(json, quiet)
    with open_store(context) as store:
        with bar("Pushing", out) as progress:
            shared = store.remotes.push(remote, content=content, jobs=jobs, progress=progress)
        if not content and shared.records.records and next(store.catalog.queries.stored_checksums(), None):
            out.notes(["Stored content (of put and add_file) goes along only with 'refstore push --content'."])
        _tell(out, shared, "Pushed", "to", "Sent", "Everything is there already")


def pull(
    context: typer.Context,
    remote: RemoteArgument = "origin",
    content: Content = False,
    jobs: Jobs = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take in what a remote has and this store lacks.

    All of it is checked first. Without --content a checkout fetches the stored content that it needs.
    """
    out = Output(json, quiet)
    with open_store(context) as store:
        with bar("Pulling", out) as progress:
            shared = store.remotes.pull(remote, content=content, jobs=jobs, progress=progress)
        _tell(out, shared, "Pulled", "from", "Fetched", "Everything is here already")


def fetch(
    context: typer.Context,
    remote: RemoteArgument = "origin",
    jobs: Jobs = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read what is new at a remote, for a later pull."""
    out = Output(json, quiet)
    with open_store(context) as store:
        with bar("Fetching", out) as progress:
            shared = store.remotes.fetch(remote, jobs=jobs, progress=progress)
        records = shared.records.records
        out.record(_json(shared))
        if not quiet:
            where = _where(shared)
            out.say(
                f"{count(records, 'record')} of {where} to pull: 'refstore pull' takes them in."
                if records
                else f"There is nothing new at {where}."
            )
        _warn(out, shared)


def clone(
    context: typer.Context,
    url: URL,
    folder: Annotated[
        str | None,
        typer.Argument(metavar="[DIR]", help="The folder to make; named as the URL ends.", show_default=False),
    ] = None,
    content: Content = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a store that has what a remote has.

    The remote becomes its origin.
    """
    from refstore.store import Store

    out = Output(json, quiet)
    with bar("Cloning", out) as progress:
        store = Store.clone(url, folder, content=content, progress=progress)
    with store:
        versions = sum(info.versions for info in store.artifacts())
        origin = store.remotes.list()[0]
        out.record({"store": str(store.folder), "remote": origin.name, "url": origin.url, "versions": versions})
        out.warn_of(store.catalog.problems())
        if not quiet:
            out.say(f"Cloned {printable(origin.url)} into {printable(str(store.root))}: {count(versions, 'version')}.")


def _tell(out: Output, shared: Shared, did: str, way: str, moved: str, nothing: str) -> None:
    records, content = shared.records, shared.content
    out.record(_json(shared))
    if not out.quiet:
        where = _where(shared)
        if records.records:
            amount = f"{count(records.packs, 'pack')}, {size(records.size)}"
            out.say(f"{did} {count(records.records, 'record')} ({amount}) {way} {where}.")
        elif not (content and content.files) and not records.refused and not records.notes:
            out.say(f"{nothing}: {where}.")
        # What follows a version's sentence are its paths, which `diff` shows better.
        summary = [said for said in getattr(records, "summary", ()) if said[:2] not in ("+ ", "- ", "~ ", "… ")]
        for sentence in summary[:_SAID]:
            out.say(f"  {printable(sentence)}")
        if len(summary) > _SAID:
            out.say(f"  and {len(summary) - _SAID:,} more")
        if content and content.files:
            out.say(f"{moved} {count(content.files, 'file')} of stored content ({size(content.size)}).")
    if content and content.missing_count:
        names = ", ".join(map(str, content.missing)) + (" …" if content.missing_count > len(content.missing) else "")
        files = count(content.missing_count, "file")
        note = f"The stored content of {files} is neither here nor there ({names}): run 'refstore push --content' "
        out.notes([note + "in the store that has it."])
    _warn(out, shared)


def _warn(out: Output, shared: Shared) -> None:
    """What did not go as it should; ends with the first pack that was refused."""
    out.notes([*getattr(shared.records, "held_back", ()), *shared.records.notes])
    for error in shared.records.refused[1:]:
        out.notes([str(error)])
    if shared.records.refused:
        raise shared.records.refused[0]


def _where(shared: Shared) -> str:
    return f"{shared.name} ({printable(shared.url)})" if shared.name else printable(shared.url)


def _json(shared: Shared) -> dict[str, object]:
    from refstore.cli.shapes import shared_json

    return shared_json(shared)
