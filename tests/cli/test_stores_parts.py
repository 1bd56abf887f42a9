"""Parts: entries without a name that another entry reaches. They are not images, and their entries stay with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, prune, refused
from tests.helpers.layouts import Descriptor, LayoutWriter, snapshot


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "repository")


def platforms(layout: LayoutWriter, seed: str) -> list[Descriptor]:
    """Manifests of two platforms, listed one by one as oras, zot and regctl do."""
    parts = [layout.image(f"{seed} {architecture}", [seed, architecture]) for architecture in ("amd64", "arm64")]
    for part in parts:
        layout.entry(part)
    return parts


def listed(layout: LayoutWriter) -> list[str]:
    return [entry["digest"] for entry in json.loads((layout.path / "index.json").read_text())["manifests"]]


def digests(*targets: Descriptor) -> list[str]:
    return [target["digest"] for target in targets]


def test_the_children_of_a_named_index_stay_listed(layout: LayoutWriter) -> None:
    """Source: oras-go#664, inspektor-gadget#5782."""
    parts = platforms(layout, "app")
    index = layout.index(parts)
    layout.tag(index, "1")
    before = snapshot(layout.path)
    assert prune(layout) == []
    assert snapshot(layout.path) == before


def test_they_stay_with_all(layout: LayoutWriter) -> None:
    parts = platforms(layout, "app")
    layout.tag(layout.index(parts), "reg.example/app:1")
    old = platforms(layout, "old")
    layout.tag(layout.index(old), "reg.example/app:0")
    assert prune(layout, "-a", used="reg.example/app:1\n") == ["reg.example/app:0"]
    assert set(digests(*parts)) < set(listed(layout))
    assert not set(digests(*old)) & set(listed(layout))
    assert not any(layout.has(part) for part in old)


def test_what_is_alone_is_dangling(layout: LayoutWriter) -> None:
    parts = platforms(layout, "app")
    layout.tag(layout.index(parts), "1")
    alone = layout.image("pushed by digest alone")
    layout.entry(alone)
    assert prune(layout) == digests(alone)
    assert not layout.has(alone)


def test_they_go_with_a_dangling_index(layout: LayoutWriter) -> None:
    parts = platforms(layout, "old")
    index = layout.index(parts)
    layout.entry(index)
    kept = layout.image("kept")
    layout.tag(kept, "1")
    assert prune(layout) == digests(index)
    assert listed(layout) == digests(kept)
    assert not any(layout.has(each) for each in [index, *parts])


def test_they_stay_with_the_last_image_that_reaches_them(layout: LayoutWriter) -> None:
    amd, arm = platforms(layout, "app")
    layout.tag(layout.index([amd, arm]), "reg.example/app:1")
    other = layout.image("other")
    layout.entry(other)
    layout.tag(layout.index([amd, other]), "reg.example/app:2")
    assert ocigc("rm", "-f", layout.path, "reg.example/app:1").code == 0
    assert set(digests(amd, other)) < set(listed(layout))
    assert arm["digest"] not in listed(layout)
    assert ocigc("rm", "-f", "--allow-empty", layout.path, "reg.example/app:2").code == 0
    assert listed(layout) == []


def test_nested_indexes_are_parts_too(layout: LayoutWriter) -> None:
    parts = platforms(layout, "app")
    inner = layout.index(parts)
    layout.entry(inner)
    layout.tag(layout.index([inner]), "1")
    before = listed(layout)
    assert prune(layout) == []
    assert listed(layout) == before


def test_an_entry_beside_a_named_one_of_the_same_target_is_a_part(layout: LayoutWriter) -> None:
    """What skopeo leaves of a copy without a name, once the same image came with one."""
    target = layout.image("app")
    layout.entry(target)
    layout.tag(target, "reg.example/app:1")
    assert prune(layout) == []
    assert listed(layout) == digests(target, target)
    assert ocigc("rm", "-f", "--allow-empty", layout.path, "reg.example/app:1").code == 0
    assert listed(layout) == []


