"""`ocigc verify --cluster`: a real scheduler and workers, which report what threads report."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ocigc.cluster.hasher import HashRate, take
from tests.cli.test_shards import damage, plain
from tests.helpers.cluster import Cluster, wait_until
from tests.helpers.command import Result, ocigc, refused
from tests.helpers.layouts import LayoutWriter, varied

MANY = {"DASK_OCIGC__SHARD_SIZE": "100000"}  # bytes: several shards even of small layouts
LISTENING = """
import time
import ocigc.cluster.worker as worker
shards = worker._SHARDS
hash_blobs = shards["blobs"]
"""
STUCK = (
    LISTENING
    + """
begun = []
def run(shard, report):
    begun.append(shard)
    if len(begun) < FIRST:
        return hash_blobs(shard, report)
    open(MARK + ".begun", "w").close()
    try:
        while True:
            time.sleep(0.1)
            report(None)
    except Exception:
        open(MARK + ".stopped", "w").close()
        raise
shards["blobs"] = run
"""
)


def stuck(mark: Path, first: int = 1) -> str:
    """Code of a worker that never ends a shard, from its `first` on. There is a file `mark`.begun then, and .stopped
    when it was told to stop."""
    return STUCK.replace("FIRST", str(first)).replace("MARK", repr(str(mark)))


MORE = (
    LISTENING
    + """
from dataclasses import replace
greet = shards["greet"]
def run(argument, report):
    greeting = greet(argument, report)
    return replace(greeting, views=greeting.views * 2)
shards["greet"] = run
"""
)
LYING = (
    LISTENING
    + """
from dataclasses import replace
def run(shard, report):
    result = hash_blobs(shard, report)
    return replace(result, CHANGE)
