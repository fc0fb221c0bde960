"""The plots of docs/costs.md from `scale.csv`: `python -m benchmarks.plots`, or `make plots`.

Draws in an environment of its own, that has matplotlib. The same points give the same bytes.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

POINTS = Path(__file__).with_name("scale.csv")
DOCS = Path(__file__).resolve().parents[1] / "docs"
PLOTS = {
    "seconds by objects": ("costs-time.svg", "objects in the version", "seconds, with the start of the process"),
    "bytes by versions": ("costs-size.svg", "versions, ten files changed in each", "MB"),
}


def main() -> int:
    """Run this file with the Python that can draw."""
    from benchmarks import environments

    return subprocess.run([environments.python("plots"), __file__, "draw"], check=False).returncode


def draw() -> None:
    """Write the files."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams |= {"svg.hashsalt": "refstore", "font.size": 10, "svg.fonttype": "none"}
    lines: defaultdict[str, defaultdict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    with POINTS.open(newline="") as file:
        for row in csv.DictReader(file):
            lines[row["plot"]][row["line"]].append((int(row["x"]), float(row["y"])))
    for plot, (name, x, y) in PLOTS.items():
        figure, axes = pyplot.subplots(figsize=(7, 4))
        for (line, points), style in zip(lines[plot].items(), ("o-", "s--", "^-.", "d:"), strict=False):
            scale = 1e6 if y == "MB" else 1
            axes.plot([a for a, _ in points], [b / scale for _, b in points], style, label=line, markersize=4)
        if y == "MB":
            axes.set_ylim(bottom=0)
        else:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set(xlabel=x, ylabel=y)
        axes.grid(visible=True, which="major", linewidth=0.4)
        axes.legend(frameon=False)
        figure.tight_layout()
        figure.savefig(DOCS / name, metadata={"Date": None}, transparent=False)


if __name__ == "__main__":
    if sys.argv[1:] == ["draw"]:
        draw()
    else:
        sys.exit(main())
