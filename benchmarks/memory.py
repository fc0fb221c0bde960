"""The time and peak memory of `refstore add` of a million objects, against a tenth of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import stubbed
from benchmarks.bench import Bench, Result, Took, forget, refstore

SIZES = (100_000, 1_000_000)
PEAK = 150_000_000


def run(bench: Bench) -> Iterator[Result]:
    stubs = {count: stubbed.shared(bench, count) for count in map(bench.scaled, SIZES)}
    few, many = (_add(bench, stubbed.URI, stub.environment, stub) for stub in stubs.values())
    yield from _lines(bench, "objects of the S3 stub", few, many)
    few, many = (_add(bench, str(bench.tree(bench.scaled(count))), {}, None) for count in SIZES)
    yield from _lines(bench, "local files", few, many)


def _add(bench: Bench, uri: str, env: dict[str, str], stub: stubbed.Stubbed | None) -> Took:
    stores: list[Path] = []

    def store() -> Path:
        stores.append(bench.store())
        return stores[-1]

    words = refstore("add", uri, "--name", "data", "--max-objects", SIZES[-1], "--json")
    took = bench.took(words, store, env, runs=1, requests=stub.requests if stub else None)
    forget(stores[-1])
    return took


def _lines(bench: Bench, what: str, few: Took, many: Took) -> Iterator[Result]:
    small, large = (f"`add` of {bench.scaled(count):,} {what}" for count in SIZES)
    yield few.result(small)
    yield many.result(large, f"{bench.scaled(SIZES[0]):,}", few, at_most=11)
    peak = f"{large}, peak memory"
    yield Result(peak, against=f"{bench.scaled(SIZES[0]):,}", ratio=many.peak / few.peak, at_most=1.3)
    yield Result(peak, against="MB", ratio=many.peak / 1e6, at_most=PEAK / 1e6)
