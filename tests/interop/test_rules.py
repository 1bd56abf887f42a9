"""What several programs have written, pruned by several rules.

Each program copies what stays as it did before, and nothing is left that it does not copy.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc
from tests.interop.programs import PRUNE, blobs, entries, finds_nothing, needs, pruned, random_files
from tests.interop.writers import TAGS, Program, by_crane, by_oras, by_regctl, by_skopeo

KEEP_ONE_VERSION = """
[[rule]]
tag = '^[0-9]'
keep-last = 1
order = "semver"

[[rule]]
keep-tagged = true
delete-untagged = true
"""


@dataclass(frozen=True)
class Rule:
    kept: frozenset[str]
    options: tuple[str, ...] = ()
    used: str | None = None
    """The tag that is in use."""
    policy: str | None = None


RULES = {
    "dangling": Rule(TAGS),
    "one is in use": Rule(frozenset({"1.0.0"}), ("--all",), used="1.0.0"),
    "one of two names is in use": Rule(frozenset({"same"}), ("--all",), used="same"),
    "the index is in use": Rule(frozenset({"2.0.0"}), ("--all",), used="2.0.0"),
    "one is in use, as docker 29 has it": Rule(frozenset({"1.0.0"}), ("--all", "--rules", "docker-29"), used="1.0.0"),
    "the newest version": Rule(frozenset({"2.0.0", "same"}), policy=KEEP_ONE_VERSION),
    "one is denied": Rule(
        TAGS - {"1.0.0"}, policy='[[rule]]\nkeep-tagged = true\ndeny = ["*:1.0.0"]\ndelete-untagged = true'
    ),
}

WRITERS = [
    pytest.param(by_oras, marks=needs("oras", "crane"), id="oras"),
    pytest.param(by_regctl, marks=needs("regctl", "crane"), id="regctl"),
    pytest.param(by_skopeo, marks=needs("skopeo", "crane"), id="skopeo"),
    pytest.param(by_crane, marks=needs("crane"), id="crane"),
]


@dataclass(frozen=True)
class Written:
    layout: Path
    program: Program
    copied: Mapping[str, Mapping[str, bytes]]
    """What the program copied of each tag before."""
    listed: Sequence[dict[str, Any]]
    """The entries of index.json before."""

    def holds(self, kept: frozenset[str]) -> None:
        """The layout has these tags, their copies are as before, and there is no blob but theirs.

        Entries of platforms, referrers and fallback tags are there as long as their content is.
        """
        assert self.program.tags(self.layout) == kept
        assert {tag: self.program.read(self.layout, tag) for tag in kept} == {tag: self.copied[tag] for tag in kept}
        left = blobs(self.layout).keys()
        assert left == {digest for tag in kept for digest in self.copied[tag]}

        def stays(entry: dict[str, Any]) -> bool:
            tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "").rpartition(":")[2]
            return tag in kept if tag in TAGS else entry["digest"].partition(":")[2] in left

        assert entries(self.layout) == [entry for entry in self.listed if stays(entry)]


@pytest.fixture(scope="module", params=WRITERS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, crane_registry: str) -> Written:
    path = tmp_path_factory.mktemp("written")
    program: Program = request.param(path / "layout", random_files(path / "files"), crane_registry)
    assert program.tags(path / "layout") == TAGS
    copied = {tag: program.read(path / "layout", tag) for tag in TAGS}
    return Written(path / "layout", program, copied, entries(path / "layout"))


@pytest.fixture
def written(original: Written, tmp_path: Path) -> Written:
    return replace(original, layout=Path(shutil.copytree(original.layout, tmp_path / "layout")))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_stays_is_what_the_program_copies(written: Written, rule: Rule, tmp_path: Path) -> None:
    repository = written.program.repository
    options = [*rule.options, "--repository", repository]
    if rule.used is not None:
        options += ["--in-use", "-"]
    if rule.policy is not None:
        (tmp_path / "policy.toml").write_text(rule.policy)
        options += ["--policy", str(tmp_path / "policy.toml")]
    pruned(written.layout, *options, stdin=None if rule.used is None else f"{repository}:{rule.used}\n")
    written.holds(rule.kept)


def test_rm_takes_an_image_with_what_refers_to_it(written: Written) -> None:
    repository = written.program.repository
    result = ocigc("rm", "--force", "--repository", repository, written.layout, f"{repository}:1.0.0")
    assert result.code == 0, result
    pruned(written.layout)
    written.holds(TAGS - {"1.0.0"})


def test_what_is_restored_is_what_was_written(written: Written) -> None:
    before = blobs(written.layout)
    used = ("--repository", written.program.repository, "--in-use", "-")
    result = ocigc(
        *PRUNE, "--all", "--trash", "1d", *used, written.layout, stdin=f"{written.program.repository}:1.1.0\n"
    )
    assert result.code == 0, result
    assert written.program.tags(written.layout) == {"1.1.0"}
    result = ocigc("restore", written.layout)
    assert result.code == 0, result
    assert blobs(written.layout) == before
    assert written.program.tags(written.layout) == TAGS
    for tag in TAGS:
        assert written.program.read(written.layout, tag) == written.copied[tag]


def test_none_is_old_enough(written: Written) -> None:
    """The images have no date that could be true, and have just come."""
    finds_nothing(written.layout, "--all", "--filter", "until=1h")
