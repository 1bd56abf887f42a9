"""Stores with damaged manifests: what looks at them goes on, and `rm` takes the damaged image.

Sources: zarf#4563 (a manifest cut off to nothing), containerd#5895, oras-go#664.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import MANIFEST, Descriptor, LayoutWriter, snapshot

Damage = Callable[[LayoutWriter, Descriptor], None]


def emptied(layout: LayoutWriter, target: Descriptor) -> None:
    layout.blob_path(target).write_bytes(b"")


def torn(layout: LayoutWriter, target: Descriptor) -> None:
    layout.blob_path(target).write_bytes(layout.blob_path(target).read_bytes()[:-20])


def flipped(layout: LayoutWriter, target: Descriptor) -> None:
    content = bytearray(layout.blob_path(target).read_bytes())
    content[30] ^= 1
    layout.blob_path(target).write_bytes(content)


def absent(layout: LayoutWriter, target: Descriptor) -> None:
    layout.blob_path(target).unlink()


DAMAGES = [emptied, torn, flipped]


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("good", ["good"]), "reg.example/app:good")
    return writer


def state(layout: LayoutWriter, name: str) -> dict[str, object]:
    result = ocigc("ls", "--format", "json", layout.path)
    assert result.code == 0
    return next(each for each in result.json if each["Name"] == name)


def test_a_name_forges_no_line(layout: LayoutWriter) -> None:
    cut = layout.image("cut", ["cut"])
    layout.tag(cut, "evil\u202ename\nocigc: all is well")
    torn(layout, cut)
    said = ocigc("ls", layout.path).err
    assert "(image evil\\u202ename\\nocigc: all is well)" in said
    assert "\nocigc: all is well" not in said


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_looks_at_it_goes_on_and_names_the_image(damage: Damage, layout: LayoutWriter) -> None:
    cut = layout.image("cut", ["cut"])
    layout.tag(cut, "reg.example/app:cut")
    layout.tag(layout.image("dangling", ["dangling"]))
    damage(layout, cut)
    before = snapshot(layout.path)
    listed = ocigc("ls", layout.path)
    assert [line.split()[-1] for line in listed.out.splitlines()[1:] if "cut" in line] == ["damaged"]
    assert state(layout, "reg.example/app:cut")["Damaged"] is True
    assert state(layout, "reg.example/app:good")["Damaged"] is False
    for command, reference in (("ls", ""), ("du", ""), ("tree", "good"), ("tree", "cut"), ("why", "good")):
        result = ocigc(command, layout.path, *([f"reg.example/app:{reference}"] if reference else []))
        assert result.code == 0, (command, result.err)
        assert cut["digest"] in result.err
        assert "(image reg.example/app:cut)" in result.err
    assert ocigc("report", layout.path, "-o", layout.path.parent / "r.html").code == 0
    checked = ocigc("check", layout.path)
    assert checked.code == 1
    assert "app:cut)" in checked.out
    assert ocigc("verify", layout.path).code == 1
    found = ocigc("du", "--format", "json", layout.path).json
    assert found["Reclaimable"] == 0 < found["ReclaimableAll"]  # with -a, the damaged image goes too
    tree = ocigc("tree", "--format", "json", layout.path, "reg.example/app:cut").json
    assert [(leaf["Digest"], leaf["Damaged"]) for leaf in tree] == [(cut["digest"], True)]
    assert snapshot(layout.path) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_prune_is_refused_and_names_image_blob_and_ways_out(damage: Damage, layout: LayoutWriter) -> None:
    cut = layout.image("cut", ["cut"])
    layout.tag(cut, "reg.example/app:cut")
    layout.tag(layout.image("dangling", ["dangling"]))
    damage(layout, cut)
    before = snapshot(layout.path)
    result = ocigc("prune", "--force", "--grace", "0s", layout.path)
    refused(result, 3, "app:cut", cut["digest"], "verify --repair-from", "ocigc rm")
    assert snapshot(layout.path) == before


@pytest.mark.parametrize("damage", [*DAMAGES, absent])
def test_rm_takes_the_damaged_image_and_nothing_that_is_doubtful(damage: Damage, layout: LayoutWriter) -> None:
    config, layer = layout.config("cut"), layout.blob("cut")
    cut = layout.manifest(config, [layer])
    layout.tag(cut, "reg.example/app:cut")
    damage(layout, cut)
    assert ocigc("rm", "--force", layout.path, "reg.example/app:cut").code == 0
    assert [each["Name"] for each in ocigc("ls", "--format", "json", layout.path).json] == ["reg.example/app:good"]
    assert not layout.has(cut)
    assert layout.has(config)
    assert layout.has(layer)
    # All that stays is understood now, and nothing holds them.
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert not layout.has(config)
    assert not layout.has(layer)
    assert ocigc("verify", layout.path).code == 0


def test_rm_of_another_image_leaves_all_blobs(layout: LayoutWriter) -> None:
    """The damaged index may have referred to it."""
    other = layout.image("other", ["other"])
    layout.tag(other, "reg.example/other:1")
    index = layout.index([other])
    layout.tag(index, "reg.example/app:cut")
    torn(layout, index)
    before = layout.present()
    result = ocigc("rm", "--force", layout.path, "reg.example/other:1")
    assert result.code == 0
    assert "app:cut" in result.err
    assert "all blobs stay" in result.err
    assert layout.present() == before
    assert state(layout, "reg.example/app:cut")["Damaged"]
    both = ocigc("rm", "--force", "--format", "json", layout.path, "reg.example/app:cut")
    assert both.code == 0
    assert not layout.has(index)
    assert layout.has(other)


def test_rm_of_one_name_of_a_damaged_image(layout: LayoutWriter) -> None:
    cut = layout.image("cut", ["cut"])
    layout.tag(cut, "reg.example/app:cut")
    layout.tag(cut, "reg.example/app:again")
    emptied(layout, cut)
    assert ocigc("rm", "--force", layout.path, "reg.example/app:again").code == 0
    assert layout.has(cut)
    assert ocigc("rm", "--force", layout.path, cut["digest"]).code == 0
    assert not layout.has(cut)


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_platform_of_an_index(damage: Damage, layout: LayoutWriter) -> None:
    amd, arm = layout.image("amd", ["amd"]), layout.image("arm", ["arm"])
    index = layout.index([amd, arm])
    layout.tag(index, "reg.example/multi:1")
    damage(layout, arm)
    assert state(layout, "reg.example/multi:1")["Damaged"]
    result = ocigc("tree", layout.path, "reg.example/multi:1")
    assert result.code == 0
    assert [line.split()[-1] == "damaged" for line in result.out.splitlines()].count(True) == 1
    refused(ocigc("prune", "-f", "--grace", "0s", layout.path), 3, "multi:1", arm["digest"])
    assert ocigc("rm", "--force", layout.path, "reg.example/multi:1").code == 0
    assert not layout.has(index)
    assert not layout.has(amd)
    assert not layout.has(arm)


def test_json_that_is_no_manifest_though_its_digest_is_right(layout: LayoutWriter) -> None:
    odd = layout.json({"schemaVersion": 2, "layers": 1}, MANIFEST)
    layout.tag(odd, "reg.example/odd:1")
    assert state(layout, "reg.example/odd:1")["Damaged"]
    assert ocigc("tree", layout.path, "reg.example/odd:1").code == 0
    refused(ocigc("prune", "-f", layout.path), 3, "odd:1")
    assert ocigc("rm", "--force", layout.path, "reg.example/odd:1").code == 0


def test_a_config_or_layer_that_was_cut_off(layout: LayoutWriter) -> None:
    config, layer = layout.config("cut"), layout.blob("layer")
    layout.tag(layout.manifest(config, [layer]), "reg.example/app:1")
    emptied(layout, layer)
    assert state(layout, "reg.example/app:1")["Damaged"]
    torn(layout, config)
    for command in ("ls", "du"):
        assert ocigc(command, layout.path).code == 0
    assert ocigc("prune", "--force", layout.path).code == 0
    assert ocigc("rm", "--force", layout.path, "reg.example/app:1").code == 0
    assert not layout.has(config)
    assert not layout.has(layer)


def test_an_empty_blob_is_not_damaged(layout: LayoutWriter) -> None:
    layout.tag(layout.manifest(layout.config("c"), [layout.blob("")]), "reg.example/app:1")
    assert not state(layout, "reg.example/app:1")["Damaged"]


def test_absent_content_is_incomplete(layout: LayoutWriter) -> None:
    lacking, gone = layout.image("lacking", ["lost"]), layout.image("gone", ["gone"])
    layout.tag(lacking, "reg.example/lacking:1")
    layout.tag(gone, "reg.example/gone:1")
    lost = layout.blob("lost")
    absent(layout, lost)
    absent(layout, gone)
    assert state(layout, "reg.example/lacking:1")["Missing"] == [lost["digest"]]
    assert state(layout, "reg.example/gone:1")["Missing"] == [gone["digest"]]
    states = {line.split()[0]: line.split()[-1] for line in ocigc("ls", layout.path).out.splitlines()}
    assert states["reg.example/lacking:1"] == states["reg.example/gone:1"] == "incomplete"


def test_a_leased_manifest_is_named_by_its_digest(layout: LayoutWriter) -> None:
    leased = layout.image("leased", ["leased"])
    layout.lease("copy", [leased])
    torn(layout, leased)
    for command in ("ls", "du", "check"):
        assert ocigc(command, layout.path).code in (0, 1)
    refused(ocigc("prune", "-f", "--grace", "0s", layout.path), 3, leased["digest"])


def test_a_tree_goes_on(layout: LayoutWriter) -> None:
    other = layout.path.parent / "other"
    other.mkdir()
    LayoutWriter(other).tag(layout.image("o"), "o:1")
    emptied(layout, layout.entries[0])
    listed = ocigc("ls", "--recursive", "--format", "json", layout.path.parent)
    assert listed.code == 0
    assert {each["Layout"]: each["Damaged"] for each in listed.json} == {"layout": True, "other": False}


@pytest.mark.parametrize("name", ["index.json", "manifest.json", "leases/a.json", "blobs", "labels"])
@pytest.mark.parametrize("command", ["prune", "ls", "check"])
def test_a_message_names_the_file_with_its_path(command: str, name: str, layout: LayoutWriter, tmp_path: Path) -> None:
    """What is wrong is said with the path of the file: a symbolic link in place of a file or directory is one."""
    place, elsewhere = layout.path / name, tmp_path / "elsewhere"
    if place.exists():
        place.rename(elsewhere)
    else:
        place.parent.mkdir(exist_ok=True)
        elsewhere.mkdir() if name == "labels" else elsewhere.write_text("[]")
    place.symlink_to(elsewhere)
    force = ["--force"] if command == "prune" else []
    result = ocigc(command, *force, layout.path)
    assert result.code == 3
    assert str(layout.path) in result.err
    assert name in result.err
    assert "Too many levels" not in result.err


@pytest.mark.parametrize("path", ["leases/a.json", "labels/sha256/{hex}.json", ".ocigc/run/journal.json"])
def test_a_refusal_says_what_to_do_about_the_file(path: str, layout: LayoutWriter) -> None:
    """A lease, label file or journal that cannot be parsed stops the run: the line names it and says what to do."""
    orphan = layout.blob("orphan")
    torn = layout.path / path.format(hex=orphan["digest"].removeprefix("sha256:"))
    torn.parent.mkdir(parents=True, exist_ok=True)
    torn.write_text('{"')
    way_out = "out of the layout" if "journal" in path else "repair or remove it"
    refused(ocigc("prune", "--force", "--grace", "0s", layout.path), 3, torn.name, way_out)
    assert layout.has(orphan)
    torn.unlink()
    torn.mkdir()
    refused(ocigc("prune", "--force", "--grace", "0s", layout.path), 3, str(torn.relative_to(layout.path)))
    assert layout.has(orphan)
