"""Changes to what is said of a version, and links to it: each is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from refstore.catalog.catalog import Catalog
from refstore.catalog.infos import VersionInfo
from refstore.catalog.writing import Writing
from refstore.errors import ArtifactNotFound, TypeConflict
from refstore.names import LATEST, ArtifactName, check_alias, check_tag
from refstore.records.types import Alias, Description, Lifetime, Logged, Metadata, Tag, Tombstone, Used, Version
from refstore.tracking import implied_run


@dataclass(slots=True)
class Said:
    """What people say of a version, and may change.

    Attributes:
        aliases: Its aliases, `latest` among them where it is that.
        tags: Its tags.
        description: What it is.
        metadata: Any JSON object.
        lifetime: How long to keep it, in seconds; 0 for good.
    """

    aliases: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    description: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    lifetime: int = 0

    @classmethod
    def of(cls, info: VersionInfo) -> Said:
        """What the catalog has."""
        return cls(list(info.aliases), list(info.tags), info.description, dict(info.metadata), info.lifetime)


def apply(catalog: Catalog, info: VersionInfo, before: Said, after: Said) -> None:
    """Record what a person changed, and leave alone what others changed meanwhile.

    Args:
        catalog: Where to.
        info: The version.
        before: As it was when the person got it.
        after: As the person has it now.

    Raises:
        InvalidName: An alias or a tag breaks its rule.
    """
    new_aliases = [a for a in dict.fromkeys(after.aliases) if a not in before.aliases and a != LATEST]
    lost_aliases = [a for a in before.aliases if a not in after.aliases and a != LATEST]
    new_tags = [t for t in dict.fromkeys(after.tags) if t not in before.tags]
    lost_tags = [t for t in before.tags if t not in after.tags]
    for alias in new_aliases:
        check_alias(alias)
    for tag in new_tags:
        check_tag(tag)
    said: list[str] = []
    with catalog.writing() as writing:
        stamp, parts = writing.stamp, info.artifact.parts
        for alias in new_aliases:
            writing.add(Alias(**stamp, **parts, alias=alias, version=info.id))
            said.append(f"alias {alias}")
        now = writing.queries.version_by_id(info.id) or info
        for alias in lost_aliases:
            # Whoever moved it to another version meanwhile keeps it.
            if alias in now.aliases:
                writing.add(Alias(**stamp, **parts, alias=alias))
                said.append(f"alias {alias} removed")
        for tag in [*new_tags, *lost_tags]:
            writing.add(Tag(**stamp, version=info.id, tag=tag, present=tag in new_tags))
            said.append(f"tag {tag}{'' if tag in new_tags else ' removed'}")
        if after.description != before.description:
            writing.add(Description(**stamp, version=info.id, description=after.description))
            said.append("description")
        if after.metadata != before.metadata:
            writing.add(Metadata(**stamp, version=info.id, metadata=after.metadata))
            said.append("metadata")
        if after.lifetime != before.lifetime:
            writing.add(Lifetime(**stamp, version=info.id, seconds=after.lifetime))
            said.append("lifetime")
        if said:
            writing.summarise(f"{_title(info)}: {', '.join(said)}")
            writing.commit()


def link(
    catalog: Catalog, info: VersionInfo, target: ArtifactName, aliases: Iterable[str], run: str | None
) -> VersionInfo:
    """Make a version of another artifact that is a link to a version: the same manifest, and the id of its source.

    Where the latest version there is a link to the same one, only the aliases are set.

    Args:
        catalog: Where to.
        info: What to link to; of a link, what that links to.
        target: The artifact that gets the link.
        aliases: To set on it.
        run: The id of the record of the run that does it.

    Raises:
        TypeConflict: The target has another type.
        InvalidName: An alias breaks its rule.
    """
    wanted = [alias for alias in dict.fromkeys(aliases) if alias != LATEST]
    for alias in wanted:
        check_alias(alias)
    source = info.source or info.id
    with catalog.writing() as writing:
        latest = writing.queries.latest(target)
        if (has := _type(writing, target)) is not None and has != info.type:
            raise TypeConflict(f"{target} is of type {has!r} for good, and {_title(info)} is of type {info.type!r}.")
        id = latest.id if latest is not None and latest.source == source else None
        if id is None:
            by = run or implied_run.start(writing, target, "link")
            number = writing.queries.next_number(target)
            id = writing.add(
                Version(
                    **writing.stamp,
                    **target.parts,
                    type=info.type,
                    number=number,
                    manifest=info.manifest,
                    sources=tuple(info.sources),
                    include=info.include,
                    exclude=info.exclude,
                    prefix=info.prefix,
                    names=info.names,
                    description=info.description,
                    metadata=info.metadata,
                    run=by,
                    source=source,
                )
            )
            if run is None:
                implied_run.finish(writing, by)
            writing.summarise(f"{target}:v{number}: a link to {_title(info)}")
        elif not wanted:
            assert latest is not None
            return latest
        for alias in wanted:
            writing.add(Alias(**writing.stamp, **target.parts, alias=alias, version=id))
        writing.commit()
    made = catalog.queries.version_by_id(id)
    assert made is not None
    return made


def unlink(catalog: Catalog, info: VersionInfo) -> None:
    """Remove a link; what it links to stays."""
    with catalog.writing() as writing:
        writing.add(Tombstone(**writing.stamp, version=info.id))
        writing.summarise(f"{_title(info)} removed: it was a link")
        writing.commit()


def used(catalog: Catalog, run: str, info: VersionInfo, use_as: str) -> None:
    """Record that a run uses a version, once."""
    if catalog.queries.has_edge(run, info.id, Used.kind):
        return
    with catalog.writing() as writing:
        if not writing.queries.has_edge(run, info.id, Used.kind):
            writing.add(Used(**writing.stamp, run=run, version=info.id, use_as=use_as))
            writing.summarise(f"{_title(info)} used")
            writing.commit()


def logged(catalog: Catalog, run: str, info: VersionInfo, aliases: Sequence[str], tags: Sequence[str]) -> None:
    """Record that a run logs a version that is there, and what it says of it."""
    if not catalog.queries.has_edge(run, info.id, Logged.kind):
        with catalog.writing() as writing:
            if not writing.queries.has_edge(run, info.id, Logged.kind):
                writing.add(Logged(**writing.stamp, run=run, version=info.id))
                writing.summarise(f"{_title(info)} logged again")
                writing.commit()
    before = Said.of(info)
    after = Said.of(info)
    after.aliases += list(aliases)
    after.tags += list(tags)
    apply(catalog, info, before, after)


def _type(writing: Writing, name: ArtifactName) -> str | None:
    try:
        return writing.queries.artifact(name).type
    except ArtifactNotFound:
        return None


def _title(info: VersionInfo) -> str:
    return f"{info.artifact}:v{info.number}"
