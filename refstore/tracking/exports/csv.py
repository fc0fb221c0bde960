"""CSV as RFC 4180 has it (https://www.rfc-editor.org/rfc/rfc4180): a header, CRLF, and quotes where they are needed.

What is not known is an empty field. A path stands as it is, be it `=1+1` or a line break in quotes: what a spreadsheet
makes of that is its own affair, since a changed path would be another path.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO

from refstore.manifest.entry import Entry
from refstore.tracking.exports.form import Form, Subject
from refstore.tracking.exports.row import COLUMNS, row


class Csv(Form):
    """See the module. UTF-8, without a byte order mark."""

    name = "csv"
    endings = (".csv",)

    def write(self, entries: Iterator[Entry], out: IO[bytes], subject: Subject) -> None:
        """The header and a line for each entry."""
        text = io.TextIOWrapper(out, "utf-8", newline="")
        try:
            writer = csv.writer(text, lineterminator="\r\n")
            writer.writerow(COLUMNS)
            writer.writerows(row(entry, subject.uri(entry)).values() for entry in entries)
        finally:
            # it would close `out` else when it goes
            text.detach()
