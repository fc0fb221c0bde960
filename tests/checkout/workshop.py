"""What the tests of checkout share: a cache, a ledger and real backends in a folder of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from refstore.backends.registry import Backends
from refstore.checkout.cache import Cache
from refstore.checkout.checkout import checkout
from refstore.checkout.ledger import Ledger
from refstore.checkout.result import CheckoutResult
from refstore.config import Settings
from refstore.manifest.entry import Entry

LONG_AGO = 1_600_000_000

CHILD = """
import json, sys
from pathlib import Path
from refstore.manifest.entry import Entry
from tests.checkout.workshop import Workshop

with Workshop(Path(sys.argv[1])) as workshop:
    entries = [Entry.from_json(json.loads(line)) for line in Path(sys.argv[2]).read_text().splitlines()]
    print("ready", flush=True)
    print(workshop.checkout(entries, **json.loads(sys.argv[3])).written)
"""


def ordered(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))


def moved(entries: Sequence[Entry], url: str) -> list[Entry]:
    """The same entries as if they had been recorded at another server."""
    return [
        replace(
            entry,
            object=replace(entry.object, endpoint=url)
            if entry.object.scheme == "s3"
            else replace(entry.object, bucket=url.rpartition("/")[2]),
        )
        for entry in entries
    ]


def tree(folder: Path) -> dict[str, bytes]:
    """All finished files below a folder, and what they hold."""
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir())
    named = {str(path.relative_to(folder)): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".refstore-tmp/")}


class Workshop:
    def __init__(self, root: Path, settings: Settings | None = None) -> None:
        self.root = root
        self.backends = Backends(settings or Settings())
        self.cache = Cache(root / "store" / "cache")
        self.ledger = Ledger(root / "store" / "local.db")
        self.out = root / "out"

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *error: object) -> None:
        self.ledger.close()

    def write(self, files: dict[str, bytes], folder: str = "source", *, age: int = LONG_AGO) -> Path:
        """Make files below a folder, all of one time of modification."""
        for name, data in files.items():
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (age, age))
        return self.root / folder

    def entries(self, *uris: str | Path, checksum: bool = True, at: str = "") -> list[Entry]:
        """What `add` would record of these URIs; `at` is a server's URL to put in the place of theirs afterwards."""
        found: list[Entry] = []
        for uri in map(str, uris):
            backend = self.backends.for_uri(uri)
            for page in backend.find(backend.parse(uri), checksum=checksum):
                found += page.entries
        return moved(ordered(found), at) if at else ordered(found)

    def checkout(
        self, entries: Sequence[Entry], dest: Path | None = None, label: str = "m:v0", **options: Any
    ) -> CheckoutResult:
        return checkout(
            iter(entries),
            dest or self.out,
            label=label,
            backends=self.backends,
            cache=self.cache,
            ledger=self.ledger,
            **options,
        )

    def start(self, entries: Sequence[Entry], **options: Any) -> subprocess.Popen[str]:
        """The same checkout in a process of its own, which has read the entries and is about to begin."""
        listed = self.root / "entries.jsonl"
        listed.write_text("".join(json.dumps(entry.to_json()) + "\n" for entry in entries))
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(self.root), str(listed), json.dumps(options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        return child

    def interrupt(self, child: subprocess.Popen[str], after: float, how: signal.Signals) -> int:
        """End a checkout after a while; its exit code."""
        time.sleep(after)
        child.send_signal(how)
        child.communicate(timeout=60)
        return child.returncode