shards["blobs"] = run
"""
)


def make_layout(path: Path) -> LayoutWriter:
    return varied(path, 8, 9000)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return make_layout(tmp_path / "layout")


def verify(cluster: Cluster, *arguments: str | Path, patience: float = 60) -> Result:
    environment = {**MANY, "DASK_OCIGC__PATIENCE": str(patience)}
    return ocigc("verify", "--cluster", cluster.file, *arguments, env=environment)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_layout(cluster: Cluster, layout: LayoutWriter, damaged: bool) -> None:
    if damaged:
        damage(layout)
    for output in ("text", "json"):
        whole = ocigc("verify", "--format", output, layout.path)
        assert plain(verify(cluster, "--format", output, layout.path)) == plain(whole)
        assert whole.code == int(damaged)


def test_a_tree(cluster: Cluster, layout: LayoutWriter, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(layout.path, tree / "a")
    damage(layout)
    shutil.copytree(layout.path, tree / "b" / "c")
    (tree / "broken").mkdir()
    (tree / "broken" / "oci-layout").write_text('{"imageLayoutVersion": "9"}')
    for output in ("text", "json"):
        whole = ocigc("verify", "--recursive", "--format", output, tree)
        found = verify(cluster, "--recursive", "--format", output, tree)
        assert plain(found) == plain(whole)
        assert found.err == whole.err


def test_what_was_verified_is_in_the_ledger(cluster: Cluster, layout: LayoutWriter) -> None:
    time.sleep(2.1)  # what is younger is hashed again
    first = verify(cluster, "--changed", "--format", "json", layout.path).json
    again = ocigc("verify", "--changed", "--format", "json", layout.path).json
    assert first["Checked"] == again["Skipped"] > 0
    assert again["Checked"] == 0


def test_no_time_is_no_failure(cluster: Cluster, layout: LayoutWriter) -> None:
    found = verify(cluster, "--budget", "1ns", "--format", "json", layout.path)
    assert (found.code, found.json["Checked"]) == (0, 0)
    assert found.json["Left"] > 0


def test_where_no_scheduler_is(layout: LayoutWriter) -> None:
    environment = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    found = ocigc("verify", "--cluster", "tcp://127.0.0.1:1", layout.path, env=environment)
    refused(found, 3, "tcp://127.0.0.1:1")
    for wrong in ("", "local:0", "nowhere", "nowhere/scheduler.json"):
        refused(ocigc("verify", "--cluster", wrong, layout.path), 2, f"'{wrong}': expected the address of a scheduler")
    for wrong, words in (("tcp://127.0.0.1", "port"), ("http://127.0.0.1:1", "scheme")):
        refused(ocigc("verify", "--cluster", wrong, layout.path), 2, f"cluster {wrong}: ", words)


@pytest.mark.parametrize("content", ["", "{}", "[]", '"address"', '{"address": 7}', "\xff", "[" * 100_000])
def test_a_file_that_no_scheduler_has_written(layout: LayoutWriter, tmp_path: Path, content: str) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text(content, encoding="latin-1")
    refused(ocigc("verify", "--cluster", file, layout.path), 2, f"{file}: not the file of a scheduler")


@pytest.mark.parametrize(
    ("key", "value"),
    [("PATIENCE", "abc"), ("PATIENCE", "nan"), ("PATIENCE", "[1]"), ("SHARD_SIZE", "0"), ("LARGE_INDEX", "inf")],
)
def test_a_configuration_that_is_not_a_number(layout: LayoutWriter, key: str, value: str) -> None:
    found = ocigc("verify", "--cluster", "tcp://127.0.0.1:1", layout.path, env={f"DASK_OCIGC__{key}": value})
    refused(found, 2, f"ocigc.{key.lower().replace('_', '-')} in dask's configuration", value)


def test_a_configuration_that_dask_cannot_read(layout: LayoutWriter, tmp_path: Path) -> None:
    (tmp_path / "dask.yaml").write_text("ocigc: [")
    found = ocigc("verify", "--cluster", "local:1", layout.path, env={"DASK_CONFIG": str(tmp_path / "dask.yaml")})
    refused(found, 2, "dask cannot be loaded", "dask.yaml")


def test_workers_on_this_machine_that_cannot_start(layout: LayoutWriter) -> None:
    environment = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}  # but no certificate
    refused(ocigc("verify", "--cluster", "local:1", layout.path, env=environment), 3, "cannot be started", "TLS")


def test_the_file_of_a_scheduler_that_has_gone(layout: LayoutWriter, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        address = cluster.address
    environment = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    found = ocigc("verify", "--cluster", cluster.file, layout.path, env=environment)
    refused(found, 3, str(cluster.file), address)


def test_it_waits_for_the_first_worker(layout: LayoutWriter, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        process = start(cluster, layout.path)
        time.sleep(2)
        assert process.poll() is None
        cluster.worker("late")
        assert end(process).code == 0
    (tmp_path / "other").mkdir()
    with Cluster(tmp_path / "other") as cluster:
        refused(verify(cluster, layout.path, patience=1), 3, "none has joined the scheduler")


def test_without_dask_the_error_says_what_to_install(layout: LayoutWriter) -> None:
    code = "import sys; sys.modules['distributed'] = None; from ocigc.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "verify", "--cluster", "local:1", str(layout.path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert found.returncode == 2
    needed = "a cluster needs dask.distributed: pip install 'ocigc[cluster]'"
    assert found.stderr == f"ocigc: {layout.path}: {needed}\n"


def test_workers_on_this_machine(layout: LayoutWriter) -> None:
    damage(layout)
    found = ocigc("verify", "--cluster", "local:1", layout.path, env=MANY)
    assert plain(found) == plain(ocigc("verify", layout.path))


def test_workers_that_are_not_fit(layout: LayoutWriter, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.worker("old", code="import ocigc._version as v; v.__version__ = '0.0.1'")
        refused(verify(cluster, layout.path), 3, "no worker can be used", "it has ocigc 0.0.1")
        cluster.worker("more", code=MORE)
        cluster.worker("fit")
        found = verify(cluster, "--format", "json", layout.path)
        assert (found.code, found.json["Sound"]) == (0, True)
        assert "it has ocigc 0.0.1, and this is" in found.err
        assert "its greeting has another form; it is not used" in found.err


def test_a_worker_with_another_mount(layout: LayoutWriter, tmp_path: Path) -> None:
    other = make_layout(tmp_path / "other")
    mount = f'mount --bind "{other.path}" "{layout.path}" && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs mount namespaces")
    with Cluster(tmp_path) as cluster:
        cluster.worker("copy", prefix=prefix)
        # The same index.json, but another file.
        refused(verify(cluster, layout.path), 3, "an index.json of another time", str(layout.path))
        other.tag(other.image("another"), "other:1")
        refused(verify(cluster, layout.path), 3, "it sees other content than this host", str(layout.path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("verdicts=result.verdicts[1:]", "it does not have one entry per blob"),
        ("verdicts=tuple(9 for _ in result.verdicts)", "an unknown verdict"),
        ("verdicts=tuple(0 for _ in result.verdicts)", "it has left blobs out"),
        ("sizes=tuple('1' for _ in result.sizes)", "must be of type int"),
        ("checksums='xyz'", "not hexadecimal"),
        ("seconds=-1.0", "its duration is not a number of seconds"),
        ("seconds=float('nan')", "not a number"),
    ],
)
def test_results_are_checked_like_what_a_stranger_gives(
    layout: LayoutWriter, tmp_path: Path, change: str, words: str
) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.worker("liar", code=LYING.replace("CHANGE", change))
        found = verify(cluster, "--format", "json", layout.path)
        assert (found.code, found.json["Sound"]) == (3, False)
        assert any(
            words in error and "worker tcp://" in error and str(layout.path) in error for error in found.json["Errors"]
        )


ANSWERING = """
import ocigc.cluster.worker as worker
class Foreign:
    def __reduce__(self):
        return open, (MARK, "w")
