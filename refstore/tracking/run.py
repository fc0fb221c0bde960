"""The run: what a script does between `init` and its end, recorded as it happens."""

from __future__ import annotations

import os
import platform
import socket
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from refstore.catalog.run_queries import RunInfo
from refstore.errors import ArtifactNotFound, InvalidName, RunNotFound, UsageError
from refstore.names import ArtifactName, parse_artifact
from refstore.records.types import RunFinished, RunStarted, RunUpdated
from refstore.tracking import artifact_edits, current, implied_run
from refstore.tracking.artifact import Artifact
from refstore.tracking.command_line import command_line
from refstore.tracking.git_state import git_state
from refstore.tracking.past_run import PastRun
from refstore.tracking.plain import plain_object
from refstore.tracking.run_names import check_id, new_id, new_name
from refstore.tracking.stores import Stores
from refstore.tracking.values import Values

RESUMES = (None, False, True, "allow", "must", "never", "auto")


class Run:
    """A run that goes on. Made by `refstore.init`; ends with the script, with `finish`, or with its `with` block.

    What it uses and logs is recorded at once, and stays where the process is killed. It may be used from several
    threads.

    Attributes:
        config: Its inputs that are not files, as a mapping and as attributes.
        summary: The last value of each thing that it logged.
        tags: What people call it.
        notes: What people say of it.
        name: For people.
        record_id: The id of the record of its start.
    """

    def __init__(self, stores: Stores, info: RunInfo, *, resumed: bool = False, temporary: Any = None) -> None:
        self._stores = stores
        self._info = info
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._temporary = temporary
        self.resumed = resumed
        self.record_id = info.id
        self.config = Values(info.config)
        self.summary = Values(info.summary, "summary")
        self.tags: tuple[str, ...] = info.tags
        self.notes: str | None = info.notes or None
        self.name: str | None = info.name
        self._recorded = self._said()

    def __repr__(self) -> str:
        return f"<refstore.Run {self.path} ({self.state})>"

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = error.code if isinstance(error, SystemExit) else 1
        self.finish(0 if error is None or code in (None, 0) else 1)

    # What it is

    @property
    def root(self) -> Path:
        """The folder that holds `.refstore`."""
        return self._stores.root

    @property
    def id(self) -> str:
        """Its short id."""
        return self._info.run

    @property
    def entity(self) -> str:
        """What stands before the project, or ""."""
        return self._info.entity

    @property
    def project(self) -> str:
        """Where it belongs."""
        return self._info.project

    project_name = project

    @property
    def path(self) -> str:
        """`entity/project/id`, by which `Api.run` finds it; without an entity where there is none."""
        return self._info.path

    @property
    def job_type(self) -> str:
        """What it does."""
        return self._info.job_type

    @property
    def group(self) -> str:
        """What it belongs to."""
        return self._info.group

    @property
    def url(self) -> str:
        """The catalog and its name in it: `file:///home/me/project/.refstore#vision/3f2k9x0a`."""
        return f"{self._stores.root.as_uri()}/.refstore#{self.path}"

    @property
    def info(self) -> RunInfo:
        """What the catalog says of it now: state, times, host, user, command line, Python, git."""
        return self._stores.here.catalog.runs.run_by_id(self.record_id) or self._info

    @property
    def state(self) -> str:
        """`running`, `finished` or `failed`."""
        return self._info.state

    @property
    def start_time(self) -> str:
        """When it began: UTC, ISO 8601."""
        return self._info.started

    @property
    def dir(self) -> str:
        """The folder of the store."""
        return str(self._stores.root)

    @property
    def disabled(self) -> bool:
        """Whether nothing of it stays (`mode="disabled"`)."""
        return self._temporary is not None

    offline = True

    # What it does

    def log_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: Sequence[str] | str | None = None,
        tags: Sequence[str] | str | None = None,
    ) -> Artifact:
        """Record that this run made an artifact: a new version, unless the latest one has the same content.

        Args:
            artifact_or_path: An artifact; or the URI of objects, which are referred to; or a path of files, whose
                content is kept.
            name: For a URI or path; `run-<id>-<name of the file>` by default. `name:alias` sets the alias too.
            type: For a URI or path; `unspecified` by default.
            aliases: To set on the version, beside `latest`.
            tags: To set on the version.

        Returns:
            The artifact, logged.

        Raises:
            TypeConflict: The artifact has another type (a ValueError).
            UsageError: The artifact is of another project.
        """
        self._check_running()
        listed = _listed(aliases)
        if isinstance(artifact_or_path, Artifact):
            artifact = artifact_or_path
            if type is not None and type != artifact.type:
                raise UsageError(f"{artifact.name} is of type {artifact.type!r}, not {type!r}.")
        else:
            artifact = self._made_of(artifact_or_path, name, type)
            if name is not None and ":" in name:
                listed.append(name.partition(":")[2])
        self._log(artifact, listed, _listed(tags))
        return artifact

    def use_artifact(
        self,
        artifact_or_name: Artifact | str,
        type: str | None = None,
        aliases: Sequence[str] | str | None = None,
        use_as: str | None = None,
    ) -> Artifact:
        """Record that this run uses a version, and return it.

        Args:
            artifact_or_name: `mnist`, `mnist:v3`, `mnist:best`, `project/mnist:v3`, `entity/project/mnist:v3`; or an
                artifact. A draft is logged first, unless the latest version has the same content.
            type: What it has to be.
            aliases: For a draft.
            use_as: What it is to this run.

        Raises:
            ArtifactNotFound: There is none of that name.
            TypeConflict: It has another type (a ValueError).
        """
        self._check_running()
        if isinstance(artifact_or_name, Artifact):
            artifact = artifact_or_name
            if artifact.is_draft():
                self._log(artifact, _listed(aliases), [])
        else:
            info = current.resolve(self._stores, artifact_or_name, self.entity, self.project)
            artifact = Artifact._of(self._stores, info)
        current.check_type(artifact, type)
        artifact._use_as = use_as or artifact.use_as
        found = artifact._logged("use_artifact()")
        artifact_edits.used(self._stores.here.catalog, self.record_id, found, artifact.use_as or "")
        return artifact

    def link_artifact(
        self, artifact: Artifact, target_path: str, aliases: Sequence[str] | str | None = None
    ) -> Artifact:
        """Make a link to a version, which is a version of another artifact; a draft is logged first.

        Args:
            artifact: What to link to.
            target_path: `[entity/][project/]artifact`.
            aliases: To set on the link.

        Raises:
            TypeConflict: The target has another type.
        """
        self._check_running()
        if artifact.is_draft():
            self._log(artifact, [], [])
        return artifact.link(target_path, _listed(aliases))

    def log_model(
        self, path: str | os.PathLike[str], name: str | None = None, aliases: Sequence[str] | None = None
    ) -> Artifact:
        """Log files as an artifact of type `model`; see `log_artifact`."""
        return self.log_artifact(path, name=name, type="model", aliases=aliases)

    def use_model(self, name: str) -> str:
        """Use an artifact of type `model`, and download it: its file where it has one, else its folder.

        Raises:
            ArtifactNotFound: There is none of that name.
            TypeConflict: Its type has no `model` in it.
        """
        artifact = self.use_artifact(name)
        if "model" not in artifact.type.lower():
            current.check_type(artifact, "model")
        folder = artifact.download()
        return next(iter(artifact.files())).download(folder) if artifact.file_count == 1 else folder

    def link_model(
        self,
        path: str | os.PathLike[str],
        registered_model_name: str,
        name: str | None = None,
        aliases: Sequence[str] | None = None,
    ) -> Artifact:
        """Log files as a model, and link it into the project `model-registry`."""
        return self.link_artifact(self.log_model(path, name), f"model-registry/{registered_model_name}", aliases)

    def upsert_artifact(self, artifact: Artifact, *arguments: Any, **options: Any) -> Artifact:
        """Log an artifact: what each process of a distributed run logs is a version in its own right."""
        return self.log_artifact(artifact, aliases=options.get("aliases"))

    finish_artifact = upsert_artifact

    def logged_artifacts(self) -> list[Artifact]:
        """What this run logged so far, by name."""
        return PastRun(self._stores, self._info).logged_artifacts()

    def used_artifacts(self) -> list[Artifact]:
        """What this run used so far, by name."""
        return PastRun(self._stores, self._info).used_artifacts()

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None, **options: Any) -> None:
        """Keep the last value of each name in the summary. Metrics are not refstore's: it keeps no history of them."""
        self.summary.update(plain_object(data, "data"))

    def define_metric(self, *arguments: Any, **options: Any) -> None:
        """Accepted, without a meaning here: metrics are not refstore's."""

    def watch(self, *arguments: Any, **options: Any) -> None:
        """Accepted, without a meaning here: gradients are not refstore's."""

    unwatch = watch

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run. A second call does nothing.

        Args:
            exit_code: 0 or None for `finished`, all else for `failed`.
            quiet: Accepted; refstore prints nothing.
        """
        with self._lock:
            if self._info.state != "running" or self._process != os.getpid():
                return
            state = "failed" if exit_code else "finished"
            said = self._said()
            with self._stores.here.catalog.writing() as writing:
                if said != self._recorded:
                    writing.add(RunUpdated(**writing.stamp, run=self.record_id, **said))
                writing.add(RunFinished(**writing.stamp, run=self.record_id, state=state))
                writing.summarise(f"run {self.path} {state}")
                writing.commit()
            self._info = self._stores.here.catalog.runs.run_by_id(self.record_id) or self._info
        current.ended(self)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _said(self) -> dict[str, Any]:
        return {
            "name": self.name or "",
            "notes": self.notes or "",
            "tags": tuple(self.tags or ()),
            "config": self.config.as_dict(),
            "summary": self.summary.as_dict(),
        }

    def _log(self, artifact: Artifact, aliases: list[str], tags: list[str]) -> None:
        name = ArtifactName(self.entity, self.project, artifact.name.partition(":")[0])
        artifact._log(self._stores, self.record_id, name, aliases, tags)

    def _made_of(self, uri: str | os.PathLike[str], name: str | None, type: str | None) -> Artifact:
        text = os.fspath(uri)
        base = text.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
        clean = "".join(c if (c.isalnum() and c.isascii()) or c in "_-." else "-" for c in base)[:100]
        artifact = Artifact(name.partition(":")[0] if name else f"run-{self.id}-{clean}", type or "unspecified")
        artifact._stores = self._stores
        if "://" in text:
            artifact.add_reference(text)
        elif Path(text).is_dir():
            artifact.add_dir(text)
        else:
            artifact.add_file(text)
        return artifact

    def _check_running(self) -> None:
        if self._info.state != "running":
            raise UsageError(f"The run {self.path} has {self._info.state}: begin a new one with refstore.init().")


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
    place = parse_artifact(
        "/".join(part for part in (entity or "", project or store.settings.project, "_") if part),
        entity=store.settings.entity,
    )
    if id is not None:
        old = _existing(stores, place, check_id(id))
        if old is not None and resume in (None, False, "never"):
            raise UsageError(f"There is a run {old.path} already: give resume='allow' to go on with it, or another id.")
        if old is not None:
            run = Run(stores, _reopened(stores, old), resumed=True, temporary=temporary)
            run.config.update(config)
            return run
    if resume == "must":
        raise RunNotFound(f"There is no run {place.project}/{id} to go on with, and resume='must' needs one.")
    git = git_state(stores.root if temporary is None else Path.cwd())
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
                tags=tuple(_listed(tags)),
                config=values,
                command=command_line(),
                pid=os.getpid(),
                host=socket.gethostname(),
                user=implied_run.user(),
                python=platform.python_version(),
                refstore=current.version(),
                git=git.commit if git else "",
                dirty=git.dirty if git else False,
                diff=git.diff if git else "",
            )
        )
        writing.summarise(f"run {'/'.join(part for part in (place.entity, place.project) if part)} started")
        writing.commit()
    info = store.catalog.runs.run_by_id(record)
    assert info is not None
    return Run(stores, info, temporary=temporary)


def _existing(stores: Stores, place: ArtifactName, id: str) -> RunInfo | None:
    try:
        return stores.here.catalog.runs.run("/".join(part for part in (place.entity, place.project, id) if part))
    except (RunNotFound, InvalidName, ArtifactNotFound):
        return None


def _reopened(stores: Stores, old: RunInfo) -> RunInfo:
    from dataclasses import replace

    return replace(old, state="running")


def _listed(values: Iterable[str] | str | None) -> list[str]:
    return [values] if isinstance(values, str) else list(values or ())
