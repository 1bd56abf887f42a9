"""A plan for a tree is saved, reviewed, and carried out exactly: in every layout, or in none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.injection import KILLED, Fault, run
from tests.helpers.command import Result, ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot

LAYOUTS = ("a", "a/b", "c")


@pytest.fixture
def layouts(tmp_path: Path) -> list[LayoutWriter]:
    """Each has an image that is in use, one that goes, and an orphan; c needs a blob that a has."""
    found = []
    for name in LAYOUTS:
        (tmp_path / "tree" / name).mkdir(parents=True)
        layout = LayoutWriter(tmp_path / "tree" / name)
        for tag in ("used", "gone"):
            layout.tag(layout.image(f"{name} {tag}", [f"{name} {tag}"]), tag)
        layout.blob(f"orphan of {name}")
        found.append(layout)
    shared = found[0].image("shared", ["shared"])
    found[2].tag(shared, "used-too")
    (tmp_path / "used").write_text("a:used\na/b:used\nc:used\nc:used-too\n")
    return found


@pytest.fixture
def plan(layouts: list[LayoutWriter], tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    done = save(tmp_path, path)
    assert done.code == 0, done
    assert len(layouts) == 3
    return path


def save(root: Path, path: Path, *options: str) -> Result:
    used = ("--in-use", root / "used", "--grace", "0s")
    return ocigc("prune", "-a", "-n", "--recursive", *used, *options, "--plan-out", path, root / "tree")


def contents(layouts: list[LayoutWriter]) -> list[Any]:
    return [snapshot(layout.path) for layout in layouts]


def document(plan: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.read_text())
    return found


def test_what_was_reviewed_is_done(layouts: list[LayoutWriter], plan: Path) -> None:
    before = contents(layouts)
    saved = document(plan)
    assert saved["tree"] == str(plan.parent / "tree")
    assert [each["layout"] for each in saved["layouts"]] == [*LAYOUTS]
    assert [each["goes"]["images"][0] for each in saved["layouts"]] == [
        ["Untagged", f"{name}:gone"] for name in LAYOUTS
    ]
    assert saved["layouts"][0]["shared"] == [layouts[2].entries[2]["digest"]]
    assert ocigc("apply", "-n", plan).code == 0
    assert contents(layouts) == before
    done = ocigc("apply", "--force", "--format", "json", plan)
    assert done.code == 0, done
    for each, answer in zip(saved["layouts"], done.json["Layouts"], strict=True):
        assert [next(iter(item.items())) for item in answer["ImagesDeleted"]] == [
            tuple(item) for item in each["goes"]["images"]
        ]
        assert answer["Orphans"] == each["goes"]["orphans"]
    for layout, name in zip(layouts, LAYOUTS, strict=True):
        assert "gone" not in ocigc("ls", "-q", layout.path).out, name
    after = contents(layouts)
    refused(ocigc("apply", "--force", plan), 3, "changed since the plan was made", "all that goes by the plan is gone")
    assert contents(layouts) == after


def test_a_plan_is_the_same_each_time(layouts: list[LayoutWriter], plan: Path) -> None:  # noqa: ARG001
    first = document(plan)
    assert save(plan.parent, plan).code == 0
    second = document(plan)
    for each in (first, second):
        del each["asked"]["now"]
    assert first == second


def _new_image(layouts: list[LayoutWriter]) -> None:
    layouts[1].tag(layouts[1].image("new", ["new"]), "new")


def _lease(layouts: list[LayoutWriter]) -> None:
    layouts[1].lease("copy", [layouts[1].entries[1]])


def _lease_of_an_orphan(layouts: list[LayoutWriter]) -> None:
    layouts[1].lease("copy", [layouts[1].blob("orphan of a/b")])


def _removed(layouts: list[LayoutWriter]) -> None:
    assert ocigc("rm", "--force", layouts[1].path, "gone").code == 0


def _added(layouts: list[LayoutWriter]) -> None:
    path = layouts[0].path.parent / "d"
    path.mkdir()
    layout = LayoutWriter(path)
    layout.tag(layout.image("d"), "d")


def _vanished(layouts: list[LayoutWriter]) -> None:
    shutil.rmtree(layouts[2].path)
    del layouts[2]


def _torn(layouts: list[LayoutWriter]) -> None:
    (layouts[2].path / "index.json").write_text("{")


def _needs_more(layouts: list[LayoutWriter]) -> None:
    """What goes stays the same: but a has come to keep more for others."""
    manifest = layouts[2].manifest(layouts[2].config("more"), [layouts[0].blob("a used")])
    layouts[2].tag(manifest, "used")


def _needs_less(layouts: list[LayoutWriter]) -> None:
    layouts[0].blob_path(layouts[2].entries[2]).unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_new_image, "a/b: image a/b:new goes now too"),
        (_lease, "a/b: blob sha256:"),
        (_lease_of_an_orphan, "does not go now"),
        (_removed, "does not go now"),
        (_added, "layout d is new"),
        (_vanished, "layout c is gone"),
        (_torn, "layout c is skipped now"),
        (_needs_more, ""),
        (_needs_less, "a: blob sha256:"),
    ],
)
def test_any_change_is_refused_and_nothing_is_changed(
    layouts: list[LayoutWriter], plan: Path, change: Callable[[list[LayoutWriter]], None], words: str
) -> None:
    change(layouts)
    before = contents(layouts)
    done = ocigc("apply", "--force", plan)
    assert done.code == 3, done
    assert "it has changed since the plan was made" in done.err
    assert words in done.err
    assert contents(layouts) == before


def test_a_layout_that_was_skipped_is_skipped_again(layouts: list[LayoutWriter], tmp_path: Path) -> None:
    content = (layouts[1].path / "index.json").read_bytes()
    (layouts[1].path / "index.json").write_text("{")
    plan = tmp_path / "plan.json"
    assert save(tmp_path, plan).code == 3
    assert document(plan)["skipped"] == ["a/b"]
    (layouts[1].path / "index.json").write_bytes(content)
    before = contents(layouts)
    refused(ocigc("apply", "--force", plan), 3, "layout a/b is not skipped now")
    assert contents(layouts) == before
    (layouts[1].path / "index.json").write_text("{")
    assert ocigc("apply", "--force", plan).code == 3
    assert contents(layouts) != before


def test_a_tree_that_has_moved(plan: Path) -> None:
    moved = (plan.parent / "tree").rename(plan.parent / "elsewhere")
    refused(ocigc("apply", "--force", plan), 2, "tree")
    assert ocigc("apply", "--force", plan, moved).code == 0


@pytest.mark.parametrize(
    ("tamper", "code", "words"),
    [
        (lambda saved: saved["layouts"][0]["goes"]["orphans"].pop(), 3, "a: blob sha256:"),
        (lambda saved: saved["layouts"][1]["goes"]["images"].pop(0), 3, "image a/b:gone goes now too"),
        (lambda saved: saved["layouts"][0]["shared"].clear(), 3, "needed by other layouts now"),
        (lambda saved: saved["layouts"].pop(), 3, "layout c is new"),
        (lambda saved: saved["asked"].update(grace=10**18), 3, "does not go now"),
        (lambda saved: saved["layouts"].append(7), 2, "not a valid plan"),
        (lambda saved: saved.update(tree=[]), 2, "not a valid plan"),
        (lambda saved: saved["layouts"][0]["goes"].update(images=[["Untagged"]]), 2, "not a valid plan"),
        (lambda saved: saved["asked"].update(rules="mine"), 2, "unknown rules"),
    ],
)
def test_a_file_that_somebody_has_changed(
    layouts: list[LayoutWriter], plan: Path, tamper: Callable[[Any], None], code: int, words: str
) -> None:
    saved = document(plan)
    tamper(saved)
    plan.write_text(json.dumps(saved))
    before = contents(layouts)
    refused(ocigc("apply", "--force", plan), code, words)
    assert contents(layouts) == before


@pytest.mark.parametrize(("limit", "code"), [("2", 3), ("3", 0)])
def test_a_limit(layouts: list[LayoutWriter], plan: Path, limit: str, code: int) -> None:
    before = contents(layouts)
    looked = save(plan.parent, plan, "--max-delete", limit)
    assert (looked.code, "a real run is refused" in looked.err) == (0, code == 3)
    done = ocigc("apply", "--force", "--max-delete", limit, plan)
    assert done.code == code, done
    assert (contents(layouts) == before) == (code == 3)


def test_options_of_the_plan_are_in_it(layouts: list[LayoutWriter], tmp_path: Path) -> None:
    policy, plan = tmp_path / "policy.toml", tmp_path / "plan.json"
    policy.write_text('[[rule]]\nrepository = "reg.example/c"\nkeep-last = 0\n')
    (tmp_path / "used").write_text("reg.example/a:used\n")
    options = ("--repository", "reg.example", "--policy", str(policy), "--trash", "7d", "--allow-empty")
    assert save(tmp_path, plan, *options).code == 0
    policy.unlink()
    done = ocigc("apply", "--force", "--format", "json", plan)
    assert done.code == 0, done
    assert [each["Layout"] for each in done.json["Layouts"] if each["ImagesDeleted"]] == ["c"]
    assert (layouts[2].path / ".ocigc" / "trash").exists()


def test_a_removal_can_be_reviewed_too(layouts: list[LayoutWriter], tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    done = ocigc("rm", "-n", "--recursive", "--plan-out", plan, tmp_path / "tree", "c:gone", "a:gone")
    assert done.code == 0, done
    assert ocigc("apply", "--force", plan).code == 0
    assert [ocigc("ls", "-q", layout.path).out.count("gone") for layout in layouts] == [0, 1, 0]


def test_a_plan_for_a_tree_is_not_carried_out_by_what_saves_it(layouts: list[LayoutWriter], tmp_path: Path) -> None:
    before = contents(layouts)
    tree = tmp_path / "tree"
    refused(ocigc("prune", "-f", "--recursive", "--plan-out", tmp_path / "plan", tree), 2, "--plan-out", "--dry-run")
    assert contents(layouts) == before


@pytest.mark.parametrize("applied", [True, False])
def test_layouts_that_need_each_other(tmp_path: Path, applied: bool) -> None:
    """Each keeps what the other needs until that has been pruned; what was reviewed goes all the same."""
    one, two = (LayoutWriter(tmp_path / "tree" / name) for name in ("one", "two"))
    for layout, other in ((one, two), (two, one)):
        layout.tag(layout.image(f"own {layout.path.name}", [layout.path.name]), "used")
        layout.tag(other.image(f"for {layout.path.name}", [f"for {layout.path.name}"]))
    plan = tmp_path / "plan.json"
    (tmp_path / "used").write_text("one:used\ntwo:used\n")
    assert save(tmp_path, plan).code == 0
    used = ("--in-use", tmp_path / "used", "--grace", "0s", "--max-delete", "100%")
    limited = ("prune", "-a", "--force", "--recursive", *used, tmp_path / "tree")
    done = ocigc("apply", "--force", plan) if applied else ocigc(*limited)
    assert done.code == 0, done
    assert [len(layout.present()) for layout in (one, two)] == [3, 3]


@pytest.mark.parametrize("trash", [(), ("--trash", "7d")])
@pytest.mark.parametrize("part", [1, 2, 3, 4, 5])
def test_a_run_that_was_killed_goes_on(
    layouts: list[LayoutWriter], tmp_path: Path, part: int, trash: tuple[str, ...]
) -> None:
    """Wherever it is killed, the same plan is applied to the rest, and no layout is done twice."""
    plan = tmp_path / "plan.json"
    assert save(tmp_path, plan, *trash).code == 0
    template = shutil.copytree(tmp_path / "tree", tmp_path / "template")
    assert ocigc("apply", "--force", plan).code == 0
    expected = contents(layouts)
    shutil.rmtree(tmp_path / "tree")
    shutil.copytree(template, tmp_path / "tree")
    killed = run(tmp_path / "tree", ["apply", "--force", str(plan)], Fault(24 * part, changing=True))
    assert killed.code == KILLED
    again = ocigc("apply", "--force", plan)
    assert again.code == 0, again
    assert contents(layouts) == expected
    assert ocigc("apply", "--force", plan).code == 3


def test_a_layout_that_changes_after_a_kill_is_refused(layouts: list[LayoutWriter], plan: Path) -> None:
    killed = run(plan.parent / "tree", ["apply", "--force", str(plan)], Fault(60, changing=True))
    assert killed.code == KILLED
    layouts[2].entries = json.loads((layouts[2].path / "index.json").read_text())["manifests"]
    layouts[2].tag(layouts[2].image("new", ["new"]), "new")
    before = contents(layouts)
    done = ocigc("apply", "--force", plan)
    assert done.code == 3
    assert "c: image c:new goes now too" in done.err
    assert contents(layouts) == before
