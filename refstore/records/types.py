"""The kinds of records. Each is a frozen dataclass; its fields are its JSON, empty ones left out.

Every record but `Manifest` has the SHA-256 of its canonical bytes as its id; a manifest's id is the root hash of its
tree of chunks, so that it is the same however it was reached.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from dataclasses import dataclass, field
from typing import Any, ClassVar

from refstore.errors import CatalogCorrupt, CatalogTooNew
from refstore.names import ArtifactName
from refstore.records.encoding import canonical, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A fact.

    Attributes:
        time: When it was recorded, UTC, ISO 8601 with a Z.
        clock: A logical clock: one more than any that the writer had seen. It settles which of two changes came last.
    """

    kind: ClassVar[str] = ""
    time: str
    clock: int

    def to_json(self) -> dict[str, Any]:
        """The record as JSON, with its kind and without the fields that have their default."""
        out: dict[str, Any] = {"kind": self.kind}
        for name, default in _defaults(self.kind):
            value = getattr(self, name)
            if value != default and value != () and value != {}:
                out[name] = list(value) if isinstance(value, tuple) else value
        return out

    @property
    def id(self) -> str:
        """The SHA-256 of the canonical bytes, in hex."""
        return digest(canonical(self.to_json()))


@functools.cache
def _defaults(kind: str) -> tuple[tuple[str, Any], ...]:
    """The fields of a kind of record, and their defaults; records are encoded by the hundred thousand."""
    return tuple((f.name, f.default) for f in dataclasses.fields(_KINDS[kind]))


@dataclass(frozen=True, slots=True, kw_only=True)
class InArtifact(Record):
    """A record about an artifact by name. The parts of the name are `ArtifactName`'s."""

    entity: str = ""
    project: str
    artifact: str

    @property
    def name(self) -> ArtifactName:
        """The artifact's full name."""
        return ArtifactName(self.entity, self.project, self.artifact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Record):
    """A manifest as a change to another.

    The lines of the change follow it in its file: `{"put": entry}` or `{"drop": path}`, sorted by path; those of
    `parts` come before.

    Attributes:
        manifest: The root hash of the tree, in hex: the manifest's id.
        base: The manifest that the change starts from; "" for none.
        changes: The number of change lines in this file.
        parts: Names (SHA-256 in hex) of the files that hold the lines before those, in order.
        entries: How many entries the whole manifest has.
        size: The sum of the entries' sizes, in bytes.
    """

    kind: ClassVar[str] = "manifest"
    manifest: str
    base: str = ""
    changes: int
    parts: tuple[str, ...] = ()
    entries: int
    size: int

    @property
    def id(self) -> str:
        """The root hash."""
        return self.manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(InArtifact):
    """One immutable state of an artifact.

    Attributes:
        type: The artifact's type.
        number: The number that it was given; see `Renumbered`.
        manifest: The manifest's id.
        sources: The URIs that were added, without credentials; what `status` lists again.
        include: The globs that chose among what they name.
        exclude: The globs of what was left out.
        prefix: What stands before all paths, with `/` at its end.
        names: For each of the sources what stands before its own paths, or the path of the one object that it is; ""
            for nothing. Empty where that follows from the sources and `prefix`.
        description: As given when it was made.
        metadata: As given; any JSON object.
        run: The id of the record of the run that made it.
        source: The id of the record of the version that this one is a link to.
    """

    kind: ClassVar[str] = "version"
    type: str
    number: int
    manifest: str
    sources: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    names: tuple[str, ...] = ()
    description: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    run: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renumbered(Record):
    """A version lost its number to an earlier one that another writer had given the same, and has this one for good."""

    kind: ClassVar[str] = "renumbered"
    version: str
    number: int
    was: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias(InArtifact):
    """An alias was set to a version (the id of its record), or removed (""). The last by (clock, time, id) holds."""

    kind: ClassVar[str] = "alias"
    alias: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag(Record):
    """A tag was set on a version or taken from it. The last one by (clock, time, id) holds."""

    kind: ClassVar[str] = "tag"
    version: str
    tag: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Description(Record):
    """A version's description was replaced. The last one by (clock, time, id) holds."""

    kind: ClassVar[str] = "description"
    version: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Record):
    """A version's metadata were replaced. The last by (clock, time, id) holds."""

    kind: ClassVar[str] = "metadata"
    version: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime(Record):
    """How long a version is to be kept, in seconds from its own time; 0 for good. The last one holds."""

    kind: ClassVar[str] = "lifetime"
    version: str
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone(Record):
    """A version was removed. Its number is never given again."""

    kind: ClassVar[str] = "tombstone"
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Record):
    """An execution of something began.

    Attributes:
        run: Its short id, unique in practice (8 random characters).
        entity: Before the project, or "".
        project: Where it belongs.
        name: For people.
        job_type: What it does: `add` and `put` for the runs that those commands imply.
        group: What it belongs to, for people.
        notes: What people say of it.
        tags: What people call it.
        config: Its inputs that are not files; any JSON object.
        command: Its command line, without credentials.
        pid: Its process on that host, by which it is found out whether it died; 0 where that means nothing.
        host: The machine's name.
        user: The account's name.
        python: The version of Python.
        refstore: The version of refstore.
        git: The commit that was checked out, in hex.
        dirty: Whether files that git tracks differed from that commit.
        diff: The SHA-256 of that difference, in hex.
    """

    kind: ClassVar[str] = "run started"
    run: str
    entity: str = ""
    project: str
    name: str = ""
    job_type: str = ""
    group: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    pid: int = 0
    host: str = ""
    user: str = ""
    python: str = ""
    refstore: str = ""
    git: str = ""
    dirty: bool = False
    diff: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUpdated(Record):
    """What is said of a run was replaced, all of it. `run` is the id of its start's record. The last holds."""

    kind: ClassVar[str] = "run updated"
    run: str
    name: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed(Record):
    """An execution that had begun goes on in another process, and is running again until it ends.

    `run` is the id of its start's record; the other fields are those of `RunStarted`, and the last record's hold.
    """

    kind: ClassVar[str] = "run resumed"
    run: str
    command: tuple[str, ...] = ()
    pid: int = 0
    host: str = ""
    user: str = ""
    python: str = ""
    refstore: str = ""
    git: str = ""
    dirty: bool = False
    diff: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Record):
    """An execution ended. `run` is the id of its start's record; `state` is `finished` or `failed`.

    The last of these records and `RunResumed` tells whether it is running.
    """

    kind: ClassVar[str] = "run finished"
    run: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Used(Record):
    """A run used a version. Both are ids of records; `use_as` is what it was to the run."""

    kind: ClassVar[str] = "used"
    run: str
    version: str
    use_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged(Record):
    """A run logged a version. Both are ids of records."""

    kind: ClassVar[str] = "logged"
    run: str
    version: str


