"""An archive of a layout is read in place: what is told of it is what is told of the layout."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocigc.errors import CutOffArchive
from ocigc.layout.opening import open_either
from ocigc.verification.decompress import zstd_decoder
from ocigc.verification.verify import verify
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import INDEX, LAYER, LayoutWriter, snapshot

ABSENT = "sha256:" + 64 * "a"
HEADER = 512


def pack(layout: Path, path: Path, form: int = tarfile.GNU_FORMAT, prefix: str = "") -> Path:
    """Every file of a layout, as Python's tarfile writes it."""
    with tarfile.open(path, "w", format=form) as archive:
        archive.add(layout, prefix or ".")
    return path


def members(layout: Path) -> Iterator[tuple[str, bytes]]:
    """The files in the order in which Go walks a directory, as skopeo does."""
    for file in sorted(layout.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(layout)), file.read_bytes()


def write(path: Path, content: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in content:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "mirror")
    writer.tag(writer.image("one", created="2024-01-01T00:00:00Z"), "app:1")
    writer.tag(writer.image("two", ("base", "own"), created="2024-02-01T00:00:00Z"), "app:2")
    return writer


def _plain(path: Path) -> None:
    writer = LayoutWriter(path)
    one, two = writer.image("one", ("base", "a" * 600_000)), writer.image("two", ("base", ""))
    writer.tag(writer.index([one, two]), "app:1")
    writer.tag(two, "app:2")
    writer.tag(writer.image("old"))


def _damaged(path: Path) -> None:
    _plain(path)
    writer = LayoutWriter.__new__(LayoutWriter)
    writer.path = path
    config = writer.config("gone")
    broken = writer.manifest(config, [writer.blob("layer"), {"mediaType": LAYER, "digest": ABSENT, "size": 7}])
    writer.entries = json.loads((path / "index.json").read_text())["manifests"]
    writer.tag(broken, "broken:1")
    writer.tag({**broken, "size": 1}, "broken:2")
    writer.tag({"mediaType": INDEX, "digest": ABSENT.replace("a", "b"), "size": 2}, "absent:1")
    writer.blob_path(config).write_text("{}")
    torn = writer.image("torn", ("torn",))
    writer.tag(torn, "torn:1")
    writer.blob_path(torn).write_bytes(writer.blob_path(torn).read_bytes()[:20])


def _with_all_else(path: Path) -> None:
    _plain(path)
    writer = LayoutWriter.__new__(LayoutWriter)
    writer.path = path
    leased, rooted, flat = writer.image("leased", ("l",)), writer.image("rooted", ("r",)), writer.blob("flat")
    writer.lease("alpha", [leased])
    writer.lease("beta", [flat], flat="")
    writer.labels(rooted, {"containerd.io/gc.root": "", "containerd.io/gc.ref.content": flat["digest"]})
    writer.labels(flat, {"containerd.io/gc.unheard-of": "x", "other": "y"})
    writer.blob("large digest", algorithm="sha512")
    (path / "blobs" / "sha256" / "stranger").write_text("?")
    (path / "blobs" / "sha256" / f"{'c' * 64}123").write_text("partial")
    (path / "blobs" / "other+alg").mkdir()
    (path / "blobs" / "other+alg" / "Name").write_text("unregistered")
    (path / "blobs" / "NOT").mkdir()
    (path / "blobs" / "note").write_text("!")
    (path / "labels" / "sha256" / f"{'d' * 64}.json").write_text("{}")
    (path / "oci-put-blob123").write_text("leftover")
    (path / "README").write_text("a stranger's")
    os.link(path / "README", path / "blobs" / "sha256" / ("e" * 64))
    config = json.loads(writer.blob_path(leased).read_text())["config"]["digest"]
    listed = [{"Config": f"blobs/{config.replace(':', '/')}", "RepoTags": ["x:1"], "Layers": []}]
    (path / "manifest.json").write_text(json.dumps(listed))


