"""Options that come together in several commands: a dataclass has them, and a command takes it as one parameter."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from refstore.cli.options import (
    Aliases,
    AllowEmpty,
    Description,
    Exclude,
    Include,
    MaxObjects,
    Metadata,
    PrefixInArtifact,
    Tags,
    TypeOption,
)
from refstore.errors import UsageError

if TYPE_CHECKING:
    from typer import Context  # noqa: F401 - commands name it in their annotations

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """What a person says of a version."""

    type: TypeOption = None
    alias: Aliases = None
    tag: Tags = None
    description: Description = None
    metadata: Metadata = None

    def arguments(self) -> dict[str, Any]:
        """The arguments of `Store.add` and its like.

        Raises:
            UsageError: The metadata are no JSON object.
        """
        return {
            "type": self.type,
            "aliases": self.alias or (),
            "tags": self.tag or (),
            "description": self.description,
            "metadata": _metadata(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class ChoiceOptions:
    """Which files are taken, and where in the artifact they are put."""

    max_objects: MaxObjects = None
    include: Include = None
    exclude: Exclude = None
    prefix: PrefixInArtifact = ""
    allow_empty: AllowEmpty = False

    def arguments(self) -> dict[str, Any]:
        """The arguments of `Store.add` and `Store.put`."""
        return {
            "max_objects": self.max_objects,
            "include": self.include or (),
            "exclude": self.exclude or (),
            "prefix": self.prefix,
            "allow_empty": self.allow_empty,
        }


def with_groups(command: _Command) -> _Command:
    """Let a command be called with the options of its dataclass parameters one by one, as Typer does."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not dataclasses.is_dataclass(kind):
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
            continue
        assert isinstance(kind, type)
        options = get_type_hints(kind, include_extras=True)
        fields = dataclasses.fields(kind)
        groups[parameter.name] = (kind, [field.name for field in fields])
        parameters += [
            inspect.Parameter(field.name, parameter.kind, default=field.default, annotation=options[field.name])
            for field in fields
        ]

    @wraps(command)
    def called(**given: Any) -> Any:
        for name, (kind, fields) in groups.items():
            given[name] = kind(**{field: given.pop(field) for field in fields})
        return command(**given)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called  # type: ignore[return-value]


def _metadata(text: str | None) -> Mapping[str, Any] | None:
    """The JSON object after `--metadata`, or in the file that it names."""
    if text is None:
        return None
    where = "--metadata"
    if text.startswith("@"):
        where = text[1:]
        try:
            text = Path(where).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"The file {where} that --metadata names can't be read: {reason}.") from error
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where} holds no JSON: {error}.") from error
    if not isinstance(data, dict):
        raise UsageError(f'{where} holds no JSON object: give one, as in \'{{"split": "train"}}\'.')
    return data
