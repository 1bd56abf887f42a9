"""`ocigc prune --policy` and `--keep-storage`."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path / "layout")
    for day in range(1, 6):
        image = layout.image(f"app {day}", [f"layer {day}" * 200], created=f"2024-01-0{day}T00:00:00Z")
        layout.tag(image, f"docker.io/library/app:1.{day}")
    layout.tag(layout.image("nameless", ["nameless"], created="2024-01-01T00:00:00Z"))
    return layout


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return path


def prune(layout: LayoutWriter, *arguments: str | Path, run: str = "-n") -> Any:
    result = ocigc("prune", run, "--format", "json", layout.path, *arguments)
    assert result.code == 0, result.err
    return result.json


def gone(answer: Any) -> list[str]:
    return [item["Untagged"] for item in answer["ImagesDeleted"] if "Untagged" in item]


def test_a_policy_says_what_may_go_and_explains_it(layout: LayoutWriter, tmp_path: Path) -> None:
    policy = write(tmp_path, '[[rule]]\nrepository = "library/no"\nkeep-last = 0\n[[rule]]\nkeep-last = 2\n')
    assert gone(prune(layout, "--policy", policy)) == ["app:1.1", "app:1.2", "app:1.3"]
    assert gone(prune(layout, "--policy", policy, "--filter", "dangling=true")) == []
    (tmp_path / "used").write_text("app:1.2")
    assert gone(prune(layout, "--policy", policy, "--in-use", tmp_path / "used")) == ["app:1.1", "app:1.3"]
    explained = {each["Name"]: each["By"] for each in prune(layout, "--policy", policy, "--explain")["Explained"]}
    assert explained["docker.io/library/app:1.5"] == "policy rule 2: keep-last 2"
    assert explained["docker.io/library/app:1.1"] == "policy rule 2"
    assert explained[None] == "policy rule 2: it has no name, and delete-untagged is not set"
    assert "(policy rule 2: keep-last 2)" in ocigc("prune", "-n", "--policy", policy, "--explain", layout.path).out
    tree = ocigc("prune", "-n", "--recursive", "--policy", policy, "--explain", tmp_path)
    assert re.search(r"layout +app:1\.1 .* goes ", tree.out)


def test_a_referrer_that_goes_alone_is_explained_so(layout: LayoutWriter, tmp_path: Path) -> None:
    subject = layout.entries[4]
    layout.tag(layout.manifest(layout.config("signature"), subject=subject))
    layout.tag(layout.image("cosign"), f"docker.io/library/app:{subject['digest'].replace(':', '-')}.sig")
    policy = write(tmp_path, '[[rule]]\nkeep-tagged = true\ndelete-referrers = true\ndeny = "*.sig"\n')
    found = prune(layout, "--policy", policy, "--explain")["Explained"]
    assert [(each["Rule"], each["By"]) for each in found if each["Fate"] == "goes"] == [
        ("is not in use", "policy rule 1: deny"),
        ("has no name, and is not in use", "policy rule 1: delete-referrers"),
    ]
    prune(layout, "--policy", policy, run="-f")
    assert [layout.has(each) for each in (*layout.entries[5:], subject)] == [True, False, False, True]


def test_the_layouts_own_policy(layout: LayoutWriter, tmp_path: Path) -> None:
    (layout.path / "ocigc.toml").write_text('[[rule]]\ntag = "3$"\nkeep-within = "1h"\n')
    result = ocigc("prune", "-f", "--format", "json", layout.path)
    assert "ocigc.toml applies" in result.err
    assert gone(result.json) == ["app:1.3"]
    assert len(gone(prune(layout, "--no-policy"))) == 1
    policy = write(tmp_path, "[[rule]]\nkeep-tagged = true\n")
    assert gone(prune(layout, "--policy", policy)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rules"),
        ("[[rule]\n", "not valid TOML: "),
        ("[tool.ocigc]\n", "line 1: unknown key 'tool'"),
        ("# a comment\n[[rule]]\nkeep-tagged = true\n\n[[rule]]\n", "line 5: rule 2: it neither keeps nor deletes"),
        ("[[rule]]\nkeep-last = 1\nkeep_last = 1\n", "line 3: rule 1: keep_last: unknown key"),
        ("[[rule]]\nkeep-last = -1\n", "line 2: rule 1: keep-last: expected a number, 0 or more"),
        ("[[rule]]\nkeep-last = true\n", "keep-last: expected a number"),
        ('[[rule]]\nkeep-within = "30"\n', "line 2: rule 1: keep-within: "),
        ('[[rule]]\ntag = "("\nkeep-last = 1\n', "line 2: rule 1: tag: not a regular expression"),
        ("[[rule]]\nrepository = []\nkeep-last = 1\n", "repository: expected a string or a list of strings"),
        ('[[rule]]\norder = "age"\nkeep-last = 1\n', 'order: expected "created" or "semver"'),
        ("[[rule]]\nkeep-in-use = false\n", "what is in use always stays"),
        ('[[rule]]\n"\\u001b[31m" = 1\n', "line 2: rule 1: "),
        ('[[rule]]\n"keep-last" = -1\n', "line 2: rule 1: keep-last: "),
        ('rule = [\n  {keep-tagged = true},\n  {keep-last = "x"},\n]\n', "line 1: rule 2: keep-last: "),
        ('[[rule]]\ntag = """\nkeep-last = 5"""  # keep-last = 1\nkeep-last = -2\n', "line 4: rule 1: keep-last: "),
        ("[[rule]]\nkeep-last = 1\n\n[other]\n", "line 4: unknown key 'other'"),
        ("# rule = 1\n[rule]\nkeep-last = 1\n", "line 2: rule: expected tables"),
        ("[[rule]]\nkeep-labels = ['" + "a" * 5000 + "']\n", "line 2: rule 1: keep-labels: "),
        ('[[rule]]\ntag = "[[:digit:]]"\nkeep-last = 1\n', "line 2: rule 1: tag: not a regular expression"),
        ('[[rule]]\nkeep-tagged = true\norder = "semver"\n', "line 3: rule 1: order: "),
        ("a = " + "[" * 100_000, "not valid TOML"),
    ],
)
def test_what_is_no_policy_is_refused(layout: LayoutWriter, tmp_path: Path, text: str, said: str) -> None:
    before = layout.present()
    refused(ocigc("prune", "-f", "--policy", write(tmp_path, text), layout.path), 2, said)
    (layout.path / "ocigc.toml").write_text(text)
    refused(ocigc("prune", "-f", layout.path), 2, said)
    assert layout.present() == before


def test_a_file_that_cannot_be_read_is_refused(layout: LayoutWriter, tmp_path: Path) -> None:
    refused(ocigc("prune", "-f", "--policy", tmp_path / "absent", layout.path), 2, "No such file")
    (layout.path / "ocigc.toml").symlink_to("/etc/passwd")
    refused(ocigc("prune", "-f", layout.path), 3, "ocigc.toml")
    (layout.path / "ocigc.toml").unlink()
    (layout.path / "ocigc.toml").write_bytes(b"\xff")
    refused(ocigc("prune", "-f", layout.path), 2, "not valid TOML")


def test_keep_storage_takes_the_oldest_until_it_fits(layout: LayoutWriter) -> None:
    everything = ("-a", "--grace", "0s")
    size = ocigc("du", "--format", "json", layout.path).json["Disk"]
    assert gone(prune(layout, *everything, "--keep-storage", str(size))) == []
    nameless = gone(prune(layout, *everything, "--keep-storage", str(size - 1)))
    assert len(nameless) == 1
    orphan = layout.blob("orphan" * 100)
    answer = prune(layout, *everything, "--keep-storage", str(size))
    assert (gone(answer), answer["Orphans"]) == ([], [orphan["digest"]])
    # Whatever the limit: it fits, or everything went; and with one image less it would not fit.
    size += 600
    for limit in range(0, size, size // 20):
        answer = prune(layout, *everything, "--keep-storage", str(limit))
        assert size - answer["SpaceReclaimed"] <= limit or len(gone(answer)) == 6
        names = [name for name in gone(answer) if name.startswith("app")]
        assert names == [f"app:1.{day}" for day in range(1, len(names) + 1)]
    real = ocigc("prune", "-f", "--format", "json", *everything, "--keep-storage", "3kB", layout.path).json
    assert ocigc("du", "--format", "json", layout.path).json["Disk"] <= 3000
    assert gone(real)


def test_keep_storage_counts_what_a_snapshot_of_the_store_holds_too(layout: LayoutWriter, tmp_path: Path) -> None:
    shutil.copytree(layout.path, tmp_path / "snapshot", copy_function=os.link)
    size = ocigc("du", "--format", "json", layout.path).json["Disk"]
    result = ocigc("prune", "-n", "-a", "--keep-storage", str(size - 1), "--format", "json", layout.path)
    assert len(gone(result.json)) == 1
    assert result.json["SpaceReclaimed"] == 0
    assert "will remain" not in result.err


def test_keep_storage_says_what_it_cannot_reach(layout: LayoutWriter) -> None:
    result = ocigc("prune", "-n", "--keep-storage", "1B", layout.path)
    assert "over the limit on storage will remain" in result.err
    for size in ("lots", "9" * 400, "1e3", "-1"):
        refused(ocigc("prune", "-n", f"--keep-storage={size}", layout.path), 2, "invalid size")


def test_keeping_by_periods_and_versions_and_protecting(layout: LayoutWriter, tmp_path: Path) -> None:
    policy = write(
        tmp_path,
        'protect = "app:1.1"\n[[rule]]\nkeep-daily = 1\nkeep-versions = "~1.3"\ndeny = "*:1.[15]"\n',
    )
    answer = prune(layout, "--policy", policy, "--explain")
    assert gone(answer) == ["app:1.2", "app:1.4", "app:1.5"]
    assert {each["Name"]: each["By"] for each in answer["Explained"] if each["Fate"] == "stays"} == {
        None: "policy rule 1: it has no name, and delete-untagged is not set",
        "docker.io/library/app:1.1": "protect app:1.1",
        "docker.io/library/app:1.3": "policy rule 1: keep-versions ~1.3",
    }


def test_neither_a_policy_nor_a_limit_on_storage_takes_what_is_held(layout: LayoutWriter, tmp_path: Path) -> None:
    layout.labels(layout.entries[0], {"containerd.io/gc.root": "yes"})
    layout.lease("held", [layout.entries[1]])
    policy = write(tmp_path, "[[rule]]\nkeep-last = 1\n")
    assert gone(prune(layout, "--policy", policy)) == ["app:1.3", "app:1.4"]
    assert gone(prune(layout, "-a", "--keep-storage", "0", "--allow-empty"))[:2] == ["app:1.3", "app:1.4"]
    assert gone(prune(layout, "-a"))[:2] == ["app:1.1", "app:1.2"]


def test_a_version_with_a_plus_that_helm_pushed(tmp_path: Path) -> None:
    # helm#10250: the tag of 1.0.9+up1 is 1.0.9_up1.
    charts = LayoutWriter(tmp_path / "charts")
    for version in ("1.0.9_up1", "1.0.10_up1", "1.1.0_up2"):
        charts.tag(charts.image(version), f"reg.example/chart:{version}")
    policy = write(tmp_path, '[[rule]]\nkeep-last = 1\norder = "semver"\n')
    assert gone(prune(charts, "--policy", policy)) == ["reg.example/chart:1.0.10_up1", "reg.example/chart:1.0.9_up1"]


def test_content_that_never_arrived_takes_no_place(tmp_path: Path) -> None:
    mirror = LayoutWriter(tmp_path / "mirror")
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        mirror.tag(mirror.image(version, [f"layer {version}"]), f"reg.example/app:{version}")
    layer = mirror.blob("layer 3.0.0")
    mirror.blob_path(layer).unlink()
    policy = write(tmp_path, '[[rule]]\nkeep-last = 1\norder = "semver"\n')
    assert gone(prune(mirror, "--policy", policy)) == ["reg.example/app:1.0.0"]
    mirror.blob_path(mirror.entries[1]).unlink()
    assert gone(prune(mirror, "--policy", policy)) == []


@pytest.mark.parametrize("what", ["its group", "others", "its directory", "another owner", "another owner's directory"])
def test_a_policy_that_somebody_else_may_have_written_only_keeps(layout: LayoutWriter, what: str) -> None:
    policy = layout.path / "ocigc.toml"
    policy.write_text('[[rule]]\nkeep-last = 0\ndelete-untagged = true\nprotect = "sha256:*"\n')
    policy.write_text('[[rule]]\ntag = "[12]$"\nkeep-tagged = true\n[[rule]]\nkeep-last = 0\n')
    assert gone(prune(layout)) == ["app:1.3", "app:1.4", "app:1.5"]
    if what == "its group":
        policy.chmod(0o664)
    elif what == "others":
        policy.chmod(0o646)
    elif what == "its directory":
        layout.path.chmod(0o775)
    elif os.geteuid() == 0:
        os.chown(policy if what == "another owner" else layout.path, 12345, 12345)
    else:
        pytest.skip("only root gives files away")
    result = ocigc("prune", "-n", "--format", "json", layout.path)
    assert "removes nothing" in result.err
    assert gone(result.json) == []  # nothing that stays without it, and what it keeps stays
    assert gone(prune(layout, "-a")) == ["app:1.3", "app:1.4", "app:1.5"]
    assert gone(prune(layout, "--policy", policy)) == ["app:1.3", "app:1.4", "app:1.5"]


def test_a_hostile_expression_does_not_hang_a_run(layout: LayoutWriter) -> None:
    layout.tag(layout.image("long"), "docker.io/library/app:" + "a" * 128)
    (layout.path / "ocigc.toml").write_text("[[rule]]\ntag = ['(a+)+$x', '(a|aa)*b', '((a*)*)*b$']\nkeep-last = 0\n")
    assert gone(prune(layout)) == []


def test_a_layout_in_any_order_gives_the_same_answer(layout: LayoutWriter, tmp_path: Path) -> None:
    policy = write(
        tmp_path, '[[rule]]\nkeep-last = 1\nkeep-weekly = 2\norder = "semver"\ndelete-untagged = true\ndeny = "*:1.5"\n'
    )
    answer = prune(layout, "--policy", policy, "--explain")
    layout.entries.reverse()
    layout.write_index()
    assert prune(layout, "--policy", policy, "--explain") == answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\nkeep-last = 1\n" * 1001, "1,001 rules: at most 1,000"),
        (
            "[[rule]]\nkeep-last = 1\ndeny = [" + "'*a*a*a*b'," * 1001 + "]\n",
            "1,001 globs and expressions",
        ),
        ("# " + "x" * (256 << 10), "larger than"),
    ],
)
def test_a_policy_that_would_take_long_is_refused(layout: LayoutWriter, tmp_path: Path, text: str, said: str) -> None:
    refused(ocigc("prune", "-n", "--policy", write(tmp_path, text), layout.path), 2, said)


def test_referrers_with_tags_take_no_place_and_go_with_their_subjects(tmp_path: Path) -> None:
    # agntcy/dir#2101: signatures that are tagged in the repository of what they sign.
    mirror = LayoutWriter(tmp_path / "mirror")
    for number in range(1, 5):
        image = mirror.image(f"app {number}", [f"app {number}"], created=f"2026-0{number}-01T00:00:00Z")
        mirror.tag(image, f"reg.example/app:{number}")
        signature = mirror.manifest(mirror.config(f"sig {number}"), [mirror.blob(f"sig {number}")], subject=image)
        mirror.tag(
            signature,
            f"reg.example/app:sig-{number}",
            **{"org.opencontainers.image.created": f"2026-0{number + 4}-02T00:00:00Z"},
        )
    policy = write(tmp_path, "[[rule]]\nkeep-last = 2\n")
    first = prune(mirror, "--policy", policy, "--grace", "0s", run="-f")
    assert gone(first) == ["reg.example/app:1", "reg.example/app:2", "reg.example/app:sig-1", "reg.example/app:sig-2"]
    assert gone(prune(mirror, "--policy", policy, "--grace", "0s", run="-f")) == []


def test_orphaned_referrers_go_if_a_rule_says_so(tmp_path: Path) -> None:
    # harbor#20184: what is left of an image whose tag and manifest were deleted elsewhere.
    mirror = LayoutWriter(tmp_path / "mirror")
    mirror.tag(mirror.image("kept"), "reg.example/app:1")
    lost = mirror.image("lost", ["lost"])
    signature = mirror.manifest(mirror.config("sig"), [mirror.blob("sig")], subject=lost)
    mirror.tag(signature, f"reg.example/app:{lost['digest'].replace(':', '-')}")
    mirror.tag(mirror.manifest(mirror.config("sbom"), [mirror.blob("sbom")], subject=lost), "reg.example/app:sbom")
    mirror.tag(mirror.manifest(mirror.config("nameless"), [mirror.blob("nameless")], subject=lost))
    mirror.blob_path(lost).unlink()
    keep = write(tmp_path, "[[rule]]\nkeep-tagged = true\n")
    assert gone(prune(mirror, "--policy", keep, "--grace", "0s")) == []
    for more in ('keep-within = "1h"\n', 'protect = "reg.example/*"\n'):
        protecting = write(tmp_path, f"[[rule]]\nkeep-tagged = true\ndelete-orphaned-referrers = true\n{more}")
        assert len(gone(prune(mirror, "--policy", protecting, "--grace", "0s"))) <= 1
    asked = write(tmp_path, "[[rule]]\nkeep-tagged = true\ndelete-orphaned-referrers = true\n")
    assert len(gone(prune(mirror, "--policy", asked, "--grace", "0s", run="-f"))) == 3
    assert [each["annotations"] for each in json.loads((mirror.path / "index.json").read_text())["manifests"]] == [
        {"org.opencontainers.image.ref.name": "reg.example/app:1"}
    ]


@pytest.mark.parametrize("kept_by", ["lease", "flat lease", "label"])
def test_a_policy_takes_nothing_that_a_lease_or_a_label_reaches(tmp_path: Path, kept_by: str) -> None:
    mirror = LayoutWriter(tmp_path / "mirror")
    child = mirror.image("child")
    index = mirror.index([child])
    mirror.tag(child, "reg.example/app:child")
    mirror.tag(index, "reg.example/app:index")
    mirror.tag(mirror.image("other"), "reg.example/app:other")
    if kept_by == "label":
        mirror.labels(index, {"containerd.io/gc.root": "1"})
    else:
        mirror.lease("copy", [index], **({"flat": "true"} if kept_by == "flat lease" else {}))
    policy = write(tmp_path, '[[rule]]\ndeny = ["reg.example/app:*"]\n')
    expected = ["reg.example/app:other"]
    if kept_by == "flat lease":
        expected.insert(0, "reg.example/app:child")
    assert gone(prune(mirror, "--policy", policy, "--grace", "0s")) == expected
    assert gone(prune(mirror, "-a", "--keep-storage", "1B", "--grace", "0s")) == expected
