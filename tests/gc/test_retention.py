"""Retention: what a policy's rules keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc.gc.filters import label_check
from ocigc.gc.images import Images
from ocigc.gc.retention import Rule, retain
from ocigc.image import Descriptor, ImageRecord, Media, dangling_name
from ocigc.semver import precedence

DAY = 24 * 3600 * 10**9
NOW = 1000 * DAY
POSITIONS = count()


def image(name: str | None, target: int = 0, age: int | None = 0, *, bare: bool = False) -> ImageRecord:
    digest = f"sha256:{target:064x}"
    return ImageRecord(
        name=dangling_name(digest) if name is None else name,
        target=Descriptor("", digest, 0, Media.MANIFEST),
        references=(),
        entries=(next(POSITIONS),),
        created=None if age is None else NOW - age * DAY,
        bare_tag=bare,
    )


def goes(rules: Sequence[Rule], images: Sequence[ImageRecord], labels: Any = None, referrers: Any = ()) -> list[str]:
    found = retain(rules, Images(images), NOW, lambda _: [labels or {}], {i.position for i in referrers})
    return [
        i.name
        for i in images
        if i.position not in found.retained and (i not in referrers or i.position in found.detached)
    ]


APP = [image(f"docker.io/library/app:{n}", n, age=n) for n in range(5)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(keep_last=2), [2, 3, 4]),
        (Rule(keep_last=0), [0, 1, 2, 3, 4]),
        (Rule(keep_within=2 * DAY), [3, 4]),
        (Rule(keep_last=1, keep_within=3 * DAY), [4]),
        (Rule(keep_last=1, by_version=True), [0, 1, 2, 3]),
        (Rule(keep_tagged=True), []),
        (Rule(keep_in_use=True), [0, 1, 2, 3, 4]),
        (Rule(keep_labels=(label_check("keep"),)), []),
        (Rule(keep_labels=(label_check("keep=no"),)), [0, 1, 2, 3, 4]),
        (Rule(deny=("app:3",)), [3]),
        (Rule(deny=("docker.io/library/app:[12]",), keep_tagged=True), [1, 2]),
        (Rule(delete_untagged=True), []),
        (Rule(repositories=("docker.io/library/*",), keep_last=4), [4]),
        (Rule(repositories=("other",), keep_last=0), []),
        (Rule(tags=(re.compile("^[34]$"),), keep_last=0), [3, 4]),
    ],
)
def test_one_rule(rule: Rule, expected: list[int]) -> None:
    assert goes([rule], APP, labels={"keep": "yes"}) == [APP[n].name for n in expected]


def test_the_first_rule_that_matches_decides() -> None:
    rules = [Rule(tags=(re.compile("1"),), keep_tagged=True), Rule(tags=(re.compile("[12]"),), keep_last=0)]
    assert goes(rules, APP) == [APP[2].name]


def test_images_without_a_name() -> None:
    old, young = image(None, 1, age=9), image(None, 2, age=1)
    assert goes([Rule(keep_last=0)], [old, young]) == []
    assert goes([Rule(delete_untagged=True)], [old, young]) == [old.name, young.name]
    assert goes([Rule(delete_untagged=True, keep_within=3 * DAY)], [old, young]) == [old.name]
    rule = Rule(repositories=("app",), delete_untagged=True)
    assert goes([rule], [old]) == []
    known = retain([rule], Images([old]), NOW, lambda _: [], (), "docker.io/library/app")
    assert (known.retained, known.released) == ({}, {old.position: "policy rule 1"})


def test_doubt_keeps() -> None:
    assert goes([Rule(keep_last=0)], [image("a:1", age=None)]) == []
    assert goes([Rule(keep_within=1)], [image("a:1", age=None)]) == []
    assert goes([Rule(keep_last=0, by_version=True)], [image("a:latest")]) == []
    assert goes([Rule(repositories=("*",), keep_last=0)], [image("1", bare=True)]) == []
    assert goes([Rule(keep_last=0)], [image("1", bare=True)]) == ["1"]


def test_two_names_of_a_target_count_once() -> None:
    images = [image("a:1", 1, age=1), image("a:2", 1, age=1), image("a:3", 2, age=2), image("a:4", 3, age=3)]
    assert goes([Rule(keep_last=2)], images) == ["a:4"]


def test_referrers_do_not_count_and_go_alone_only_when_asked() -> None:
    signature = image("docker.io/library/app:sha256-1.sig", 9, age=0)
    images = [*APP, signature]
    assert goes([Rule(keep_last=5)], images, referrers=[signature]) == []
    assert goes([Rule(keep_last=5, delete_referrers=True)], images, referrers=[signature]) == [signature.name]
    assert goes([Rule(deny=("app:*.sig",))], images, referrers=[signature]) == [signature.name]


def test_precedence_of_versions() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1"]
    ordered += ["1", "v1.0.1", "1.2", "1.10.0", "2"]
    found = [precedence(version) for version in ordered]
    assert None not in found
    assert found == sorted(found)  # type: ignore[type-var]
    assert len(set(found)) == len(found)
    assert precedence("1.0.0+build") == precedence("1.0.0")
    assert [precedence(text) for text in ("", "latest", "01.0", "1.", "1.2.3.4", "1.0-")] == [None] * 6


tagged = st.builds(
    lambda repository, number, target, age: image(f"docker.io/library/{repository}:{number}", target, age),
    st.sampled_from(["a", "b"]),
    st.integers(0, 9),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 50)),
)
lists = st.lists(tagged, max_size=12, unique_by=lambda i: i.name)
rules = st.builds(
    Rule,
    keep_last=st.one_of(st.none(), st.integers(0, 4)),
    by_version=st.booleans(),
    keep_within=st.one_of(st.none(), st.integers(0, 50 * DAY)),
    keep_in_use=st.just(True),
)


@given(lists, st.integers(0, 4))
def test_keep_last_keeps_so_many_targets(images: list[ImageRecord], last: int) -> None:
    gone = set(goes([Rule(keep_last=last)], images))
    for repository in ("a", "b"):
        own = [i for i in images if f"/{repository}:" in i.name]
        kept = {i.target.digest for i in own if i.name not in gone}
        assert len(kept) >= min(last, len({i.target.digest for i in own}))


def test_keep_last_of_many() -> None:
    images = [image(f"a:{n}", n, age=n * 7919 % 1000) for n in range(1000)]
    images += [image(f"a:again-{n}", n, age=n * 7919 % 1000 + 1) for n in range(1000)]
    oldest_first = sorted(range(1000), key=lambda n: n * 7919 % 1000, reverse=True)
    gone = {name for n in oldest_first[:-5] for name in (f"a:{n}", f"a:again-{n}")}
    assert set(goes([Rule(keep_last=5)], images)) == gone


@given(lists, rules, st.integers(0, 4))
def test_keeping_more_never_takes_more(images: list[ImageRecord], rule: Rule, last: int) -> None:
    fewer = set(goes([rule], images))
    for more in (replace(rule, keep_tagged=True), replace(rule, keep_last=max(last, rule.keep_last or 0))):
        assert set(goes([more], images)) <= fewer
