"""What index.json and labels keep besides the targets of entries, from `prune` as a user runs it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import INDEX, LAYER, MANIFEST, Descriptor, LayoutWriter

OCTETS = "application/octet-stream"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path)
    layout.tag(layout.image("other", ["other layer"]), "other")
    return layout


def whole(layout: LayoutWriter, image: Descriptor) -> list[Descriptor]:
    document = json.loads(layout.blob_path(image).read_text())
    return [image, document["config"], *document["layers"]]


def prune(layout: LayoutWriter, *arguments: str) -> None:
    done = ocigc("prune", "-f", "--grace", "0s", *arguments, layout.path)
    assert done.code == 0, done.err


@pytest.mark.parametrize("media_type", [OCTETS, "", LAYER])
def test_the_content_of_a_target_counts_whatever_its_media_type_says(layout: LayoutWriter, media_type: str) -> None:
    # oras tag writes application/octet-stream.
    one, two = layout.image("one", ["a"]), layout.image("two", ["b"])
    layout.tag(layout.index([two]) | {"mediaType": media_type}, "index")
    layout.tag(one | {"mediaType": media_type}, "one")
    before = layout.present()
    prune(layout)
    assert layout.present() == before


def test_a_manifest_that_an_entry_embeds_keeps_its_layers(layout: LayoutWriter) -> None:
    # debuerreotype#151
    image = layout.image("app", ["a", "b"])
    inner = layout.index([image])
    wanted = whole(layout, image)[1:]
    for media_type, target in ((MANIFEST, image), (INDEX, inner), (OCTETS, image)):
        data = base64.b64encode(layout.blob_path(target).read_bytes()).decode()
        layout.tag(target | {"mediaType": media_type, "data": data}, f"app-{media_type[-4:]}")
    layout.blob_path(image).unlink()
    layout.blob_path(inner).unlink()
    prune(layout)
    assert all(map(layout.has, wanted))


def test_corrupt_data_of_an_absent_target_is_refused(layout: LayoutWriter) -> None:
    image = layout.image("app", ["a"])
    layout.tag(image | {"data": "e30="}, "app")
    prune(layout)
    layout.blob_path(image).unlink()
    done = ocigc("prune", "-f", layout.path)
    assert done.code == 3
    assert "index.json: manifests[1]: the data of " + image["digest"] in done.err
    assert "ocigc rm" in done.err


def test_an_entry_with_corrupt_data_can_be_removed(layout: LayoutWriter) -> None:
    """`rm` removes a damaged image, also where the damage is in the data that index.json embeds. All blobs stay as long
    as another such entry is there. What goes need not be understood, so a prune takes a dangling one, too.
    """
    image, last, orphan = layout.image("app", ["a"]), layout.image("last", ["b"]), layout.blob("orphan")
    for target, name in ((image, "app"), (last, "last"), (image, None)):
        layout.tag(target | {"data": "e30="}, name)
        layout.blob_path(target).unlink(missing_ok=True)
    for name in ("app", "last"):
        assert ocigc("rm", "-f", layout.path, name).code == 0
        assert layout.has(orphan)
    prune(layout)
    assert not layout.has(orphan)
    assert len(json.loads((layout.path / "index.json").read_text())["manifests"]) == 1


def test_a_back_reference_to_an_image_by_name_keeps_its_blob_while_that_stays(layout: LayoutWriter) -> None:
    layout.tag(layout.image("app"), "docker.io/acme/app:1")
    kept, gone = layout.image("kept", ["x"]), layout.blob("gone")
    layout.labels(kept, {"containerd.io/gc.bref.image": "docker.io/acme/app:1"})
    layout.labels(gone, {"containerd.io/gc.bref.image": "docker.io/acme/app:2"})
    wanted = whole(layout, kept)
    prune(layout)
    assert all(map(layout.has, wanted))
    assert not layout.has(gone)
    assert ocigc("rm", "-f", layout.path, "acme/app:1").code == 0
    prune(layout)
    assert not any(map(layout.has, wanted[:2]))


def test_a_back_reference_to_a_name_ends_with_the_name(layout: LayoutWriter) -> None:
    image = layout.image("app")
    layout.tag(image, "docker.io/acme/app:1")
    layout.tag(image, "docker.io/acme/app:2")
    blob, absent = layout.blob("blob"), layout.image("absent")
    layout.tag(absent, "docker.io/acme/absent:1")
    layout.blob_path(absent).unlink()
    also = layout.blob("also")
    layout.labels(blob, {"containerd.io/gc.bref.image.x": "docker.io/acme/app:1"})
    layout.labels(also, {"containerd.io/gc.bref.image.x": "docker.io/acme/absent:1"})
    prune(layout)
    assert layout.has(blob)
    assert layout.has(also)
    assert "acme/app:1" in ocigc("why", layout.path, blob["digest"]).out
    used = layout.path.parent / "used"
    used.write_text("acme/app:2\nacme/absent:1\nother\n")
    prune(layout, "--all", "--in-use", str(used))
    assert layout.has(image)
    assert not layout.has(blob)
    assert layout.has(also)


def test_a_label_that_is_not_understood_is_told_and_keeps_its_blob(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    layout.labels(blob, {"containerd.io/gc.future": "1"})
    done = ocigc("prune", "-f", "--grace", "0s", layout.path)
    assert "1 blob stays because of a label that is not understood: containerd.io/gc.future" in done.err
    assert layout.has(blob)
