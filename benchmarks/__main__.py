"""`python -m benchmarks [--quick] [NAME…]`."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import Bench, Result
from benchmarks.race import FAILURES
from benchmarks.table import line, page
from tests.servers.running import Owner, Run

NAMES = (
    "local_files",
    "large_files",
    "s3_record",
    "s3_latency",
    "s3_fetch",
    "versions",
    "startup",
    "checkout_again",
    "diff",
    "lineage",
    "catalog_growth",
    "filesystem",
    "memory",
    "scale",
)
SLOW = ("memory", "scale")
RESULTS = Path(__file__).with_name("results.md")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure refstore; write results.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, everything once; writes no file")
    parser.add_argument("--shrink", type=int, default=0, metavar="N", help="with --quick: an Nth of the data instead")
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if wanted.shrink and not wanted.quick:
        parser.error("--shrink is for trying things out: give --quick too")
    names = wanted.names or [name for name in NAMES if not (wanted.quick and name in SLOW)]

    if wanted.quick:
        print("Quick: with a tenth of the data or less, once each. The targets are for all of it, and not held here.")
    owner, done, failed = Owner(), dict[str, list[Result]](), False
    titles: dict[str, str] = {}
    try:
        for name in names:
            module = importlib.import_module(f"benchmarks.{name}")
            titles[name], done[name], start = title(module), [], time.monotonic()
            print(f"\n{name}: {titles[name]}", flush=True)
            with tempfile.TemporaryDirectory(prefix="refstore-bench-") as folder:
                bench = Bench(Run(owner.folder), Path(folder), wanted.quick, wanted.shrink)
                try:
                    for result in module.run(bench):
                        if wanted.quick:  # the targets are for all of the data
                            result = replace(result, at_most=None)
                        done[name].append(result)
                        failed |= result.failed
                        print(f"  {line(result)}", flush=True)
                except FAILURES as error:
                    failed = True
                    done[name].append(Result(name, note=f"failed: {' '.join(str(error).split())[-300:]}", failed=True))
                    print(f"  failed: {error}", flush=True)
            print(f"  ({time.monotonic() - start:.0f} s)", flush=True)
            if not wanted.quick:  # after each, so that a long run that is ended leaves what it has
                RESULTS.write_text(page(RESULTS, {name: done[name]}, titles, machine(), NAMES))
    finally:
        owner.stop()
    if not wanted.quick:
        print(f"\nwritten: benchmarks/{RESULTS.name}")
    return 1 if failed else 0


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
    sys.exit(main())
