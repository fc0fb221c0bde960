"""What `refstore doctor` finds out about a web server."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from refstore.backends.aio import run
from refstore.backends.base import Check, Diagnosis, Location
from refstore.backends.http.client import HTTPClient, facts, is_directory, refused
from refstore.errors import RefstoreError
from refstore.manifest.entry import Pin

if TYPE_CHECKING:
    from refstore.backends.http.backend import HTTPBackend

_NOT_AN_ETAG = '"refstore-asks-whether-this-is-compared"'


def diagnose(backend: HTTPBackend, client: HTTPClient, location: Location) -> Diagnosis:
    """Ask a server for a file or a directory in all ways that refstore does, and say which work."""
    uri = backend.uri(location)
    diagnosis = Diagnosis(location, f"{location.scheme}://{location.bucket}", Pin.CHECKSUM, [])
    login = "A login is taken from ~/.netrc or from fsspec's configuration, where there is one."
    diagnosis.checks.append(Check("credentials", None, login))
    if not location.directory:
        found = _try(diagnosis, "read", _is_directory(client, uri))
        if found is None:
            return diagnosis
        if not found:
            return _diagnose_file(client, uri, diagnosis)
        uri += "/"
    index = _try(diagnosis, "list", backend.index(uri))
    if index is None:
        return diagnosis
    diagnosis.checks.append(
        Check(
            "list",
            True,
            f"Listed as {index.kind}, files: {len(index.files):,}, directories: {len(index.directories):,}.",
        )
    )
    while not index.files and index.directories:
        uri += index.directories[0] + "/"
        index = _try(diagnosis, "list", backend.index(uri))
        if index is None:
            return diagnosis
    if not index.files:
        diagnosis.checks.append(Check("read", None, "There is no file to try."))
        return diagnosis
    return _diagnose_file(client, uri + index.files[0], diagnosis)


def _diagnose_file(client: HTTPClient, uri: str, diagnosis: Diagnosis) -> Diagnosis:
    pin = _try(diagnosis, "read", _examine(client, uri, diagnosis.checks))
    return Diagnosis(diagnosis.location, diagnosis.url, pin or Pin.CHECKSUM, diagnosis.checks)


def _try(diagnosis: Diagnosis, name: str, question: Coroutine[Any, Any, Any]) -> Any:
    try:
        return run(question)
    except RefstoreError as error:
        diagnosis.checks.append(Check(name, False, str(error)))
        return None


async def _is_directory(client: HTTPClient, uri: str) -> bool:
    response = await client.send("GET", uri, {"Range": "bytes=0-0"})
    response.close()
    return is_directory(response)


async def _examine(client: HTTPClient, uri: str, checks: list[Check]) -> Pin:
    response = await client.send("GET", uri)
    response.close()
    if response.status != 200:
        raise refused(response.status, uri)
    seen = facts(response)
    checks.append(Check("read", True, f"{uri} can be read."))

    response = await client.send("HEAD", uri)
    response.close()
    works = response.status == 200
    otherwise = f"Answered with {response.status}: a GET is asked instead for each file."
    checks.append(Check("HEAD", works or None, "Works." if works else otherwise))
    if seen.strong:
        checks.append(Check("ETag", True, "Strong: it pins a file without reading it."))
    else:
        kind = "Weak" if seen.etag else "None"
        checks.append(
            Check("ETag", None, f"{kind}: each file is read once, and pinned by the checksum of its content.")
        )
    if seen.encoding:
        checks.append(Check("encoding", None, f"Sent {seen.encoding}-encoded though asked not to; recorded as sent."))
    if seen.size is None:
        checks.append(Check("length", None, "Not told: it is counted when a file is read."))

    response = await client.send("GET", uri, {"Range": "bytes=0-0"})
    response.close()
    if seen.size == 0:
        checks.append(Check("ranges", None, "Could not be told from an empty file."))
    elif response.status == 206:
        checks.append(Check("ranges", True, "Work: an interrupted transfer carries on where it stopped."))
    else:
        checks.append(Check("ranges", None, "Ignored: an interrupted transfer starts from the beginning."))

    response = await client.send("HEAD" if works else "GET", uri, {"If-Match": _NOT_AN_ETAG})
    response.close()
    if response.status == 412:
        checks.append(Check("If-Match", True, "Honoured: a changed file is refused by the server itself."))
    else:
        compared = "Ignored: what the server says of a file is compared before its bytes are used."
        checks.append(Check("If-Match", None, compared))
    return Pin.ETAG if seen.strong else Pin.CHECKSUM
