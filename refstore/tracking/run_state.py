"""What a run is, and what is said of it while it goes on: recorded soon, and never once for each change."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from refstore.catalog.catalog import Catalog
from refstore.catalog.run_queries import RunInfo
from refstore.catalog.writing import Writing
from refstore.errors import RefstoreError, UsageError
from refstore.records.types import RunUpdated
from refstore.tracking.run_said import RunSaid
from refstore.tracking.stores import Stores, logger
from refstore.tracking.values import Values

SOON = 5.0
"""Seconds after which a change is recorded, where nothing else records it before."""
SHARE = 10
"""A change waits for one in so many seconds that the run has gone on: a long one makes some dozens of records."""


class RunState:
    """The attributes of a run. `Run` adds what it does."""

    def __init__(self, stores: Stores, info: RunInfo, *, resumed: bool = False, temporary: Any = None) -> None:
        self._stores = stores
        self._info = info
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._since = time.monotonic()
        self._ended = False
        self._temporary = temporary
        self.resumed = resumed
        self.record_id = info.id
        self.config = Values(info.config, changed=self._changed)
        self.summary = Values(info.summary, "summary", self._changed)
        self._name, self._notes, self._tags = info.name, info.notes, info.tags
        self._recorded = self._said()

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
        return self._info.state if self._ended else "running"

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

    # What is said of it

    @property
    def name(self) -> str | None:
        """For people; may be set."""
        return self._name or None

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name or ""
        self._changed()

    @property
    def notes(self) -> str | None:
        """What people say of it; may be set."""
        return self._notes or None

    @notes.setter
    def notes(self, notes: str | None) -> None:
        self._notes = notes or ""
        self._changed()

    @property
    def tags(self) -> tuple[str, ...]:
        """What people call it; may be set."""
        return self._tags

    @tags.setter
    def tags(self, tags: Iterable[str] | str | None) -> None:
        self._tags = (tags,) if isinstance(tags, str) else tuple(tags or ())
        self._changed()

    def _said(self) -> RunSaid:
        return RunSaid(self._name, self._notes, self._tags, self.config.as_dict(), self.summary.as_dict())

    # Recording it

    def _check_running(self) -> None:
        if self._ended:
            raise UsageError(f"The run {self.path} has {self._info.state}: begin a new one with refstore.init().")

    def _changed(self) -> None:
        """Note that something is said anew, which is recorded in a while, together with what follows until then."""
        if self._timer is not None or self._ended or self._process != os.getpid():
            return
        with self._lock:
            if self._timer is None:
                wait = max(SOON, (time.monotonic() - self._since) / SHARE)
                self._timer = timer = threading.Timer(wait, self._record_in_time)
                timer.daemon = True
                # The interpreter starts no thread when it ends; what is said then is recorded at the end of the run.
                with suppress(RuntimeError):
                    timer.start()

    def _record_in_time(self) -> None:
        with self._lock:
            self._timer = None
            if self._ended:
                return
            try:
                self._record_said()
            except RefstoreError as error:
                logger.warning("refstore: what the run %s says was not recorded yet: %s", self.path, error)
            except RuntimeError:
                # Another thread was changing a value of values that moment.
                self._changed()

    def _record_said(self) -> None:
        """Record what is said anew, if there is anything. A forked process leaves that to its parent."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._stop_timer()
            said = self._said()
            if said == self._recorded:
                return
            catalog = self._stores.here.catalog
            with catalog.writing() as writing:
                self._add_said(catalog, writing, said)
                writing.summarise(f"run {self.path} updated")
                writing.commit()
            self._recorded = said

    def _add_said(self, catalog: Catalog, writing: Writing, said: RunSaid) -> None:
        now = catalog.runs.run_by_id(self.record_id) or self._info
        whole = said.onto(RunSaid.of(now), self._recorded)
        writing.add(RunUpdated(**writing.stamp, run=self.record_id, **whole.fields()))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
