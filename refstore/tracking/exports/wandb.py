"""W&B's manifests, version 1: the same that `wandb.Artifact.manifest.to_manifest_json()` gives for these references."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO

from refstore.manifest.entry import STORED, Entry
from refstore.tracking import wandb_form
from refstore.tracking.exports.form import Form, Subject


class Wandb(Form):
    """See the module. Streams: an entry a line."""

    name = "wandb"
    picky = True

    def refusal(self, entry: Entry, *, allow_unpinned: bool) -> str | None:
        """Content that the store keeps is none that W&B has."""
        if entry.object.scheme == STORED:
            return "its content is kept by this store, and a W&B manifest can only say that W&B keeps it"
        return None

    def note(self, entry: Entry) -> str | None:
        """The form has no place for an endpoint's name, nor for the pin of a checksum beside an ETag."""
        o = entry.object
        if o.endpoint and o.scheme != "az":
            return (
                f"A W&B manifest does not say that {o.scheme}://{o.bucket} is at the endpoint {o.endpoint!r}: give it "
                "to whoever reads the manifest (for W&B in AWS_S3_ENDPOINT_URL)."
            )
        return None

    def write(self, entries: Iterator[Entry], out: IO[bytes], subject: Subject) -> None:
        """The object that a W&B manifest is."""
        head = json.dumps(wandb_form.MANIFEST)
        out.write(f'{head[:-1]}, "contents": {{'.encode())
        between = "\n"
        for entry in entries:
            out.write(f"{between}{json.dumps(entry.path)}: {json.dumps(wandb_form.contents_of(entry.object))}".encode())
            between = ",\n"
        out.write(b"\n}}\n")
