"""`add` of a local folder that was added before: a walk, and work for what changed since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from refstore.backends.local.backend import LocalBackend
from refstore.backends.local.relook import Relook
from refstore.backends.local.walked import Lost
from refstore.backends.sources import EVERYTHING, Choice, Source, sources
from refstore.catalog.catalog import Catalog
from refstore.catalog.staging import Staging
from refstore.catalog.writing import Built, Writing
from refstore.errors import CatalogCorrupt
from refstore.manifest.entry import Entry, Object
from refstore.names import ArtifactName
from refstore.tracking.record import Labels, record
from refstore.tracking.result import Recorded

if TYPE_CHECKING:
    from refstore.backends.registry import Backends
    from refstore.catalog.infos import VersionInfo
    from refstore.progress import Progress


def _folder(backends: Backends, uris: Sequence[str], choice: Choice) -> tuple[LocalBackend, Source] | None:
    """The one local folder that is taken as it is; None where it is something else."""
    if len(uris) != 1 or choice != EVERYTHING:
        return None
    backend = backends.for_uri(uris[0])
    if not isinstance(backend, LocalBackend):
        return None
    return backend, sources(backends, uris, choice)[0]


def add_again(
    backends: Backends,
    uris: Sequence[str],
    choice: Choice,
    catalog: Catalog,
    name: ArtifactName,
    labels: Labels,
    *,
    max_objects: int,
    progress: Progress | None,
    dry_run: bool,
) -> Recorded | None:
    """What `add` does where the latest version is known to be what a walk of the same folder found before.

    Costs a walk, and reads and writes what changed since. The arguments are those of `Store.add` and `record`.

    Returns:
        None where nothing is known, and everything has to be gathered.
    """
    found = _folder(backends, uris, choice)
    latest = catalog.queries.latest(name) if found is not None else None
    if found is None or latest is None:
        return None
    backend, source = found
    look = backend.relook(source.location, latest.manifest)
    if look is None:
        return None
    with look:
        try:
            return _add(look, latest.manifest, source, catalog, name, labels, max_objects, progress, dry_run)
        except (Lost, CatalogCorrupt):
            return None


def _add(
    look: Relook,
    manifest: str,
    source: Source,
    catalog: Catalog,
    name: ArtifactName,
    labels: Labels,
    max_objects: int,
    progress: Progress | None,
    dry_run: bool,
) -> Recorded:
    with Staging() as staging:
        for files, size, put, dropped in look.changes():
            staging.add([*put, *(Entry(path, Object("", "", "", "")) for path in dropped)])
            if staging.count > max_objects:
                raise Lost
            if progress is not None:
                progress.advance(files, size)

        def build(writing: Writing, latest: VersionInfo | None) -> Built:
            if latest is None or latest.manifest != manifest:
                raise Lost
            built = writing.change(manifest, _lines(staging) if staging.count else ())
            if not 0 < built.root.entries <= max_objects:
                # It is for the other way to say why not.
                raise Lost
            return built

        made = record(
            catalog,
            name,
            (),
            labels,
            job_type="add",
            sources=[source.uri],
            markers=0,
            notes=look.notes,
            dry_run=dry_run,
            build=build,
        )
    if not dry_run:
        look.settle(made.version.manifest if made.version is not None else manifest)
    return replace(made, notes=(*made.notes, source.backend.forgets)) if made.new else made


def _lines(staging: Staging) -> Iterator[dict[str, Any]]:
    for entry in staging.entries():
        yield {"put": entry.to_json()} if entry.object.scheme else {"drop": entry.path}


def remember(backends: Backends, uris: Sequence[str], choice: Choice, made: Recorded) -> None:
    """Have the next `add_again` know what was gathered and recorded just now."""
    found = _folder(backends, uris, choice)
    if found is not None and made.version is not None and not made.dry_run:
        found[0].settle(found[1].location, made.version.manifest)
