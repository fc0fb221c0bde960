"""The run: what a script does between `init` and its end, recorded as it happens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from refstore.catalog.run_queries import RunInfo
from refstore.errors import UsageError
from refstore.names import ArtifactName
from refstore.records.types import RunFinished
from refstore.tracking import artifact_edits, current
from refstore.tracking.artifact import Artifact
from refstore.tracking.past_run import PastRun
from refstore.tracking.plain import plain_object
from refstore.tracking.run_state import RunState
from refstore.tracking.stores import Stores


class Run(RunState):
    """A run that goes on. Made by `refstore.init`; ends with the script, with `finish`, or with its `with` block.

    What it uses and logs is recorded at once, and stays where the process is killed. Its config and summary are
    recorded with that, within seconds after a change, and at the end. It may be used from several threads.

    In a script that `refstore run` started it is the run of that command, which ends with the command.

    Attributes:
        config: Its inputs that are not files, as a mapping and as attributes.
        summary: The last value of each thing that it logged.
        resumed: Whether it had begun before, and goes on.
        record_id: The id of the record of its start.
    """

    def __init__(
        self, stores: Stores, info: RunInfo, *, resumed: bool = False, commanded: bool = False, temporary: Any = None
    ) -> None:
        super().__init__(stores, info, resumed=resumed, temporary=temporary)
        self._commanded = commanded

    def __repr__(self) -> str:
        return f"<refstore.Run {self.path} ({self.state})>"

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = error.code if isinstance(error, SystemExit) else 1
        self.finish(0 if error is None or code in (None, 0) else 1)

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
        names = listed(aliases)
        if isinstance(artifact_or_path, Artifact):
            artifact = artifact_or_path
            if type is not None and type != artifact.type:
                raise UsageError(f"{artifact.name} is of type {artifact.type!r}, not {type!r}.")
        else:
            artifact = self._made_of(artifact_or_path, name, type)
            if name is not None and ":" in name:
                names.append(name.partition(":")[2])
        self._log(artifact, names, listed(tags))
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
        self._record_said()
        if isinstance(artifact_or_name, Artifact):
            artifact = artifact_or_name
            if artifact.is_draft():
                self._log(artifact, listed(aliases), [])
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
        return artifact.link(target_path, listed(aliases))

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
        """End the run, or this script's part in the run of `refstore run`. A second call does nothing.

        Args:
            exit_code: 0 or None for `finished`, all else for `failed`.
            quiet: Accepted; refstore prints nothing.
        """
        with self._lock:
            if self._ended or self._process != os.getpid():
                return
            self._stop_timer()
            if self._commanded:
                self._record_said()
            else:
                self._finish("failed" if exit_code else "finished")
            self._ended = True
        current.ended(self)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _finish(self, state: str) -> None:
        said, catalog = self._said(), self._stores.here.catalog
        with catalog.writing() as writing:
            if said != self._recorded:
                self._add_said(catalog, writing, said)
            writing.add(RunFinished(**writing.stamp, run=self.record_id, state=state))
            writing.summarise(f"run {self.path} {state}")
            writing.commit()
        self._info = catalog.runs.run_by_id(self.record_id) or self._info

    def _log(self, artifact: Artifact, aliases: list[str], tags: list[str]) -> None:
        self._record_said()
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


def listed(values: Iterable[str] | str | None) -> list[str]:
    """One word or several as a list."""
    return [values] if isinstance(values, str) else list(values or ())
