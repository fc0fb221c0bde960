"""How a command ends: the one place that turns an exception into a sentence and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
import typer.main

from refstore.cli.completing import whole_words
from refstore.cli.output import print_json, printable, size, when
from refstore.errors import RefstoreError, StorageFull

if TYPE_CHECKING:
    from refstore.checkout.result import Failure
    from refstore.manifest.entry import Object

INTERRUPTED = 130
BROKEN_PIPE = 141
BUG = 70
TOLD_IN_FULL = 3
"""How many files the reason is told for that shuts out all of them."""
DRIFTED = 4
"""`status`, `verify` and `doctor` end with it where they found what they look for."""

# Typer carries its own copy of click since 0.26; this finds the base of usage errors in either.
_UsageTrouble: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


@dataclass(slots=True)
class Session:
    """What every command of one run of the command line knows.

    Attributes:
        words: The words of the command line.
        store: Where to look for the store, from `-C`; None for the current folder.
    """

    words: list[str] = field(default_factory=list)
    store: Path | None = None

    @property
    def json(self) -> bool:
        """Whether `--json` was asked for, known even where the words make no sense otherwise."""
        return "--json" in self._own

    @property
    def quiet(self) -> bool:
        """Whether `--quiet` was asked for."""
        return bool({"--quiet", "-q"} & set(self._own))

    @property
    def _own(self) -> list[str]:
        words = self.words
        return words[: words.index("--")] if "--" in words else words


def run(app: typer.Typer, words: Sequence[str] | None) -> int:
    """Run the application on the words of a command line, and say what went wrong. Returns the exit code."""
    session = Session(list(sys.argv[1:] if words is None else words))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with endings(session), whole_words():
            command = typer.main.get_command(app)
            code = command.main(session.words, prog_name="refstore", standalone_mode=False, obj=session)
            sys.stdout.flush()
            return code if isinstance(code, int) else 0
    except typer.Exit as ending:
        return int(ending.exit_code)


@contextmanager
def endings(session: Session) -> Iterator[None]:
    """Say what went wrong inside, if anything, and make it a `typer.Exit` with the right code."""
    try:
        yield
    except (typer.Exit, SystemExit):
        raise
    except (KeyboardInterrupt, typer.Abort):
        _end(session, INTERRUPTED, "Interrupted", "Interrupted. The same command again carries on.")
    except BrokenPipeError:
        _discard_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except RefstoreError as error:
        if os.environ.get("REFSTORE_DEBUG"):
            traceback.print_exc()
        failures, summary = getattr(error, "failures", ()), getattr(error, "summary", "")
        _end(session, error.exit_code, type(error).__name__, str(error), failures, summary)
    except _UsageTrouble as error:
        _end(session, 2, "UsageError", _usage(error))
    except Exception as error:  # noqa: BLE001 - the last place where an error can become a sentence
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _discard_output()
            _end(session, StorageFull.exit_code, "StorageFull", "The output can't be written: no space is left.")
        if os.environ.get("REFSTORE_DEBUG"):
            traceback.print_exc()
        # The text of a foreign error may hold anything, a signed URL say: its name has to do.
        message = (
            f"This is a bug in refstore ({type(error).__name__}). Please report it, with the command and with what it "
            "prints when REFSTORE_DEBUG=1 is set."
        )
        _end(session, BUG, "Bug", message)


def _end(
    session: Session, code: int, kind: str, message: str, failures: Sequence[Failure] = (), summary: str = ""
) -> NoReturn:
    """Say it, on stderr for people and on stdout for `--json`, and end."""
    sys.stdout.flush()
    for at, line in enumerate((summary or message).split("\n")):
        print(f"{'' if at else 'refstore: '}{printable(line)}", file=sys.stderr)
    print_failures(failures)
    if session.json:
        error: dict[str, Any] = {"kind": kind, "message": message, "exit_code": code}
        if failures:
            from refstore.cli.shapes import failure_json

            error["failures"] = [failure_json(failure) for failure in failures]
        print_json({"error": error})
        sys.stdout.flush()
    raise typer.Exit(code)


def print_failures(failures: Sequence[Failure]) -> None:
    """Each file that could not be had, on stderr: why, what was recorded, and what is there now.

    What shuts out a whole checkout is told in full a few times only: the reason is the same for the others.
    """
    from refstore.checkout.result import SHUT_OUT

    told: Counter[str] = Counter()
    for failure in failures:
        print(f"  {printable(failure.path)}: {failure.kind}", file=sys.stderr)
        told[failure.kind] += 1
        if failure.kind in SHUT_OUT and told[failure.kind] > TOLD_IN_FULL:
            continue
        print(f"    {printable(failure.message)}", file=sys.stderr)
        print(f"    source:   {printable(failure.uri)}", file=sys.stderr)
        print(f"    recorded: {_object(failure.recorded)}", file=sys.stderr)
        found = _object(failure.found) if failure.found else "nothing, or nothing that may be seen"
        print(f"    found:    {found}", file=sys.stderr)


def _object(obj: Object) -> str:
    """What tells one state of an object from another."""
    parts = [size(obj.size), obj.mtime and when(obj.mtime), obj.version and f"version {obj.version}"]
    parts += [obj.etag and f"ETag {obj.etag}", str(obj.checksum or "")]
    return printable(", ".join(part for part in parts if part))


def _usage(error: Exception) -> str:
    """A usage error of the command line's own parser as a sentence."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    message = message.strip().replace("Value error, ", "")
    if message and message[-1] not in ".?!":
        message += "."
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "refstore"
    return f"{message} See '{path} --help'."


def _discard_output() -> None:
    """Send what is still in the buffer of stdout nowhere, or Python complains of it at its own end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
