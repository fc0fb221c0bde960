"""`python -m benchmarks [--quick] [NAME…]`."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench import Bench, Result
from benchmarks.table import line, page
from tests.servers.running import Owner, Run

NAMES = ("add_s3", "add_local", "checkout_s3", "checkout_again", "diff", "catalog_growth", "memory")
SLOW = ("memory",)
RESULTS = Path(__file__).with_name("results.md")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure refstore; write results.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, everything once; writes no file")
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    names = wanted.names or [name for name in NAMES if not (wanted.quick and name in SLOW)]

    owner, done = Owner(), dict[str, list[Result]]()
    try:
        with tempfile.TemporaryDirectory(prefix="refstore-bench-") as folder:
            bench = Bench(Run(owner.folder), Path(folder), wanted.quick)
            for name in names:
                module = importlib.import_module(f"benchmarks.{name}")
                start = time.monotonic()
                print(f"\n{name}: {title(module)}", flush=True)
                done[name] = []
                for result in module.run(bench):
                    done[name].append(result)
                    print(f"  {line(result)}", flush=True)
                print(f"  ({time.monotonic() - start:.0f} s)")
    finally:
        owner.stop()
    if not wanted.quick:
        titles = {name: title(sys.modules[f"benchmarks.{name}"]) for name in done}
        RESULTS.write_text(page(RESULTS, done, titles, machine(), NAMES))
        print(f"\nwritten: benchmarks/{RESULTS.name}")
    return 0


def title(module: object) -> str:
    """The first line of a module's docstring."""
    return (module.__doc__ or "").strip().splitlines()[0]


def machine() -> str:
    """What the numbers were measured on."""
    load = os.getloadavg()[2]
    return (
        f"{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; the load of the last 15 minutes was {load:.1f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
