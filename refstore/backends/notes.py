"""What a listing has to tell the person who asked for it: each finding once, with how often and the first few names."""

from __future__ import annotations

_NAMED = 3


class Notes:
    """Collects findings, however many there are, in little space."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, finding: str, name: str) -> None:
        """Count one more case of a finding.

        Args:
            finding: The beginning of a sentence, which a colon and names will end.
            name: The URI or path that it is about.
        """
        self._counts[finding] = self._counts.get(finding, 0) + 1
        names = self._names.setdefault(finding, [])
        if len(names) < _NAMED and name not in names:
            names.append(name)

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each finding, in the order in which they first came up."""
        out = []
        for finding, count in self._counts.items():
            names = self._names[finding]
            more = f" and {count - len(names)} more" if count > len(names) else ""
            out.append(f"{finding}: {', '.join(names)}{more}.")
        return tuple(out)
