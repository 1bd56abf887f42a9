"""Every command works on a tree of layouts; images are addressed as REPOSITORY:TAG across it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def zot(tmp_path: Path) -> Path:
    """A tree as zot keeps it: the paths are the repositories, the names are bare tags."""
    for path, tags in (("team/app", ("1.0", "1.1")), ("team/web", ("1.0",)), ("base", ("1.0", "2.0"))):
        writer = LayoutWriter(tmp_path / "zot" / path)
        for tag in tags:
            writer.tag(writer.image(f"{path} {tag}", [f"{path} {tag} layer"]), tag)
    return tmp_path / "zot"


def present(zot: Path, path: str) -> int:
    return len(list((zot / path / "blobs/sha256").iterdir()))


def test_rm_takes_an_image_out_of_its_layout_alone(zot: Path) -> None:
    dry = ocigc("rm", "--recursive", "-n", zot, "team/app:1.0")
    assert dry.code == 0
    assert "team/app:1.0 " in dry.out
    assert "1 image goes, 4 stay." in dry.out
    assert ocigc("rm", "--recursive", "-f", zot, "team/app:1.0").code == 0
    assert [present(zot, path) for path in ("team/app", "team/web", "base")] == [3, 3, 6]
    assert ocigc("ls", "--recursive", "-q", zot).out.split() == ["base:1.0", "base:2.0", "team/app:1.1", "team/web:1.0"]


def test_rm_of_several_and_of_patterns(zot: Path) -> None:
    removed = ocigc("rm", "--recursive", "-f", "--format", "json", zot, "*:1.0", "base:2.0").json
    assert [(each["Layout"], each["ImagesDeleted"][0]) for each in removed["Layouts"]] == [
        ("team/app", {"Untagged": "team/app:1.0"})
    ]
    assert [error.partition(":")[0] for error in removed["Errors"]] == ["base", "team/web"]  # they would be empty
    refused(ocigc("rm", "--recursive", "-f", zot, "team/ap:1.0"), 2, str(zot), "team/app:1.1")
    refused(ocigc("rm", "--recursive", "-f", zot, "x:y"), 2, str(zot), "`ocigc ls --recursive` shows what there is")


def test_tree_and_why_find_an_image_in_any_layout(zot: Path) -> None:
    shown = ocigc("tree", "--recursive", zot, "team/web:1.0")
    assert shown.out.startswith("team/web:\nimage ")
    leaves = ocigc("tree", "--recursive", "--format", "json", zot, "*:1.0").json
    assert [leaf["Layout"] for leaf in leaves if leaf["Depth"] == 0] == ["base", "team/app", "team/web"]
    digest = leaves[0]["Digest"]
    why = ocigc("why", "--recursive", zot, "base:1.0")
    assert (why.code, why.out.splitlines()[0]) == (0, "base:")
    assert digest in why.out
    assert [each["Layout"] for each in ocigc("why", "--recursive", "--format", "json", zot, digest).json] == ["base"]
    assert ocigc("why", "--recursive", zot, "sha256:" + "0" * 64).code == 1
    refused(ocigc("why", "--recursive", zot, "base:9"), 2, str(zot), "base:9")
    refused(ocigc("tree", "--recursive", zot, "base:9"), 2, "base:1.0, base:2.0")
    prefixed = ("--recursive", "--repository", "registry.example", zot, "registry.example/base:2.0")
    assert ocigc("tree", *prefixed).out.startswith("base:\n")


def test_check_names_the_layout_of_each_finding(zot: Path) -> None:
    sound = ocigc("check", "--recursive", zot)
    assert sound.code == 0
    assert sound.out.splitlines()[-1] == "3 layouts: consistent"
    (zot / "base" / "strange").write_text("")
    next((zot / "team/web/blobs/sha256").iterdir()).unlink()
    found = ocigc("check", "--recursive", zot)
    assert found.code == 1
    assert "NOT CONSISTENT" in found.out.splitlines()[-1]
    document = ocigc("check", "--recursive", "--format", "json", zot).json
    assert [(each["Layout"], each["Sound"]) for each in document["Layouts"]] == [
        ("base", True),
        ("team/app", True),
        ("team/web", False),
    ]
    assert not document["Sound"]
