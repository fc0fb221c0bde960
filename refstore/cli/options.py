"""The arguments and options that several commands share, and the store that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refstore.cli.ending import Session
from refstore.cli.output import Output

if TYPE_CHECKING:
    from refstore.store import Store


def open_store(context: typer.Context, *, follow: bool = True) -> Store:
    """The store that `-C` names, or that of the current folder. Damaged files of its catalog are named on stderr.

    Args:
        context: Of the command.
        follow: False to leave the index as it is for now, for commands that look after the files themselves.

    Raises:
        StoreNotFound: There is none.
    """
    import refstore

    session: Session = context.obj
    store = refstore.open(session.store)
    out = Output(quiet=session.quiet)
    store.on_note = lambda note: out.notes([note])
    if follow:
        out.warn_of(store.catalog.problems())
    return store


def short(store: Store, name: str) -> str:
    """A full name as a person would type it here: without the entity and project that the settings supply."""
    supplied = "/".join(part for part in (store.settings.entity, store.settings.project) if part) + "/"
    rest = name.removeprefix(supplied)
    return name if "/" in rest else rest


def complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """Names for shell completion: artifacts, and after a colon their versions and aliases. Never an error."""
    try:
        import refstore

        root = context.find_root().params.get("store")
        with refstore.open(root) as store:
            artifact, colon, _ = incomplete.partition(":")
            if not colon:
                full = [str(info.name) for info in store.artifacts()]
                names = {*full, *(short(store, name) for name in full)}
                return sorted(name for name in names if name.startswith(incomplete))
            found = [f"{artifact}:{alias}" for alias in store.artifact(artifact).aliases]
            found += [f"{artifact}:v{version.number}" for version in store.versions(artifact)]
            return [name for name in found if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes shows nothing rather than a trace
        return []


def complete_artifact(context: typer.Context, incomplete: str) -> list[str]:
    """Names of artifacts for shell completion."""
    return [name for name in complete_name(context, incomplete) if ":" not in name]


def complete_setting(context: typer.Context, incomplete: str) -> list[str]:
    """Names of settings for shell completion. Never an error."""
    from refstore.config import SCALARS, settings_with_origin
    from refstore.errors import RefstoreError
    from refstore.store import find

    try:
        names = [setting.name for setting in settings_with_origin(find(context.find_root().params.get("store")))]
    except RefstoreError:
        names = list(SCALARS)
    return [name for name in names if name.startswith(incomplete)]


def complete_remote(context: typer.Context, incomplete: str) -> list[str]:
    """Names of remotes for shell completion. Never an error."""
    from refstore.config import load
    from refstore.errors import RefstoreError
    from refstore.store import find

    try:
        remotes = load(find(context.find_root().params.get("store"))).remotes
    except RefstoreError:
        return []
    return [remote.name for remote in remotes if remote.name.startswith(incomplete)]


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of runs for shell completion, the newest hundred. Never an error."""
    try:
        import refstore

        with refstore.open(context.find_root().params.get("store")) as store:
            names = [name for info in store.runs(limit=100) for name in (info.run, info.path)]
            return [name for name in names if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes shows nothing rather than a trace
        return []


def _name(help: str) -> Any:
    return typer.Argument(metavar="NAME", help=help, autocompletion=complete_name, show_default=False)


NAME_GRAMMAR = "[entity/][project/]artifact[:version|:alias|@digest]; without a version the latest."

Name = Annotated[str, _name(NAME_GRAMMAR)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON: one object, or one a line for a stream.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no notes: only the result.")]
ArtifactOption = Annotated[
    str,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        help="[entity/][project/]artifact.",
        autocompletion=complete_artifact,
        show_default=False,
    ),
]
TypeOption = Annotated[
    str | None,
    typer.Option("--type", "-t", metavar="TYPE", help="Such as dataset or model; an artifact has one for good."),
]
Aliases = Annotated[
    list[str] | None,
    typer.Option("--alias", "-a", metavar="ALIAS", help="An alias for the version; may be repeated."),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag for the version; may be repeated.")]
Description = Annotated[
    str | None, typer.Option("--description", "-d", metavar="TEXT", help="What this is, in a sentence.")
]
Metadata = Annotated[
    str | None, typer.Option("--metadata", metavar="JSON|@FILE", help="A JSON object, or @ and the file that holds it.")
]
MaxObjects = Annotated[
    int | None,
    typer.Option("--max-objects", metavar="N", min=1, help="More objects are an error. Default: the setting, 10000."),
]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="GLOB", help="Take only these paths in the artifact; may be repeated."),
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Leave out these; wins over --include.")
]
PrefixInArtifact = Annotated[
    str, typer.Option("--prefix-in-artifact", metavar="PATH", help="The folder inside the artifact to put it all in.")
]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="An empty prefix makes an empty version, and no error.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and record nothing.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", metavar="N", min=1, help="Transfers at once. Default: the setting, 16.")
]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", "-p", metavar="GLOB", help="Only these files or folders; may be repeated."),
]
StorePath = Annotated[
    Path | None,
    typer.Option("-C", "--store", metavar="PATH", help="Look for the store from here upwards.", show_default=False),
]
