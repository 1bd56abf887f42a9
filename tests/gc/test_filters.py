"""Filters: parsing and the AND and OR of them."""

from __future__ import annotations

import pytest

from ocigc.errors import UsageError
from ocigc.gc.filters import Filters, parse_filters
from ocigc.image import Descriptor, ImageRecord, Media, dangling_name

DIGEST = "sha256:" + "a" * 64


def image(name: str | None = "app:1", created: int | None = 0) -> ImageRecord:
    target = Descriptor("", DIGEST, 0, Media.MANIFEST)
    return ImageRecord(name or dangling_name(DIGEST), target, (), (0,), created)


def parse(*arguments: str, prune_all: bool = True) -> Filters:
    return parse_filters(arguments, prune_all=prune_all, now=10**18, local_offset=0)


def accepts(filters: Filters, *labels: dict[str, str] | None, created: int | None = 0) -> bool:
    return filters.objection(image(created=created), lambda _: labels) is None


def test_only_dangling_images_by_default() -> None:
    assert parse(prune_all=False).dangling_only
    assert not parse("dangling=0", prune_all=False).dangling_only
    assert not parse("dangling=false", prune_all=True).dangling_only


@pytest.mark.parametrize(
    "argument", ["dangling", "dangling=", "dangling=True", "dangling=yes", "colour=x", "reference=x", "until=", "=x"]
)
def test_what_is_no_filter(argument: str) -> None:
    with pytest.raises(UsageError, match="invalid filter"):
        parse(argument, prune_all=False)


def test_all_and_dangling_only_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="dangling"):
        parse("dangling=true", prune_all=True)


def test_keys_are_trimmed_and_lowered_and_values_trimmed() -> None:
    assert parse(" LABEL = stage ").labels == parse("label=stage").labels


def test_until_wants_an_image_older_than_every_instant() -> None:
    filters = parse("until=100", "until=50")
    assert filters.objection(image(created=49 * 10**9), lambda _: []) is None
    assert filters.objection(image(created=50 * 10**9), lambda _: []) == "until=1970-01-01T00:00:50Z"


def test_an_image_of_unknown_age_is_kept_where_age_is_asked() -> None:
    assert not accepts(parse("until=100"), {}, created=None)
    assert accepts(parse(), created=None)


@pytest.mark.parametrize(
    ("argument", "labels", "expected"),
    [
        ("label=keep", {"keep": ""}, True),
        ("label=keep", {}, False),
        ("label=keep=", {"keep": ""}, True),
        ("label=keep=", {"keep": "1"}, False),
        ("label=team=a=b", {"team": "a=b"}, True),
        ("label!=keep", {}, True),
        ("label!=keep", {"keep": ""}, False),
        ("label!=keep=1", {"keep": "2"}, True),
        ("label!=keep=1", {"keep": "1"}, False),
        ("label!=keep=1", {}, False),
        ("label=stage!=prod", {"stage": "test"}, True),
        ("label=stage!=prod", {}, False),
        ("label!=stage!=prod", {"stage": "prod"}, True),
        ("label!=stage!=prod", {"stage": "test"}, False),
    ],
)
def test_label_filters_match_as_in_moby(argument: str, labels: dict[str, str], *, expected: bool) -> None:
    assert accepts(parse(argument), labels) is expected


def test_all_checks_must_hold_of_one_config() -> None:
    filters = parse("label=a", "label=b")
    assert not accepts(filters, {"a": ""}, {"b": ""})
    assert accepts(filters, {"a": ""}, {"a": "", "b": ""})


def test_an_image_without_a_readable_config_is_kept_where_labels_are_asked() -> None:
    filters = parse("label!=keep")
    assert not accepts(filters)
    assert not accepts(filters, {}, None)
    assert accepts(parse())


def test_an_overlong_label_is_refused() -> None:
    with pytest.raises(UsageError, match="4096"):
        parse("label=" + "x" * 4097)
