"""Whole commands at the limit of one machine: time as a ratio, and the most memory.

    python benchmarks/limits.py [--blobs N] [--entries N] [--rounds N] [--before OCIGC] [--layout DIR] [--json FILE]

One synthetic store, and one index.json with very many entries. Every round runs all commands once, so that what else
the machine does falls on all alike; a ratio is taken within its round. With `--before`, another installation of ocigc
runs beside this one, in the same rounds. `--layout` is a store that is there already; it is only read. Cold runs need
root: they drop the kernel's caches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import results
from measure import OCIGC, Taken, take
from results import Figure

from ocigc.synth import Spec, write

SIZES = "%s %f\\n"
TIMES = "%s %T@ %C@ %f\\n"


@dataclass(frozen=True)
class Work:
    """A command, and against which other it is measured; `by` runs with the programs of one installation."""

    name: str
    command: Callable[[str], list[str]]
    against: str
    target: float | None = None  # at most so many times the other
    memory: int | None = None  # at most so many MB
    cold: bool = False


def find(layout: Path, form: str) -> list[str]:
    return ["find", str(layout / "blobs"), "-type", "f", "-printf", form]


def works(layout: Path, entries: Path, small: Path, page: Path) -> list[Work]:
    def ocigc(*words: str | Path) -> Callable[[str], list[str]]:
        return lambda program: [program, *map(str, words)]

    def always(command: list[str]) -> Callable[[str], list[str]]:
        return lambda _: command

    prune = "prune -n"
    return [
        Work("find, sizes", always(find(layout, SIZES)), "find, sizes"),
        Work("find, sizes and times", always(find(layout, TIMES)), "find, sizes"),
        Work(prune, ocigc("prune", "-n", layout), "find, sizes"),
        Work("prune -n, JSON", ocigc("prune", "-n", "--format", "json", layout), prune),
        Work("prune -a -n", ocigc("prune", "-a", "-n", layout), prune, 1.5),
        Work("ls", ocigc("ls", layout), prune, 1.5, 150),
        Work("du", ocigc("du", layout), prune, 2, 150),
        Work("report", ocigc("report", "-o", page, layout), prune, 3, 300),
        Work("verify --changed, again", ocigc("verify", "--changed", layout), "find, sizes and times", 1.2),
        Work("python -c pass", always([sys.executable, "-c", "pass"]), "python -c pass"),
        Work("--version", ocigc("--version"), "python -c pass"),
        Work("prune -n, small", ocigc("prune", "-n", small), "python -c pass"),
        Work("prune -n, entries", ocigc("prune", "-n", entries), prune, None, 400),
        Work("find, sizes, cold", always(find(layout, SIZES)), "find, sizes, cold", cold=True),
        Work("prune -n, cold", ocigc("prune", "-n", layout), "find, sizes, cold", 0.7, cold=True),
    ]


def many_entries(layout: Path, count: int) -> None:
    """A small store whose index.json has very many entries, each with a name of its own."""
    write(layout, Spec(seed=2))
    index = json.loads((layout / "index.json").read_text())
    known = index["manifests"]
    index["manifests"] = [
        {**known[n % len(known)], "annotations": {"io.containerd.image.name": f"registry.example/app-{n % 977}:{n}"}}
        for n in range(count)
    ]
    (layout / "index.json").write_text(json.dumps(index))


def drop_caches() -> bool:
    """Lets the kernel forget all files; False where it does not let us."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blobs", type=int, default=200_000)
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", help="the ocigc of another installation, to run beside this one")
    parser.add_argument("--layout", type=Path, help="a store that is there already, in place of a synthetic one")
    parser.add_argument("--only", nargs="*", help="run only works whose names begin so")
    parser.add_argument("--warm", action="store_true", help="leave out what drops the kernel's caches")
    results.options(parser)
    args = parser.parse_args()
    programs = {"now": OCIGC[0], **({"before": args.before} if args.before else {})}
    with tempfile.TemporaryDirectory() as directory:
        workspace = Path(directory)
        layout = args.layout or workspace / "layout"
        if args.layout is None:
            write(layout, Spec(seed=1, blobs=args.blobs))
        many_entries(workspace / "entries", args.entries)
        write(workspace / "small", Spec(seed=3))
        wanted = works(layout, workspace / "entries", workspace / "small", workspace / "page.html")
        if args.warm:
            wanted = [each for each in wanted if not each.cold]
        if args.only:
            named = {each.name for each in wanted if any(each.name.startswith(name) for name in args.only)}
            named |= {each.against for each in wanted if each.name in named}
            wanted = [each for each in wanted if each.name in named]
        subprocess.run([*OCIGC, "verify", "--changed", str(layout)], check=False, stdout=subprocess.DEVNULL)
        rounds = [run_round(wanted, programs) for _ in range(args.rounds)]
    results.save(figures(wanted, programs, rounds), args.json)


Round = dict[tuple[str, str], Taken]


def run_round(wanted: list[Work], programs: dict[str, str]) -> Round:
    found: Round = {}
    for work in wanted:
        for label, program in programs.items():
            if work.cold and not drop_caches():
                continue
            found[work.name, label] = take(work.command(program))
    return found


def figures(wanted: list[Work], programs: dict[str, str], rounds: list[Round]) -> list[Figure]:
    """Time as a ratio, seconds, and memory."""
    ratio = Figure("ratio", "Time of commands over that of others", "command", "ratio")
    seconds = Figure("seconds", "Wall time of whole commands", "command", "seconds")
    memory = Figure("memory", "The most memory that is resident", "command", "MB")
    for label in programs:
        for work in wanted:
            for each in rounds:
                if (work.name, label) not in each:
                    continue
                own, other = each[work.name, label], each[work.against, label]
                seconds.of(label).add(work.name, own.seconds)
                memory.of(label).add(work.name, own.peak / 1e6)
                if work.name != work.against:
                    ratio.of(label).add(f"{work.name} / {work.against}", own.seconds / other.seconds)
    for work in wanted:
        if work.target is not None:
            ratio.of("at most").add(f"{work.name} / {work.against}", work.target)
        if work.memory is not None:
            memory.of("at most").add(work.name, work.memory)
    return [ratio, seconds, memory]


if __name__ == "__main__":
    main()
