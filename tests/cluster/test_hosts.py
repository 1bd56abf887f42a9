"""Workers that come and go, workers on other hosts, and encrypted connections."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_shards import damage, plain
from tests.cluster.test_trees import VARYING
from tests.cluster.test_verify import MANY, make_layout, verify
from tests.helpers.cluster import Cluster
from tests.helpers.command import Result, ocigc

SHORT = 2
RUNS = int(os.environ.get("OCIGC_CLUSTER_RUNS", SHORT))
A_MOMENT = """
import time
import ocigc.cluster.worker as worker
def slow(run):
    def moment(shard, report):
        time.sleep(0.2)
        return run(shard, report)
    return moment
worker._SHARDS |= {name: slow(worker._SHARDS[name]) for name in ("blobs", "layouts", "manifests")}
"""


def commands(directory: Path) -> list[tuple[str | Path, ...]]:
    """A command on a damaged layout and, for a long test, several on a tree."""
    layout = make_layout(directory / "tree" / "a")
    damage(layout)
    found: list[tuple[str | Path, ...]] = [("verify", layout.path)]
    if RUNS > SHORT:
        for name in "bcde":
            make_layout(directory / "tree" / name)
        of_tree = [("verify",), ("ls",), ("du",), ("check",), ("report",), ("prune", "-n", "-a", "--grace", "0s")]
        tree = directory / "tree"
        found += [(*words, "--recursive", "--format", "json", tree) for words in of_tree]
    return found


def same_for_all(result: Result) -> tuple[int, str]:
    return result.code, VARYING.sub("", plain(result)[1])


def test_workers_killed_at_random(tmp_path: Path) -> None:
    """OCIGC_CLUSTER_RUNS says how many runs. If there are many, workers are stopped, too, and some of these go on."""
    known = [(words, same_for_all(ocigc(*words))) for words in commands(tmp_path)]
    choice = random.Random(int(os.environ.get("OCIGC_CLUSTER_SEED", "1")))
    with Cluster(tmp_path) as cluster:
        workers = [cluster.worker(f"first-{number}", code=A_MOMENT) for number in range(3)]
        for number in range(RUNS):
            (command, *words), whole = choice.choice(known)
            large = {"DASK_OCIGC__LARGE_INDEX": choice.choice(("1", "8MiB"))}
            environment = {**MANY, **large, "DASK_OCIGC__PATIENCE": "20" if RUNS <= SHORT else "8"}
            arguments = (command, "--cluster", cluster.file, *words)
            with ThreadPoolExecutor() as threads:
                run = threads.submit(ocigc, *arguments, env=environment)
                stopped = []
                for _ in range(choice.choice((1, 1, 2))):
                    time.sleep(choice.uniform(0, 2.5))
                    victim = workers.pop(choice.randrange(len(workers)))
                    if RUNS > SHORT and choice.random() < 0.4:
                        victim.send_signal(signal.SIGSTOP)
                        stopped.append(victim)
                    else:
                        victim.kill()
                        victim.wait()
                if stopped and choice.random() < 0.4:
                    time.sleep(choice.uniform(0, 8))
                    for victim in stopped:
                        victim.send_signal(signal.SIGCONT)
                found = run.result()
            assert same_for_all(found) == whole, (number, arguments, found)
            for victim in stopped:
                victim.kill()
                victim.wait()
            while len(workers) < 3:
                workers.append(cluster.worker(f"{number}-{len(workers)}", code=A_MOMENT))


@contextmanager
def hosts(count: int) -> Iterator[list[str]]:
    """Network namespaces at 10.213.7.2 and so on, each with a link of 100 Mbit/s to this host, 10.213.7.1."""
    names = [f"ocigc-{os.getpid()}-{number}" for number in range(count)]
    bridge = f"ocigc{os.getpid() % 100_000}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        try:
            ip("link", "add", bridge, "type", "bridge")
            ip("address", "add", "10.213.7.1/24", "dev", bridge)
            ip("link", "set", bridge, "up")
            for number, name in enumerate(names):
                ip("netns", "add", name)
                outer = f"{bridge}-{number}"
                ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name)
                ip("link", "set", outer, "master", bridge, "up")
                ip("-n", name, "address", "add", f"10.213.7.{number + 2}/24", "dev", "eth0")
                ip("-n", name, "link", "set", "eth0", "up")
                limit = ["root", "tbf", "rate", "100mbit", "burst", "64kb", "latency", "50ms"]
                subprocess.run(["tc", "qdisc", "add", "dev", outer, *limit], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs network namespaces: {error}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def test_workers_on_other_hosts(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "layout")
    damage(layout)
    with hosts(2) as names, Cluster(tmp_path, host="10.213.7.1") as cluster:
        workers = [cluster.worker(name, prefix=("ip", "netns", "exec", name), code=A_MOMENT) for name in names]
        whole = plain(ocigc("verify", layout.path))
        assert plain(verify(cluster, layout.path)) == whole
        # One host is cut off while it works; its worker is alive, but nobody hears of it.
        found = []
        run = threading.Thread(target=lambda: found.append(verify(cluster, layout.path, patience=8)))
        run.start()
        time.sleep(2.5)
        subprocess.run(["ip", "-n", names[0], "link", "set", "eth0", "down"], check=True)
        run.join()
        assert workers[0].poll() is None
        assert plain(found[0]) == whole


def test_it_works_over_tls(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "layout")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=ocigc"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    files = {"ca-file": certificate, "cert": certificate, "key": key}
    options = [word for name, file in files.items() for word in (f"--tls-{name}", str(file))]
    with Cluster(tmp_path, *options, protocol="tls") as cluster:
        cluster.worker("one")
        assert cluster.address.startswith("tls://")
        prefix = "DASK_DISTRIBUTED__COMM__TLS__"
        trusted = {
            f"{prefix}CA_FILE": str(certificate),
            f"{prefix}CLIENT__CERT": str(certificate),
            f"{prefix}CLIENT__KEY": str(key),
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        }
        command = ("verify", "--cluster", cluster.address, layout.path)
        assert plain(ocigc(*command, env={**MANY, **trusted})) == plain(ocigc("verify", layout.path))
        for name in (f"{prefix}CA_FILE", f"{prefix}CLIENT__CERT"):
            found = ocigc(*command, env={**trusted, name: ""})
            assert found.code == 3, found
            assert found.out == ""
        prefixes = [f"{prefix}{name}__" for name in ("SCHEDULER", "WORKER")]
        local = {f"{each}{kind}": str(files[kind.lower()]) for each in prefixes for kind in ("CERT", "KEY")}
        needed = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
        assert ocigc("verify", "--cluster", "local:1", layout.path, env={**trusted, **local, **needed}).code == 0
