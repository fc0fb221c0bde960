"""The results as text: a line for the terminal, and the page `results.md`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Result

_TOP = """# Measurements

Made by `make bench`; `python -m benchmarks NAME` makes one section anew. Each section ran its commands in turns, one
after another, so that what else the machine does meets them all. Seconds and peak memory are medians; requests are
counted by the server. A ratio says how much refstore takes in terms of what stands under "against". A target is the
most that the ratio may be; without a peer it is a limit in itself, in MB or KB.
"""
_HEAD = """| what | requests | seconds | range | runs | CPU s | peak MiB | bytes kept | ratio | against | target | |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: | --- |
"""
UNITS = ("MB", "KB")
"""What a figure with a target of its own is in, where nothing else stands against it."""
_SECTION = re.compile(r"^## (\w+): .*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_COLUMNS = _HEAD.splitlines()[0].count("|") - 1


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
    if result.kept is not None:
        parts.append(f"{result.kept:,} bytes kept")
    if result.ratio is not None:
        times = "" if result.against in UNITS else "x "
        parts.append(f"{_ratio(result.ratio)} {times}{result.against}")
    if verdict := _verdict(result):
        parts.append(f"target {result.at_most}: {verdict}")
    return "; ".join([*parts, *([result.note] if result.note else [])])


def page(file: Path, done: dict[str, list[Result]], titles: dict[str, str], machine: str, order: Sequence[str]) -> str:
    """The page, with the sections that were measured now in the place of those that it had, in an order of names."""
    known = {match[1]: match[0].strip() for match in _SECTION.finditer(file.read_text())} if file.exists() else {}
    for name, results in done.items():
        rows = "".join(f"| {' | '.join(_cells(result))} |\n" for result in results)
        known[name] = f"## {name}: {titles[name]}\n\nMeasured {machine}.\n\n{_HEAD}{rows}".strip()
    sections = [known[name] for name in order if name in known]
    return "\n\n".join([_TOP.strip(), *_targets(sections), *sections]) + "\n"


def _targets(sections: Sequence[str]) -> list[str]:
    """All lines that have a target, as a table of its own."""
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in "\n".join(sections).splitlines()]
    aimed = [row for row in rows if len(row) == _COLUMNS and re.match(r"\d", row[-2])]
    if not aimed:
        return []
    lines = [f"| {row[0]} | {row[-4]} | {row[-3]} | {row[-2]} | {row[-1]} |" for row in aimed]
    met = sum(row[-1] == "met" for row in aimed)
    head = "| what | ratio | against | target | |\n| --- | ---: | --- | ---: | --- |"
    return [f"## Targets\n\n{met} of {len(aimed)} are met.", "\n".join([head, *lines])]


def _cells(result: Result) -> list[str]:
    return [
        f"{result.what} ({result.note})" if result.note else result.what,
        "" if result.requests is None else f"{result.requests:,}",
        "" if result.seconds is None else f"{result.seconds:.2f}",
        "" if result.low is None else f"{result.low:.2f} to {result.high:.2f}",
        "" if result.seconds is None else str(result.runs),
        "" if result.cpu is None else f"{result.cpu:.2f}",
        "" if result.peak is None else f"{result.peak / 2**20:.0f}",
        "" if result.kept is None else f"{result.kept:,}",
        "" if result.ratio is None else _ratio(result.ratio),
        result.against,
        "" if result.at_most is None else f"{result.at_most:g}",
        _verdict(result),
    ]


def _verdict(result: Result) -> str:
    """How a target was met; "" where there is none."""
    if result.at_most is None or result.ratio is None:
        return ""
    return "met" if result.ratio <= result.at_most else f"missed by {100 * (result.ratio / result.at_most - 1):.0f} %"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.5f}"
