"""A plan is saved, reviewed, and carried out exactly; and limits on what one run may take."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    for number in range(8):
        writer.tag(writer.image(f"image {number}", [f"layer {number}"]), f"example.com/app:{number}")
    writer.blob("orphan")
    return writer


@pytest.fixture
def plan(layout: LayoutWriter) -> Path:
    path = layout.path.parent / "plan.json"
    (layout.path.parent / "used").write_text("example.com/app:0\nexample.com/app:1\n")
    used = layout.path.parent / "used"
    done = ocigc("prune", "-a", "-n", "--in-use", used, "--grace", "0s", "--plan-out", path, layout.path)
    assert done.code == 0, done
    return path


def names(layout: LayoutWriter) -> list[str]:
    entries = json.loads((layout.path / "index.json").read_text())["manifests"]
    return [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries]


def untagged(answer: str) -> list[str]:
    return [each["Untagged"] for each in json.loads(answer)["ImagesDeleted"] if "Untagged" in each]


def test_what_was_reviewed_is_done(layout: LayoutWriter, plan: Path) -> None:
    before = layout.present()
    document = json.loads(plan.read_text())
    assert [name for kind, name in document["goes"]["images"] if kind == "Untagged"] == [
        f"example.com/app:{number}" for number in range(2, 8)
    ]
    assert len(document["goes"]["orphans"]) == 1
    assert document["layout"] == str(layout.path)
    assert ocigc("apply", "-n", plan).code == 0
    assert layout.present() == before
    done = ocigc("apply", "--force", "--format", "json", plan)
    assert done.code == 0, done
    assert untagged(done.out) == [f"example.com/app:{number}" for number in range(2, 8)]
    assert names(layout) == ["example.com/app:0", "example.com/app:1"]
    # Once is enough.
    refused(ocigc("apply", "--force", plan), 3, "changed since the plan was made")


def test_a_plan_is_the_same_each_time(layout: LayoutWriter, plan: Path) -> None:
    first = json.loads(plan.read_text())
    ocigc("prune", "-a", "-n", "--grace", "0s", "--in-use", plan.parent / "used", "--plan-out", plan, layout.path)
    second = json.loads(plan.read_text())
    for each in (first, second):
        del each["asked"]["now"]
    assert first == second


def test_what_changes_what_goes_is_refused(layout: LayoutWriter, plan: Path) -> None:
    layout.tag(layout.image("new", ["new"]), "example.com/app:new")
    before = layout.present()
    refused(ocigc("apply", "--force", plan), 3, "example.com/app:new", "goes now too", "make the plan again")
    assert layout.present() == before


def test_an_image_that_is_gone_already_is_refused(layout: LayoutWriter, plan: Path) -> None:
    assert ocigc("rm", "--force", layout.path, "example.com/app:5").code == 0
    refused(ocigc("apply", "--force", plan), 3, "example.com/app:5", "does not go now")


def test_a_lease_that_came_meanwhile_is_respected(layout: LayoutWriter, plan: Path) -> None:
    assert ocigc("lease", "create", layout.path, "example.com/app:7").code == 0
    refused(ocigc("apply", "--force", plan), 3, "changed since the plan was made")


def test_a_blob_that_came_meanwhile_is_in_grace(layout: LayoutWriter) -> None:
    plan = layout.path.parent / "plan.json"
    assert ocigc("prune", "-n", "--grace", "1h", "--plan-out", plan, layout.path).code == 0
    came = layout.blob("came later")
    assert ocigc("apply", "-n", plan).code == 0
    assert layout.has(came)


def test_a_layout_that_has_moved(layout: LayoutWriter, plan: Path) -> None:
    moved = layout.path.rename(layout.path.parent / "elsewhere")
    refused(ocigc("apply", "--force", plan), 2, "layout")
    assert ocigc("apply", "--force", plan, moved).code == 0


def test_the_policy_is_in_the_plan(layout: LayoutWriter) -> None:
    policy, plan = layout.path.parent / "policy.toml", layout.path.parent / "plan.json"
    policy.write_text("[[rule]]\nkeep-last = 3\n")
    assert ocigc("prune", "-n", "--policy", policy, "--plan-out", plan, layout.path).code == 0
    policy.unlink()
    assert ocigc("apply", "--force", plan).code in (0, 3)


def test_a_removal_can_be_reviewed_too(layout: LayoutWriter) -> None:
    plan = layout.path.parent / "plan.json"
    assert ocigc("rm", "-n", "--plan-out", plan, layout.path, "example.com/app:3").code == 0
    assert ocigc("apply", "--force", plan).code == 0
    assert "example.com/app:3" not in names(layout)
    assert len(names(layout)) == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not valid JSON"),
        ("{}", "not a plan"),
        ("[]", "not a plan"),
        ('{"format": "ocigc plan 1", "layout": 5}', "not a valid plan"),
        ('{"format": "ocigc plan 2"}', "not a plan that this version"),
    ],
)
def test_what_is_not_a_plan(layout: LayoutWriter, content: str, words: str) -> None:
    plan = layout.path.parent / "other.json"
    plan.write_text(content)
    before = layout.present()
    refused(ocigc("apply", "--force", plan), 2, "other.json", words)
    assert layout.present() == before


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("now", 10**30, 2),
        ("now", -1, 2),
        ("grace", 2**63, 2),
        ("grace", -1, 2),
        ("trash", 10**30, 2),
        ("trash", 2**63 - 1, 0),
        ("policy", "\ud800", 2),
        ("repository", "\ud800", 0),
    ],
)
def test_what_a_plan_asks_for_is_checked(layout: LayoutWriter, plan: Path, key: str, value: object, code: int) -> None:
    document = json.loads(plan.read_text())
    document["asked"][key] = value
    plan.write_text(json.dumps(document))
    before = layout.present()
    done = ocigc("apply", "--force", plan)
    assert done.code == code, done
    assert (layout.present() == before) == (code != 0)
    assert ocigc("trash", "ls", layout.path).code == 0


def test_a_name_that_utf_8_does_not_have(layout: LayoutWriter) -> None:
    index = layout.path / "index.json"
    index.write_text(index.read_text().replace("app:3", "\\ud800app:3"))
    plan = layout.path.parent / "plan.json"
    options = ("--filter", "until=2100-01-01", "--grace", "0s", "--allow-empty")
    assert ocigc("prune", "-a", "-n", *options, "--plan-out", plan, layout.path).code == 0
    assert ocigc("apply", "--force", plan).code == 0
    assert layout.present() == set()


def test_a_plan_never_takes_the_place_of_another_file(layout: LayoutWriter) -> None:
    precious = layout.path.parent / "precious"
    precious.write_text("mine")
    refused(ocigc("prune", "-n", "--plan-out", precious, layout.path), 2, "precious", "other content")
    assert precious.read_text() == "mine"
    refused(ocigc("prune", "--force", "--plan-out", layout.path.parent / "p", layout.path), 2, "--dry-run")


@pytest.mark.parametrize(("limit", "code"), [("5", 3), ("6", 0), ("10%", 3), ("99%", 0), ("100B", 3), ("1GB", 0)])
def test_a_run_that_would_take_too_much_is_refused(layout: LayoutWriter, plan: Path, limit: str, code: int) -> None:
    before = layout.present()
    words = ["prune", "-a", "--force", "--grace", "0s", "--in-use", plan.parent / "used", layout.path]
    done = ocigc(*words, "--max-delete", limit)
    assert done.code == code, done
    if code:
        assert layout.present() == before
        assert f"more than --max-delete {limit} allows" in done.err
        assert "example.com/app:7" in done.err  # the plan is shown
        looked = ocigc(*words, "-n", "--max-delete", limit)
        assert looked.code == 0
        assert "a real run is refused" in looked.err
    else:
        assert len(names(layout)) == 2


@pytest.mark.parametrize(("limit", "code"), [("3", 3), ("4", 0), ("49%", 3), ("99%", 0), ("100B", 3), ("1GB", 0)])
def test_the_limit_counts_all_layouts_of_a_tree(tmp_path: Path, limit: str, code: int) -> None:
    """Two images go from each of two layouts, and two stay."""
    layouts = [LayoutWriter(tmp_path / "tree" / name) for name in ("one", "two")]
    for layout in layouts:
        for number in range(4):
            layout.tag(layout.image(f"app:{number}", [f"{number}"]), f"example.com/{layout.path.name}:{number}")
    used = tmp_path / "used"
    used.write_text("".join(f"example.com/{name}:{number}\n" for name in ("one", "two") for number in (0, 1)))
    before = [layout.present() for layout in layouts]
    words = ["prune", "-a", "--recursive", "--force", "--grace", "0s", "--in-use", used, tmp_path / "tree"]
    looked = ocigc(*words, "-n", "--max-delete", limit)
    assert (looked.code, "a real run is refused" in looked.err) == (0, code == 3)
    done = ocigc(*words, "--max-delete", limit)
    assert done.code == code, done
    if code:
        assert [layout.present() for layout in layouts] == before
        assert f"more than --max-delete {limit} allows; nothing was changed" in done.err
        assert "example.com/two:3" in done.err  # the plan is shown
    else:
        assert [len(names(layout)) for layout in layouts] == [2, 2]


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize(("limit", "code"), [("0", 3), ("0%", 3), ("0B", 3), ("1", 0), ("100%", 0), ("99.9%", 3)])
def test_a_limit_at_its_ends(tmp_path: Path, limit: str, code: int, recursive: bool) -> None:
    """No image goes, but an orphan, and a leftover that is larger than all blobs together."""
    layout = LayoutWriter(tmp_path / "tree" / "layout")
    layout.tag(layout.image("kept", [""]), "example.com/kept:1")
    orphan = layout.blob(b"x" * 2_000)
    leftover = layout.path / "oci-put-blob1"
    leftover.write_bytes(bytes(1_000_000))
    os.utime(leftover, (0, 0))
    where = ["--recursive", tmp_path / "tree"] if recursive else [layout.path]
    words = ["prune", "--force", "--grace", "0s", "--max-delete", limit, *where]
    looked, done = ocigc(*words, "-n"), ocigc(*words)
    assert (looked.code, "a real run is refused" in looked.err) == (0, code == 3), looked
    assert (done.code, layout.has(orphan), leftover.exists()) == (code, code == 3, code == 3), done
    assert ocigc(*words).code == code


def test_a_limit_of_nothing_lets_a_run_pass_that_does_nothing(layout: LayoutWriter) -> None:
    assert ocigc("prune", "--force", "--max-delete", "0", layout.path).code == 0
    assert ocigc("rm", "--force", "--max-delete", "0", layout.path, "example.com/app:7").code == 3
    other = layout.blob("orphan")
    shared = layout.path.parent / "second name"
    shared.hardlink_to(layout.blob_path(other))
    for limit in ("0", "0%", "0B"):  # it frees no byte
        done = ocigc("prune", "--force", "--grace", "0s", "--max-delete", limit, layout.path)
        assert (done.code, "something that is not an image would go" in done.err) == (3, True)


def test_a_limit_that_cannot_be_read(layout: LayoutWriter) -> None:
    for limit in ("", "-1", "120%", "much", "1.5"):
        refused(
            ocigc("prune", "--force", f"--max-delete={limit}", layout.path), 2, "expected a share, a size or a number"
        )


def test_a_copy_of_hard_links_frees_less_and_is_refused(layout: LayoutWriter, plan: Path) -> None:
    copy = layout.path.parent / "copy"
    shutil.copytree(layout.path, copy, copy_function=os.link)
    refused(ocigc("apply", "--force", plan, copy), 3, ": 0 bytes go now, not ", "make the plan again")
    assert len(list(copy.glob("blobs/*/*"))) == len(layout.present())


def test_another_index_is_refused_whatever_goes(layout: LayoutWriter, plan: Path) -> None:
    index = layout.path / "index.json"
    index.write_bytes(index.read_bytes() + b"\n")
    before = layout.present()
    refused(ocigc("apply", "--force", plan), 3, "index.json", "make the plan again")
    assert layout.present() == before


def test_a_file_without_end_is_not_a_plan() -> None:
    refused(ocigc("apply", "--force", "/dev/zero"), 2, "/dev/zero", "larger than")


def test_the_limit_is_in_the_plan(layout: LayoutWriter) -> None:
    path = layout.path.parent / "limited.json"
    everything = ("--allow-none-in-use", "--allow-empty", "--grace", "0s")
    assert ocigc("prune", "-a", "-n", *everything, "--max-delete", "3", "--plan-out", path, layout.path).code == 0
    before = layout.present()
    assert ocigc("apply", "--force", path).code == 3
    assert layout.present() == before
    document = path.read_text()
    path.write_text(document.replace('"max_delete": "3"', '"max_delete": "x"'))
    refused(ocigc("apply", "--force", path), 2, "invalid limit")
    path.write_text(document)
    assert ocigc("apply", "--force", "--max-delete", "8", path).code == 0
    assert layout.present() == set()
