"""Versions and ranges of versions: Semantic Versioning 2.0.0 as tags of images write it, and npm's ranges.

In a tag, `_` stands for `+`, which tags may not contain; helm writes the versions of charts this way. A leading `v` is
allowed. Minor and patch may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(
    rf"[vV]?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?"
)
_LONGEST_NUMBER = 18  # digits: a longer number is a date or a hash, and Python refuses numbers of thousands of digits

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]
"""A key that compares as versions do."""


def precedence(text: str) -> Precedence | None:
    """The precedence of a tag as a version; None if it is not a version."""
    match = _VERSION.fullmatch(text.replace("_", "+"))
    if match is None:
        return None
    numbers = [part or "0" for part in match.groups()[:3]]
    identifiers = match[4].split(".") if match[4] else []
    if any(len(each) > _LONGEST_NUMBER for each in (*numbers, *(each for each in identifiers if each.isdecimal()))):
        return None
    major, minor, patch = map(int, numbers)
    # Numbers come before words, and a pre-release comes before its release.
    order = tuple((not each.isdecimal(), int(each) if each.isdecimal() else 0, each) for each in identifiers)
    return major, minor, patch, not identifiers, order


_OPERATOR = r"(?P<operator>>=|=>|<=|=<|!=|==?|>|<|~>?|\^)?"
_PART = rf"{_NUMBER}|[xX*]"
_PARTIAL = (
    rf"[vV]?(?P<major>{_PART})(?:\.(?P<minor>{_PART}))?(?:\.(?P<patch>{_PART}))?"
    rf"(?:-(?P<pre>{_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?"
)
_COMPARATOR = re.compile(rf"{_OPERATOR}\s*{_PARTIAL}(?:\s*,\s*(?!$)|\s+|$|(?=[<>=!~^]))")
_MINOR, _PATCH = 1, 2  # places in a version
_SYNONYMS = {"=>": ">=", "=<": "<=", "~>": "~"}

_Bound = tuple[int | bool | tuple[tuple[bool, int, str], ...], ...]
"""A precedence, or the point just after one: the precedence with one more item."""


@dataclass(frozen=True, slots=True)
class _Interval:
    """The versions from `low` on and before `high`. None means no limit on that side."""

    low: _Bound | None = None
    high: _Bound | None = None
    inverted: bool = False

    def contains(self, version: Precedence) -> bool:
        inside = (self.low is None or version >= self.low) and (self.high is None or version < self.high)
        return inside != self.inverted


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range as npm and Masterminds' semver write it, such as `>=1.28 <2 || ~3.4`. A version must lie in all intervals
    of one alternative.
    """

    text: str
    alternatives: Sequence[Sequence[_Interval]]

    def contains(self, version: Precedence) -> bool:
        """Whether a version lies in the range. A pre-release also does if its release does, as a tag such as
        `1.28.0-alpine` is more often a variant than a pre-release.
        """
        release = (*version[:3], True, ())
        return any(
            all(interval.contains(each) for interval in alternative)
            for alternative in self.alternatives
            for each in (version, release)
        )


def parse_range(text: str) -> VersionRange:
    """A range of versions. Raises ValueError."""
    try:
        return VersionRange(text, [_alternative(each.strip()) for each in text.split("||")])
    except ValueError as error:
        raise ValueError(f"not a range of versions: {text!r}: {error}") from None


def _alternative(text: str) -> Sequence[_Interval]:
    if not text:
        raise ValueError("an alternative is empty (* is any version)")
    low, hyphen, high = text.partition(" - ")
    if hyphen:
        return [_comparator(low.strip(), 0, ">=")[0], _comparator(high.strip(), 0, "<=")[0]]
    intervals = []
    position = 0
    while position < len(text):
        interval, position = _comparator(text, position)
        intervals.append(interval)
    return intervals


def _comparator(text: str, position: int, operator: str | None = None) -> tuple[_Interval, int]:
    """The interval of a comparator, and where the next one begins. The version after an operator has no operator of its
    own.
    """
    match = _COMPARATOR.match(text, position)
    if match is None or (operator is not None and (match["operator"] or match.end() < len(text))):
        raise ValueError(f"{text[position:]!r} is not understood")
    return _interval(operator or match["operator"] or "=", match), match.end()


def _interval(operator: str, match: re.Match[str]) -> _Interval:
    given = [part for part in match.group("major", "minor", "patch") if part is not None]
    numbers = [int(part) for part in takewhile(str.isdecimal, given)]
    suffix = f"-{match['pre']}" if match["pre"] else ""
    version = precedence(".".join(map(str, numbers)) + suffix) if numbers else None
    if version is None:
        if numbers or operator in (">", "<", "!="):
            raise ValueError(f"{match[0].strip()!r} is not understood")
        return _Interval()
    place = len(numbers) - 1
    after: _Bound = (*version, True) if suffix or place == _PATCH else _release(numbers, place)
    intervals = {
        ">=": _Interval(version),
        ">": _Interval(after),
        "<": _Interval(None, version),
        "<=": _Interval(None, after),
        "!=": _Interval(version, after, inverted=True),
        "~": _Interval(version, _release(numbers, min(place, _MINOR))),
        # The first given number that is not 0 is fixed.
        "^": _Interval(version, _release(numbers, next((n for n, number in enumerate(numbers) if number), place))),
    }
    return intervals.get(_SYNONYMS.get(operator, operator), _Interval(version, after))


def _release(numbers: Sequence[int], place: int) -> Precedence:
    """The release in which the number at a position is one higher, and those after it are 0."""
    major, minor, patch = (*numbers[:place], numbers[place] + 1, 0, 0)[:3]
    return major, minor, patch, True, ()
