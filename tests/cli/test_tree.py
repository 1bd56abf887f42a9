"""`ocigc tree`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def test_a_multi_platform_image(layout: LayoutWriter) -> None:
    amd, arm = layout.image("amd", ["base"]), layout.image("arm", ["base", "own"])
    layout.manifest(layout.config("sbom"), [layout.blob("sbom")], subject=amd)
    index = layout.index(
        [
            {**amd, "platform": {"os": "linux", "architecture": "amd64"}},
            {**arm, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            amd,
        ]
    )
    layout.tag(index, "app:1")
    layout.blob_path(layout.blob("own")).unlink()
    found = ocigc("tree", "--format", "json", layout.path, "app:1").json
    assert [(leaf["Depth"], leaf["Role"]) for leaf in found] == [
        (0, "image"),
        (1, "manifest"),
        (2, "config"),
        (2, "layer"),
        (2, "referrer"),
        (3, "config"),
        (3, "layer"),
        (1, "manifest"),
        (2, "config"),
        (2, "layer"),
        (2, "layer"),
        (1, "manifest"),
    ]
    assert [leaf["Platform"] for leaf in found if leaf["Platform"]] == ["linux/amd64", "linux/arm64/v8"]
    assert [leaf["Present"] for leaf in found].index(False) == 10
    assert [leaf["Repeated"] for leaf in found].index(True) == 11
    lines = ocigc("tree", layout.path, "app:1").out.splitlines()
    assert lines[0].startswith("image  sha256:")
    assert lines[1].startswith("├── manifest  ")
    assert lines[4].startswith("│   └── referrer  ")
    assert lines[6].startswith("│       └── layer  ")
    assert lines[10].endswith("absent")
    assert lines[11].startswith("└── manifest  ")
    assert lines[11].endswith("(above)")


def test_a_deep_one_and_hostile_words(layout: LayoutWriter) -> None:
    index = layout.index([{**layout.image("image"), "platform": {"os": "\x1b[31mred", "architecture": ["x"]}}])
    for _ in range(3000):
        index = layout.index([index])
    layout.tag(index, "deep:1")
    result = ocigc("tree", layout.path, "deep:1")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert "[3001] manifest" in result.out
    refused(ocigc("tree", layout.path, "absent:1"), 2, "no image 'absent:1'")