def test_they_are_no_images(layout: LayoutWriter) -> None:
    parts = platforms(layout, "app")
    layout.tag(layout.index(parts), "reg.example/app:1")
    images = ocigc("ls", "--format", "json", layout.path).json
    assert [image["Name"] for image in images] == ["reg.example/app:1"]
    assert ocigc("du", "--format", "json", layout.path).json["Images"] == 1
    refused(ocigc("rm", "-f", layout.path, parts[0]["digest"]), 2, "part of another image")
    assert listed(layout)[:2] == digests(*parts)
    text = ocigc("prune", "-n", "--explain", layout.path).out
    assert parts[0]["digest"][7:19] not in text


def test_a_store_of_nothing_but_parts_and_their_index_is_not_emptied(layout: LayoutWriter) -> None:
    layout.entry(layout.index(platforms(layout, "app")))
    refused(ocigc("prune", "-f", "--grace", "0s", layout.path), 3, "no image")


def test_those_that_label_each_other_do_not_vanish_for_nothing(layout: LayoutWriter) -> None:
    one, other = layout.image("one"), layout.image("other")
    layout.labels(one, {"containerd.io/gc.ref.content.0": other["digest"]})
    layout.labels(other, {"containerd.io/gc.ref.content.0": one["digest"]})
    layout.entry(one)
    layout.entry(other)
    layout.tag(layout.image("kept"), "kept")
    assert prune(layout, "--filter", "until=2001-01-01") == []
    assert set(digests(one, other)) < set(listed(layout))
    assert prune(layout) == [min(digests(one, other))]
    assert not layout.has(one)
    assert not layout.has(other)


def test_what_an_entry_refers_to_stays_with_it(layout: LayoutWriter) -> None:
    part = layout.image("app")
    extra = layout.blob("what its entry refers to")
    layout.entry(part, **{"containerd.io/gc.ref.content.extra": extra["digest"]})
    layout.tag(layout.index([part]), "reg.example/app:1")
    layout.tag(layout.image("kept"), "reg.example/kept:1")
    assert prune(layout) == []
    assert layout.has(extra)
    assert ocigc("rm", "-f", layout.path, "reg.example/app:1").code == 0
    assert part["digest"] not in listed(layout)
    assert not layout.has(extra)


def test_they_come_back_with_their_image(layout: LayoutWriter) -> None:
    parts = platforms(layout, "app")
    layout.tag(layout.index(parts), "reg.example/app:1")
    layout.tag(layout.image("kept"), "reg.example/kept:1")
    before = sorted(listed(layout))
    assert ocigc("rm", "-f", "--trash", "7d", layout.path, "reg.example/app:1").code == 0
    assert len(listed(layout)) == 1
    assert ocigc("restore", layout.path).code == 0
    assert sorted(listed(layout)) == before
    assert prune(layout) == []


def test_a_policy_does_not_count_them(layout: LayoutWriter, tmp_path: Path) -> None:
    parts = platforms(layout, "app")
    layout.tag(layout.index(parts), "reg.example/app:1")
    layout.tag(layout.image("older"), "reg.example/app:0")
    policy = tmp_path / "policy.toml"
    policy.write_text("[[rule]]\nkeep-tagged = true\ndelete-untagged = true\n")
    before = listed(layout)
    assert prune(layout, "--policy", str(policy)) == []
    assert listed(layout) == before


def test_filters_come_first(layout: LayoutWriter) -> None:
    lone = layout.image("alone", created="2024-01-01T00:00:00Z")
    layout.entry(lone)
    layout.tag(layout.image("kept"), "1")
    assert prune(layout, "--filter", "until=2023-01-01") == []
    assert prune(layout, "--filter", "until=2025-01-01") == digests(lone)


