"""What people and scripts say of a run: its name, notes, tags, config and summary."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from refstore.catalog.run_queries import RunInfo


@dataclass(frozen=True, slots=True)
class RunSaid:
    """All that may change of a run while it goes on; a record replaces all of it.

    Attributes:
        name: For people.
        notes: What people say of it.
        tags: What people call it.
        config: Its inputs that are not files.
        summary: The last value of each thing that it logged.
    """

    name: str
    notes: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    summary: dict[str, Any]

    @classmethod
    def of(cls, info: RunInfo) -> RunSaid:
        """What the catalog has."""
        return cls(info.name, info.notes, info.tags, info.config, info.summary)

    def fields(self) -> dict[str, Any]:
        """The fields of a record."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def onto(self, now: RunSaid, before: RunSaid) -> RunSaid:
        """What the catalog is to have, so that processes that share a run keep what the others said.

        Args:
            now: What the catalog has.
            before: What this process said last; only what differs from that is changed.
        """
        tags = dict.fromkeys((*now.tags, *(tag for tag in self.tags if tag not in before.tags)))
        gone = set(before.tags) - set(self.tags)
        return RunSaid(
            self.name if self.name != before.name else now.name,
            self.notes if self.notes != before.notes else now.notes,
            tuple(tag for tag in tags if tag not in gone),
            _onto(self.config, now.config, before.config),
            _onto(self.summary, now.summary, before.summary),
        )


def _onto(mine: dict[str, Any], now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in now.items() if key in mine or key not in before}
    return out | {key: value for key, value in mine.items() if key not in before or before[key] != value}