_KINDS: dict[str, type[Record]] = {
    cls.kind: cls
    for cls in (
        Manifest,
        Version,
        Renumbered,
        Alias,
        Tag,
        Description,
        Metadata,
        Lifetime,
        Tombstone,
        RunStarted,
        RunUpdated,
        RunResumed,
        RunFinished,
        Used,
        Logged,
    )
}


def _shape(cls: type[Record]) -> tuple[dict[str, type], set[str]]:
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    kinds = {f.name: typing.get_origin(hints[f.name]) or hints[f.name] for f in fields}
    needed = {f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING}
    return kinds, needed


_SHAPES: types.MappingProxyType[str, tuple[dict[str, type], set[str]]] = types.MappingProxyType(
    {kind: _shape(cls) for kind, cls in _KINDS.items()}
)


def parse(data: Any, where: str) -> Record:
    """The record that a JSON value stands for.

    Args:
        data: One decoded line.
        where: The file and line, for messages.

    Raises:
        CatalogTooNew: It is of a kind that this version does not know.
        CatalogCorrupt: It is not a record.
    """
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise CatalogCorrupt(f"{where} is not a record of a refstore catalog.")
    kind = data["kind"]
    if kind not in _KINDS:
        raise CatalogTooNew(f"{where} holds a record of the unknown kind {kind!r}: it needs a newer refstore.")
    kinds, needed = _SHAPES[kind]
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name == "kind":
            continue
        expected = kinds.get(name)
        if expected is None:
            raise CatalogTooNew(
                f"{where} has the unknown field {name!r} in a {kind} record: it needs a newer refstore."
            )
        if expected is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = tuple(value)
        elif type(value) is not expected:
            raise CatalogCorrupt(f"{where}: the field {name!r} of a {kind} record has a wrong type.")
        values[name] = value
    if missing := needed - values.keys():
        raise CatalogCorrupt(f"{where}: a {kind} record lacks {', '.join(sorted(missing))}.")
    return _KINDS[kind](**values)
