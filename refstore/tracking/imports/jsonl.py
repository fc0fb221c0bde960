"""What `refstore export` wrote as JSON Lines, read back: every field of an entry, so the digest is the same.

`uri` and `pin` are left out of account: they follow from the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from refstore.errors import RefstoreError, SecretInURI, UsageError
from refstore.manifest.entry import STORED, Entry
from refstore.tracking.exports.row import DERIVED
from refstore.tracking.imports.imported import Imported, sentence

if TYPE_CHECKING:
    from refstore.backends.registry import Backends
    from refstore.checkout.cache import Cache


def read_jsonl(cache: Cache, backends: Backends, where: Path, found: Imported) -> None:
    """Find the entries in a file of JSON Lines. Holds a line at a time.

    Args:
        cache: Where content that is said to be stored has to be.
        backends: What checks that a reference carries no credential.
        where: The file.
        found: Takes them in.

    Raises:
        UsageError: A line is not as `export` writes it; the message has its number.
        SecretInURI: A reference carries a credential.
    """
    try:
        with where.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                _take(cache, backends, _entry(line, f"{where}, line {number:,}"), found)
    except OSError as error:
        raise UsageError(f"{where} can't be read: {error.strerror or error}.") from error


def _entry(line: bytes, at: str) -> Entry:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{at}: that is no JSON.") from error
    if not isinstance(data, dict):
        raise UsageError(f"{at}: that is no JSON object.")
    try:
        return Entry.from_json({key: data[key] for key in data if key not in DERIVED and data[key] is not None})
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{at} is not as 'refstore export' writes it: {error}.") from error


def _take(cache: Cache, backends: Backends, entry: Entry, found: Imported) -> None:
    o = entry.object
    if o.scheme == STORED:
        if o.checksum is None or not cache.has(o.checksum, o.size):
            found.left.append(f"{entry.path}: its content is not in this store's cache; store it with 'refstore put'")
            return
    else:
        try:
            backend = backends.for_object(o)
            backend.parse(backend.uri(o))
        except SecretInURI:
            raise
        except RefstoreError as error:
            found.left.append(f"{entry.path}: {sentence(error)}")
            return
    found.take(entry)
