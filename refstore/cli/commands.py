"""Which file of this package holds which command, so that only that one is imported and only its options are built."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
import typer.core

from refstore.cli.ending import Session, endings
from refstore.cli.given import take_as_given

HOMES = {
    "init": "adding",
    "add": "adding",
    "put": "adding",
    "checkout": "checking",
    "ls": "reading",
    "show": "reading",
    "log": "reading",
    "diff": "reading",
    "status": "checking",
    "verify": "checking",
    "alias": "changing",
    "tag": "changing",
    "describe": "changing",
    "rm": "changing",
    "run": "running",
    "runs": "runs",
    "lineage": "lineage",
    "artifact": "artifact",
    "import": "importing",
    "export": "exporting",
    "gc": "expiring",
    "remote": "sharing",
    "push": "sharing",
    "pull": "sharing",
    "fetch": "sharing",
    "clone": "sharing",
    "sync": "maintaining",
    "fsck": "maintaining",
    "pack": "maintaining",
    "cache": "keeping",
    "config": "keeping",
    "doctor": "checking",
}
"""The module of each command, in the order of a person's work: that of `--help`."""


class _Loaded(MutableMapping[str, Any]):
    """The commands by name. One is built, with the others of its module, when it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            app = typer.Typer(rich_markup_mode=None)
            app.callback()(lambda: None)
            import_module(f"refstore.cli.{HOMES[name]}").register(app)
            made = typer.main.get_group(app)
            take_as_given(made)
            self._made.update(made.commands)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(HOMES)

    def __len__(self) -> int:
        return len(HOMES)


class Commands(typer.core.TyperGroup):
    """The group of all commands. It handles what they raise before Typer does, which has words of its own for it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        take_as_given(self)
        self.commands = _Loaded()

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        session: Session = ctx.obj
        with endings(session):
            return super().invoke(ctx)