def test_a_part_that_is_absent_stays_listed_with_its_index(layout: LayoutWriter) -> None:
    amd, arm = platforms(layout, "app")
    layout.tag(layout.index([amd, arm]), "reg.example/app:1")
    layout.tag(layout.image("kept"), "reg.example/kept:1")
    layout.blob_path(arm).unlink()
    before = listed(layout)
    assert prune(layout) == []
    assert listed(layout) == before
    assert ocigc("rm", "-f", layout.path, "reg.example/app:1").code == 0
    assert len(listed(layout)) == 1


def test_an_absent_image_that_nothing_lists_is_dangling(layout: LayoutWriter) -> None:
    gone = layout.image("gone")
    layout.entry(gone)
    layout.tag(layout.image("kept"), "kept")
    layout.blob_path(gone).unlink()
    assert prune(layout) == digests(gone)


def test_an_absent_image_is_as_old_as_the_index(layout: LayoutWriter) -> None:
    """A sync may bring index.json before the blobs (rclone, `aws s3 sync`): what is absent has no age of its own."""
    coming = layout.image("coming")
    layout.entry(coming)
    layout.tag(layout.image("kept"), "kept")
    layout.blob_path(coming).unlink()
    before = listed(layout)
    done = ocigc("prune", "-f", "--grace", "1h", layout.path)
    assert done.code == 0, done
    assert listed(layout) == before
    assert prune(layout) == digests(coming)


def test_a_part_that_a_container_uses_stays_without_its_image(layout: LayoutWriter) -> None:
    """To docker an entry without a name is a dangling image, and in use."""
    amd, arm = platforms(layout, "app")
    layout.tag(layout.index([amd, arm]), "reg.example/app:1")
    used = json.dumps([{"Id": "c", "Image": arm["digest"], "Config": {"Image": "somewhere.example/else:1"}}])
    assert prune(layout, "-a", "--allow-empty", used=used) == ["reg.example/app:1"]
    assert listed(layout) == digests(arm)
    assert layout.has(arm)
    assert not layout.has(amd)


def test_what_oras_tags_is_walked_whatever_its_type(layout: LayoutWriter) -> None:
    """`oras tag` writes application/octet-stream."""
    image = layout.image("app", ["layer"], created="2024-01-01T00:00:00Z")
    index = layout.index([image])
    for target, name in ((image, "image"), (index, "index")):
        layout.tag({**target, "mediaType": "application/octet-stream"}, name)
    layout.tag({"digest": image["digest"], "size": image["size"]}, "no-type")
    sizes = {
        each["Name"]: (each["Size"], each["Created"]) for each in ocigc("ls", "--format", "json", layout.path).json
    }
    whole = sum(layout.blob_path({"digest": digest}).stat().st_size for digest in layout.present())
    assert sizes["index"] == (whole, "2024-01-01T00:00:00Z")
    assert sizes["image"] == sizes["no-type"] == (whole - index["size"], "2024-01-01T00:00:00Z")
    assert prune(layout, "-a", "--filter", "label=x", used="x:image\n") == []


@pytest.mark.parametrize("command", ["rm", "policy"])
def test_the_entry_of_a_part_stays_with_content_that_a_lease_keeps(layout: LayoutWriter, command: str) -> None:
    """Nobody asked for the part, and an entry never hides content that stays."""
    leased, other = platforms(layout, "app")
    layout.tag(layout.index([leased, other]), "reg.example/app:1")
    layout.tag(layout.image("kept", ["kept"]), "reg.example/kept:1")
    (layout.path / "leases").mkdir()
    lease = {"id": "l", "labels": {}, "resources": [{"type": "content", "id": leased["digest"]}]}
    (layout.path / "leases" / "l.json").write_text(json.dumps(lease))
    if command == "rm":
        result = ocigc("rm", "--force", layout.path, "reg.example/app:1")
    else:
        policy = layout.path.parent / "policy.toml"
        policy.write_text('[[rule]]\nrepository = "reg.example/app"\nkeep-last = 0\n')
        result = ocigc("prune", "--force", "--grace", "0s", "--policy", policy, layout.path)
    assert result.code == 0, result
    assert leased["digest"] in listed(layout)
    assert other["digest"] not in listed(layout)
    assert layout.has(leased)
