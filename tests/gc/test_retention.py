"""Retention: what a policy's rules keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc.gc.filters import label_check
from ocigc.gc.policy import Period, Policy, Rule
from ocigc.gc.regex import Regex
from ocigc.gc.retention import ImageStates, retain
from ocigc.image import Descriptor, ImageRecord, Media, dangling_name
from ocigc.semver import parse_range
from ocigc.times import SECOND, parse_rfc3339
from tests.helpers.images import RecordImages

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


def goes(
    rules: Sequence[Rule],
    images: Sequence[ImageRecord],
    labels: Any = None,
    referrers: Sequence[ImageRecord] = (),
    orphaned: Sequence[ImageRecord] = (),
    incomplete: Sequence[ImageRecord] = (),
) -> list[str]:
    """The names of what a policy lets go; of referrers, what goes without its subject."""
    sets = ({i.position for i in those} for those in (referrers, orphaned, incomplete))
    found = retain(Policy(rules), RecordImages(images), NOW, lambda _: [labels or {}], ImageStates(*sets))
    return [
        i.name
        for i in images
        if i.position not in found.retained and (i not in referrers or i.position in found.detached)
    ]


def why(rule: Rule, images: Sequence[ImageRecord], **states: Any) -> dict[str, str]:
    """The reasons by which a rule keeps images."""
    found = retain(Policy([rule]), RecordImages(images), NOW, lambda _: [{}], ImageStates(**states))
    return {i.name: found.retained[i.position] for i in images if i.position in found.retained}


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
        (Rule(tags=(Regex("^[34]$"),), keep_last=0), [3, 4]),
    ],
)
def test_each_key_keeps_what_it_says(rule: Rule, expected: list[int]) -> None:
    assert goes([rule], APP, labels={"keep": "yes"}) == [APP[n].name for n in expected]


@pytest.mark.parametrize("configs", [[], [None], [{"other": "label"}, None]])
def test_a_config_that_is_not_known_keeps(configs: list[dict[str, str] | None]) -> None:
    """It may have the label."""
    policy = Policy([Rule(keep_labels=(label_check("keep"),))])
    found = retain(policy, RecordImages(APP), NOW, lambda _: configs, ImageStates())
    assert found.retained.keys() == {each.position for each in APP}
    assert "a config is absent or cannot be read" in found.retained[APP[0].position]


def test_the_first_rule_that_matches_decides() -> None:
    rules = [Rule(tags=(Regex("1"),), keep_tagged=True), Rule(tags=(Regex("[12]"),), keep_last=0)]
    assert goes(rules, APP) == [APP[2].name]


def test_images_without_a_name() -> None:
    old, young = image(None, 1, age=9), image(None, 2, age=1)
    assert goes([Rule(keep_last=0)], [old, young]) == []
    assert goes([Rule(delete_untagged=True)], [old, young]) == [old.name, young.name]
    assert goes([Rule(delete_untagged=True, keep_within=3 * DAY)], [old, young]) == [old.name]
    rule = Rule(repositories=("app",), delete_untagged=True)
    assert goes([rule], [old]) == []
    known = retain(Policy([rule]), RecordImages([old]), NOW, lambda _: [], ImageStates(), "docker.io/library/app")
    assert (known.retained, known.released) == ({}, {old.position: "policy rule 1"})


def test_doubt_keeps() -> None:
    assert goes([Rule(keep_last=0)], [image("a:1", age=None)]) == []
    assert goes([Rule(keep_within=1)], [image("a:1", age=None)]) == []
    assert goes([Rule(keep_last=0, by_version=True)], [image("a:latest")]) == []
    assert goes([Rule(repositories=("*",), keep_last=0)], [image("1", bare=True)]) == []
    assert goes([Rule(keep_last=0)], [image("1", bare=True)]) == ["1"]


def test_what_stays_for_want_of_an_age_or_a_version_says_so() -> None:
    latest = image("docker.io/library/a:latest", age=None)
    rule = Rule(keep_last=2, by_version=True, keep_within=DAY, keep_periods=((Period.DAY, 7),))
    assert why(rule, [latest]) == {
        latest.name: "policy rule 1: keep-last 2: its tag 'latest' is not a version, "
        "keep-daily 7: nobody knows when it was created, keep-within: nobody knows when it was created"
    }
    assert why(Rule(keep_versions=(parse_range(">=1"),)), [latest]) == {
        latest.name: "policy rule 1: keep-versions: its tag 'latest' is not a version"
    }


def test_all_that_keeps_an_image_is_said() -> None:
    rule = Rule(keep_last=1, keep_periods=((Period.MONTH, 3), (Period.YEAR, 1)), keep_tagged=True)
    assert why(rule, [APP[0]]) == {
        APP[0].name: "policy rule 1: keep-tagged, keep-last 1, keep-monthly 3, keep-yearly 1"
    }


def test_targets_as_old_as_the_last_stay_with_it() -> None:
    images = [image(f"a:{n}", n, age=2) for n in range(4)] + [image("a:old", 9, age=3)]
    assert goes([Rule(keep_last=2)], images) == ["a:old"]
    versions = [image(f"a:1.0.0_{n}", n) for n in range(3)] + [image("a:0.9", 9)]
    assert goes([Rule(keep_last=1, by_version=True)], versions) == ["a:0.9"]


def test_what_is_not_here_takes_no_place_of_a_keep_last() -> None:
    newest, older, oldest = (image(f"a:v{3 - n}.0", n, age=n) for n in range(3))
    for by_version in (False, True):
        rule = Rule(keep_last=1, by_version=by_version)
        assert goes([rule], [newest, older, oldest], incomplete=[newest]) == ["a:v1.0"]
        assert goes([rule], [newest, older, oldest], incomplete=[oldest]) == ["a:v2.0", "a:v1.0"]
    daily = Rule(keep_periods=((Period.DAY, 1),))
    assert goes([daily], [newest, older, oldest], incomplete=[newest]) == ["a:v1.0"]


def at(*times: str) -> list[ImageRecord]:
    return [
        replace(image(f"a:{text.rstrip('Z')}", n), created=parse_rfc3339(f"{text.rstrip('Z')}:00:00Z"))
        for n, text in enumerate(times)
    ]


@pytest.mark.parametrize(
    ("period", "count", "kept"),
    [
        (Period.DAY, 2, ["2024-03-04T23", "2024-03-03T01"]),
        (Period.DAY, 100, ["2024-03-04T23", "2024-03-03T01", "2024-02-26T00", "2023-12-31T12", "2023-01-01T00"]),
        (Period.WEEK, 2, ["2024-03-04T23", "2024-03-03T01"]),  # a Monday, and the Sunday before it
        (Period.WEEK, 3, ["2024-03-04T23", "2024-03-03T01", "2023-12-31T12"]),  # 26 February was the same week's Monday
        (Period.MONTH, 2, ["2024-03-04T23", "2024-02-26T00"]),
        (Period.YEAR, 2, ["2024-03-04T23", "2023-12-31T12"]),
        (Period.YEAR, 0, []),
    ],
)
def test_the_newest_of_each_period_stays(period: Period, count: int, kept: list[str]) -> None:
    # As `restic forget --keep-daily` and so on: periods without an image do not count.
    images = at("2024-03-04T23", "2024-03-04T01", "2024-03-03T01", "2024-02-26T00", "2023-12-31T12", "2023-01-01T00")
    gone = goes([Rule(keep_periods=((period, count),))], images)
    assert [i.name.removeprefix("a:") for i in images if i.name not in gone] == kept


def test_periods_at_the_ends_of_the_calendar() -> None:
    for period in Period:
        assert (
            period.of(parse_rfc3339("0001-01-01T00:00:00Z"))
            < period.of(0)
            < period.of(parse_rfc3339("9999-12-31T00:00:00Z"))
        )
        period.of(-(10**10) * SECOND * 1000)
        period.of(10**10 * SECOND * 1000)
    assert Period.WEEK.of(parse_rfc3339("2024-03-03T23:59:59Z")) + 1 == Period.WEEK.of(
        parse_rfc3339("2024-03-04T00:00:00Z")
    )


def test_equals_in_a_period_stay_together() -> None:
    images = [*at("2024-03-04T23", "2024-03-04T23", "2024-03-04T22")]
    assert goes([Rule(keep_periods=((Period.DAY, 1),))], images) == [images[2].name]


def test_ranges_of_versions() -> None:
    images = [image(f"a:{tag}") for tag in ("1.27.9", "v1.28.0", "1.99", "1.28.1-alpine", "2.0.0", "latest")]
    rule = Rule(keep_versions=(parse_range(">=1.28 <2"),))
    assert goes([rule], images) == ["a:1.27.9", "a:2.0.0"]


def test_what_is_protected_is_never_taken() -> None:
    rules = [
        Rule(deny=("*",), protect=("app:1", "docker.io/library/app:2")),
        Rule(protect=("sha256:*3",)),
        Rule(keep_last=0, protect=("app",), repositories=("none",)),
    ]
    assert goes([rules[0]], APP) == [APP[n].name for n in (0, 3, 4)]
    assert goes(rules[:2], APP) == [APP[n].name for n in (0, 4)]
    assert goes(rules, APP) == []
    found = retain(Policy([Rule(deny=("*",))], protect=("app:4",)), RecordImages(APP), NOW, lambda _: [], ImageStates())
    assert found.retained == {APP[4].position: "protect app:4"}
    # A rule that only protects decides nothing else.
    assert goes([Rule(protect=("other",)), Rule(keep_last=0)], APP) == [i.name for i in APP]


def test_a_protected_referrer_is_not_detached() -> None:
    signature = image("docker.io/library/app:sig-1", 9)
    rule = Rule(keep_last=5, delete_referrers=True, protect=("app:sig-*",))
    assert goes([rule], [*APP, signature], referrers=[signature]) == []


def test_keep_last_counts_what_has_no_name_by_its_age() -> None:
    images = [image(None, n, age=n) for n in range(5)]
    rule = Rule(keep_last=2, delete_untagged=True, by_version=True)
    assert goes([rule], images) == [i.name for i in images[2:]]
    assert goes([rule], [image("a:1.0", 9), image("a:2.0", 8), image("a:3.0", 7), *images]) == [
        "a:1.0",
        *(i.name for i in images[2:]),
    ]


def test_orphaned_referrers_go_when_asked() -> None:
    tagged, named, nameless = image(f"a:sha256-{'0' * 64}.sig", 1, 9), image("a:sig", 2, 9), image(None, 3, 9)
    images = [image("a:1", 4, age=9), tagged, named, nameless]
    asked = Rule(keep_tagged=True, delete_orphaned_referrers=True)
    assert goes([asked], images, orphaned=images[1:]) == [tagged.name, named.name, nameless.name]
    assert goes([replace(asked, keep_within=10 * DAY)], images, orphaned=images[1:]) == []
    assert goes([replace(asked, protect=("a:sig",))], images, orphaned=images[1:]) == [tagged.name, nameless.name]
    assert goes([Rule(keep_tagged=True)], images, orphaned=images[1:]) == []
    # Otherwise they stay, and take no place of a keep-last.
    younger = image("a:0", 5, age=10)
    assert goes([Rule(keep_last=2)], [*images, younger], orphaned=images[1:]) == []
    assert "orphaned referrer" in why(Rule(keep_last=2), [tagged], orphaned=[tagged.position])[tagged.name]


def test_a_referrer_with_a_name_of_its_own_takes_no_place_and_may_go_with_its_subject() -> None:
    # agntcy/dir#2101: signatures with tags pushed images out of a keep-last.
    signature = image("docker.io/library/app:sig-1", 9, age=0)
    states = ImageStates(referrers={signature.position})
    found = retain(Policy([Rule(keep_last=2)]), RecordImages([*APP, signature]), NOW, lambda _: [], states)
    assert [i.name for i in APP if i.position in found.retained] == [APP[0].name, APP[1].name]
    assert (signature.position in found.retained, signature.position in found.detached) == (False, False)
    kept = retain(Policy([Rule(keep_tagged=True)]), RecordImages([signature]), NOW, lambda _: [], states)
    assert signature.position in kept.retained


def test_two_names_of_a_target_count_once() -> None:
    images = [image("a:1", 1, age=1), image("a:2", 1, age=1), image("a:3", 2, age=2), image("a:4", 3, age=3)]
    assert goes([Rule(keep_last=2)], images) == ["a:4"]


def test_referrers_do_not_count_and_go_alone_only_when_asked() -> None:
    signature = image("docker.io/library/app:sha256-1.sig", 9, age=0)
    images = [*APP, signature]
    assert goes([Rule(keep_last=5)], images, referrers=[signature]) == []
    assert goes([Rule(keep_last=5, delete_referrers=True)], images, referrers=[signature]) == [signature.name]
    assert goes([Rule(deny=("app:*.sig",))], images, referrers=[signature]) == [signature.name]


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
    keep_periods=st.lists(st.tuples(st.sampled_from(Period), st.integers(0, 3)), max_size=2).map(tuple),
    keep_versions=st.sampled_from([(), (parse_range(">2 <6"),)]),
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


@given(lists, rules, st.randoms())
def test_the_order_of_images_does_not_matter(images: list[ImageRecord], rule: Rule, random: Random) -> None:
    shuffled = random.sample(images, len(images))
    assert set(goes([rule], images)) == set(goes([rule], shuffled))
    assert why(rule, images) == why(rule, shuffled)
