"""refstore: remember which external files a piece of work used, and get those exact bytes back.

>>> import refstore
>>> store = refstore.create()
>>> store.add("s3://bucket/datasets/mnist", name="mnist", max_objects=100_000)
>>> store.version("mnist:v0").checkout("data")

Scripts written for W&B's artifacts work with `import refstore as wandb`:

>>> run = refstore.init(project="vision", job_type="train")
>>> folder = run.use_artifact("mnist:latest").download()

Everything public is listed here; nothing else is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from refstore.version_number import __version__

if TYPE_CHECKING:
    from refstore import errors
    from refstore.errors import RefstoreError
    from refstore.store import Store
    from refstore.tracking.api import Api
    from refstore.tracking.artifact import Artifact
    from refstore.tracking.artifact_state import ArtifactTTL
    from refstore.tracking.manifest import ArtifactManifestEntry
    from refstore.tracking.run import Run
    from refstore.version import Diff, Version

    run: Run | None
    """The run that goes on, if there is one."""

__all__ = [
    "Api",
    "Artifact",
    "ArtifactManifestEntry",
    "ArtifactTTL",
    "Diff",
    "RefstoreError",
    "Run",
    "Store",
    "Version",
    "__version__",
    "clone",
    "create",
    "errors",
    "finish",
    "init",
    "link_artifact",
    "log",
    "log_artifact",
    "log_model",
    "login",
    "open",
    "run",
    "use_artifact",
    "use_model",
]

_PLACES = {
    "Api": "tracking.api",
    "Artifact": "tracking.artifact",
    "ArtifactManifestEntry": "tracking.manifest",
    "ArtifactTTL": "tracking.artifact_state",
    "Diff": "version",
    "RefstoreError": "errors",
    "Error": "errors",
    "CommError": "errors",
    "Run": "tracking.run",
    "Store": "store",
    "Version": "version",
}
_OF_RUN = ("link_artifact", "log", "log_artifact", "log_model", "use_artifact", "use_model", "define_metric", "watch")


def open(path: str | os.PathLike[str] | None = None) -> Store:
    """Open the store that a folder is in.

    Args:
        path: The folder that holds `.refstore`, or one below it; the current folder by default.

    Raises:
        StoreNotFound: There is none there or above.
    """
    from refstore.store import Store

    return Store.open(path)


def create(path: str | os.PathLike[str] | None = None) -> Store:
    """Make a store in a folder (the current one by default), or open the one that is there: `refstore init`.

    Raises:
        StoreError: The folder can't be written.
    """
    from refstore.store import Store

    return Store.create(path)


def clone(url: str, path: str | os.PathLike[str] | None = None, *, content: bool = False) -> Store:
    """Make a store that has what a remote has: `refstore clone`. See `Store.clone`.

    Raises:
        UsageError: There is a store in that folder already.
        SourceMissing: There is no remote at the URL.
        AccessError, SourceUnavailable, RemoteCorrupt: It can't be read.
    """
    from refstore.store import Store

    return Store.clone(url, path, content=content)


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Iterable[str] | None = None,
    config: Any = None,
    config_exclude_keys: Iterable[str] | None = None,
    config_include_keys: Iterable[str] | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    reinit: bool | str | None = None,
    resume: bool | str | None = None,
    settings: Any = None,
    **ignored: Any,
) -> Run:
    """Begin a run, or get the one that goes on. It ends with the script, with `finish`, or with its `with` block.

    It belongs to the store that the current folder is in. Where there is none, one is made: at the root of the git
    repository, or in the folder itself outside of one.

    Args:
        entity: What stands before the project; the setting, or `WANDB_ENTITY`, by default.
        project: Where it belongs; the setting, or `WANDB_PROJECT`, by default.
        dir: The folder that the store is looked for from, in place of the current one.
        id: A short id; eight random characters by default.
        name: For people; two words and a number by default.
        notes: What to say of it.
        tags: What to call it.
        config: Its inputs that are not files: a mapping, a name space or a dataclass.
        config_exclude_keys: What to leave out of `config`.
        config_include_keys: What to take of `config`.
        group: What it belongs to.
        job_type: What it does.
        mode: `disabled` for a run of which nothing stays; all others mean the same here.
        reinit: True to end the run that goes on first; `create_new` for one beside it.
        resume: `allow` or `must` to go on with the run of that `id`.
        settings: Accepted, without a meaning here.
        **ignored: W&B's other arguments, without a meaning here.

    Raises:
        StoreError: The store can't be made.
        UsageError: There is a run of that id, and `resume` was not given.
    """
    from refstore.tracking.current import init

    return init(
        entity=entity, project=project, dir=dir, id=id, name=name, notes=notes, tags=tags, config=config, group=group,
        config_exclude_keys=config_exclude_keys, config_include_keys=config_include_keys, job_type=job_type, mode=mode,
        reinit=reinit, resume=resume, settings=settings, **ignored,
    )  # fmt: skip


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the run that goes on, if there is one: `Run.finish`."""
    from refstore.tracking.current import finish

    finish(exit_code)


def login(*arguments: Any, **options: Any) -> bool:
    """Accepted: there is no account to log in to."""
    return True


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("refstore.errors")
    if name in _PLACES:
        return getattr(import_module(f"refstore.{_PLACES[name]}"), name)
    if name in ("run", "summary"):
        current = import_module("refstore.tracking.current")
        return getattr(current, name)()
    if name in _OF_RUN:
        return getattr(import_module("refstore.tracking.current").needed(name), name)
    raise AttributeError(f"module 'refstore' has no attribute {name!r}")


class _Package(ModuleType):
    """The package, with `refstore.config` as W&B has it: the config of the run that goes on.

    The import system sets each module as an attribute of its package. The settings, which are a module of that name,
    are therefore imported as `from refstore.config import …` everywhere.
    """

    @property
    def config(self) -> Any:
        from refstore.tracking.current import config

        return config()

    @config.setter
    def config(self, value: Any) -> None:
        pass


sys.modules[__name__].__class__ = _Package
