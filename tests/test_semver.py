"""Versions and ranges of versions."""

from __future__ import annotations

import pytest

from ocigc.semver import parse_range, precedence


def test_versions_are_ordered_by_precedence() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1"]
    ordered += ["1", "v1.0.1", "1.2", "1.10.0", "2"]
    found = [precedence(version) for version in ordered]
    assert None not in found
    assert found == sorted(found)  # type: ignore[type-var]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "text", ["", "latest", "01.0", "1.", "1.2.3.4", "1.0-", "1_0_0", "20240102" * 3, "1.0-" + "9" * 5000]
)
def test_what_is_not_a_version(text: str) -> None:
    assert precedence(text) is None


def test_an_underscore_is_a_plus() -> None:
    # helm#10250: a chart's version 1.0.9+up1 has the tag 1.0.9_up1.
    assert precedence("1.0.9_up1") == precedence("1.0.9+up1") == precedence("1.0.9")
    assert precedence("1.0.9_up1.2.3-rc.1") == precedence("1.0.9")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.28 <2", "1.28 v1.28.0 1.99.9 1.28.0_up1", "1.27.9 2.0.0 2"),
        (">=1.28, <2", "1.28 1.99", "2.0.0"),
        (">= 1.28   < 2", "1.29", "2.1 1.27"),
        (">=1.28<2", "1.29", "2.1 1.27"),
        ("=>1.28 =<1.30", "1.28 1.30.9", "1.31 1.27"),
        (">1.28", "1.29.0", "1.28.5 1.28"),
        (">1.28.3", "1.28.4", "1.28.3"),
        ("<1.28", "1.27.9", "1.28"),
        ("<=1.28", "1.28.9", "1.29.0"),
        ("<=1.28.3", "1.28.3", "1.28.4"),
        ("1.28.3", "1.28.3 1.28.3_b", "1.28.4"),
        ("==1.28", "1.28.4", "1.29"),
        ("!=1.28", "1.27 1.29", "1.28.4"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2"),
        ("~1", "1.0 1.9", "2 0.9"),
        ("~>1.2", "1.2.0 1.2.7", "1.3"),
        ("^1.2.3", "1.2.3 1.9", "2.0 1.2.2"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^0", "0.9", "1.0.0"),
        ("^1.x", "1.9", "2"),
        ("1.2.x", "1.2.0 1.2.5", "1.3.0"),
        ("v1.X", "1.0 1.9", "2.0"),
        ("1.*.*", "1.0 1.9", "2.0"),
        ("*", "1 2 0.0.1", ""),
        ("1.2 - 2.3.4", "1.2.0 2.3.4", "2.3.5 1.1"),
        ("1.2.3 - 2.3", "1.2.3 2.3.9", "2.4.0 1.2.2"),
        (">=1 <2 || ~3.4", "1.5 3.4.9", "2.5 3.5"),
        (">=1.2.3-rc.2", "1.2.3-rc.2 1.2.3", "1.2.2"),
    ],
)
def test_a_range_has_the_versions_that_npm_gives_it(text: str, inside: str, outside: str) -> None:
    found = parse_range(text)
    for version, expected in [(each, True) for each in inside.split()] + [(each, False) for each in outside.split()]:
        known = precedence(version)
        assert known is not None
        assert found.contains(known) is expected, version


def test_a_variant_is_in_the_range_of_its_release() -> None:
    # 1.28.0-alpine comes before 1.28.0, and 2.0.0-rc.1 before 2: doubt keeps both.
    found = parse_range(">=1.28 <2")
    assert [found.contains(precedence(text) or ()) for text in ("1.28.0-alpine", "2.0.0-rc.1", "2.0.1-rc.1")] == [  # type: ignore[arg-type]
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "||",
        "1 ||",
        "latest",
        ">",
        ">>1",
        "1.2.3.4",
        ">=1,",
        "1 - ",
        "a - b",
        ">*",
        "<x",
        "1 - >2",
        "^",
        "01.2",
        "1.2.3 -2",
    ],
)
def test_what_is_not_a_range(text: str) -> None:
    with pytest.raises(ValueError, match="not a range of versions"):
        parse_range(text)
