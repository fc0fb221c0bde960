"""DVC's `.dvc` files: what `dvc import-url` recorded of a URL.

The dependency holds the URL and, for a folder, `files` with the ETag, size and version of each
(https://dvc.org/doc/user-guide/project-structure/dvc-files).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refstore.backends.base import Location
from refstore.errors import RefstoreError, UsageError
from refstore.manifest.entry import Checksum, Entry
from refstore.tracking.imports.imported import Imported, place, read_text, referred, sentence

if TYPE_CHECKING:
    from refstore.backends.registry import Backends

_MD5 = re.compile(r"[0-9a-f]{32}")


def read_dvc(backends: Backends, where: Path, found: Imported) -> None:
    """Find the references in a `.dvc` file.

    Raises:
        UsageError: It is not a `.dvc` file, or PyYAML is not installed.
    """
    data = _parse(read_text(where), where)
    outs, deps = _listed(data, "outs", where), _listed(data, "deps", where)
    if not deps:
        for out in outs:
            found.left.append(
                f"{out.get('path')}: it is kept by DVC itself, by its MD5, and has no URL; use 'refstore add' on the "
                "files, or on the bucket of a version-aware remote"
            )
        return
    for dep in deps:
        _dependency(backends, dep, outs, where, found)
    if len(deps) == 1 and found.count() and isinstance(deps[0].get("files"), list):
        url = _url(str(deps[0]["path"]), where)
        at = place(backends, url)
        found.source = backends.for_uri(url).uri(
            Location(at.scheme, at.endpoint, at.bucket, at.key.rstrip("/") + "/", directory=True)
        )


def _dependency(
    backends: Backends, dep: dict[str, Any], outs: list[dict[str, Any]], where: Path, found: Imported
) -> None:
    path = str(dep.get("path", ""))
    if "repo" in dep:
        found.left.append(f"{path}: it is imported from another DVC repository; import that repository's .dvc file")
        return
    if path.startswith("remote://"):
        found.left.append(f"{path}: it names a remote of DVC's configuration; write the URL of the remote in its place")
        return
    try:
        at = place(backends, _url(path, where))
    except RefstoreError as error:
        found.left.append(f"{path}: {sentence(error)}")
        return
    files = dep.get("files")
    if isinstance(files, list):
        for file in files:
            relative = str(file.get("relpath", ""))
            if not relative:
                raise UsageError(f"{where}: a file of {path} has no 'relpath'.")
            below = Location(at.scheme, at.endpoint, at.bucket, f"{at.key.rstrip('/')}/{relative}")
            found.take(_entry(relative, below, file, _md5(file)))
        return
    if str(dep.get("md5", "")).endswith(".dir") or dep.get("nfiles") is not None:
        found.left.append(
            f"{path}: DVC recorded only one digest for the whole folder; use 'refstore add {path}', or 'dvc import-url "
            "--version-aware' first, which records each file"
        )
        return
    # The output is a copy of the one file, so its MD5 is that of the source, where it is of the bytes as they are.
    copy = outs[0] if len(outs) == 1 else {}
    found.take(_entry(at.key.rpartition("/")[2], at, dep, _md5(dep) or _md5(copy)))


def _entry(path: str, at: Location, facts: dict[str, Any], checksum: Checksum | None) -> Entry:
    cloud = facts.get("cloud")
    if isinstance(cloud, dict) and cloud:
        # A version-aware remote notes what it holds, by the name of the remote.
        facts = {**next((each for each in cloud.values() if isinstance(each, dict)), {}), **facts}
    size, version, etag = facts.get("size"), facts.get("version_id"), facts.get("etag")
    if etag is None and at.scheme in ("s3", "http", "https"):
        etag = facts.get("checksum")
    return Entry(
        path,
        referred(
            at,
            size=size if isinstance(size, int) else None,
            version=None if version is None else str(version),
            etag=None if etag is None else str(etag),
            checksum=checksum,
        ),
    )


def _md5(facts: dict[str, Any]) -> Checksum | None:
    """The MD5 of the bytes. Without `hash: md5` it is from DVC before 3.0, which changed line ends before it hashed."""
    md5 = str(facts.get("md5", ""))
    return Checksum("md5", md5) if facts.get("hash") == "md5" and _MD5.fullmatch(md5) else None


def _url(path: str, where: Path) -> str:
    if "://" in path:
        return path
    return "file://" + str((where.parent / path).resolve())


def _listed(data: dict[str, Any], key: str, where: Path) -> list[dict[str, Any]]:
    found = data.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UsageError(f"{where} is no .dvc file: its {key!r} is not a list.")
    return found


def _parse(text: str, where: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise UsageError("To read .dvc files PyYAML is needed: pip install 'refstore[dvc]'.") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is no .dvc file: it holds no YAML.") from error
    if not isinstance(data, dict) or not ("outs" in data or "deps" in data):
        raise UsageError(f"{where} is no .dvc file: it has neither 'outs' nor 'deps'.")
    return data
