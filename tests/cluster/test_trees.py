"""Commands on trees with `--cluster`: the workers answer what this host would have answered."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_shards import damage
from tests.cluster.test_verify import make_layout
from tests.helpers.cluster import Cluster
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

VARYING = re.compile(r'"(?:Seconds|Time|Free)": [^,}]+')
COMMANDS = [
    ["check", "--format", "json"],
    ["ls"],
    ["du", "--format", "json"],
    ["prune", "--dry-run", "--all", "--verbose", "--grace", "0s"],
    ["prune", "--dry-run", "--all", "--grace", "0s", "--format", "json"],
    ["prune", "--dry-run", "--keep-storage", "100KB", "--explain", "--format", "json"],
    ["report", "--format", "json"],
    ["verify", "--format", "json"],
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layouts of every kind: sound and damaged, hard-linked, a pool, one that needs what another has, and none."""
    root = tmp_path_factory.mktemp("trees") / "tree"
    writer = make_layout(root / "first")
    shutil.copytree(writer.path, root / "linked" / "copy", copy_function=os.link)
    needy = shutil.copytree(writer.path, root / "needy")
    manifest = json.loads(writer.blob_path(writer.entries[0]).read_bytes())
    layer = manifest["layers"][1]["digest"].replace(":", "/")
    (needy / "blobs" / layer).unlink()
    damaged = make_layout(root / "damaged")
    damage(damaged)
    dangling = LayoutWriter(root / "dangling")
    dangling.tag(dangling.image("stays"), "stays:1")
    dangling.entries.append(dangling.image("goes", ["a layer"]))
    dangling.write_index()
    pool = LayoutWriter(root / ".pool")
    for blob in (writer.path / "blobs" / "sha256").iterdir():
        os.link(blob, pool.path / "blobs" / "sha256" / blob.name)
    pool.blob("nobody has this")
    bare = LayoutWriter(root / "bare")
    bare.tag(dangling.entries[0], "bare:1")
    shutil.rmtree(bare.path / "blobs")
    for name, index in (("old", None), ("torn", '{"schemaVersion": 2, "mani')):
        (root / name / "blobs").mkdir(parents=True)
        version = "9" if index is None else "1.0.0"
        (root / name / "oci-layout").write_text(json.dumps({"imageLayoutVersion": version}))
        (root / name / "index.json").write_text(index or "{}")
    return root


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_answer_is_that_of_this_host(cluster: Cluster, tree: Path, command: list[str]) -> None:
    here = ocigc(*command, "--recursive", tree)
    there = ocigc(*command, "--recursive", "--cluster", cluster.file, tree)
    assert (there.code, VARYING.sub("", there.out)) == (here.code, VARYING.sub("", here.out))
    assert sorted(there.err.splitlines()) == sorted(here.err.splitlines())
    assert here.code == 3  # two of the layouts cannot be read


SLOW = """
import ocigc.cluster.worker as worker
from dataclasses import replace
run = worker._SHARDS["layouts"]
def slowly(shard, report):
    found = run(replace(shard, seconds=0), report)
    print("layouts", len(found), len(shard.paths), flush=True)
    return found
worker._SHARDS["layouts"] = slowly
"""


@pytest.mark.parametrize("command", [["ls", "--format", "json"], ["verify", "--format", "json"]], ids=" ".join)
def test_layouts_that_a_worker_has_no_time_for_come_later(tmp_path: Path, command: list[str]) -> None:
    for number in range(40):
        writer = LayoutWriter(tmp_path / "tree" / f"layout-{number:02}")
        writer.tag(writer.image(f"image {number}"), "app:1")
    here = ocigc(*command, "--recursive", tmp_path / "tree")
    with Cluster(tmp_path) as cluster:
        cluster.worker("slow", code=SLOW)
        there = ocigc(*command, "--recursive", "--cluster", cluster.file, tmp_path / "tree")
        told = [line.split()[1:] for line in (tmp_path / "log").read_text().splitlines() if line.startswith("layouts ")]
    assert (there.code, VARYING.sub("", there.out), there.err) == (here.code, VARYING.sub("", here.out), here.err)
    assert [done for done, _ in told] == ["1"] * 40
    assert any(int(count) > 1 for _, count in told)


