"""How near verify comes to the machine, and beside it what people use to check digests.

    python benchmarks/efficiency.py [--megabytes N[,N...]] [--rounds N] [--json FILE]

For each size one synthetic store, by cores, warm and (as root) cold. `ocigc bench` measures the efficiency; the other
programs hash the same files, with as many processes or threads as there are cores: sha256sum, openssl, hashlib, and a
scrub in Go where Go is there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import results
from limits import drop_caches
from measure import OCIGC, seconds
from results import Figure
from side_by_side import HASHLIB, shell

from ocigc.synth import Spec, write

GO = """
package main

import ("crypto/sha256"; "encoding/hex"; "io"; "os"; "path/filepath"; "runtime"; "sync")

func main() {
	names, _ := filepath.Glob(os.Args[1] + "/blobs/sha256/*")
	queue := make(chan string, len(names))
	for _, name := range names { queue <- name }
	close(queue)
	var group sync.WaitGroup
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for name := range queue {
				file, err := os.Open(name)
				if err != nil { os.Exit(3) }
				hash := sha256.New()
				if _, err := io.Copy(hash, file); err != nil { os.Exit(3) }
				file.Close()
				if hex.EncodeToString(hash.Sum(nil)) != filepath.Base(name) { os.Exit(1) }
			}
		}()
	}
	group.Wait()
}
"""


def scrub(workspace: Path) -> Path | None:
    """The scrub in Go, built; None where there is no Go."""
    if not shutil.which("go"):
        return None
    (workspace / "go.mod").write_text("module scrub\n\ngo 1.20\n")
    (workspace / "main.go").write_text(GO)
    subprocess.run(["go", "build", "-o", "scrub", "."], cwd=workspace, check=True, capture_output=True)
    return workspace / "scrub"


def others(workspace: Path, cores: int) -> dict[str, Callable[[Path], list[str]]]:
    find = f'find "$1/blobs" -type f -print0 | xargs -0 -P{cores} -n64'
    hashlib = HASHLIB.replace("range(2)", f"range({cores})")
    found: dict[str, Callable[[Path], list[str]]] = {
        "sha256sum": lambda path: shell(f"{find} sha256sum", path),
        "openssl": lambda path: shell(f"{find} openssl dgst -sha256", path),
        "hashlib": lambda path: [sys.executable, "-c", hashlib, str(path / "blobs" / "sha256")],
    }
    program = scrub(workspace)
    if program is not None:
        found["Go"] = lambda path: [str(program), str(path)]
    return found


def on(cores: int, command: list[str]) -> list[str]:
    """The command, on the first cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    return ["taskset", "-c", ",".join(map(str, allowed)), *command]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", default="500,1500,4000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", action="store_true", help="leave out what drops the kernel's caches")
    results.options(parser)
    args = parser.parse_args()
    cores = [*range(1, len(os.sched_getaffinity(0)) + 1)]
    cores = [each for each in cores if each in (1, cores[-1]) or each & (each - 1) == 0]
    efficiency = Figure(
        "efficiency", "Efficiency of verify: 1 is the machine", "GB", "efficiency", numeric=True, target=0.9
    )
    rates = Figure("verify", "Checking all digests, warm", "program and cores", "MB/s")
    cold_rates = Figure("verify-cold", "Checking all digests, cold", "program and cores", "MB/s")
    with tempfile.TemporaryDirectory() as directory:
        workspace = Path(directory)
        for size in map(int, args.megabytes.split(",")):
            layout = workspace / str(size)
            write(layout, Spec(seed=1, images=max(1, size // 5), layer_bytes=1_000_000))
            real = sum(path.stat().st_size for path in (layout / "blobs" / "sha256").iterdir())
            for count in cores:
                for cold in ("warm", "cold") if count == cores[-1] and not args.warm and drop_caches() else ("warm",):
                    measure(efficiency, layout, real, count, cold, args.rounds)
                compare(rates, workspace, layout, real, count, args.rounds, cold=False)
            if not args.warm and drop_caches():
                compare(cold_rates, workspace, layout, real, cores[-1], args.rounds, cold=True)
            shutil.rmtree(layout)
    results.save([each for each in (efficiency, rates, cold_rates) if each.series], args.json)


def measure(figure: Figure, layout: Path, size: int, cores: int, cold: str, rounds: int) -> None:
    words = ["bench", "--rounds", "1", "--format", "json", "--limit", "1TB", *(["--cold"] if cold == "cold" else [])]
    for _ in range(rounds):
        done = subprocess.run(on(cores, [*OCIGC, *words, str(layout)]), check=True, capture_output=True, text=True)
        name = f"{cold}, {cores} core{'s' * (cores > 1)}"
        figure.of(name).add(f"{size / 1e9:.2g}", json.loads(done.stdout)["Efficiency"])


def compare(figure: Figure, workspace: Path, layout: Path, size: int, cores: int, rounds: int, *, cold: bool) -> None:
    programs = {"ocigc verify": lambda path: [*OCIGC, "verify", str(path)], **others(workspace, cores)}
    for _ in range(rounds):
        for name, command in programs.items():
            if cold:
                drop_caches()
            taken = seconds(on(cores, command(layout)))
            figure.of(f"{size / 1e9:.2g} GB").add(f"{name}, {cores}", size / 1e6 / taken)


if __name__ == "__main__":
    main()
