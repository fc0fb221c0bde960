"""How a run begins: as a new one, as one that goes on after an end, or as a part of what `refstore run` began."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refstore.catalog.run_queries import RunInfo
from refstore.errors import ArtifactNotFound, InvalidName, RunNotFound, StoreNotFound, UsageError
from refstore.names import ArtifactName, parse_artifact
from refstore.records.types import RunResumed, RunStarted
from refstore.store import find
from refstore.tracking import current, implied_run
from refstore.tracking.command_line import command_line
from refstore.tracking.git_state import git_state
from refstore.tracking.plain import plain_object
from refstore.tracking.run import Run, listed
from refstore.tracking.run_names import check_id, new_id, new_name
from refstore.tracking.stores import Stores, at, logger

RESUMES = (None, False, True, "allow", "must", "never", "auto")
RUN_ID, RUN_ROOT = "REFSTORE_RUN_ID", "REFSTORE_RUN_ROOT"
"""The variables by which `refstore run` tells its command of the run, and of the folder that holds its store."""


def this_process(command: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """What records say of the process that a run is: the fields that `RunStarted` and `RunResumed` share.

    Args:
        command: The command line, without credentials.
        folder: Where the code is; git is asked about it.
    """
    git = git_state(folder)
    return {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "user": implied_run.user(),
        "python": platform.python_version(),
        "refstore": current.version(),
        "git": git.commit if git else "",
        "dirty": git.dirty if git else False,
        "diff": git.diff if git else "",
    }


def start(
    stores: Stores,
    *,
    project: str | None,
    entity: str | None,
    job_type: str | None,
    name: str | None,
    id: str | None,
    config: Any,
    tags: Iterable[str] | None,
    notes: str | None,
    group: str | None,
    resume: Any,
    temporary: Any,
) -> Run:
    """Record that a run begins, or go on with one; the arguments are those of `refstore.init`."""
    if resume not in RESUMES:
        raise UsageError(f"resume is one of 'allow', 'must', 'never' and 'auto', not {resume!r}.")
    store = stores.here
    place = _place(stores, entity, project)
    if id is not None:
        old = _existing(stores, place, check_id(id))
        if old is not None and resume in (None, False, "never"):
            raise UsageError(f"There is a run {old.path} already: give resume='allow' to go on with it, or another id.")
        if old is not None:
            run = Run(stores, _resumed(stores, old), resumed=True, temporary=temporary)
            _say(run, config, tags, notes)
            run.name = name or run.name
            return run
    if resume == "must":
        raise RunNotFound(f"There is no run {place.project}/{id} to go on with, and resume='must' needs one.")
    process = this_process(command_line(), stores.root if temporary is None else Path.cwd())
    values, count = plain_object(config, "config"), store.catalog.runs.count_runs(place.entity, place.project)
    with store.catalog.writing() as writing:
        record = writing.add(
            RunStarted(
                **writing.stamp,
                run=id or new_id(),
                entity=place.entity,
                project=place.project,
                name=name or new_name(count + 1),
                job_type=job_type or "",
                group=group or "",
                notes=notes or "",
                tags=tuple(listed(tags)),
                config=values,
                **process,
            )
        )
        writing.summarise(f"run {'/'.join(part for part in (place.entity, place.project) if part)} started")
        writing.commit()
    info = store.catalog.runs.run_by_id(record)
    assert info is not None
    return Run(stores, info, temporary=temporary)


def commanded(
    *,
    dir: str | os.PathLike[str] | None,
    project: str | None,
    entity: str | None,
    id: str | None,
    config: Any,
    tags: Iterable[str] | None,
    notes: str | None,
) -> Run | None:
    """The run that `refstore run` began and that this script is a part of; None where it is to have one of its own.

    It has one of its own where it asks for another store, project or id, and where that run has ended. What it says of
    the run is added to what is said of it already.

    Args:
        dir: The folder of the store, where the script gives one.
        project: Where the run is to belong, where the script says it.
        entity: What is to stand before that, where the script says it.
        id: The id that the script asks for.
        config: To add.
        tags: To add.
        notes: To set.
    """
    name, root = os.environ.get(RUN_ID), os.environ.get(RUN_ROOT)
    if not name or not root or id not in (None, name):
        return None
    chosen = dir if dir is not None else os.environ.get("REFSTORE_STORE") or None
    try:
        home = find(root)
        if chosen is not None and find(chosen) != home:
            return None
    except StoreNotFound:
        return None
    stores = at(home)
    place = _place(stores, entity, project)
    info = _existing(stores, place, name)
    if info is None and project is None and entity is None:
        logger.warning("refstore: the run %s, which %s names, is not in this store.", name, RUN_ID)
    if info is None or info.state != "running":
        return None
    run = Run(stores, info, commanded=True)
    _say(run, config, tags, notes)
    return run


def _say(run: Run, config: Any, tags: Iterable[str] | None, notes: str | None) -> None:
    run.config.update(config)
    run.tags = tuple(dict.fromkeys((*run.tags, *listed(tags))))
    run.notes = notes or run.notes
    run._record_said()


def _place(stores: Stores, entity: str | None, project: str | None) -> ArtifactName:
    settings = stores.here.settings
    return parse_artifact(
        "/".join(part for part in (entity or "", project or settings.project, "_") if part), entity=settings.entity
    )


def _existing(stores: Stores, place: ArtifactName, id: str) -> RunInfo | None:
    try:
        return stores.here.catalog.runs.run("/".join(part for part in (place.entity, place.project, id) if part))
    except (RunNotFound, InvalidName, ArtifactNotFound):
        return None


def _resumed(stores: Stores, old: RunInfo) -> RunInfo:
    process = this_process(command_line(), stores.root)
    catalog = stores.here.catalog
    with catalog.writing() as writing:
        writing.add(RunResumed(**writing.stamp, run=old.id, **process))
        writing.summarise(f"run {old.path} resumed")
        writing.commit()
    return catalog.runs.run_by_id(old.id) or old
