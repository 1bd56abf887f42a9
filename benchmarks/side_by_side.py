"""Whole commands side by side with what people use today, on the same synthetic stores, in one run.

    python benchmarks/side_by_side.py [--blobs N] [--megabytes N] [--rounds N]

Prints ratios (theirs / ours, so more is better) as median and range over the rounds: A B A B, start-up included. Never
bare seconds: they would say more of the machine than of the program. growth.py has what depends on the number of blobs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import OCIGC, processor, seconds, spread

from ocigc._native import ffi, lib
from ocigc.synth import Spec, write

HASHLIB = """
import hashlib, os, sys, threading
files = sorted(((e.stat().st_size, e.path) for e in os.scandir(sys.argv[1])), reverse=True)
queue, lock, bad = iter(files), threading.Lock(), []
def work():
    while True:
        with lock:
            item = next(queue, None)
        if item is None:
            return
        with open(item[1], "rb", buffering=0) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != os.path.basename(item[1]):
            bad.append(item[1])
threads = [threading.Thread(target=work) for _ in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
sys.exit(bool(bad))
"""


@dataclass(frozen=True)
class Contest:
    """Ours against theirs. `prepare` gives each round the directory that it works on."""

    what: str
    ours: Callable[[Path], list[str]]
    theirs: Callable[[Path], list[str]]
    against: str
    prepare: Callable[[], Path]


def hold(contest: Contest, rounds: int) -> str:
    ratios = []
    for number in range(rounds + 1):
        ours = seconds(contest.ours(contest.prepare()))
        theirs = seconds(contest.theirs(contest.prepare()))
        if number:  # the first warms the caches
            ratios.append(theirs / ours)
    return row(contest.what, contest.against, ratios)


def row(what: str, against: str, ratios: list[float]) -> str:
    return "| " + " | ".join([what, against, *spread(ratios)]) + " |"


def in_memory(algorithm: str, size: int, rounds: int) -> str:
    """The hash core alone, in this process: messages of one size, a stream of OpenSSL's against all of our lanes."""
    number = {"sha256": lib.OCIGC_SHA256, "sha512": lib.OCIGC_SHA512}[algorithm]
    messages = [os.urandom(size) for _ in range((64 << 20) // size)]
    array = ffi.new("uint8_t *[]", [ffi.from_buffer("uint8_t[]", message) for message in messages])
    lengths = ffi.new("size_t[]", [size] * len(messages))
    out = ffi.new("uint8_t[]", hashlib.new(algorithm).digest_size * len(messages))
    ratios = []
    for _ in range(rounds):
        start = time.perf_counter()
        lib.ocigc_digest_many(number, ffi.NULL, len(messages), array, lengths, out, ffi.NULL)
        middle = time.perf_counter()
        for message in messages:
            hashlib.new(algorithm, message, usedforsecurity=False).digest()
        ratios.append((time.perf_counter() - middle) / (middle - start))
    return row(f"{algorithm} in memory, {size // 1024} KiB a blob, one core", "OpenSSL, one stream", ratios)


def shell(script: str, directory: Path) -> list[str]:
    return ["sh", "-c", script, "sh", str(directory)]


def contests(workspace: Path, blobs: int, megabytes: int) -> list[Contest]:
    large, many = workspace / "large", workspace / "many"
    write(large, Spec(seed=1, images=megabytes // 5, layer_bytes=1_000_000))
    write(many, Spec(seed=1, blobs=blobs))

    def same(path: Path) -> Callable[[], Path]:
        return lambda: path

    def copy() -> Path:
        target = workspace / "copy"
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", many, target], check=True)
        return target

    def verify(path: Path) -> list[str]:
        return [*OCIGC, "verify", str(path)]

    def empty(path: Path) -> list[str]:
        return [*OCIGC, "prune", "--all", "--force", "--allow-empty", "--grace", "0s", str(path)]

    size = f"{megabytes} MB"
    count = f"{blobs:,} blobs"
    find = 'find "$1/blobs" -type f'
    found = [
        Contest(
            f"verify, {size}, warm",
            verify,
            lambda path: [sys.executable, "-c", HASHLIB, str(path / "blobs" / "sha256")],
            "two hashlib threads, largest first",
            same(large),
        ),
        Contest(
            f"verify, {size}, warm",
            verify,
            lambda path: shell(f"{find} -print0 | xargs -0 -P2 -n64 sha256sum", path),
            "`xargs -P2 sha256sum`",
            same(large),
        ),
        Contest(
            f"verify, {size}, warm",
            verify,
            lambda path: shell(f"{find} -print0 | xargs -0 -P2 -n64 openssl dgst -sha256", path),
            "`xargs -P2 openssl dgst`",
            same(large),
        ),
        Contest(
            f"prune of all, {count}",
            empty,
            lambda path: shell(f"{find} -print0 | xargs -0 rm", path),
            "`find -print0 | xargs -0 rm`",
            copy,
        ),
    ]
    if shutil.which("umoci"):
        found.append(
            Contest(
                f"prune of orphans, {count}",
                lambda path: [*OCIGC, "prune", "--force", "--grace", "0s", "--filter", "until=2000-01-01", str(path)],
                lambda path: ["umoci", "gc", "--layout", str(path)],
                "`umoci gc`",
                copy,
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blobs", type=int, default=50_000)
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}, {processor()}, {args.rounds} rounds\n")
    print("| work | against | ratio (median) | spread |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        for algorithm, size in (("sha256", 4096), ("sha256", 1 << 20), ("sha512", 4096), ("sha512", 1 << 20)):
            print(in_memory(algorithm, size, args.rounds), flush=True)
        for contest in contests(Path(directory), args.blobs, args.megabytes):
            print(hold(contest, args.rounds), flush=True)


if __name__ == "__main__":
    main()
