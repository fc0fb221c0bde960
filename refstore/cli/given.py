"""Options as they were given: Typer need not look at a value that is right as it stands.

Typer (0.29) makes a pydantic adapter for each option, given or not, and importing pydantic takes longer than most of
our commands. What an option holds is nearly always nothing, its default, or words, and those come out of an adapter as
they went in. Whatever else there is goes to Typer; where a Typer has other insides than these, everything does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin


def take_as_given(command: Any) -> None:
    """Have the options of a command, and of the commands below it, look at their values themselves first.

    Args:
        command: As `typer.main.get_command` makes it.
    """
    theirs = command.get_params

    def get_params(context: Any) -> list[Any]:
        options: list[Any] = theirs(context)
        for option in options:
            if getattr(option, "_runtime_param", option) is None and hasattr(option, "type_descriptor"):
                option._runtime_param = _AsGiven()
        return options

    # Typer adds --help and what installs completion when the options are asked for, not before.
    command.get_params = get_params
    for below in getattr(command, "commands", {}).values():
        take_as_given(below)


class _AsGiven:
    """Stands where Typer keeps the adapter of an option until one is needed."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of an option, as Typer's own adapter would have it.

        Raises:
            typer.BadParameter: As Typer does.
        """
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        kind, said = param.type_descriptor.annotation, param.type_descriptor.parameter_info
        if said.parser is None:
            if several:
                if kind == list[str] and isinstance(value, list | tuple) and {*map(type, value)} <= {str}:
                    return list(value)
            elif type(value) is kind or (get_origin(kind) is Literal and value in get_args(kind)):
                return value
            elif type(value) is str and kind is int and _is_number(value, said.min, said.max):
                return int(value)
            elif type(value) is str and kind is Path and _may_be_read(value):
                return Path(value)
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _is_number(word: str, least: float | None, most: float | None) -> bool:
    if not (word.isascii() and word.isdecimal() and len(word) < 19):
        return False
    return (least is None or int(word) >= least) and (most is None or int(word) <= most)


def _may_be_read(path: str) -> bool:
    # What Typer checks of a path when nothing else is asked of it; it has a sentence for the others.
    return os.access(path, os.R_OK) or not os.path.lexists(path)
