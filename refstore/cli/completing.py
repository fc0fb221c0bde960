"""Completion in bash, to which `mnist:v1` is three words."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout

_ASKED = "_REFSTORE_COMPLETE"


@contextmanager
def whole_words() -> Iterator[None]:
    """While bash asks for completions, put words with a colon together, and answer with what follows the colon.

    bash cuts a line at colons too, and what it replaces is only the piece behind the last one: COMP_WORDBREAKS in
    https://www.gnu.org/software/bash/manual/html_node/Bash-Variables.html.
    """
    if os.environ.get(_ASKED) != "complete_bash":
        yield
        return
    pieces = os.environ.get("COMP_WORDS", "").split("\n")
    words, at = join(pieces, int(os.environ.get("COMP_CWORD") or 0))
    os.environ.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(at))
    word = words[at] if at < len(words) else ""
    start = word[: word.rfind(":") + 1] if len(words) < len(pieces) else ""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        print("\n".join(line.removeprefix(start) for line in said.getvalue().splitlines()))


def join(pieces: Sequence[str], at: int) -> tuple[list[str], int]:
    """The words of a command line whose pieces were cut at colons, and which of them the piece `at` is in."""
    words: list[str] = []
    found = at
    for number, piece in enumerate(pieces):
        goes_on = bool(words) and (piece == ":" or (words[-1].endswith(":") and piece != ""))
        if goes_on:
            words[-1] += piece
        else:
            words.append(piece)
        if number == at:
            found = len(words) - 1
    return words, found if at < len(pieces) else len(words)
