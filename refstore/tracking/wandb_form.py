"""Entries as W&B's manifests have them: digest, `ref` and `extra`, equal to what its client computes."""

from __future__ import annotations

import base64
from typing import Any

from refstore.backends.azure.places import host_of_account
from refstore.backends.http.url import url_of
from refstore.backends.local.paths import uri_of
from refstore.manifest.entry import STORED, Checksum, Object

HEADER = b"wandb-artifact-manifest-v1\n"
"""What the digest of a manifest begins with."""

MANIFEST = {"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {}}
"""What a manifest holds beside its `contents`."""


def ref_of(obj: Object) -> str | None:
    """The URI as W&B writes it: the name as the service has it, not escaped, without a version; None for content."""
    if obj.scheme == STORED:
        return None
    if obj.scheme == "file":
        return uri_of(obj.key) if obj.key.startswith("%") else f"file://{obj.key}"
    if obj.scheme in ("http", "https"):
        return url_of(obj.scheme, obj.bucket, obj.key)
    if obj.scheme == "az":
        return f"https://{host_of_account(obj.endpoint)}/{obj.bucket}/{obj.key}"
    return f"{obj.scheme}://{obj.bucket}/{obj.key}"


def digest_of(obj: Object) -> str:
    """The digest: of content and local files their checksum in base64, else the ETag, else the best there is."""
    if obj.scheme in (STORED, "file"):
        return _base64(obj.checksum) if obj.checksum is not None else ref_of(obj) or ""
    if obj.etag is not None:
        return obj.etag
    if obj.checksum is not None:
        return _base64(obj.checksum)
    return obj.version or ref_of(obj) or ""


def extra_of(obj: Object) -> dict[str, Any]:
    """What W&B keeps beside the digest."""
    if obj.scheme in (STORED, "file"):
        return {}
    out: dict[str, Any] = {}
    if obj.etag is not None:
        out["etag"] = _quoted(obj.etag) if obj.scheme in ("http", "https") else obj.etag
    if obj.version is not None:
        # A generation is a number there; any other version id is text.
        out["versionID"] = int(obj.version) if obj.scheme == "gs" and obj.version.isdecimal() else obj.version
    return out


def contents_of(obj: Object) -> dict[str, Any]:
    """An entry as `to_manifest_json()["contents"]` has it, without fields that are empty."""
    out: dict[str, Any] = {"digest": digest_of(obj)}
    if (ref := ref_of(obj)) is not None:
        out["ref"] = ref
    if obj.size is not None:
        out["size"] = obj.size
    if extra := extra_of(obj):
        out["extra"] = extra
    return out


def _base64(checksum: Checksum) -> str:
    return base64.b64encode(bytes.fromhex(checksum.value)).decode("ascii")


def _quoted(etag: str) -> str:
    return f'W/"{etag[2:]}"' if etag.startswith("W/") else f'"{etag}"'
