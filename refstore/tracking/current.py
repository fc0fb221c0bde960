"""The run of this process, and the functions of the module that work on it."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refstore.catalog.infos import VersionInfo
from refstore.config import Settings
from refstore.errors import TypeConflict, UsageError
from refstore.names import ArtifactName, parse_artifact, parse_version
from refstore.tracking.stores import Stores, at, found_or_made, logger

if TYPE_CHECKING:
    from refstore.tracking.artifact import Artifact
    from refstore.tracking.run import Run

_LOCK = threading.RLock()


class _Process:
    """What this process runs.

    Attributes:
        runs: The runs that go on, the current one last.
        failed: Whether the script is about to end with an error.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.runs: list[Run] = []
        self.failed = False
        self.hooked = False


_here = _Process()


def _after_fork() -> None:
    global _LOCK
    _LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run() -> Run | None:
    """The run that goes on in this process, if there is one. A forked process has that of its parent."""
    return _here.runs[-1] if _here.runs else None


def needed(what: str) -> Run:
    """The run that goes on.

    Raises:
        UsageError: There is none.
    """
    found = run()
    if found is None:
        raise UsageError(f"refstore.{what}() needs a run: call refstore.init() first.")
    return found


def stores() -> Stores:
    """The store of the current run; without one, that of the current folder, which is made where there is none."""
    found = run()
    return found._stores if found is not None else found_or_made()


def version() -> str:
    """Refstore's version."""
    from refstore.version_number import __version__

    return __version__


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Iterable[str] | None = None,
    config: Any = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    reinit: bool | str | None = None,
    resume: bool | str | None = None,
    settings: Any = None,
    config_exclude_keys: Iterable[str] | None = None,
    config_include_keys: Iterable[str] | None = None,
    **ignored: Any,
) -> Run:
    """See `refstore.init`."""
    from refstore.tracking import run_start

    mode = mode or os.environ.get("WANDB_MODE") or "offline"
    with _LOCK:
        going = run() if _here.pid == os.getpid() else None
        if going is not None:
            if reinit in (True, "finish_previous"):
                going.finish()
            elif reinit != "create_new":
                going.config.update(_chosen(config, config_exclude_keys, config_include_keys))
                return going
        temporary = None
        chosen = _chosen(config, config_exclude_keys, config_include_keys)
        if mode == "disabled":
            import tempfile

            from refstore.store import Store

            temporary = tempfile.TemporaryDirectory(prefix="refstore-", ignore_cleanup_errors=True)
            Store.create(temporary.name).close()
        made = None
        if going is None and temporary is None:
            made = run_start.commanded(
                dir=dir, project=project, entity=entity, id=id, config=chosen, tags=tags, notes=notes
            )
        made = made or run_start.start(
            at(_path(temporary.name)) if temporary else found_or_made(dir),
            project=project or _from_wandb("PROJECT"),
            entity=entity or _from_wandb("ENTITY"),
            job_type=job_type,
            name=name,
            id=id,
            config=chosen,
            tags=tags,
            notes=notes,
            group=group,
            resume=resume,
            temporary=temporary,
        )
        if _here.pid != os.getpid():
            _here.runs.clear()
            _here.pid = os.getpid()
        _here.runs.append(made)
        _hook()
        return made


def ended(ended: Run) -> None:
    """Forget a run that has ended."""
    with _LOCK:
        if ended in _here.runs:
            _here.runs.remove(ended)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the current run, if there is one."""
    found = run()
    if found is not None:
        found.finish(exit_code)


def config() -> Any:
    """The config of the current run; an empty one before `init`."""
    from refstore.tracking.values import Values

    found = run()
    return found.config if found is not None else Values()


def summary() -> Any:
    """The summary of the current run; an empty one before `init`."""
    from refstore.tracking.values import Values

    found = run()
    return found.summary if found is not None else Values(what="summary")


def artifact_name(text: str, entity: str, project: str, settings: Settings) -> ArtifactName:
    """An artifact's name as scripts write it, where an empty entity may stand before the first slash."""
    return parse_artifact(text.lstrip("/").partition(":")[0], entity=entity or settings.entity, project=project)


def resolve(stores: Stores, name: str, entity: str | None = None, project: str | None = None) -> VersionInfo:
    """The version that a name means, seen from a run.

    Raises:
        ArtifactNotFound: There is none.
        InvalidName: It is no name.
    """
    store = stores.here
    wanted = parse_version(
        name.lstrip("/"),
        entity=store.settings.entity if entity is None else entity,
        project=project or store.settings.project,
    )
    found = store.catalog.queries.version(wanted)
    if found.was is not None:
        logger.warning("refstore: %s:v%d was v%d before a merge.", found.artifact, found.number, found.was)
    return found


def check_type(artifact: Artifact, type: str | None) -> None:
    """Refuse an artifact of another type than the one that was asked for.

    Raises:
        TypeConflict: It is (a ValueError).
    """
    if type is not None and type != artifact.type:
        raise TypeConflict(f"{artifact.name} is of type {artifact.type!r}, and type={type!r} was asked for.")


def _chosen(config: Any, exclude: Iterable[str] | None, include: Iterable[str] | None) -> Any:
    if not isinstance(config, Mapping) or (exclude is None and include is None):
        return config
    left, kept = set(exclude or ()), set(include or config)
    return {key: value for key, value in config.items() if key in kept and key not in left}


def _from_wandb(name: str) -> str | None:
    """W&B's variable, where refstore's own is not set."""
    return None if f"REFSTORE_{name}" in os.environ else os.environ.get(f"WANDB_{name}") or None


def _path(name: str) -> Any:
    from pathlib import Path

    return Path(name)


# How the script ends


def _hook() -> None:
    if _here.hooked:
        return
    _here.hooked = True
    atexit.register(_at_exit)
    show, leave = sys.excepthook, sys.exit

    def failed(kind: Any, error: Any, trace: Any) -> None:
        _here.failed = True
        show(kind, error, trace)

    def exiting(code: Any = None) -> Any:
        # Only this tells of a code: the interpreter keeps it from functions that run at exit.
        if threading.current_thread() is threading.main_thread():
            _here.failed = code not in (None, 0, False)
        leave(code)

    sys.excepthook = failed
    sys.exit = exiting


def _at_exit() -> None:
    if _here.pid != os.getpid():
        return
    for each in reversed(_here.runs[:]):
        # A full disk must not hide how the script itself ended.
        with contextlib.suppress(Exception):
            each.finish(1 if _here.failed else 0)
