"""How the work grows with the number of blobs, beside what only lists them and what only collects garbage.

    python benchmarks/growth.py [--blobs N[,N...]] [--layers N] [--rounds N] [--svg FILE]

For each size one synthetic store, nothing in it to be collected, read once before; then A B C D A B C D. Prints ratios
(theirs / ours, so more is better) as median and range over the rounds, the exponent of the growth (the slope of a
straight line through the logarithms of blobs and medians) and the memory of a prune: what it takes more than on an
empty layout, for a blob, and as a part of what it may take, 64 bytes a blob and 16 an edge. One blob in 6 is a
manifest; with 14 `--layers`, one in 10.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from curves import Curve, draw
from measure import OCIGC, peak_bytes, processor, seconds, spread

from ocigc._native import ffi, lib
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import load
from ocigc.progress import SILENT
from ocigc.synth import Spec, write

SCAN = """
import os, sys
from ocigc.native import Detail, Store
Store.scan(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY), detail=Detail.STATUS).close()
"""


@dataclass(frozen=True)
class Runner:
    """A command over a layout. `against` is the name of the runner that it is compared with."""

    name: str
    command: Callable[[str], list[str]]
    against: str = ""


def runners() -> list[Runner]:
    python = str(Path(OCIGC[0]).with_name("python"))
    found = [
        Runner("ocigc prune --dry-run", lambda path: prune(Path(path)), "umoci gc"),
        Runner("ocigc verify --changed", lambda path: [*OCIGC, "verify", "--changed", path], "find, sizes and times"),
        Runner("scan, sizes and times", lambda path: [python, "-P", "-c", SCAN, path], "find, sizes"),
        Runner("find, sizes", lambda path: ["find", path + "/blobs", "-type", "f", "-printf", "%s %f\\n"]),
        Runner(
            "find, sizes and times",
            lambda path: ["find", path + "/blobs", "-type", "f", "-printf", "%s %T@ %C@ %f\\n"],
        ),
    ]
    if shutil.which("umoci"):
        found.append(Runner("umoci gc", lambda path: ["umoci", "gc", "--layout", path]))
    return found


@dataclass(frozen=True)
class Measured:
    """Of one size: the seconds of every runner by rounds, the bytes of memory that a prune takes, and what is there."""

    seconds: dict[str, list[float]]
    memory: int
    blobs: int
    edges: int

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, runner: Runner) -> str:
        """Of whom a runner is compared with, to it."""
        rounds = zip(self.seconds[runner.against], self.seconds[runner.name], strict=True)
        middle, bounds = spread([theirs / ours for theirs, ours in rounds])
        return f"{middle} ({bounds})"


def prune(layout: Path) -> list[str]:
    return [*OCIGC, "prune", "--dry-run", str(layout)]


def measure(workspace: Path, spec: Spec, rounds: int) -> Measured:
    """Measures on a store."""
    layout = workspace / str(spec.blobs)
    write(layout, spec)
    collect = [*OCIGC, "prune", "--force", "--grace", "0s", "--filter", "until=2000-01-01", str(layout)]
    for command in (collect, [*OCIGC, "verify", "--changed", str(layout)]):
        subprocess.run(command, check=True, capture_output=True)
    times: dict[str, list[float]] = {runner.name: [] for runner in runners()}
    for number in range(rounds + 1):
        for runner in runners():
            taken = seconds(runner.command(str(layout)))
            if number:  # the first warms the caches
                times[runner.name].append(taken)
    memory = peak_bytes(prune(layout))
    found = count(layout)
    shutil.rmtree(layout)
    return Measured(times, memory, *found)


def count(layout: Path) -> tuple[int, int]:
    """The blobs that umoci has left, and the edges between them."""
    with Layout(str(layout)) as opened, load(opened, None, time.time_ns(), SILENT).store as store:
        edges = lib.ocigc_graph_edges
        return len(store), sum(edges(store.handle, node, ffi.NULL, ffi.NULL, 0) for node in range(len(store)))


def exponent(sizes: Sequence[int], medians: Sequence[float]) -> float:
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(m) for m in medians]).slope


def print_exponents(sizes: Sequence[int], measured: Sequence[Measured]) -> None:
    large = [number for number, size in enumerate(sizes) if size >= 100_000] or range(len(sizes))
    print("\n| work | exponent | from 100,000 on |\n| --- | --- | --- |")
    for runner in runners():
        taken = [each.median(runner.name) for each in measured]
        late = exponent([sizes[n] for n in large], [taken[n] for n in large]) if len(large) > 1 else math.nan
        print(f"| {runner.name} | {exponent(sizes, taken):.2f} | {late:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blobs", default="10000,30000,100000,300000,1000000")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--svg", type=Path)
    args = parser.parse_args()
    sizes = [int(size) for size in args.blobs.split(",")]
    print(f"{time.strftime('%Y-%m-%d')}, {processor()}, median of {args.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as directory:
        empty = Path(directory) / "empty"
        write(empty, Spec(images=0))
        floor = peak_bytes(prune(empty))
        specs = [Spec(seed=1, blobs=size, layers=args.layers) for size in sizes]
        measured = [measure(Path(directory), spec, args.rounds) for spec in specs]
    names = [runner.name for runner in runners()]
    print("| work | against | " + " | ".join(f"{size:,} blobs" for size in sizes) + " |")
    print("| --- " * (2 + len(sizes)) + "|")
    for runner in runners():
        if runner.against in names:
            print(f"| {runner.name} | {runner.against} | " + " | ".join(each.ratio(runner) for each in measured) + " |")
    memory = " | ".join(f"{(each.memory - floor) / each.blobs:.0f} B" for each in measured)
    print(f"| ocigc prune --dry-run | memory, a blob | {memory} |")
    part = " | ".join(f"{(each.memory - floor) / (64 * each.blobs + 16 * each.edges):.2f}" for each in measured)
    print(f"| ocigc prune --dry-run | memory, of 64 B a blob and 16 an edge | {part} |")
    if len(sizes) > 1:
        print_exponents(sizes, measured)
    if args.svg:
        unit = measured[0].median("find, sizes")
        curves = [
            Curve(name, [(size, each.median(name) / unit) for size, each in zip(sizes, measured, strict=True)])
            for name in names
        ]
        title = f"Time by number of blobs, warm; 1 is what find takes for {sizes[0]:,}"
        args.svg.write_text(draw(title, f"{time.strftime('%Y-%m-%d')}, {processor()}", curves))


if __name__ == "__main__":
    main()
