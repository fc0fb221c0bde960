"""From staged entries to a version: the writing half of `add` and `put`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from refstore.backends.sources import EVERYTHING, Choice
from refstore.catalog.catalog import Catalog
from refstore.catalog.infos import VersionInfo
from refstore.catalog.writing import Built, Writing
from refstore.errors import ArtifactNotFound, TypeConflict, UsageError
from refstore.manifest.diff import Change
from refstore.manifest.entry import Entry
from refstore.names import ArtifactName, check_alias, check_tag, check_type
from refstore.records.types import Alias, Description, Logged, Metadata, Record, Renumbered, Tag, Version
from refstore.tracking import implied_run
from refstore.tracking.result import Recorded

DEFAULT_TYPE = "dataset"


@dataclass(frozen=True, slots=True)
class Labels:
    """What a person says of a version.

    Attributes:
        type: Of the artifact; None for the one that it has, or `dataset`.
        aliases: To set on the version.
        tags: To set on the version.
        description: Of the version; None to leave it.
        metadata: Any JSON object; an empty one leaves those of a version that is there.
    """

    type: str | None = None
    aliases: Sequence[str] = ()
    tags: Sequence[str] = ()
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what can't be recorded, before anything is listed.

        Raises:
            InvalidName: A type, alias or tag breaks its rule.
            UsageError: The metadata have no form in JSON.
        """
        from refstore.records.encoding import canonical

        if self.type is not None:
            check_type(self.type)
        for alias in self.aliases:
            if alias != "latest":
                check_alias(alias)
        for tag in self.tags:
            check_tag(tag)
        if not isinstance(self.metadata, Mapping):
            raise UsageError('The metadata must be a JSON object, such as \'{"source": "camera 3"}\'.')
        canonical(dict(self.metadata))


def record(
    catalog: Catalog,
    name: ArtifactName,
    entries: Iterable[Entry],
    labels: Labels,
    *,
    job_type: str,
    sources: Sequence[str],
    choice: Choice = EVERYTHING,
    markers: int,
    notes: Sequence[str],
    dry_run: bool,
    run: str | None = None,
    build: Callable[[Writing, VersionInfo | None], Built] | None = None,
) -> Recorded:
    """Make a version of some sorted entries, unless they are what the latest version has.

    Args:
        catalog: Where to.
        name: The artifact.
        entries: By path, in byte order.
        labels: What a person says of the version.
        job_type: Of the run that is implied where there is no `run`.
        sources: The URIs that the entries are from.
        choice: What was taken of them.
        markers: For the outcome.
        notes: For the outcome.
        dry_run: Find out what would change, and record nothing.
        run: The id of the record of the run that logs the version. It is noted that it did, also where nothing is new.
        build: Builds the manifest, given the latest version, in the place of one from `entries`.

    Raises:
        TypeConflict: The artifact has another type.
        StorageFull: There is no space; nothing was recorded.
    """
    with catalog.writing() as writing:
        queries = writing.queries
        type = _type(queries.artifact(name).type if _exists(writing, name) else None, labels.type, name)
        latest = queries.latest(name)
        if build is not None:
            built = build(writing, latest)
        else:
            built = writing.build(entries, latest.manifest if latest else None)
        if latest is not None and built.unchanged:
            said = _label(writing, name, latest.id, latest, labels)
            if run is not None and not writing.queries.has_edge(run, latest.id, Logged.kind):
                writing.add(Logged(**writing.stamp, run=run, version=latest.id))
                said.append("logged again")
            if said and not dry_run:
                writing.summarise(f"{name}:v{latest.number}: {', '.join(said)}")
                writing.commit()
                latest = catalog.queries.version_by_id(latest.id) or latest
            return _recorded(writing, built, latest, f"{name}:v{latest.number}", False, dry_run, markers, notes)
        number = queries.next_number(name)
        title = f"{name}:v{number}"
        if dry_run:
            return _recorded(writing, built, None, title, True, True, markers, notes)
        manifest = writing.add_manifest(built)
        by = run or implied_run.start(writing, name, job_type)
        version = Version(
            **writing.stamp,
            **name.parts,
            type=type,
            number=number,
            manifest=manifest,
            sources=tuple(sources),
            include=choice.include,
            exclude=choice.exclude,
            prefix=choice.prefix,
            names=choice.names,
            description=labels.description or "",
            metadata=dict(labels.metadata),
            run=by,
        )
        id = writing.add(version)
        writing.add(Logged(**writing.stamp, run=by, version=id))
        if run is None:
            implied_run.finish(writing, by)
        for lost, settled, was in queries.unrecorded_renumberings(name):
            writing.add(Renumbered(**writing.stamp, version=lost, number=settled, was=was))
        _label(writing, name, id, None, labels)
        _summarise(writing, built, title, latest)
        writing.commit()
    made = catalog.queries.version_by_id(id)
    assert made is not None
    with_pins = catalog.queries.pins(made)
    return Recorded(
        made,
        True,
        False,
        f"{name}:v{made.number}",
        built.added,
        built.removed,
        built.changed,
        built.root.entries,
        built.root.size,
        with_pins,
        markers,
        tuple(notes),
    )


