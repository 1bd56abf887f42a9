"""`ocigc report`: what the page and its JSON are made of, and where they are written."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from ocigc.cli.output.words import human_size
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot

MARK = "<!doctype html>\n<!-- ocigc report -->\n"
LAYERS = ("layer", "manifest", "index", "config", "blob")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("one", ["everywhere", "within", "one"]), "docker.io/library/app:1")
    layout.tag(layout.image("two", ["everywhere", "within", "two"]), "docker.io/library/app:2")
    layout.tag(layout.image("other", ["everywhere", "other"]), "example.com/other:1")
    layout.tag(layout.image("dangling", ["dangling"]))
    layout.blob("orphan")
    for path in (layout.path / "blobs/sha256").iterdir():
        os.utime(path, (0, 0))
    return layout


def document(page: str) -> Any:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


def drawn(layout: Path, *arguments: str | Path) -> Any:
    result = ocigc("report", layout, *arguments, "-o", "-")
    assert result.code == 0, result
    assert result.out.startswith(MARK)
    return document(result.out)


def size_of(found: Any, fates: int) -> int:
    """Bytes of the blobs whose fate has one of these bits, or of all: each is in one place."""
    blobs = zip(found["blobs"]["size"], found["blobs"]["fate"], strict=True)
    total = sum(size for size, fate in blobs if not fates or fate & fates)
    total += sum(size for _, size, _, fate in found["others"]["listed"] if not fates or fate & fates)
    for rest in (*found["units"]["rest"], *found["groups"]["rest"], found["others"]["rest"]):
        total += sum(size for fate, _, size in zip(*[iter(rest)] * 3, strict=True) if not fates or fate & fates)
    return total


def test_every_byte_has_one_place(layout: LayoutWriter) -> None:
    found = drawn(layout.path)
    du = ocigc("du", "--format", "json", layout.path).json
    assert size_of(found, 0) == found["size"] == du["Size"]
    assert (found["prune"][2], found["pruneAll"][2]) == (du["Reclaimable"], du["ReclaimableAll"])
    assert size_of(found, 1) == du["Reclaimable"]
    assert size_of(found, 2) == du["ReclaimableAll"]
    units, groups = found["units"], found["groups"]
    others = sum(size for _, size, _, _ in found["others"]["listed"])
    assert sum(units["alone"]) + sum(groups["size"]) + others == du["Size"]
    assert sorted(groups["size"]) == sorted([len("everywhere"), len("within")])
    assert others == len("orphan")
    assert sum(len(each) for each in units["groups"]) == 3 + 2


def test_images_are_those_of_ls(layout: LayoutWriter) -> None:
    found = drawn(layout.path)
    listed = ocigc("ls", "--format", "json", layout.path).json
    images, units = found["images"], found["units"]
    assert [units["digest"][unit] for unit in images["unit"]] == [each["Digest"] for each in listed]
    assert [units["size"][unit] for unit in images["unit"]] == [each["Size"] for each in listed]
    names = [found["repositories"][r][2] + tag for r, tag in zip(images["repository"], images["tag"], strict=True)]
    assert set(zip(names, images["state"], images["fate"], strict=True)) == {
        ("app:1", 0, 6),
        ("app:2", 0, 6),
        ("example.com/other:1", 0, 6),
        ("", 1, 7),
    }
    registries = {name: found["registries"][registry] for registry, _, name in found["repositories"]}
    assert registries == {"app": "docker.io", "example.com/other": "example.com", "": ""}


def test_what_an_image_is_made_of(layout: LayoutWriter) -> None:
    found = drawn(layout.path)
    at = found["images"]["tag"].index(":1")
    unit = found["images"]["unit"][at]
    blobs = [{key: found["blobs"][key][n] for key in found["blobs"]} for n in found["units"]["blobs"][unit]]
    assert [LAYERS[blob["kind"]] for blob in blobs] == ["manifest", "config", "layer", "layer", "layer"]
    assert [blob["owner"] >= 0 for blob in blobs] == [True, True, False, False, True]
    assert found["units"]["platforms"][unit] == "linux/amd64"


def test_what_is_in_use_stays(layout: LayoutWriter, tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.write_text("app:1\n")
    found = drawn(layout.path, "--in-use", used)
    at = found["images"]["tag"].index(":1")
    assert found["images"]["state"][at] == 8
    assert found["images"]["fate"][at] == 0
    assert "in use by name" in found["reasons"][found["images"]["why"][at]][1]


def test_the_policy_of_the_layout_decides_and_is_told(layout: LayoutWriter) -> None:
    (layout.path / "ocigc.toml").write_text('[[rule]]\nkeep-tagged = true # <b>"all"</b>\ndelete-untagged = true\n')
    page = ocigc("report", layout.path, "-o", "-").out
    found = document(page)
    assert sorted(found["images"]["fate"]) == [4, 4, 4, 7]  # what a policy keeps, another one may let go
    assert "keep-tagged = true # &lt;b&gt;&quot;all&quot;&lt;/b&gt;" in page


def test_where_it_comes_from_is_told(layout: LayoutWriter, tmp_path: Path) -> None:
    used = tmp_path / "<i>used"
    used.write_text("app:1\n")
    page = ocigc("report", layout.path, "--in-use", used, "-o", "-").out
    about = page[page.index('<dl id="about">') :]
    version = ocigc("--version").out.split()[1]
    for fact in (version, str(layout.path), os.uname().nodename, "&lt;i&gt;used", "no ocigc.toml"):
        assert fact in about


def test_the_first_sentence_has_the_figures(layout: LayoutWriter) -> None:
    page = ocigc("report", layout.path, "-o", "-").out
    (lead,) = re.findall(r'<p class="lead" id="lead">(.*?)</p>', page)
    assert "in 4 images" in lead
    assert "No list of what is in use was given" in lead
    du = ocigc("du", "--format", "json", layout.path).json
    figures = [human_size(du[key]) for key in ("Size", "Reclaimable", "ReclaimableAll")]
    assert all(f"<strong>{figure}</strong>" in lead for figure in figures)


def test_an_empty_page_is_small(tmp_path: Path) -> None:
    page = ocigc("report", LayoutWriter(tmp_path / "layout").path, "-o", "-").out
    assert len(page.encode()) <= 250_000
    assert "The store is empty" in page


def test_a_snapshot_for_other_programs(layout: LayoutWriter, tmp_path: Path) -> None:
    result = ocigc("report", layout.path, "--format", "json")
    assert result.code == 0
    du = ocigc("du", "--format", "json", layout.path).json
    assert {key: result.json[key] for key in ("Images", "Blobs", "Size", "Disk", "Reclaimable", "ReclaimableAll")} == {
        key: du[key] for key in ("Images", "Blobs", "Size", "Disk", "Reclaimable", "ReclaimableAll")
    }
    assert len(result.json["ImagesUsage"]) == 4
    assert {each["Name"] for each in result.json["Repositories"]} == {"app", "example.com/other", None}
    output = tmp_path / "store.json"
    for _ in range(2):
        assert ocigc("report", layout.path, "--format", "json", "-o", output).code == 0
    assert json.loads(output.read_text())["Size"] == du["Size"]
    refused(ocigc("report", layout.path, "-o", output), 2, "other content")


def test_what_is_different_since_an_earlier_snapshot(layout: LayoutWriter, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(ocigc("report", layout.path, "--format", "json").out)
    assert ocigc("rm", "--force", layout.path, "example.com/other:1").code == 0
    moved = next(entry for entry in layout.entries if "app:2" in str(entry))
    layout.entries = [entry for entry in layout.entries if entry is not moved and "example.com" not in str(entry)]
    layout.tag(layout.image("two again", ["everywhere", "two anew"]), "docker.io/library/app:2")
    layout.tag(layout.image("new", ["brand <b>new</b>"]), "docker.io/library/app:3<b>")
    page = ocigc("report", layout.path, "--compare", earlier, "-o", "-").out
    (changes,) = re.findall(r'<section id="changes".*?</section>', page, re.DOTALL)
    assert "images: 1 new, 1 gone, 1 moved" in changes
    rows = re.findall(r'data-label="Image">(.*?)</td>.*?<span class="badge \w*">(\w+)</span>', changes)
    assert sorted(rows) == [
        ("app:2", "moved"),
        ("docker.io/library/app:3&lt;b&gt;", "new"),
        ("example.com/other:1", "gone"),
    ]


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"OcigcReport": 2}', '{"OcigcReport": 1, "Time": "now"}', "null", "\xff"]
)
def test_what_is_no_snapshot_is_refused(layout: LayoutWriter, tmp_path: Path, content: str) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_bytes(content.encode("latin-1"))
    output = tmp_path / "a.html"
    refused(ocigc("report", layout.path, "--compare", earlier, "-o", output), 2, "--compare", "earlier.json")
    refused(ocigc("report", layout.path, "--compare", tmp_path / "absent", "-o", output), 2, "absent")
    assert not output.exists()


def history(layout: LayoutWriter, days: int, size: int, **more: object) -> None:
    """A line for each day, as runs write them, each ten bytes larger than the one before."""
    now = time.time()
    lines = []
    for day in range(days, 0, -1):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - day * 86_400))
        repositories = {"app": size // 2, "<b>": 1}
        line = {
            "time": when,
            "run": str(day),
            "command": "prune",
            "bytes": size - 10 * day,
            "repositories": repositories,
        }
        lines.append(json.dumps(line | more))
    (layout.path / ".ocigc").mkdir(exist_ok=True)
    (layout.path / ".ocigc/history.jsonl").write_text("\n".join([*lines, '{"time": "torn', "null", "7", '{"a": 1}']))


def test_growth_comes_from_the_history(layout: LayoutWriter) -> None:
    size = ocigc("du", "--format", "json", layout.path).json["Size"]
    history(layout, 20, size, command="verify")
    page = ocigc("report", layout.path, "-o", "-").out
    growth = document(page)["growth"]
    assert len(growth["times"]) == 21  # and now
    assert growth["total"][-1] == size
    assert growth["names"][:1] == ["app"]
    assert [sum(each) for each in zip(*growth["series"], strict=True)] == growth["total"]
    assert growth["fit"]["slope"] == pytest.approx(10, abs=0.5)
    assert "lasts for more than ten years" in page
    assert "verified 1 day ago and is sound" in page


def test_a_short_history_is_no_estimate(layout: LayoutWriter) -> None:
    history(layout, 2, 1000)
    page = ocigc("report", layout.path, "-o", "-").out
    assert document(page)["growth"]["fit"] is None
    assert "Too few points" in page
    (layout.path / ".ocigc/history.jsonl").write_text("torn")
    page = ocigc("report", layout.path, "-o", "-").out
    assert document(page)["growth"]["times"] == []
    assert "no history yet" in page


def test_a_damaged_layout_gets_its_page(layout: LayoutWriter) -> None:
    torn = layout.image("torn", ["torn"])
    layout.tag(torn, "docker.io/library/torn:1")
    layout.blob_path(torn).write_bytes(b"{")
    absent = layout.image("absent", ["absent"])
    layout.tag(absent, "docker.io/library/absent:1")
    layout.blob_path(absent).unlink()
    before = snapshot(layout.path)
    result = ocigc("report", layout.path, "-o", "-")
    assert result.code == 0
    found = document(result.out)
    states = dict(zip(found["images"]["tag"], found["images"]["state"], strict=True))
    names = [found["repositories"][number][2] for number in found["images"]["repository"]]
    by_name = dict(zip(names, found["images"]["state"], strict=True))
    assert by_name["torn"] == 1 << 5
    assert by_name["absent"] == 1 << 7
    assert states[":2"] == 0
    (findings,) = re.findall(r'id="findings".*?</ul>', result.out, re.DOTALL)
    assert "torn:1" in findings
    assert "absent:1" in findings
    assert snapshot(layout.path) == before


def test_one_page_for_a_tree(tmp_path: Path) -> None:
    for name in ("team/one", "team/two", "broken"):
        writer = LayoutWriter(tmp_path / "root" / name)
        writer.tag(writer.image(name, ["in both", name]), "1")
        writer.tag(writer.image(f"{name} dangling", ["dangling"]))
        for path in (writer.path / "blobs/sha256").iterdir():
            os.utime(path, (0, 0))
    (tmp_path / "root/broken/index.json").write_text("{")
    output = tmp_path / "tree.html"
    result = ocigc("report", "--recursive", tmp_path / "root", "-o", output)
    assert result.code == 3
    assert "broken" in result.err
    page = output.read_text()
    assert "Not read: broken" in page
    found = document(page)
    assert set(found["layouts"]) == {"team/one", "team/two"}
    assert [found["repositories"][number][2] for number in found["images"]["repository"]].count("team/one") == 2
    one = ocigc("du", "--format", "json", tmp_path / "root/team/one").json
    two = ocigc("du", "--format", "json", tmp_path / "root/team/two").json
    assert found["size"] == one["Size"] + two["Size"] == size_of(found, 0)
    assert "--recursive" in found["options"]


def test_registries_of_a_tree_are_those_that_names_have(tmp_path: Path) -> None:
    """A path is a repository without a registry, unless it begins with one."""
    for path, name in (("team/app", "1"), ("other", "ghcr.io/example/app:1"), ("quay.io/example/app", "1")):
        writer = LayoutWriter(tmp_path / "root" / path)
        writer.tag(writer.image(path), name)
    assert ocigc("report", "--recursive", tmp_path / "root", "-o", tmp_path / "tree.html").code == 0
    found = document((tmp_path / "tree.html").read_text())
    registries = {name: (found["registries"][registry], label) for registry, label, name in found["repositories"]}
    assert registries["team/app"] == ("", "team/app")
    assert registries["ghcr.io/example/app"] == ("ghcr.io", "example/app")
    assert registries["quay.io/example/app"] == ("quay.io", "example/app")


def test_what_a_tree_frees_counts_hard_links_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        writer = LayoutWriter(tmp_path / "root" / name)
        writer.tag(writer.image("same", ["the same layer"]), "1")
    for path in (tmp_path / "root/one/blobs/sha256").iterdir():
        (tmp_path / "root/two/blobs/sha256" / path.name).unlink()
        os.link(path, tmp_path / "root/two/blobs/sha256" / path.name)
    found = ocigc("report", "--recursive", "--format", "json", tmp_path / "root").json
    du = ocigc("du", "--recursive", "--format", "json", tmp_path / "root").json
    assert found["Disk"] * 2 == found["Size"]
    assert found["ReclaimableAll"] == du["ReclaimableAll"] == found["Disk"]


def test_many_blobs_that_no_image_leads_to_are_summed_up(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    for size in range(1, 101):
        layout.blob("x" * size)
    others = drawn(layout.path)["others"]
    assert [size for _, size, _, _ in others["listed"]] == list(range(100, 60, -1))
    assert others["rest"] == [0, 60, sum(range(1, 61))]  # in grace


def test_an_older_report_is_replaced_and_the_layout_left_alone(layout: LayoutWriter, tmp_path: Path) -> None:
    before = snapshot(layout.path)
    output = tmp_path / "store.html"
    for _ in range(2):
        result = ocigc("report", layout.path, "--output", output)
        assert (result.code, result.err) == (0, "")
        assert output.read_text().startswith(MARK)
    assert result.out.startswith(f"{output}: 4 images, ")
    assert set(os.listdir(tmp_path)) == {"layout", "store.html"}
    assert snapshot(layout.path) == before


def test_nothing_else_is_ever_replaced(layout: LayoutWriter, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("mine")
    before = snapshot(tmp_path)
    refused(ocigc("report", layout.path, "-o", other), 2, "other.html", "other content")
    refused(ocigc("report", layout.path, "-o", layout.path / "index.json"), 2, "other content")
    refused(ocigc("report", layout.path, "-o", tmp_path), 2, "not a plain file")
    refused(ocigc("report", layout.path, "-o", f"{tmp_path}/"), 2, "not a directory")
    refused(ocigc("report", layout.path, "-o", tmp_path / "absent" / "a.html"), 2, "must exist")
    refused(ocigc("report", layout.path), 2, "--output")
    assert snapshot(tmp_path) == before
    (tmp_path / "link.html").symlink_to(other)
    refused(ocigc("report", layout.path, "-o", tmp_path / "link.html"), 2, "link.html")
    os.mkfifo(tmp_path / "pipe.html")
    refused(ocigc("report", layout.path, "-o", tmp_path / "pipe.html"), 2, "not a plain file")


def test_what_is_not_a_layout_gets_no_page(tmp_path: Path) -> None:
    refused(ocigc("report", tmp_path, "-o", tmp_path / "a.html"), 2, str(tmp_path))
    assert not (tmp_path / "a.html").exists()


def test_names_cannot_break_out_of_the_page(layout: LayoutWriter) -> None:
    layout.tag(layout.image("hostile"), "</script><script>alert(1)</script><!--")
    page = ocigc("report", layout.path, "-o", "-").out
    assert page.count("</script>") == 2
    assert "<script>alert" not in page
    assert "</script><script>alert(1)</script><!--" in document(page)["images"]["tag"]


def test_the_libraries_are_those_that_were_bundled() -> None:
    """Who changes one by hand, or bundles another version, has to say so in SHA256SUMS."""
    import hashlib
    from importlib import resources

    vendor = resources.files("ocigc.cli.output.html") / "vendor"
    sums = dict(reversed(line.split("  ")) for line in (vendor / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in vendor.iterdir()
        if each.name != "SHA256SUMS"
    }
    licences = (vendor / "LICENSES").read_text()
    assert all(name in licences for name in ("d3-hierarchy 3.", "d3-scale 4.", "d3-shape 3.", "uplot 1."))


def test_leftovers_of_other_tools_are_told(layout: LayoutWriter) -> None:
    left = layout.path / "oci-put-blob123"
    left.write_bytes(b"x" * 5000)
    os.utime(left, (1_500_000_000, 1_500_000_000))
    found = drawn(layout.path)
    du = ocigc("du", "--format", "json", layout.path).json
    assert found["leftovers"] == du["Leftovers"]["Reclaimable"]
    assert (found["prune"][2], found["pruneAll"][2]) == (du["Reclaimable"], du["ReclaimableAll"])
    assert "Leftovers of other tools: 1 file" in ocigc("report", layout.path, "-o", "-").out
