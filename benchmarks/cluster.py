"""`ocigc verify` on the workers of a cluster against threads, on the same store.

The workers run already, each with one thread; as many threads of one process do the same for comparison. The best of
some runs counts, taken in turns. CPU seconds are those of all processes; on a busy machine they say more.

Then the same store on a disk, cold, with workers that read only so many bytes in a second each, as over a link: one
worker against two. That needs root, and a kernel that throttles reads by control groups (of version 1).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from tests.helpers.cluster import Cluster
from tests.helpers.layouts import LayoutWriter

MEDIAN = 16 << 20  # bytes of a layer
MOST = 256 << 20


def run(*arguments: str | Path, cluster: Sequence[int] = ()) -> tuple[float, float]:
    """Seconds, and CPU seconds, with those of the processes of a cluster."""
    began, used = time.perf_counter(), cpu(cluster)
    command = [sys.executable, "-P", "-m", "ocigc", "verify", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
    return time.perf_counter() - began, cpu(cluster) - used


def cpu(processes: Sequence[int]) -> float:
    """CPU seconds of the children that have ended, and of processes that run."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def make(path: Path, size: float) -> int:
    """A layout of about so many bytes; returns how many it has."""
    choice = random.Random(1)
    writer = LayoutWriter(path)
    total = number = 0
    while total < size:
        layers = []
        for _ in range(choice.randint(2, 8)):
            content = os.urandom(min(int(MEDIAN * choice.lognormvariate(0, 1.5)), MOST))
            layers.append(writer.blob(content))
            total += len(content)
        number += 1
        writer.tag(writer.manifest(writer.config(str(number)), layers), f"app:{number}")
    return total


class NotThrottled(Exception):
    """The kernel limits no reads for us."""


@contextlib.contextmanager
def links(path: Path, count: int, rate: int) -> Iterator[list[Path]]:
    """The control groups of so many hosts. What is in one reads so many bytes per second from the disk of a path."""
    base = Path("/sys/fs/cgroup/blkio")
    groups = [base / f"ocigc-{os.getpid()}-{number}" for number in range(count)]
    try:
        for group in groups:
            group.mkdir()
            (group / "blkio.throttle.read_bps_device").write_text(f"{disk(path)} {rate}")
        yield groups
    except OSError as error:
        raise NotThrottled(str(error)) from None
    finally:
        for group in filter(Path.exists, groups):
            with contextlib.suppress(OSError):
                group.rmdir()


def disk(path: Path) -> str:
    """The number of the whole disk on which a path is, as MAJOR:MINOR."""
    device = os.stat(path).st_dev
    found = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    if (found / "partition").exists():
        found = found.parent
    return (found / "dev").read_text().strip()


def forget(store: Path) -> None:
    """Lets the kernel forget what it has in memory of a store."""
    for file in (store / "blobs" / "sha256").iterdir():
        with file.open("rb") as opened:
            os.fdatasync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def behind_links(path: Path, gigabytes: float, rate: int, runs: int) -> None:
    """Prints what one worker and two take, each behind a link."""
    store = path / "store"
    size = make(store, gigabytes * 1e9)
    best = []
    for workers in (1, 2):
        (directory := path / f"links-{workers}").mkdir()
        with links(path, workers, rate) as groups, Cluster(directory) as cluster:
            for number, group in enumerate(groups):
                (group / "cgroup.procs").write_text(str(cluster.worker(str(number)).pid))
            taken = []
            for _ in range(runs):
                forget(store)
                taken.append(run("--cluster", cluster.file, store)[0])
            best.append(min(taken))
    print(f"\n{size / 1e9:.2f} GB, cold; each worker reads {rate / 1e6:.0f} MB/s; the best of {runs} runs, in seconds")
    print(
        f"1 worker  2 workers     ratio   at least\n{best[0]:8.2f}  {best[1]:9.2f}  {best[0] / best[1]:8.2f}       1.80"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.2, help="size of the store (default: 4.2)")
    parser.add_argument("--directory", type=Path, default=Path("/dev/shm"), help="where to make it (default: memory)")
    parser.add_argument("--runs", type=int, default=3, help="of which the best counts (default: 3)")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="a directory on a disk (/var/tmp)")
    parser.add_argument("--link", type=float, default=100, help="MB/s that a worker reads from the disk (100)")
    parser.add_argument("--link-gigabytes", type=float, default=1.5, help="size of the store on the disk (1.5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        path = Path(name)
        store = path / "store"
        size = make(store, options.gigabytes * 1e9)
        print(f"{size / 1e9:.2f} GB; the best of {options.runs} runs, in seconds", flush=True)
        print("                seconds                          CPU seconds")
        print("workers  threads  cluster  allowed       threads  cluster     ratio")
        for workers in (1, 2):
            (directory := path / f"cluster-{workers}").mkdir()
            with Cluster(directory) as cluster:
                processes = [cluster.scheduler.pid, *(cluster.worker(str(number)).pid for number in range(workers))]
                threads, spread = [], []
                for _ in range(options.runs):
                    threads.append(run("--jobs", str(workers), store))
                    spread.append(run("--cluster", cluster.file, store, cluster=processes))
            (best, used), (other, other_used) = (list(map(min, zip(*runs, strict=True))) for runs in (threads, spread))
            print(
                f"{workers:7}  {best:7.2f}  {other:7.2f}  {best * 1.1 + 1:7.2f}       {used:7.2f}  {other_used:7.2f}   "
                f"{other_used / used:7.2f}",
                flush=True,
            )
    with tempfile.TemporaryDirectory(dir=options.disk) as name:
        try:
            behind_links(Path(name), options.link_gigabytes, int(options.link * 1e6), options.runs)
        except NotThrottled as error:
            print(f"\nno links of limited bandwidth: {error}")


if __name__ == "__main__":
    main()
