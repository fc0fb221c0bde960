"""What the index says of projects, artifacts, versions and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from refstore.names import ArtifactName


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project: its name, how many artifacts and versions it has, and when it last changed (UTC)."""

    entity: str
    project: str
    artifacts: int
    versions: int
    updated: str


@dataclass(frozen=True, slots=True)
class ArtifactInfo:
    """An artifact.

    Attributes:
        name: Its full name.
        type: For good.
        versions: How many there are, removed ones not counted.
        latest: The number that `latest` means; None where all versions were removed.
        aliases: Each alias and the number that it stands for, `latest` included.
        size: Of the latest version, in bytes.
        file_count: Of the latest version.
        description: Of the latest version.
        created: UTC.
        updated: UTC.
    """

    name: ArtifactName
    type: str
    versions: int
    latest: int | None
    aliases: dict[str, int]
    size: int
    file_count: int
    description: str
    created: str
    updated: str


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version; see `refstore.version.Version` for the meaning of each field."""

    id: str
    artifact: ArtifactName
    type: str
    number: int
    manifest: str
    root: int | None
    size: int
    file_count: int
    created: str
    description: str
    metadata: dict[str, Any]
    sources: list[str]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    prefix: str
    run: str
    deleted: bool
    was: int | None
    source: str
    lifetime: int
    aliases: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One record, as `log` tells of it.

    Attributes:
        time: UTC.
        kind: The record's kind.
        subject: The version or artifact that it is about.
        detail: What happened, in a few words.
        record: The record's id.
    """

    time: str
    kind: str
    subject: str
    detail: str
    record: str
