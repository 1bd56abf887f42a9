"""The plan to decide on: what goes, what that frees, and where the way back is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.test_terminal import converse
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

ALL = ("prune", "--all", "--grace", "0s", "--allow-empty")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def row(text: str, name: str) -> list[str]:
    """The cells of the line that begins with a name."""
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return re.split(r" {3,}", line)


def test_each_image_says_what_it_frees_and_why_it_goes(layout: LayoutWriter, tmp_path: Path) -> None:
    shared = "s" * 5000
    layout.tag(layout.image("big", [shared, "b" * 90_000], created="2024-01-01T00:00:00Z"), "example.com/app:1")
    layout.tag(layout.image("small", ["x" * 1000]), "example.com/app:2")
    layout.tag(layout.image("kept", [shared]), "example.com/kept:1")
    dangling = layout.image("dangling", ["d" * 2000])
    layout.tag(dangling)
    (tmp_path / "used").write_text("example.com/kept:1\n")
    text = ocigc(*ALL, "-n", "--in-use", tmp_path / "used", layout.path).out
    assert text.startswith(f"Plan for {layout.path}, a dry run:\n")
    _, age, size, frees, why = row(text, "example.com/app:1")
    assert age.endswith(("y", "d"))
    assert (size[:2], frees[:2], why) == ("95", "90", "not in use")  # kB: what is shared stays
    assert row(text, "<none>@" + dangling["digest"][:19])[-1] == "dangling"
    assert text.index("example.com/app:1") < text.index("example.com/app:2")
    total = ocigc(*ALL, "-n", "--in-use", tmp_path / "used", "--format", "json", layout.path).json["SpaceReclaimed"]
    assert re.search(rf"^Frees {total / 1000:.3g} kB of \S+ kB \(9\d %\): 3 images go, 1 stays\.$", text, re.MULTILINE)


def test_referrers_are_folded_under_their_image(layout: LayoutWriter) -> None:
    image = layout.image("signed")
    layout.tag(image, "example.com/signed:1")
    for number in range(3):
        layout.tag(layout.manifest(layout.config(f"signature {number}"), [], subject=image))
    lines = ocigc(*ALL, "-n", layout.path).out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("example.com/signed:1"))
    assert lines[place + 1].startswith("  + 3 referrers")
    assert lines[-1].endswith(": 4 images go (3 of them referrers), 0 stay.")


def test_the_content_of_referrers_is_theirs_whatever_they_are_called(layout: LayoutWriter) -> None:
    """Also those of an entry without a name, which is taken before names after `moby-dangling`, while its subject still
    keeps its content.
    """
    image = layout.image("signed")
    layout.tag(image, "quay.io/signed:1")
    layout.tag(layout.manifest(layout.config("signature"), [layout.blob("s" * 5000)], subject=image))
    text = ocigc(*ALL, "-n", layout.path).out
    assert ocigc(*ALL, "-n", "--format", "json", layout.path).json["Orphans"] == []
    (line,) = [line for line in text.splitlines() if line.startswith("  + 1 referrer")]
    assert re.search(r"  5\.\d+ kB   with their image$", line)
    assert "Orphans" not in text


def test_the_largest_are_listed_and_all_on_demand(layout: LayoutWriter) -> None:
    for number in range(45):
        layout.tag(
            layout.image(f"image {number}", [f"{number}" * (100 + number)]), f"example.com/r{number % 3}:{number}"
        )
    text = ocigc(*ALL, "-n", layout.path).out
    listed = [line for line in text.splitlines() if re.match(r"example\.com/r\d:\d+ ", line)]
    assert len(listed) == 20
    assert "example.com/r2:44" in text
    assert "example.com/r0:0 " not in text
    assert "… and 25 more (-v lists all)" in text
    assert [row(text, f"example.com/r{number} ")[1] for number in range(3)] == ["15", "15", "15"]
    verbose = ocigc(*ALL, "-n", "-v", layout.path).out
    assert len([line for line in verbose.splitlines() if re.match(r"example\.com/r\d:\d+ ", line)]) == 45
    assert "more" not in verbose


def test_what_is_not_freed_is_explained(layout: LayoutWriter, tmp_path: Path) -> None:
    image = layout.image("linked", ["l" * 10_000])
    layout.tag(image, "example.com/linked:1")
    for digest in layout.present():
        os.link(layout.blob_path({"digest": digest}), tmp_path / digest)
    text = ocigc(*ALL, "-n", layout.path).out
    assert "Frees 0 B of" in text
    assert "kB more are freed only when other names of the files (hard links) go, too." in text


def test_the_trash_is_where_the_way_back_is(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"), "example.com/a:1")
    dry = ocigc(*ALL, "-n", "--trash", "7d", layout.path).out
    assert re.search(r"^Moves .* to the trash: 1 image goes, 0 stay\.$", dry, re.MULTILINE)
    done = ocigc(*ALL, "-f", "--trash", "7d", layout.path).out.splitlines()
    assert done[0] == f"Removed from {layout.path}:"
    assert done[-2].startswith("Moved ")
    undo = done[-1].partition(": ")[2]
    assert undo == f"ocigc restore {layout.path}"
    assert ocigc(*undo.split()[1:]).code == 0
    assert len(layout.present()) == 3


def test_nothing_to_do_says_so(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"), "example.com/a:1")
    assert ocigc("prune", "-n", layout.path).out == f"{layout.path}: nothing to remove; 1 image stays.\n"


def test_the_plan_is_shown_once_and_fits_the_terminal(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"), "registry.example.com:5000/a/rather/long/path/to/some/team/application:1.2.3-rc4")
    code, shown = converse(*ALL, layout.path, answer="y\n", COLUMNS="80")
    assert code == 0
    assert shown.count("WHY") == 1
    assert "…" in shown
    assert "application:1.2.3-rc4" in shown
    plan = shown.partition("Are you sure")[0].splitlines()
    assert all(len(line) <= 80 for line in plan if str(layout.path) not in line)
    assert shown.index("Frees ") < shown.index("[y/N]") < shown.index("Freed ")


def test_a_tree_lists_only_layouts_with_something_to_say(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        writer = LayoutWriter(tmp_path / name)
        writer.tag(writer.image(name), f"example.com/{name}:1")
        if name != "two":
            writer.tag(writer.image(f"dangling {name}"))
    text = ocigc("prune", "-n", "--recursive", tmp_path).out
    layouts, images = text.partition("WHY")[::2]
    assert row(layouts, "one")[1:3] == row(layouts, "three")[1:3] == ["1", "1"]
    assert row(images, "one")[-1] == row(images, "three")[-1] == "dangling"
    assert not [line for line in text.splitlines() if line.startswith("two")]
    assert "2 images go, 3 stay." in text


def test_what_many_layouts_of_a_tree_say_is_one_line(tmp_path: Path) -> None:
    names = [f"team/app-{number:02}" for number in range(25)]
    for name in names:
        writer = LayoutWriter(tmp_path / name)
        writer.tag(writer.image(name), "1.0")
    dry = ocigc("prune", "-a", "-n", "--recursive", tmp_path)
    (line,) = dry.err.splitlines()
    assert f"{tmp_path}: 25 layouts ({', '.join(names[:3])}, …): this would leave no image with a name" in line
    assert line.endswith("--allow-empty if that is meant")
    layouts = dry.out.partition("\nIMAGE")[0]
    assert layouts.count("team/app-") == 20
    assert layouts.endswith("… and 5 more (-v lists all)\n")
    whole = ocigc("prune", "-a", "-n", "-v", "--recursive", tmp_path)
    assert [line.split(": ")[1] for line in whole.err.splitlines()] == [str(tmp_path / name) for name in names]
    assert whole.out.partition("\nIMAGE")[0].count("team/app-") == 25
    refusal = ocigc("prune", "-a", "-f", "--recursive", tmp_path)
    (line,) = refusal.err.splitlines()
    assert (refusal.code, "25 layouts" in line) == (3, True)
    assert refusal.out == "25 of 25 layouts were skipped.\n"
    listed = ocigc("prune", "-a", "-f", "--recursive", tmp_path, "--format", "json").json["Errors"]
    assert [each.partition(": this")[0] for each in listed] == names


@pytest.mark.parametrize("command", [("prune",), ("rm",)])
def test_what_is_wrong_is_said_before_that_nobody_can_be_asked(
    layout: LayoutWriter, tmp_path: Path, command: tuple[str, ...]
) -> None:
    layout.tag(layout.image("a"), "example.com/a:1")
    more = () if command == ("prune",) else ("example.com/a:1",)
    refused(ocigc(*command, tmp_path / "nowhere", *more), 2, "nowhere")
    refused(ocigc(*command, "--in-use", tmp_path / "nothing", layout.path, *more), 2, "--in-use")
    refused(ocigc(*command, layout.path, *more), 2, "no terminal")
    if more:
        refused(ocigc(*command, layout.path, "example.com/absent:1"), 2, "example.com/absent:1")