answer = worker.work
def work(name, argument):
    return answer(name, argument) if name == "greet" else ANSWER
worker.work = work
"""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Foreign()", "TypeError"),
        ("'[' * 10**5", "RecursionError"),
        ('\'{"host": "\\\\u001b[2J", "value": null, "wrong": "\\\\ud800"}\'', "\\ud800 (\\x1b[2J)"),
    ],
)
def test_what_is_no_answer(layout: LayoutWriter, tmp_path: Path, answer: str, words: str) -> None:
    """Nothing of it is unpickled, and it is told in one line."""
    mark = tmp_path / "unpickled"
    with Cluster(tmp_path) as cluster:
        cluster.worker("liar", code=ANSWERING.replace("ANSWER", answer).replace("MARK", repr(str(mark))))
        found = verify(cluster, layout.path)
    assert (found.code, found.err.count("\n")) == (3, 1), found
    assert "error: worker tcp://" in found.out
    assert words in found.out
    assert not mark.exists()


def test_what_one_worker_sees_otherwise_is_hashed_here(layout: LayoutWriter, tmp_path: Path) -> None:
    """A worker may say of anything that it is corrupt, or sound: it has no effect."""
    damage(layout)
    whole = plain(ocigc("verify", layout.path))
    for number, change in enumerate(
        ("stamps=tuple(1 for _ in result.stamps)", "verdicts=tuple(2 for _ in result.verdicts)")
    ):
        (directory := tmp_path / str(number)).mkdir()
        with Cluster(directory) as cluster:
            cluster.worker("liar", code=LYING.replace("CHANGE", change))
            assert plain(verify(cluster, layout.path)) == whole


def start(cluster: Cluster, *arguments: str | Path, patience: float = 60) -> subprocess.Popen[str]:
    import os

    command = [sys.executable, "-m", "ocigc", "verify", "--cluster", str(cluster.file), *map(str, arguments)]
    environment = {**os.environ, **MANY, "DASK_OCIGC__PATIENCE": str(patience)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd="/"
    )


def end(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return Result(process.returncode, out, err)


def test_a_worker_that_dies(layout: LayoutWriter, tmp_path: Path) -> None:
    damage(layout)
    with Cluster(tmp_path) as cluster:
        victim = cluster.worker("victim", code=stuck(tmp_path / "victim"))
        cluster.worker("other")
        process = start(cluster, layout.path)
        wait_until((tmp_path / "victim.begun").exists)
        victim.kill()
        assert plain(end(process)) == plain(ocigc("verify", layout.path))


def test_a_worker_that_hangs(layout: LayoutWriter, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        hangs = cluster.worker("hangs", code=stuck(tmp_path / "hangs"))
        process = start(cluster, "--format", "json", layout.path, patience=6)
        wait_until((tmp_path / "hangs.begun").exists)
        hangs.send_signal(signal.SIGSTOP)
        found = end(process)
        assert (found.code, found.json["Sound"]) == (3, False)
        assert any("hangs" in error and str(layout.path) in error for error in found.json["Errors"])
        cluster.worker("other")
        assert verify(cluster, layout.path, patience=6).code == 0


@pytest.mark.parametrize(
    ("sizes", "budget", "together", "count"),
    [
        ([100 << 20] * 20, 150e6, 1e9, 8),  # as many as one core hashes at once
        ([300 << 20] * 20, 150e6, 1e9, 3),  # fewer, if that would take too long
        ([3 << 30] * 20, 150e6, 1e9, 1),
        ([10 << 20] * 20, 150e6, 1e9, 14),
        ([100 << 20] * 5, 150e6, 1e9, 5),
    ],
)
def test_how_many_blobs_make_a_shard(sizes: list[int], budget: float, together: float, count: int) -> None:
    taken, weight = take(sizes, budget, together)
    assert taken == count
    assert sum(sizes[:count]) < weight <= sum(sizes[:count]) + (16 << 10) * count


def test_a_suspended_worker_does_not_make_all_slow() -> None:
    rate = HashRate()
    rate.learn(64 << 20, 1.7e308)
    assert rate.or_else(1) == 3e6
    for _ in range(20):
        rate.learn(1 << 30, 1)
    assert 1e9 < rate.or_else(1) < 1 << 30


def test_a_scheduler_that_dies(layout: LayoutWriter, tmp_path: Path) -> None:
    time.sleep(2.1)  # what is younger is hashed again
    with Cluster(tmp_path) as cluster:
        # There are two shards at a time at one worker: the third begins when the result of the first has been taken.
        cluster.worker("one", code=stuck(tmp_path / "one", first=3))
        process = start(cluster, "--changed", "--format", "json", layout.path)
        wait_until((tmp_path / "one.begun").exists)
        cluster.scheduler.kill()
        found = end(process)
    assert (found.code, found.json["Sound"]) == (3, False)
    assert any("the scheduler has gone" in error for error in found.json["Errors"])
    assert found.json["Checked"] > 0
    again = ocigc("verify", "--changed", "--format", "json", layout.path)
    assert again.json["Skipped"] == found.json["Checked"]
    assert again.json["Sound"] is True


def test_a_scheduler_that_hangs(layout: LayoutWriter, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.worker("one", code=stuck(tmp_path / "one"))
        process = start(cluster, "--format", "json", layout.path, patience=6)
        wait_until((tmp_path / "one.begun").exists)
        cluster.scheduler.send_signal(signal.SIGSTOP)
        found = end(process)
    assert (found.code, found.json["Sound"]) == (3, False)
    assert any("the scheduler does not answer" in error for error in found.json["Errors"])


def test_an_interrupt_stops_the_workers(layout: LayoutWriter, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.worker("one", code=stuck(tmp_path / "one"))
        process = start(cluster, "--format", "json", layout.path)
        wait_until((tmp_path / "one.begun").exists)
        process.send_signal(signal.SIGINT)
        found = end(process)
        wait_until((tmp_path / "one.stopped").exists)
    assert found.code == 3
    assert found.json["Interrupted"] is True
    assert re.search(r"interrupted: \d+ blobs were not checked", found.err)


def test_what_workers_do_not_do(cluster: Cluster, layout: LayoutWriter) -> None:
    refused(verify(cluster, "--quick", layout.path), 2, "--quick")
    refused(verify(cluster, "--shard", "1/2", layout.path), 2, "--cluster")