def _synthetic(seed: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        assert ocigc("synth", "--seed", seed, "--images", "12", path).code == 0

    return make


LAYOUTS = {
    "plain": _plain,
    "damaged": _damaged,
    "all else": _with_all_else,
    "synthetic": _synthetic("1"),
}

# What is of the place or of the moment.
_PASSING = {"Seconds", "Path", "Time", "Host", "Disk", "Disks", "Layout", "Free", "Total", "DiskTotal", "DiskFree"}


def told(document: Any, path: Path) -> Any:
    """What a document says, but for where and when."""
    if isinstance(document, dict):
        return {key: told(value, path) for key, value in document.items() if key not in _PASSING}
    if isinstance(document, list):
        return [told(each, path) for each in document]
    return document.replace(str(path), "PATH") if isinstance(document, str) else document


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_it_is_told_the_same_of_both(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "layout"
    make(path)
    archive = pack(path, tmp_path / "layout.tar")
    before = archive.read_bytes()
    names = [each["Digest"] for each in ocigc("ls", "--format", "json", path).json]
    blobs = [f"{file.parent.name}:{file.name}" for file in (path / "blobs" / "sha256").iterdir()][:3]
    commands = [["ls"], ["du"], ["check"], ["check", "--sparse"], ["verify"], ["verify", "--deep"], ["report"]]
    commands += [["tree", names[0]], *(["why", name] for name in [names[-1], *blobs])]
    for command, *rest in commands:
        of_layout = ocigc(command, "--format", "json", *_placed(path, rest))
        of_archive = ocigc(command, "--format", "json", *_placed(archive, rest))
        assert of_archive.code == of_layout.code, (command, rest, of_archive)
        if of_layout.out:
            assert told(of_archive.json, archive) == told(of_layout.json, path), (command, rest)
        assert of_archive.err.replace(str(archive), str(path)) == of_layout.err
    assert archive.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"layout", "layout.tar"}


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_compressed_archives_are_verified_as_they_come(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "layout")
    archive = pack(tmp_path / "layout", tmp_path / "x.tar")
    in_place = ocigc("verify", "--format", "json", archive)
    zipped = tmp_path / "x.tar.gz"
    halves = archive.read_bytes()[:9000], archive.read_bytes()[9000:]
    zipped.write_bytes(b"".join(map(gzip.compress, halves)))  # as pigz and others write it
    streamed = ocigc("verify", "--format", "json", zipped)
    assert streamed.code == in_place.code
    assert told(streamed.json, zipped) == told(in_place.json, archive)


def test_compressed_by_zstd(layout: LayoutWriter, tmp_path: Path) -> None:
    archive = pack(layout.path, tmp_path / "x.tar")
    if shutil.which("zstd") is None:
        pytest.skip("no zstd here")
    subprocess.run(["zstd", "-q", "-k", archive], check=True)
    packed = tmp_path / "x.tar.zst"
    assert ocigc("verify", packed).out == ocigc("verify", archive).out
    packed.write_bytes(packed.read_bytes()[:-9])
    assert ocigc("verify", packed).code == 1
    # Without the program, and without a package of Python's, nobody can read it.
    result = ocigc("verify", packed, env={"PATH": str(tmp_path)})
    if zstd_decoder() is None:
        refused(result, 2, str(packed), "zstd")
    refused(ocigc("ls", packed), 2, str(packed), f"zstd -dk {packed}")
    refused(ocigc("prune", packed), 2, str(packed), f"zstd -dk {packed}")


def test_compressed_and_damaged(layout: LayoutWriter, tmp_path: Path) -> None:
    """The stream is read to its end: its checksum counts too."""
    content = gzip.compress(pack(layout.path, tmp_path / "x.tar").read_bytes())
    zipped = tmp_path / "x.tar.gz"
    for length in (20, 100, len(content) // 2, len(content) - 9, len(content) - 1):
        zipped.write_bytes(content[:length])
        result = ocigc("verify", "--format", "json", zipped)
        assert (result.code, result.json["Sound"]) == (1, False), length
    zipped.write_bytes(content[:-8] + b"\0" * 4 + content[-4:])
    result = ocigc("verify", zipped)
    assert (result.code, "decompressed" in result.out) == (1, True)
    zipped.write_bytes(gzip.compress(b"no archive" * 100))
    refused(ocigc("verify", zipped), 2, str(zipped))
    zipped.write_bytes(content)
    refused(ocigc("verify", "--deep", zipped), 2, str(zipped), "decompress")
    refused(ocigc("verify", "--changed", zipped), 2, str(zipped), "no ledger")
    for command in ("ls", "du", "check"):
        refused(ocigc(command, zipped), 2, str(zipped), f"gzip -dk {zipped}")
    refused(ocigc("diff", zipped, layout.path), 2, str(zipped), f"gzip -dk {zipped}")


def test_a_layer_that_is_large_and_one_like_json(tmp_path: Path) -> None:
    """Neither is taken for something else as it streams by."""
    writer = LayoutWriter(tmp_path / "mirror")
    large = os.urandom(3 << 20)
    like_json = b" \n{" + b"x" * (2 << 20)
    layers = [writer.blob(large), writer.blob(like_json), writer.blob(b""), writer.blob(b"\n" * 70_000)]
    image = writer.manifest(writer.config("x"), layers)
    writer.tag(image, "app:1")
    writer.entry({**layers[0], "mediaType": "application/octet-stream"})  # as some caches list layers
    archive = pack(writer.path, tmp_path / "x.tar")
    zipped = tmp_path / "x.tar.gz"
    zipped.write_bytes(gzip.compress(archive.read_bytes(), 1))
    assert ocigc("verify", zipped).out == ocigc("verify", archive).out
    writer.blob_path(layers[0]).write_bytes(large[:-1] + bytes([large[-1] ^ 1]))
    pack(writer.path, archive)
    zipped.write_bytes(gzip.compress(archive.read_bytes(), 1))
    in_place, streamed = (ocigc("verify", "--format", "json", each) for each in (archive, zipped))
    assert streamed.code == in_place.code == 1
    assert told(streamed.json, zipped) == told(in_place.json, archive)


def _placed(path: Path, rest: list[str]) -> list[str | Path]:
    return [*rest, path] if rest and rest[0].startswith("-") else [path, *rest]


FORMS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("prefix", ["", "mirror", f"{'deep/' * 3}{'l' * 60}", "./x/./y"])
def test_forms_of_members(layout: LayoutWriter, tmp_path: Path, form: int, prefix: str) -> None:
    (layout.path / f"{'n' * 120}-größer").write_text("a long name, in the last two forms")
    if form == tarfile.USTAR_FORMAT:
        next(layout.path.glob("n*")).unlink()
    archive = pack(layout.path, tmp_path / "x.tar", form, prefix)
    result = ocigc("verify", "--format", "json", archive)
    assert (result.code, result.err) == (0, "")
    assert told(result.json, archive) == told(ocigc("verify", "--format", "json", layout.path).json, layout.path)


@pytest.mark.parametrize(
    "arguments", [["--format=v7"], ["--format=ustar"], ["--format=gnu"], ["--format=pax"], ["-b1"]]
)
def test_what_tar_writes(layout: LayoutWriter, tmp_path: Path, arguments: list[str]) -> None:
    if shutil.which("tar") is None:
        pytest.skip("no tar here")
    archive = tmp_path / "x.tar"
    subprocess.run(["tar", "-cf", archive, *arguments, "-C", layout.path, "."], check=True)
    assert ocigc("verify", archive).out == ocigc("verify", layout.path).out


def test_the_last_member_of_a_name_counts(layout: LayoutWriter, tmp_path: Path) -> None:
    content = dict(members(layout.path))
    blob = next(name for name, data in content.items() if data == b"own")
    twice = [(blob, b"not it"), *content.items()]
    assert ocigc("verify", write(tmp_path / "a.tar", twice)).code == 0
    result = ocigc("verify", "--format", "json", write(tmp_path / "b.tar", [*content.items(), (blob, b"not it")]))
    assert (result.code, result.json["Corrupt"]) == (1, [blob.removeprefix("blobs/").replace("/", ":")])


def test_hard_links_between_members(layout: LayoutWriter, tmp_path: Path) -> None:
    content = dict(members(layout.path))
    blob = next(name for name, data in content.items() if data == b"own")
    archive = tmp_path / "x.tar"

    def add(tar: tarfile.TarFile, target: str) -> None:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            if name == blob:
                info.type, info.linkname = tarfile.LNKTYPE, target
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

    with tarfile.open(archive, "w") as tar:
        first = tarfile.TarInfo("first")
        first.size = 3
        tar.addfile(first, io.BytesIO(b"own"))
        add(tar, "./first")
        first.size = 5  # it has another inode now
        tar.addfile(first, io.BytesIO(b"other"))
    assert ocigc("verify", archive).code == 0
    # One that leads nowhere is none, as to tar.
    with tarfile.open(archive, "w") as tar:
        add(tar, "nowhere")
    result = ocigc("verify", "--format", "json", archive)
    assert (result.code, len(result.json["Missing"]), len(result.json["Incomplete"])) == (1, 1, 1)


def test_at_the_gate(layout: LayoutWriter, tmp_path: Path) -> None:
    """What is missing or corrupt is told by image, and the exit code says it."""
    content = dict(members(layout.path))
    assert ocigc("verify", write(tmp_path / "whole.tar", content.items())).code == 0
    blob = next(name for name, data in content.items() if data == b"own")
    digest = blob.removeprefix("blobs/").replace("/", ":")
    lacking = write(tmp_path / "lacking.tar", ((name, data) for name, data in content.items() if name != blob))
    result = ocigc("verify", lacking)
    assert result.code == 1
    assert "incomplete: app:2" in result.out
    assert digest[:19] in result.out
    assert "NOT SOUND" in result.out
    assert "app:1" not in result.out
    result = ocigc("verify", write(tmp_path / "corrupt.tar", {**content, blob: b"owm"}.items()))
    assert result.code == 1
    assert "corrupt: " in result.out
    assert "app:2" in result.out


def test_verify_finds_an_archive_that_is_cut_off_anywhere(layout: LayoutWriter, tmp_path: Path) -> None:
    """Wherever an archive ends too soon, verify finds it."""
    whole = pack(layout.path, tmp_path / "whole.tar").read_bytes()
    end = len(whole.rstrip(b"\0"))
    with tarfile.open(tmp_path / "whole.tar") as packed:
        ends = map(packed.getmember, ("./index.json", "./oci-layout"))
        told = max(each.offset_data + each.size for each in ends)
    cut = tmp_path / "cut.tar"
    for length in itertools.chain(range(HEADER, end, 397), range(HEADER, end - HEADER, HEADER)):
        cut.write_bytes(whole[:length])
        try:
            with open_either(cut) as archive:
                assert not verify(archive).sound, length
        except CutOffArchive:
            assert length < told
    cut.write_bytes(whole[: end - 100])  # all that anything refers to is there
    assert ocigc("verify", cut).code == 1
    cut.write_bytes(whole[: -(-end // HEADER) * HEADER])
    result = ocigc("verify", cut)
    assert (result.code, "no end-of-archive mark" in result.err) == (0, True)


def test_cut_off_as_skopeo_orders_it(layout: LayoutWriter, tmp_path: Path) -> None:
    """index.json comes last: without it nothing tells what there should be."""
    archive = write(tmp_path / "x.tar", members(layout.path))
    archive.write_bytes(archive.read_bytes()[:2500])
    result = ocigc("verify", archive)
    assert result.code == 1
    assert "cut off" in result.out
    assert "index.json" in result.out
    assert "NOT SOUND" in result.out
    document = ocigc("verify", "--format", "json", archive).json
    assert document["Sound"] is False
    assert "cut off" in document["Errors"][0]
    refused(ocigc("check", archive), 1, str(archive), "cut off")
    for command in ("ls", "du"):
        refused(ocigc(command, archive), 2, str(archive), "cut off", "copy it again")


def test_cut_off_after_the_index(layout: LayoutWriter, tmp_path: Path) -> None:
    content = dict(members(layout.path))
    first = [(name, content.pop(name)) for name in ("oci-layout", "index.json")]
    archive = write(tmp_path / "x.tar", [*first, *content.items()])
    archive.write_bytes(archive.read_bytes()[: 8 * HEADER + 20])
    result = ocigc("verify", archive)
    assert result.code == 1
    assert "cut off: " in result.out
    assert "incomplete: app:" in result.out
    listed = ocigc("ls", archive)
    assert listed.code == 0
    assert "cut off" in listed.err
    assert "incomplete" in listed.out


def test_what_changes_a_store_refuses_an_archive(layout: LayoutWriter, tmp_path: Path) -> None:
    archive = pack(layout.path, tmp_path / "mirror.tar")
    before = archive.read_bytes()
    for command in (
        ("prune", archive),
        ("prune", "-n", archive),
        ("prune", "--recursive", "-f", archive),
        ("rm", "-f", archive, "app:1"),
        ("restore", archive),
        ("trash", "ls", archive),
        ("trash", "empty", "-f", archive),
        ("lease", "create", archive, "app:1"),
        ("run", archive, "--", "true"),
    ):
        result = ocigc(*command)
        refused(result, 2, str(archive), "archive of a layout", f"tar -xf {archive}")
    for option in (("--changed",), ("--quick",), ("--budget", "1m")):
        refused(ocigc("verify", *option, archive), 2, str(archive), "no ledger")
    refused(ocigc("verify", "--repair-from", layout.path, archive), 2, str(archive), "tar -xf")
    assert archive.read_bytes() == before


def test_repair_from_an_archive(layout: LayoutWriter, tmp_path: Path) -> None:
    archive = pack(layout.path, tmp_path / "mirror.tar")
    before = snapshot(layout.path)
    for number, file in enumerate(sorted((layout.path / "blobs" / "sha256").iterdir())):
        file.write_text("damaged") if number % 2 else file.unlink()
    assert ocigc("verify", "--repair-from", archive, layout.path).code == 0
    content = {name: data for name, (_, data) in snapshot(layout.path).items()}
    assert content == {name: data for name, (_, data) in before.items()}


def test_ls_and_du_take_archives_beside_layouts(layout: LayoutWriter, tmp_path: Path) -> None:
    archive = pack(layout.path, tmp_path / "mirror.tar")
    listed = ocigc("ls", "--format", "json", layout.path, archive).json
    assert [each["Layout"] for each in listed].count(str(archive)) == len(listed) / 2 == 2
    result = ocigc("du", layout.path, archive)
    assert result.code == 0
    assert str(archive) in result.out


def test_archives_of_something_else(layout: LayoutWriter, tmp_path: Path) -> None:
    saved = write(tmp_path / "saved.tar", [("a/layer.tar", b"x"), ("manifest.json", b"[]"), ("repositories", b"{}")])
    other = write(tmp_path / "other.tar", [("README", b"x")])
    tree = tmp_path / "tree.tar"
    with tarfile.open(tree, "w") as archive:
        archive.add(layout.path, "a/b")
        archive.add(layout.path, "c")
    (tmp_path / "plain.tar").write_text("no archive at all" * 100)
    (tmp_path / "empty.tar").write_bytes(b"")
    for command in ("ls", "verify"):
        refused(ocigc(command, saved), 2, str(saved), "docker save", f"skopeo copy docker-archive:{saved} ")
        refused(ocigc(command, other), 2, str(other), "not of a layout")
        refused(ocigc(command, tree), 2, str(tree), "2 layouts", "tar -xf")
        refused(ocigc(command, tmp_path / "plain.tar"), 2, "plain.tar", "nor a tar archive")
    assert ocigc("ls", tmp_path / "empty.tar").code == 2
    oci = pack(layout.path, tmp_path / "oci.tar")
    refused(ocigc("prune", oci), 2, "archive of a layout", f"tar -xf {oci}")
    refused(ocigc("ls", f"oci-archive:{oci}"), 2, "archive of a layout", f"take {oci} as it is")
