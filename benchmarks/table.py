"""The results as text: a line for the terminal, and the page `results.md`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Result

_TOP = """# Measurements

Made by `make bench`; `python -m benchmarks NAME` makes one section anew. Seconds and peak memory are medians of the
runs. A ratio says how much refstore takes in terms of what stands under "against", which ran in the same minutes on
the same machine; requests are counted by the server.
"""
_HEAD = """| what | requests | seconds | runs | CPU s | peak MiB | ratio | against |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
"""
_SECTION = re.compile(r"^## (\w+): .*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def line(result: Result) -> str:
    """A result for the terminal."""
    parts = [result.what]
    if result.seconds is not None:
        cpu = "" if result.cpu is None else f", CPU {result.cpu:.2f} s"
        parts.append(f"{result.seconds:.2f} s (median of {result.runs}{cpu})")
    if result.peak is not None:
        parts.append(f"{result.peak / 2**20:.0f} MiB")
    if result.requests is not None:
        parts.append(f"{result.requests:,} requests")
    if result.ratio is not None:
        parts.append(f"{_ratio(result.ratio)} x {result.against}")
    return "; ".join([*parts, *([result.note] if result.note else [])])


def page(file: Path, done: dict[str, list[Result]], titles: dict[str, str], machine: str, order: Sequence[str]) -> str:
    """The page, with the sections that were measured now in the place of those that it had, in an order of names."""
    known = {match[1]: match[0].strip() for match in _SECTION.finditer(file.read_text())} if file.exists() else {}
    for name, results in done.items():
        rows = "".join(f"| {' | '.join(_cells(result))} |\n" for result in results)
        known[name] = f"## {name}: {titles[name]}\n\nMeasured {machine}.\n\n{_HEAD}{rows}".strip()
    return "\n\n".join([_TOP.strip(), *(known[name] for name in order if name in known)]) + "\n"


def _cells(result: Result) -> list[str]:
    return [
        f"{result.what} ({result.note})" if result.note else result.what,
        "" if result.requests is None else f"{result.requests:,}",
        "" if result.seconds is None else f"{result.seconds:.2f}",
        "" if result.seconds is None else str(result.runs),
        "" if result.cpu is None else f"{result.cpu:.2f}",
        "" if result.peak is None else f"{result.peak / 2**20:.0f}",
        "" if result.ratio is None else _ratio(result.ratio),
        result.against,
    ]


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.5f}"
