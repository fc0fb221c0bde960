"""The grammar of names: `[entity/][project/]artifact[:version|:alias|@digest-prefix]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from refstore.errors import InvalidName

DEFAULT_PROJECT = "uncategorized"
LATEST = "latest"
MAX_LENGTH = 128

_NAME = re.compile(r"[A-Za-z0-9_\-.]+")
_VERSION = re.compile(r"v(0|[1-9][0-9]{0,17})")
_DIGEST = re.compile(r"[0-9a-f]{4,64}")
_TAG = re.compile(r"[-\w]+( +[-\w]+)*")


def _check(kind: str, text: str) -> str:
    if not _NAME.fullmatch(text) or len(text) > MAX_LENGTH or text in (".", ".."):
        raise InvalidName(
            f"{text!r} is not a valid {kind} name: use 1 to {MAX_LENGTH} letters, digits, '_', '-' and '.', "
            "as in 'mnist' or 'team/vision/mnist'."
        )
    return text


def check_part(name: str) -> str:
    """The name itself, if an entity, a project, an artifact or a run may have it: it is also a safe file name.

    Raises:
        InvalidName: It may not.
    """
    return _check("catalog", name)


def check_alias(alias: str) -> str:
    """The alias itself, if it may be one.

    Raises:
        InvalidName: It is empty, too long, holds `/`, `:` or `@`, or is reserved (`latest`, `v3`).
    """
    if not alias or len(alias) > MAX_LENGTH or any(c in "/:@" or c.isspace() or not c.isprintable() for c in alias):
        raise InvalidName(
            f"{alias!r} is not a valid alias: use up to {MAX_LENGTH} characters without '/', ':', '@' or spaces."
        )
    if alias == LATEST or _VERSION.fullmatch(alias):
        raise InvalidName(f"The alias {alias!r} is reserved: refstore gives it by itself.")
    return alias


def check_tag(tag: str) -> str:
    """The tag itself, if it may be one: words of letters, digits, `_` and `-`.

    Raises:
        InvalidName: It may not.
    """
    if not _TAG.fullmatch(tag) or len(tag) > MAX_LENGTH:
        raise InvalidName(f"{tag!r} is not a valid tag: use words of letters, digits, '_' and '-'.")
    return tag


def check_type(type: str) -> str:
    """The artifact type itself, if it may be one.

    Raises:
        InvalidName: It is empty, too long, or holds `/` or `:`.
    """
    if not type or len(type) > MAX_LENGTH or any(c in "/:" or not c.isprintable() for c in type):
        raise InvalidName(
            f"{type!r} is not a valid artifact type: use up to {MAX_LENGTH} characters without '/' and ':'."
        )
    return type


@dataclass(frozen=True, slots=True, order=True)
class ArtifactName:
    """An artifact's place in the catalog.

    Attributes:
        entity: "" where none stands before the project.
        project: The namespace.
        artifact: The name inside it.
    """

    entity: str
    project: str
    artifact: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.entity, self.project, self.artifact) if part)

    @property
    def parts(self) -> dict[str, Any]:
        """The parts by name, as records have them."""
        return {"entity": self.entity, "project": self.project, "artifact": self.artifact}


@dataclass(frozen=True, slots=True)
class VersionName:
    """An artifact's name and what selects one of its versions.

    At most one of `number`, `alias` and `digest` is set; none of them means `latest`.

    Attributes:
        artifact: The artifact.
        number: 3 for `:v3`.
        alias: `best` for `:best`.
        digest: The beginning of the manifest's id, for `@3f2a`.
    """

    artifact: ArtifactName
    number: int | None = None
    alias: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.artifact}:v{self.number}"
        if self.digest is not None:
            return f"{self.artifact}@{self.digest}"
        return f"{self.artifact}:{self.alias or LATEST}"


def parse_artifact(text: str, *, entity: str = "", project: str = DEFAULT_PROJECT) -> ArtifactName:
    """Read `[entity/][project/]artifact`, with what to take where a part is not there.

    Raises:
        InvalidName: A part is not a name, or there are more than three.
    """
    if (mark := re.search("[:@]", text)) and mark.start():
        raise InvalidName(
            f"{text!r} names a version, where the name of an artifact is meant: leave {text[mark.start() :]!r} out."
        )
    parts = text.split("/")
    if len(parts) > 3:
        raise InvalidName(f"{text!r} has too many parts: a name is [entity/][project/]artifact.")
    for kind, part in zip(("entity", "project", "artifact")[-len(parts) :], parts, strict=True):
        _check(kind, part)
    entity, project, artifact = [entity, project, ""][: 3 - len(parts)] + parts
    return ArtifactName(entity, project, artifact)


def parse_version(text: str, *, entity: str = "", project: str = DEFAULT_PROJECT) -> VersionName:
    """Read `[entity/][project/]artifact[:version|:alias|@digest-prefix]`.

    Raises:
        InvalidName: Any part breaks its rule.
    """
    if "@" in text and ":" not in text:
        left, _, digest = text.partition("@")
        if not _DIGEST.fullmatch(digest):
            raise InvalidName(f"{digest!r} in {text!r} is not the beginning of a digest: use 4 to 64 hex digits.")
        return VersionName(parse_artifact(left, entity=entity, project=project), digest=digest)
    left, colon, selector = text.partition(":")
    artifact = parse_artifact(left, entity=entity, project=project)
    if not colon or selector == LATEST:
        return VersionName(artifact)
    if match := _VERSION.fullmatch(selector):
        return VersionName(artifact, number=int(match[1]))
    return VersionName(artifact, alias=check_alias(selector))


def split_file_path(path: str) -> tuple[str, str] | None:
    """Part `vision/mnist:v3/train/a.csv` into the name of a version and a path in it; None where it names no version.

    The name ends with the first of three parts that holds a `:` or `@`; what follows is never read as a name.
    """
    parts = path.split("/")
    for end, part in enumerate(parts[:3], 1):
        if ":" in part or "@" in part:
            return "/".join(parts[:end]), "/".join(parts[end:])
    return None