_NAMED = 8
"""How many paths the header of a transaction file names: what a person reads in a pull request."""


def _summarise(writing: Writing, built: Built, title: str, latest: VersionInfo | None) -> None:
    """Say in the header of the transaction file what is new; of a later version also since which, and which paths."""
    files = "1 file" if built.root.entries == 1 else f"{built.root.entries:,} files"
    counts = f"{built.added:,} added, {built.removed:,} removed, {built.changed:,} changed; {files}"
    if latest is None:
        writing.summarise(f"{title}: {counts}")
        return
    letters = {"added": "+", "removed": "-", "changed": "~"}
    named = ", ".join(f"{letters[change.kind]} {change.path}" for change in islice(writing.changes(built), _NAMED))
    more = built.added + built.removed + built.changed - _NAMED
    rest = f" and {more:,} more" if more > 0 else ""
    writing.summarise(f"{title} (from v{latest.number}): {counts}: {named}{rest}")


def _exists(writing: Writing, name: ArtifactName) -> bool:
    try:
        writing.queries.artifact(name)
    except ArtifactNotFound:
        return False
    return True


def _type(has: str | None, wanted: str | None, name: ArtifactName) -> str:
    if has is not None and wanted is not None and has != wanted:
        raise TypeConflict(
            f"{name} is of type {has!r} for good and can't become {wanted!r}: use another name, or leave the type out."
        )
    return has or wanted or DEFAULT_TYPE


def _label(writing: Writing, name: ArtifactName, id: str, has: VersionInfo | None, labels: Labels) -> list[str]:
    """Record what is to be said of a version, but for what it has; the words for the summary.

    Args:
        writing: The transaction.
        name: The artifact.
        id: Of the version's record.
        has: The version, where it is not new. A new one has its description in its own record.
        labels: What to say.
    """
    stamp = writing.stamp
    said: list[str] = []

    def say(record: Record, text: str) -> None:
        writing.add(record)
        said.append(text)

    for alias in dict.fromkeys(labels.aliases):
        if alias != "latest" and (has is None or alias not in has.aliases):
            say(Alias(**stamp, **name.parts, alias=alias, version=id), f"alias {alias}")
    for tag in dict.fromkeys(labels.tags):
        if has is None or tag not in has.tags:
            say(Tag(**stamp, version=id, tag=tag, present=True), f"tag {tag}")
    if has is not None and labels.description is not None and labels.description != has.description:
        say(Description(**stamp, version=id, description=labels.description), "description")
    if has is not None and labels.metadata and dict(labels.metadata) != has.metadata:
        say(Metadata(**stamp, version=id, metadata=dict(labels.metadata)), "metadata")
    return said


def _recorded(
    writing: Writing,
    built: Built,
    version: VersionInfo | None,
    name: str,
    new: bool,
    dry_run: bool,
    markers: int,
    notes: Sequence[str],
) -> Recorded:
    """The outcome where no version was made."""
    changes: tuple[Change, ...] = tuple(writing.changes(built)) if dry_run and new else ()
    root = built.root
    return Recorded(
        version, new, dry_run, name, built.added, built.removed, built.changed, root.entries, root.size,
        writing.pins(built), markers, tuple(notes), changes,
    )  # fmt: skip