LARGE = {"DASK_OCIGC__LARGE_INDEX": "1"}
READING = """
import ocigc.cluster.worker as worker
from dataclasses import replace
from ocigc.cluster.manifest_shard import Manifests, _packed
EMPTY = _packed(b"")
read = worker._SHARDS["manifests"]
def run(shard, report):
    result = read(shard, report)
    print("read", len(result.digests.split()), shard.path, flush=True)
    return CHANGE
worker._SHARDS["manifests"] = run
"""


@pytest.mark.parametrize("command", [COMMANDS[n] for n in (0, 1, 4, 6)], ids=" ".join)
def test_the_answer_is_the_same_where_workers_share_a_layout(cluster: Cluster, tree: Path, command: list[str]) -> None:
    here = ocigc(*command, "--recursive", tree)
    there = ocigc(*command, "--recursive", "--cluster", cluster.file, tree, env=LARGE)
    assert (there.code, VARYING.sub("", there.out)) == (here.code, VARYING.sub("", here.out))
    assert sorted(there.err.splitlines()) == sorted(here.err.splitlines())


def test_workers_share_a_large_layout_by_its_manifests(tmp_path: Path) -> None:
    """What they send is believed only where it has the digest that it should have."""
    (root := tmp_path / "tree").mkdir()
    writer = make_layout(root / "large")
    writer.entries.append(writer.index([writer.image("one"), writer.image("two")]))
    writer.write_index()
    whole = ocigc("ls", "--recursive", "--format", "json", root)
    answers = {
        "result": "",
        "Manifests('', EMPTY, EMPTY)": "",
        "replace(result, digests=' '.join(reversed(result.digests.split(' '))))": "",
        "replace(result, digests=' '.join(['sha256:' + '0' * 64] * len(result.digests.split(' '))))": "",
        "replace(result, digests=' ' + result.digests)": "its contents have another size than it says",
        "replace(result, sizes=_packed(b'\\x7f' * 4 * len(result.digests.split(' '))))": "it has more than may be read",
        "replace(result, content=EMPTY)": "its contents have another size than it says",
        "replace(result, content='')": "its contents have another size than it says",
        "replace(result, content='AAAA')": "its contents cannot be unpacked",
        "{}": "Manifests",
    }
    with Cluster(tmp_path) as cluster:
        for number, (change, trouble) in enumerate(answers.items()):
            worker = cluster.worker(f"reader-{number}", code=READING.replace("CHANGE", change))
            found = ocigc("ls", "--recursive", "--format", "json", "--cluster", cluster.file, root, env=LARGE)
            assert (found.code, found.out) == (whole.code, whole.out), change
            assert trouble in found.err, change
            assert ("; this host reads it" in found.err) == bool(trouble), (change, found.err)
            worker.kill()
            worker.wait()
        told = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("read ")]
    assert len(told) >= len(answers)
    assert all(line.split()[2] == "large" for line in told)
    assert sum(int(line.split()[1]) for line in told) > len(answers)


@pytest.mark.parametrize("command", [["check"], ["ls"], ["du"], ["prune", "-n", "-a"], ["report", "--format", "json"]])
def test_the_workers_do_the_work(cluster: Cluster, tmp_path: Path, command: list[str]) -> None:
    for name in "abc":
        make_layout(tmp_path / name)
    code = (
        "import sys; from ocigc.layout import discover; discover.each_layout = None;"
        "from ocigc.cli.main import main; sys.exit(main())"
    )
    arguments = [*command, "--recursive", "--cluster", str(cluster.file), str(tmp_path)]
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd="/"
    )
    assert found.returncode == 0, found.stderr


