"""What a lineage is asked about: a version, a run, or the name of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refstore.catalog.lineage import Kind
from refstore.catalog.run_queries import RunInfo
from refstore.errors import ArtifactNotFound, InvalidName, RunNotFound
from refstore.version import Version

if TYPE_CHECKING:
    from refstore.store.asking import StoreAsking


def run_or_version(store: StoreAsking, what: Any) -> tuple[Kind, str]:
    """Which of the two it is, and the id of its record.

    A name without a version may be that of an artifact or the id of a run; the artifact wins.

    Raises:
        ArtifactNotFound: There is neither.
        RunNotFound: A run that is not in the catalog.
        InvalidName: It is not a name, or fits several runs.
    """
    if isinstance(what, Version | RunInfo):
        return ("run" if isinstance(what, RunInfo) else "version"), what.id
    if not isinstance(what, str):
        # A Run has `record_id`; an Artifact and a PastRun are asked for by their names.
        record = getattr(what, "record_id", None)
        if isinstance(record, str):
            return "run", record
        what = getattr(what, "qualified_name", None) or getattr(what, "path", None) or str(what)
    name = "/".join(what) if isinstance(what, list | tuple) else str(what)
    if ":" in name or "@" in name:
        return "version", store.version(name).id
    try:
        return "version", store.version(name).id
    except (ArtifactNotFound, InvalidName) as missing:
        try:
            return "run", store.run(name).id
        except RunNotFound:
            raise missing from None
