"""A reference set for fsspec's `reference://` file system: version 1 of kerchunk's specification, as JSON.

The specification: https://fsspec.github.io/kerchunk/spec.html. Each path leads to a URL, an offset and a length. Such a
file system follows the URL and compares nothing, so only what the URL itself pins is pinned: an object version. It is
written as s3fs, gcsfs and adlfs read it where they are opened with `version_aware=True`; without that they leave the
version out, and read what is there now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO
from urllib.parse import urlsplit

from refstore.backends.http.url import url_of
from refstore.errors import UsageError
from refstore.manifest.entry import STORED, Entry, Object, Pin
from refstore.tracking.exports.form import Form, Subject

_ODD = "its name can't be told from a version in the URLs of {}, which would read something else"


class References(Form):
    """See the module. Streams: a reference a line."""

    name = "references"
    picky = True

    def refusal(self, entry: Entry, *, allow_unpinned: bool) -> str | None:
        """Pinned or refused: the URL itself has to name the bytes."""
        o = entry.object
        if o.scheme == STORED:
            return "its content is kept by this store, and has no URL"
        try:
            url_for(o)
        except UsageError as error:
            return str(error)
        if o.pin is not Pin.VERSION and o.size != 0 and not allow_unpinned:
            return "no object version pins it, and a reference file system would not notice other bytes"
        return None

    def note(self, entry: Entry) -> str | None:
        """What is not pinned, and what whoever opens the set has to know."""
        o = entry.object
        if o.pin is not Pin.VERSION and o.size != 0:
            return "Files that no object version pins are in the set: whoever reads them gets what is there then."
        if o.version is not None:
            return (
                "Open the set with remote_options={'version_aware': True}: without it s3fs, gcsfs and adlfs leave out "
                "the versions and read what is there now."
            )
        return None

    def write(self, entries: Iterator[Entry], out: IO[bytes], subject: Subject) -> None:
        """The object that a reference set is."""
        out.write(b'{"version": 1, "refs": {')
        between = "\n"
        for entry in entries:
            out.write(f"{between}{json.dumps(entry.path)}: {json.dumps(_reference(entry.object))}".encode())
            between = ",\n"
        out.write(b"\n}}\n")


def _reference(obj: Object) -> str | list[str | int]:
    if obj.size == 0:
        # The text itself: services refuse to read a range of nothing.
        return ""
    url = url_for(obj)
    return [url] if obj.size is None else [url, 0, obj.size]


def url_for(obj: Object) -> str:
    """The URL as the fsspec implementation of its scheme reads it: nothing in the key is escaped.

    Raises:
        UsageError: It would read another key, or another version.
    """
    plain = f"{obj.scheme}://{obj.bucket}/{obj.key}"
    if obj.scheme == "s3":
        # s3fs ends the key at the first of these, version-aware or not, and takes slashes off the end of a URL:
        # S3FileSystem.split_path
        _refuse("?versionId=" in obj.key or (obj.version is None and obj.key.endswith("/")), "s3fs")
        return plain + (f"?versionId={obj.version}" if obj.version else "")
    if obj.scheme == "gs":
        # gcsfs takes the key apart as a URL: GCSFileSystem._split_path
        url = f"{obj.key}#{obj.version}" if obj.version else obj.key
        parts = urlsplit(url)
        _refuse((parts.path, parts.fragment) != (obj.key, obj.version or ""), "gcsfs")
        return plain + (f"#{obj.version}" if obj.version else "")
    if obj.scheme == "az":
        # adlfs takes the whole apart as a URL: AzureBlobFileSystem._strip_protocol
        _refuse(urlsplit(plain).path != f"/{obj.key}", "adlfs")
        return plain + (f"?versionid={obj.version}" if obj.version else "")
    if obj.scheme in ("http", "https"):
        return url_of(obj.scheme, obj.bucket, obj.key)
    if obj.scheme == "file":
        _refuse(obj.key.startswith("%"), "fsspec")
        return f"file://{obj.key}"
    return plain


def _refuse(odd: bool, reader: str) -> None:
    if odd:
        raise UsageError(_ODD.format(reader))