def test_a_real_prune_plans_on_the_cluster(cluster: Cluster, tree: Path, tmp_path: Path) -> None:
    answers = []
    for name, more in (("here", []), ("there", ["--cluster", cluster.file])):
        copy = tmp_path / name / "tree"
        shutil.copytree(tree, copy)
        arguments = ("prune", "--recursive", "--all", "--force", "--grace", "0s", "--format", "json", *more, copy)
        found = ocigc(*arguments)
        left = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if ".ocigc" not in path.parts)
        answers.append((found.code, found.out.replace(str(copy), ""), left))
    assert answers[0] == answers[1]


def test_nothing_goes_because_a_worker_says_that_nobody_needs_it(tmp_path: Path) -> None:
    """The last layout needs a manifest that the second has, and so a layer that the first has."""
    first, second, last = (LayoutWriter(tmp_path / "tree" / name) for name in ("a", "b", "c"))
    layer = first.blob("a layer")
    manifest = second.manifest(last.config("last"), [layer])
    last.tag(manifest, "last:1")
    first.tag(first.image("own"), "own:1")
    second.tag(second.image("own"), "own:1")
    code = """
import ocigc.cluster.worker as worker
from dataclasses import replace
run = worker._SHARDS["layouts"]
def lie(each):
    return replace(each, value={**each.value, "told": {**each.value["told"], **CHANGE}})
worker._SHARDS["layouts"] = lambda shard, report: [lie(each) for each in run(shard, report)]
"""
    with Cluster(tmp_path) as cluster:
        for number, change in enumerate(("{'needs': []}", "{'needs': [], 'after': [], 'kept_for_others': []}")):
            worker = cluster.worker(f"liar-{number}", code=code.replace("CHANGE", change))
            command = ("prune", "--recursive", "--grace", "0s", "--force", "--cluster", cluster.file)
            found = ocigc(*command, tmp_path / "tree")
            assert found.code == 0, found
            assert second.has(manifest), found
            assert first.has(layer), found
            worker.kill()
            worker.wait()


@pytest.mark.parametrize("command", [["check"], ["ls"], ["du"], ["prune", "-n"], ["report", "-o", "-"]])
def test_one_layout_is_read_by_this_host(tree: Path, command: list[str]) -> None:
    refused(ocigc(*command, "--cluster", "tcp://127.0.0.1:1", tree / "first"), 2, "--recursive")


SAYING = """
import ocigc.cluster.worker as worker
from dataclasses import replace
run = worker._SHARDS["layouts"]
def say(each):
    return replace(each, CHANGE)
worker._SHARDS["layouts"] = lambda shard, report: [say(each) for each in run(shard, report)]
"""


def test_a_worker_that_says_something_else(tmp_path: Path) -> None:
    (root := tmp_path / "tree").mkdir()
    for name in "ab":
        writer = make_layout(root / name)
    answers = [
        ("ls", "view=replace(each.view, index='0' * 64)", "another index.json"),
        ("ls", "view=replace(each.view, times=(1, 2))", "an index.json of another time"),
        ("ls", "value=[{}]", "missing"),
        ("ls", "value=[{'image': 7}]", "must be an object"),
        ("ls", "notes=(1,)", "must be an object"),
        ("verify", "value={**each.value, 'bytes': -1}", "less than nothing"),
        ("verify", "value={**each.value, 'errors': ['\\x1b[2J']}", "characters"),
        ("verify", "value={**each.value, 'missing': ['../x']}", "is not a digest"),
        ("verify", f"value={{**each.value, 'corrupt': ['{writer.entries[0]['digest']}']}}", "which is sound"),
    ]
    with Cluster(tmp_path) as cluster:
        for number, (command, change, words) in enumerate(answers):
            worker = cluster.worker(f"liar-{number}", code=SAYING.replace("CHANGE", change))
            found = ocigc(command, "--recursive", "--format", "json", "--cluster", cluster.file, root)
            assert found.code == 3, (change, found)
            for name in "ab":
                lines = [line for line in found.err.splitlines() if line.startswith(f"ocigc: {name}: worker tcp://")]
                assert any(words in line for line in lines), (change, found.err)
            worker.kill()
            worker.wait()


