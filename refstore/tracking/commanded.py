"""A command of whatever language as a run: its inputs are recorded before it starts, its outputs when it succeeded."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from refstore.catalog.infos import VersionInfo
from refstore.catalog.run_queries import RunInfo
from refstore.errors import RefstoreError, UsageError
from refstore.names import check_alias, check_type, parse_artifact
from refstore.records.types import RunFinished, RunStarted, Used
from refstore.tracking import current
from refstore.tracking.command_line import redacted
from refstore.tracking.run_names import new_id, new_name

if TYPE_CHECKING:
    from refstore.tracking.run import Run
    from refstore.tracking.stores import Stores

NOT_FOUND, NOT_EXECUTABLE, BY_SIGNAL = 127, 126, 128
"""The exit codes that shells give (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html)."""

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH")
_OF_THE_TERMINAL = ("SIGINT", "SIGQUIT", "SIGWINCH")
"""What the terminal itself sends to all processes in its foreground: to pass it on would send it twice."""


@dataclass(frozen=True, slots=True)
class Output:
    """Something that a command makes.

    Attributes:
        where: A URI, which is recorded as a reference, or a path of files whose content is kept.
        name: `artifact`, in the run's project.
        type: Of the artifact; None for the one that it has, or `dataset`.
    """

    where: str
    name: str
    type: str | None = None

    @classmethod
    def parse(cls, text: str) -> Output:
        """Read `s3://bucket/models/cnn=cnn:model`.

        Raises:
            UsageError: It is no such thing.
        """
        where, equals, rest = text.rpartition("=")
        name, _, type = rest.partition(":")
        if not equals or not where or not name:
            raise UsageError(f"{text!r} is no output: write URI_OR_PATH=NAME[:TYPE], as in s3://bucket/cnn=cnn:model.")
        if "/" in name:
            raise UsageError(
                f"{text!r}: an output belongs to the run's project, so its name has no '/': see --project."
            )
        parse_artifact(name)
        return cls(where, name, check_type(type) if type else None)


@dataclass(frozen=True, slots=True)
class Commanded:
    """How a command went.

    Attributes:
        run: What the catalog says of its run.
        exit_code: Of the command; 128 + the signal's number where one ended it.
        used: The versions that it used.
        logged: The versions that were logged, in the order of the outputs.
    """

    run: RunInfo
    exit_code: int
    used: tuple[VersionInfo, ...]
    logged: tuple[VersionInfo, ...]


def run_command(
    stores: Stores,
    command: Sequence[str],
    *,
    uses: Sequence[str] = (),
    outputs: Sequence[Output] = (),
    project: str | None = None,
    name: str | None = None,
    job_type: str | None = None,
    config: Mapping[str, Any] | None = None,
    aliases: Sequence[str] = (),
) -> Commanded:
    """Run a command with this process's own stdin, stdout and stderr, as a run. Call it from the main thread.

    The run is recorded before the command starts, with the versions that its inputs mean at that moment. Signals are
    passed on. What the command made is logged only if it ends with 0. `refstore.init()` in the command, and in what it
    starts, goes on with this run, and does not end it.

    Args:
        stores: Where to record it.
        command: The words; no shell reads them.
        uses: Names of versions.
        outputs: What it makes.
        project: `[entity/]project`; the setting by default.
        name: For people; two words and a number by default.
        job_type: What it does.
        config: Its inputs that are not files.
        aliases: To set on what it makes, beside `latest`.

    Raises:
        ArtifactNotFound: An input is not in the catalog; the command was not started.
        UsageError: The command can't be started, or an option has no meaning.
        SourceMissing: The command succeeded, and an output is not there; the run is failed.
    """
    from refstore.tracking.run import Run

    if not command:
        raise UsageError("There is no command to run: write it after --, as in 'refstore run -- python train.py'.")
    for alias in aliases:
        check_alias(alias)
    settings = stores.here.settings
    place = parse_artifact("/".join(p for p in (project or settings.project, "_") if p), entity=settings.entity)
    inputs = {info.id: info for info in (current.resolve(stores, use, place.entity, place.project) for use in uses)}
    record = _start(
        stores, place.entity, place.project, command, tuple(inputs), name, job_type or "", dict(config or {})
    )
    info = stores.here.catalog.runs.run_by_id(record)
    assert info is not None
    run = Run(stores, info)
    try:
        code = _wait(command, _variables(stores, info))
    except BaseException:
        _finish(stores, info, "failed")
        raise
    logged = []
    try:
        if code == 0:
            logged = [_log(run, output, aliases) for output in outputs]
    except BaseException:
        _finish(stores, info, "failed")
        raise
    _finish(stores, info, "failed" if code else "finished")
    ended = stores.here.catalog.runs.run_by_id(record) or info
    return Commanded(ended, code, tuple(inputs.values()), tuple(logged))


def _start(
    stores: Stores,
    entity: str,
    project: str,
    command: Sequence[str],
    inputs: Sequence[str],
    name: str | None,
    job_type: str,
    config: dict[str, Any],
) -> str:
    from refstore.tracking.run_start import this_process

    process = this_process(tuple(word.encode("utf-8", "replace").decode() for word in redacted(command)), stores.root)
    count = stores.here.catalog.runs.count_runs(entity, project)
    with stores.here.catalog.writing() as writing:
        record = writing.add(
            RunStarted(
                **writing.stamp,
                run=new_id(),
                entity=entity,
                project=project,
                name=name or new_name(count + 1),
                job_type=job_type,
                config=config,
                **process,
            )
        )
        for version in inputs:
            writing.add(Used(**writing.stamp, run=record, version=version))
        writing.summarise(f"run {'/'.join(part for part in (entity, project) if part)} started")
        writing.commit()
    return record


def _finish(stores: Stores, info: RunInfo, state: str) -> None:
    with stores.here.catalog.writing() as writing:
        writing.add(RunFinished(**writing.stamp, run=info.id, state=state))
        writing.summarise(f"run {info.path} {state}")
        writing.commit()


def _variables(stores: Stores, info: RunInfo) -> dict[str, str]:
    """What the command finds in its environment: `refstore.init()` in it goes on with this run."""
    from refstore.tracking.run_start import RUN_ID, RUN_ROOT

    place = {"REFSTORE_PROJECT": info.project, "REFSTORE_ENTITY": info.entity}
    return {RUN_ID: info.run, RUN_ROOT: str(stores.root), **{name: value for name, value in place.items() if value}}


def _log(run: Run, output: Output, aliases: Sequence[str]) -> VersionInfo:
    artifact = run.log_artifact(
        output.where, output.name, output.type or _type(run, output.name), aliases=list(aliases)
    )
    return artifact._logged("run")


def _type(run: Run, name: str) -> str:
    from refstore.names import ArtifactName
    from refstore.tracking.record import DEFAULT_TYPE

    with suppress(RefstoreError):
        queries = run._stores.here.catalog.queries
        return queries.artifact(ArtifactName(run.entity, run.project, name)).type
    return DEFAULT_TYPE


def _wait(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run it, and wait; the exit code as a shell would tell it."""
    with _passing_on() as receiver:
        try:
            child = subprocess.Popen(list(command), env={**os.environ, **variables})
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"The command {command[0]!r} can't be started: {reason}.") from error
        receiver.start(child)
        code = child.wait()
    return BY_SIGNAL - code if code < 0 else code


class _Receiver:
    """Takes signals for a command, from before it is there."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def start(self, child: subprocess.Popen[bytes]) -> None:
        """The command is there: what came before is passed on."""
        self._child = child
        for number in self._early:
            self._send(number)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        assert self._child is not None
        if signal.Signals(number).name in _OF_THE_TERMINAL and _in_the_foreground():
            return
        # It may just have ended.
        with suppress(ProcessLookupError):
            self._child.send_signal(number)


@contextmanager
def _passing_on() -> Iterator[_Receiver]:
    receiver = _Receiver()
    before: dict[int, Any] = {}
    for name in _PASSED_ON:
        number = getattr(signal, name, None)
        # What was ignored (nohup) stays so, and the command inherits it.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, receiver)
    try:
        yield receiver
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_the_foreground() -> bool:
    """Whether a terminal sends its signals to this process, and so to the command too, wherever its streams lead."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
