"""JSON Lines: an object a file, as `ls --json` prints them. Nothing is lost: `import jsonl` reads them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO

from refstore.manifest.entry import Entry
from refstore.tracking.exports.form import Form, Subject
from refstore.tracking.exports.row import row


class JsonLines(Form):
    """See the module. ASCII, so that no name can break a line or an encoding."""

    name = "jsonl"
    endings = (".jsonl", ".ndjson")

    def write(self, entries: Iterator[Entry], out: IO[bytes], subject: Subject) -> None:
        """A line for each entry."""
        encode = json.JSONEncoder().encode
        for entry in entries:
            out.write(encode(row(entry, subject.uri(entry))).encode("ascii") + b"\n")
