"""The shapes of `--json`, documented in `docs/cli.md`: a key is always there, null where nothing is known.

Sizes are in bytes, times are UTC in ISO 8601 with a Z.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from refstore.tracking.exports.row import object_row

if TYPE_CHECKING:
    from refstore.backends.base import Diagnosis
    from refstore.backends.registry import Backends
    from refstore.catalog.infos import ArtifactInfo, Event, ProjectInfo, VersionInfo
    from refstore.catalog.run_queries import RunInfo
    from refstore.checkout.result import CheckoutResult, Failure
    from refstore.checkout.status import Drift
    from refstore.checkout.verify import Verified
    from refstore.manifest.diff import Change
    from refstore.manifest.entry import Object, Pin
    from refstore.sync.finding import Finding
    from refstore.sync.follow import Synced
    from refstore.sync.pack import Packed
    from refstore.sync.remotes import Shared
    from refstore.tracking.exports.export import Exported
    from refstore.tracking.result import Recorded


def pins_json(pins: Mapping[Pin, int]) -> dict[str, int]:
    """How many files are pinned in which way."""
    return {pin.value: number for pin, number in pins.items() if number}


def change_json(change: Change, backends: Backends) -> dict[str, Any]:
    """One path that differs: `diff`, `add --dry-run`."""
    return {
        "path": change.path,
        "change": change.kind,
        "old": _object(change.old, backends),
        "new": _object(change.new, backends),
    }


def _object(obj: Object | None, backends: Backends) -> dict[str, Any] | None:
    from refstore.checkout.result import uri_of

    return None if obj is None else object_row(obj, uri_of(obj, backends))


def version_json(info: VersionInfo) -> dict[str, Any]:
    """One version: `ls NAME`, `show`, `add`."""
    return {
        "name": f"{info.artifact.artifact}:v{info.number}",
        "qualified_name": f"{info.artifact}:v{info.number}",
        "entity": info.artifact.entity or None,
        "project": info.artifact.project,
        "artifact": info.artifact.artifact,
        "number": info.number,
        "type": info.type,
        "id": info.id,
        "digest": info.manifest,
        "aliases": list(info.aliases),
        "tags": list(info.tags),
        "description": info.description or None,
        "metadata": dict(info.metadata),
        "size": info.size,
        "file_count": info.file_count,
        "created": info.created,
        "sources": list(info.sources),
        "run": info.run or None,
        "deleted": info.deleted,
        "renumbered_from": info.was,
        "notes": list(info.notes),
    }


def artifact_json(info: ArtifactInfo) -> dict[str, Any]:
    """One artifact: `ls`."""
    return {
        "name": str(info.name),
        "entity": info.name.entity or None,
        "project": info.name.project,
        "artifact": info.name.artifact,
        "type": info.type,
        "description": info.description or None,
        "versions": info.versions,
        "latest": info.latest,
        "aliases": dict(info.aliases),
        "size": info.size,
        "file_count": info.file_count,
        "created": info.created,
        "updated": info.updated,
    }


def project_json(info: ProjectInfo) -> dict[str, Any]:
    """One project: `ls --projects`."""
    return {
        "entity": info.entity or None,
        "project": info.project,
        "artifacts": info.artifacts,
        "versions": info.versions,
        "updated": info.updated,
    }


def run_json(info: RunInfo) -> dict[str, Any]:
    """One run: `runs ls`, `runs show`, `run`."""
    return {
        "run": info.run,
        "path": info.path,
        "entity": info.entity or None,
        "project": info.project,
        "id": info.id,
        "name": info.name or None,
        "state": info.state,
        "job_type": info.job_type or None,
        "group": info.group or None,
        "notes": info.notes or None,
        "tags": list(info.tags),
        "config": dict(info.config),
        "summary": dict(info.summary),
        "started": info.started,
        "finished": info.finished,
        "host": info.host or None,
        "user": info.user or None,
        "pid": info.pid or None,
        "command": list(info.command),
        "python": info.python or None,
        "git": info.git or None,
        "dirty": info.dirty,
        "diff": info.diff or None,
    }


def event_json(event: Event) -> dict[str, Any]:
    """One event: `log`."""
    return {
        "time": event.time,
        "kind": event.kind,
        "subject": event.subject,
        "detail": event.detail,
        "record": event.record,
    }


def added_json(result: Recorded) -> dict[str, Any]:
    """What `add` and `put` did."""
    return {
        "name": result.name,
        "version": None if result.version is None else version_json(result.version),
        "new": result.new,
        "dry_run": result.dry_run,
        "added": result.added,
        "removed": result.removed,
        "changed": result.changed,
        "file_count": result.file_count,
        "size": result.size,
        "pins": pins_json(result.pins),
        "markers": result.markers,
        "notes": list(result.notes),
    }


def failure_json(failure: Failure) -> dict[str, Any]:
    """One file that could not be had: `checkout`, `verify`."""
    return {
        "path": failure.path,
        "uri": failure.uri,
        "kind": failure.kind,
        "message": failure.message,
        "recorded": object_row(failure.recorded, failure.uri),
        "found": None if failure.found is None else object_row(failure.found, None),
    }


def checkout_json(name: str, result: CheckoutResult) -> dict[str, Any]:
    """What `checkout` did."""
    return {
        "name": name,
        "dest": str(result.dest),
        "written": result.written,
        "kept": result.kept,
        "removed": result.removed,
        "escaped": result.escaped,
        "unverified": result.unverified,
        "from_cache": result.from_cache,
        "bytes_transferred": result.bytes_transferred,
        "failures": [failure_json(failure) for failure in result.failures],
    }


def drift_json(drift: Drift, backends: Backends) -> dict[str, Any]:
    """One file against its source: `status`."""
    return {
        "path": drift.path,
        "state": drift.state,
        "recorded": _object(drift.recorded, backends),
        "found": _object(drift.found, backends),
    }


def verified_json(found: Verified) -> dict[str, Any]:
    """One file that was looked for: `verify`."""
    return {
        "path": found.path,
        "uri": found.uri,
        "state": found.state,
        "message": found.message or None,
        "recorded": object_row(found.recorded, found.uri),
        "found": None if found.found is None else object_row(found.found, None),
    }


def exported_json(name: str, result: Exported) -> dict[str, Any]:
    """What `export` wrote."""
    return {
        "name": name,
        "format": result.format,
        "output": None if result.path is None else str(result.path),
        "file_count": result.files,
        "left_out": result.left_out,
        "notes": list(result.notes),
    }


def synced_json(found: Synced) -> dict[str, Any]:
    """What `sync` brought."""
    return {
        "came": list(found.came),
        "went": list(found.went),
        "renumbered": [{"was": was, "now": now} for was, now in found.renumbered],
        "aliases": [{"alias": alias, "version": version or None} for alias, version in found.moved],
        "records": found.records,
        "problems": list(found.problems),
    }


def finding_json(found: Finding) -> dict[str, Any]:
    """One thing that `fsck` found."""
    return {
        "kind": found.kind,
        "where": found.where,
        "message": found.message,
        "repaired": found.repaired,
        "sources": list(found.sources),
    }


def packed_json(result: Packed) -> dict[str, Any]:
    """What `pack` did."""
    return {
        "folded": result.folded,
        "packs": result.packs,
        "size_before": result.size_before,
        "size_after": result.size_after,
        "kept": result.kept,
        "uncommitted": result.uncommitted,
        "dry_run": result.dry_run,
    }


def diagnosis_json(uri: str, found: Diagnosis) -> dict[str, Any]:
    """What `doctor` found."""
    return {
        "uri": uri,
        "url": found.url,
        "scheme": found.location.scheme,
        "endpoint": found.location.endpoint or None,
        "bucket": found.location.bucket or None,
        "key": found.location.key or None,
        "pin": found.pin.value,
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in found.checks],
    }


def shared_json(shared: Shared) -> dict[str, Any]:
    """`push`, `pull`, `fetch` and `clone`: what was moved."""
    records, content = shared.records, shared.content
    return {
        "remote": shared.name or None,
        "url": shared.url,
        "records": records.records,
        "packs": records.packs,
        "size": records.size,
        "summary": list(getattr(records, "summary", ())),
        "refused": [str(error) for error in records.refused],
        "held_back": list(getattr(records, "held_back", ())),
        "notes": list(records.notes),
        "content": None
        if content is None
        else {"files": content.files, "size": content.size, "missing": content.missing_count},
    }
