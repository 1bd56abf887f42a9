"""Each phase by itself, for pytest-benchmark: `make bench` runs these and the side-by-side runner."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocigc._native import ffi, lib
from ocigc.cli.output.plan_json import as_json
from ocigc.gc.decide import Request
from ocigc.gc.filters import Filters
from ocigc.gc.in_use import InUse
from ocigc.layout.configs import labels_of
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import Snapshot, load
from ocigc.native import Detail, Store, map_blobs
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.planning import decide
from ocigc.synth import Spec, write

BLOBS = int(os.environ.get("OCIGC_BENCH_BLOBS", "20000"))


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    path: Path = tmp_path_factory.mktemp("bench") / "layout"
    write(path, Spec(seed=1, blobs=BLOBS))
    with Layout(str(path)) as opened:
        yield opened


@pytest.fixture(scope="session")
def snapshot(layout: Layout) -> Iterator[Snapshot]:
    found = load(layout, None, 0, lambda _: None)
    with found.store:
        yield found


def kernels() -> list[str]:
    names = []
    while (name := lib.ocigc_digest_implementation(lib.OCIGC_SHA256, len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


@pytest.mark.parametrize("kernel", [*kernels(), "hashlib"])
@pytest.mark.parametrize("size", [4 << 10, 64 << 10, 1 << 20])
def test_hash(benchmark: Any, kernel: str, size: int) -> None:
    messages = [os.urandom(size) for _ in range(64)]
    benchmark.extra_info["bytes"] = size * len(messages)
    if kernel == "hashlib":
        benchmark(lambda: [hashlib.sha256(message).digest() for message in messages])
        return
    pointers = [ffi.from_buffer("uint8_t[]", message) for message in messages]
    out, lengths = ffi.new("uint8_t[]", 32 * 64), ffi.new("size_t[]", [size] * 64)
    array = ffi.new("uint8_t *[]", pointers)
    benchmark(lib.ocigc_digest_many, lib.OCIGC_SHA256, kernel.encode(), 64, array, lengths, out, ffi.NULL)
    assert bytes(ffi.buffer(out)[:32]) == hashlib.sha256(messages[0]).digest()


def test_scan(benchmark: Any, layout: Layout) -> None:
    benchmark(lambda: Store.scan(layout.fd).close())


def test_scan_with_sizes_and_times(benchmark: Any, layout: Layout) -> None:
    benchmark(lambda: Store.scan(layout.fd, detail=Detail.STATUS).close())


def test_load(benchmark: Any, layout: Layout) -> None:
    def run() -> None:
        load(layout, None, 0, lambda _: None).store.close()

    benchmark(run)


def test_decide_and_report(benchmark: Any, snapshot: Snapshot) -> None:
    request = Request(Filters(False, (), ()), InUse(), 1 << 62, 0)

    def run() -> int:
        plan = decide(snapshot.inputs, request, labels_of(snapshot, request.rules), snapshot.store)
        return sum(map(len, as_json(Pruned(snapshot, plan, [], plan.reclaimed, 0, dry_run=True))))

    assert benchmark(run)


def test_verify(benchmark: Any, snapshot: Snapshot) -> None:
    nodes = range(len(snapshot.store))
    assert set(benchmark(lambda: snapshot.store.verify(nodes)).verdicts) == {1}


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of large layers: its blobs are long, and in memory once they have been verified."""
    path: Path = tmp_path_factory.mktemp("bench") / "layers"
    write(path, Spec(seed=2, images=60, layer_bytes=1 << 20))
    with Layout(str(path)) as opened, Store.scan(opened.fd, detail=Detail.STATUS) as store:
        yield store


@pytest.mark.parametrize("how", ["read", "mapped"])
def test_verify_large_blobs(benchmark: Any, layers: Store, how: str) -> None:
    if how == "mapped":
        map_blobs()  # for good: the last parameter
    nodes = range(len(layers))
    benchmark.extra_info["bytes"] = sum(map(layers.size, nodes))
    assert set(benchmark(lambda: layers.verify(nodes)).verdicts) == {1}
