"""`ocigc why`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def test_every_root_has_its_chain(layout: LayoutWriter) -> None:
    layer = layout.blob("layer")
    one, two = layout.image("one", ["layer"]), layout.image("two", ["layer"])
    index = layout.index([two])
    layout.tag(one, "docker.io/library/one:1")
    layout.tag(index, "docker.io/library/two:1")
    layout.lease("hold", [two])
    result = ocigc("why", "--format", "json", layout.path, layer["digest"][:20])
    assert result.code == 0
    found = {
        (chain["Root"], chain["Name"]): [(link["Role"], link["Digest"]) for link in chain["Links"]]
        for chain in result.json["Chains"]
    }
    assert found == {
        ("image", "one:1"): [("target", one["digest"]), ("layer", layer["digest"])],
        ("image", "two:1"): [
            ("target", index["digest"]),
            ("manifest", two["digest"]),
            ("layer", layer["digest"]),
        ],
        ("lease", "hold"): [("resource", two["digest"]), ("layer", layer["digest"])],
    }
    assert "image one:1 > target " in ocigc("why", layout.path, layer["digest"]).out


def test_what_would_go_is_what_rm_removes(layout: LayoutWriter) -> None:
    layout.tag(layout.image("gone", ["shared", "own"]), "gone:1")
    layout.tag(layout.image("kept", ["shared"]), "kept:1")
    promised = ocigc("why", "--format", "json", layout.path, "gone:1").json["WouldGo"]
    done = ocigc("rm", "-f", "--format", "json", layout.path, "gone:1").json
    assert promised == {"Blobs": 3, "Size": done["SpaceReclaimed"]}
    assert len(done["ImagesDeleted"]) == 4


def test_orphans_and_the_absent(layout: LayoutWriter) -> None:
    layer, orphan = layout.blob("layer"), layout.blob("orphan")
    image = layout.image("image", ["layer"])
    layout.tag(image, "image:1")
    layout.blob_path(layer).unlink()
    result = ocigc("why", layout.path, orphan["digest"])
    assert result.code == 1
    assert "nothing keeps it: it is an orphan" in result.out
    result = ocigc("why", "--format", "json", layout.path, layer["digest"])
    assert result.code == 1
    assert result.json["Present"] is False
    assert result.json["MentionedBy"] == [image["digest"]]
    refused(ocigc("why", layout.path, "absent:1"), 2, "no image 'absent:1'")
    refused(ocigc("why", layout.path, "sha256:" + 12 * "0"), 2, "no image or blob 'sha256:000000000000'")


def test_referrers_hang_on_their_subject(layout: LayoutWriter) -> None:
    image = layout.image("image")
    layout.tag(image, "image:1")
    signature = layout.manifest(layout.config("signature"), [layout.blob("signature")], subject=image)
    (chain,) = ocigc("why", "--format", "json", layout.path, signature["digest"]).json["Chains"]
    assert [link["Role"] for link in chain["Links"]] == ["target", "referrer"]


def test_deep_and_cyclic_chains_end(layout: LayoutWriter) -> None:
    leaf = layout.blob("leaf")
    index = layout.index([layout.image("image", ["leaf"])])
    for _ in range(300):
        index = layout.index([index])
    layout.tag(index, "deep:1")
    result = ocigc("why", layout.path, leaf["digest"])
    assert result.code == 0
    assert "more ..." in result.out
