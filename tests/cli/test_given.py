"""Options that need no look from Typer come out as they would have after one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
import typer.main

from refstore.cli.given import take_as_given

LINES = [
    "",
    "word",
    "--text 5 --text x --many a --many b",
    "--many ''",
    "--count 7",
    "--count 007",
    "--count 0",
    "--count 101",
    "--count x",
    "--count 1.0",
    "--count -1",
    "--free -12",
    "--free 99999999999999999999999",
    "--free 1_000",
    "--part 0.5",
    "--kind b",
    "--kind c",
    "--where .",
    "--where nowhere/at/all",
    "--where ''",
    "--flag",
    "--unknown",
    "--text",
]


def outcome(line: str, *, ours: bool) -> Any:
    """What a command is called with, or what Typer says of the words."""
    app, called = typer.Typer(), list[dict[str, Any]]()

    @app.command()
    def command(
        word: Annotated[str, typer.Argument()] = "",
        text: str | None = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
        count: Annotated[int | None, typer.Option(min=1, max=100)] = None,
        free: int = 3,
        part: float = 1.0,
        kind: Literal["a", "b"] = "a",
        where: Path | None = None,
        flag: bool = False,
    ) -> None:
        called.append(dict(locals()))

    made = typer.main.get_command(app)
    if ours:
        take_as_given(made)
    try:
        made.main([word.strip("'") for word in line.split()], standalone_mode=False)
    except Exception as error:
        return type(error), str(error)
    return [(name, type(value), value) for name, value in called[0].items() if name != "called"]


@pytest.mark.parametrize("line", LINES)
def test_the_value_of_an_option_is_the_one_that_typer_would_give(line: str) -> None:
    assert outcome(line, ours=True) == outcome(line, ours=False)