def test_a_layout_of_which_a_worker_sees_other_directories_is_read_here(tmp_path: Path) -> None:
    (root := tmp_path / "tree").mkdir()
    make_layout(root / "a")
    changes = "view=replace(each.view, directories='x'), value=[]"
    with Cluster(tmp_path) as cluster:
        cluster.worker("partial", code=SAYING.replace("CHANGE", changes))
        here = ocigc("ls", "--recursive", "--format", "json", root)
        there = ocigc("ls", "--recursive", "--format", "json", "--cluster", cluster.file, root)
    assert (there.code, there.out) == (here.code, here.out)
    assert there.err == "ocigc: a: a worker has seen other directories in it; this host reads it\n"


def test_a_stopped_worker_is_noticed_long_before_its_shard_is_late(tmp_path: Path) -> None:
    """A shard of layouts may take minutes, but a worker that runs gives a sign each second."""
    (root := tmp_path / "tree").mkdir()
    for name in "abcd":
        make_layout(root / name)
    mark = tmp_path / "begun"
    code = f"""
import ocigc.cluster.worker as worker, os, signal
def run(shard, report):
    open({str(mark)!r}, "w").close()
    os.kill(os.getpid(), signal.SIGSTOP)
worker._SHARDS["layouts"] = run
"""
    here = ocigc("ls", "--recursive", "--format", "json", root)
    environment = {"DASK_OCIGC__PATIENCE": "5"}
    with Cluster(tmp_path) as cluster:
        cluster.worker("stopped", code=code)
        cluster.worker("runs")
        there = ocigc("ls", "--recursive", "--format", "json", "--cluster", cluster.file, root, env=environment)
        assert mark.exists()
    assert (there.code, there.out) == (here.code, here.out)


def test_a_scheduler_that_dies_is_the_reason_for_all_layouts(tmp_path: Path) -> None:
    (root := tmp_path / "tree").mkdir()
    for name in "abcd":
        make_layout(root / name)
    code = """
import ocigc.cluster.worker as worker, os, signal
def run(shard, report):
    os.kill(SCHEDULER, signal.SIGKILL)
worker._SHARDS["layouts"] = run
"""
    with Cluster(tmp_path) as cluster:
        for name in ("one", "two"):
            cluster.worker(name, code=code.replace("SCHEDULER", str(cluster.scheduler.pid)))
        found = ocigc("ls", "--recursive", "--cluster", cluster.file, root)
    assert found.code == 3
    reason = f"cluster {cluster.file}: the scheduler has gone"
    assert found.err == f"ocigc: {root}: 4 layouts (a, b, c, …): {reason}\n"


def test_a_copy_of_the_tree_is_another_mount(tmp_path: Path) -> None:
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    writer = make_layout(tree / "a")
    shutil.copytree(tree, copy)
    damage(writer)
    shutil.copy2(tree / "a" / "index.json", copy / "a" / "index.json")
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind "{copy}" "{tree}" && exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs mount namespaces")
    with Cluster(tmp_path) as cluster:
        cluster.worker("copy", prefix=prefix)
        found = ocigc("verify", "--recursive", "--cluster", cluster.file, tree)
        refused(found, 3, "it sees other content than this host", "an index.json of another time", str(tree))


@pytest.mark.skipif(os.fsencode("\udcff") != b"\xff", reason="needs UTF-8")
def test_layouts_whose_names_look_alike(cluster: Cluster, tmp_path: Path) -> None:
    sound = make_layout(tmp_path / "a\udcff")
    damage(make_layout(tmp_path / "a\\udcff"))
    here = ocigc("verify", "--recursive", "--format", "json", tmp_path)
    there = ocigc("verify", "--recursive", "--format", "json", "--cluster", cluster.file, tmp_path)
    assert VARYING.sub("", there.out) == VARYING.sub("", here.out)
    assert [each["Sound"] for each in there.json["Layouts"]] == [False, True]
    assert sound.path.exists()
