"""The run that a command implies, so that every version has one that logged it."""

from __future__ import annotations

import getpass
import platform
import secrets
import socket
import string

from refstore.catalog.writing import Writing
from refstore.names import ArtifactName
from refstore.records.types import RunFinished, RunStarted

_LETTERS = string.ascii_lowercase + string.digits


def user() -> str:
    """The account's name; "" where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def start(writing: Writing, name: ArtifactName, job_type: str) -> str:
    """Record that a run began; the id of its record. The command line is not kept: it may hold secrets."""
    from refstore.version_number import __version__

    return writing.add(
        RunStarted(
            **writing.stamp,
            run="".join(secrets.choice(_LETTERS) for _ in range(8)),
            entity=name.entity,
            project=name.project,
            job_type=job_type,
            host=socket.gethostname(),
            user=user(),
            python=platform.python_version(),
            refstore=__version__,
        )
    )


def finish(writing: Writing, run: str) -> None:
    """Record that the run finished."""
    writing.add(RunFinished(**writing.stamp, run=run, state="finished"))
