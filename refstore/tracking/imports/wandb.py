"""W&B's manifests, version 1: what `wandb.Artifact.manifest` holds, as its API and its files give it.

Each entry has a digest and, for references, `ref`, `size` and `extra` with `etag` and `versionID`. What `digest` is
depends on the scheme: the ETag for S3, a base64 MD5 for GCS and files, the URI itself where nothing was read.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refstore.errors import RefstoreError, UsageError
from refstore.manifest.entry import Checksum, Entry, Object
from refstore.tracking.imports.imported import Imported, place, read_text, referred, sentence

if TYPE_CHECKING:
    from refstore.backends.registry import Backends


def read_manifest(backends: Backends, where: Path, found: Imported) -> None:
    """Find the references in a manifest file.

    Raises:
        UsageError: It is not a manifest of version 1.
    """
    try:
        data = json.loads(read_text(where))
    except ValueError as error:
        raise UsageError(f"{where} holds no JSON: {error}.") from error
    if not isinstance(data, dict) or not isinstance(data.get("contents"), dict):
        raise UsageError(f"{where} is no W&B manifest: it has no 'contents'.")
    if data.get("version") != 1:
        raise UsageError(f"{where} is a W&B manifest of version {data.get('version')!r}; refstore reads version 1.")
    unpinned = 0
    for path, entry in data["contents"].items():
        if not isinstance(entry, dict) or not isinstance(entry.get("digest", ""), str):
            raise UsageError(f"{where}: the entry {path!r} is not as W&B writes it.")
        ref = entry.get("ref")
        if not isinstance(ref, str):
            found.left.append(f"{path}: its content is kept by W&B itself; download it and use 'refstore put'")
        elif "://" not in ref or ref.startswith("wandb-artifact:"):
            found.left.append(f"{path}: it refers to {ref.partition('://')[0]!r}, which only W&B can follow")
        else:
            try:
                taken = _object(backends, ref, entry)
            except RefstoreError as error:
                found.left.append(f"{path}: {sentence(error)}")
                continue
            unpinned += taken.pin.value == "none"
            found.take(Entry(path, taken))
    if unpinned:
        found.notes.append(
            f"Files that are not pinned: {unpinned:,}. W&B recorded neither a version nor a digest that proves them."
        )


def _object(backends: Backends, ref: str, entry: dict[str, Any]) -> Object:
    digest = entry.get("digest") or ""
    extra = entry.get("extra") if isinstance(entry.get("extra"), dict) else {}
    assert isinstance(extra, dict)
    at = place(backends, ref)
    size = entry.get("size") if isinstance(entry.get("size"), int) else None
    etag, version = _text(extra.get("etag")), _text(extra.get("versionID"))
    checksum = None
    if at.scheme in ("file", "gs"):
        # With another algorithm (`alg`) than MD5 the digest is one that refstore does not have.
        checksum = _md5(digest) if extra.get("alg", "MD5") == "MD5" else None
    if etag is None and checksum is None and digest != ref and at.scheme in ("s3", "az", "http", "https"):
        etag = digest or None
    return referred(at, size=size, version=version, etag=etag, checksum=checksum)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _md5(digest: str) -> Checksum | None:
    try:
        raw = base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Checksum("md5", raw.hex()) if len(raw) == 16 else None
