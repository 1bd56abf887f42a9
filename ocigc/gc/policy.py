"""A retention policy: its rules, and what they see of the name of an image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from fnmatch import fnmatchcase, translate
from functools import cache
from itertools import chain

from ocigc.gc.filters import LabelCheck
from ocigc.gc.regex import Regex
from ocigc.image import ImageRecord
from ocigc.reference import InvalidReference, Reference, parse_normalized, with_default_tag
from ocigc.semver import VersionRange
from ocigc.times import SECOND

_DAY = 86_400 * SECOND
_ORDINAL_OF_1970 = date(1970, 1, 1).toordinal()
_LAST_ORDINAL = date.max.toordinal()


class Period(Enum):
    """A period of the calendar, in UTC. Weeks begin on Monday."""

    DAY = "daily"
    WEEK = "weekly"
    MONTH = "monthly"
    YEAR = "yearly"

    def of(self, instant: int) -> int:
        """The number of the period that contains an instant. Later periods have higher numbers."""
        days = instant // _DAY
        if self is Period.DAY:
            return days
        if self is Period.WEEK:
            return (days + 3) // 7  # 1970 began on a Thursday
        day = date.fromordinal(min(max(days + _ORDINAL_OF_1970, 1), _LAST_ORDINAL))
        return day.year if self is Period.YEAR else day.year * 12 + day.month


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a policy. `repositories` are globs and `tags` regular expressions, one of which must match; None
    matches all.

    A named image goes if the rule keeps something but not this image, or if a glob of `deny` matches it. An image
    without a name goes with `delete_untagged`. `keep_within` is in nanoseconds; `keep_periods` has periods, each with
    the number to keep. With `by_version`, the newest for `keep_last` are those of the highest version.
    """

    repositories: tuple[str, ...] | None = None
    tags: tuple[Regex, ...] | None = None
    keep_last: int | None = None
    by_version: bool = False
    keep_periods: tuple[tuple[Period, int], ...] = ()
    keep_versions: tuple[VersionRange, ...] = ()
    keep_within: int | None = None
    keep_tagged: bool = False
    keep_labels: tuple[LabelCheck, ...] = ()
    keep_in_use: bool = False
    delete_untagged: bool = False
    delete_referrers: bool = False
    delete_orphaned_referrers: bool = False
    deny: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()

    @property
    def keeps(self) -> bool:
        """Whether it says what to keep. The rest may go then."""
        return bool(
            self.keep_last is not None
            or self.keep_periods
            or self.keep_versions
            or self.keep_within is not None
            or self.keep_tagged
            or self.keep_labels
            or self.keep_in_use
        )

    @property
    def decides(self) -> bool:
        """Whether it decides about images; otherwise it only protects some."""
        deletes = self.delete_untagged or self.delete_referrers or self.delete_orphaned_referrers
        return bool(self.keeps or deletes or self.deny)

    def matches(self, image: ImageRecord, place: Place) -> bool:
        """Whether it applies to an image."""
        if not self.decides:
            return False
        if self.repositories is not None and not (place.repository and place.is_in(self.repositories)):
            return False
        return self.tags is None or not (image.dangling or not any(tag.search(place.tag) for tag in self.tags))


@dataclass(frozen=True, slots=True)
class Policy:
    """The first of the `rules` that matches an image decides. An image that no rule matches stays. An image that a glob
    of `protect` matches, here or in any rule, is never removed. A policy that `only_keeps` removes nothing that would
    stay without it.
    """

    rules: Sequence[Rule]
    protect: tuple[str, ...] = ()
    only_keeps: bool = False

    def rule_of(self, image: ImageRecord, place: Place) -> int | None:
        """The position of the rule that decides about an image."""
        return next((number for number, rule in enumerate(self.rules) if rule.matches(image, place)), None)

    @property
    def protected(self) -> tuple[str, ...]:
        """All globs of `protect`."""
        return tuple(dict.fromkeys(chain(self.protect, *(rule.protect for rule in self.rules))))


@dataclass(frozen=True, slots=True)
class Place:
    """What rules see of the name of an image: the repository, in full and in the familiar form, and the tag. Parts that
    the name does not have are empty.
    """

    repository: str
    familiar: str
    tag: str

    def is_in(self, globs: tuple[str, ...]) -> bool:
        """Whether one of the globs matches the repository."""
        matches = _any_of(globs).match
        return bool(matches(self.repository) or matches(self.familiar))

    def names(self) -> Iterator[str]:
        """REPOSITORY:TAG in both forms."""
        yield f"{self.repository}:{self.tag}"
        yield f"{self.familiar}:{self.tag}"


@cache
def _any_of(globs: tuple[str, ...]) -> re.Pattern[str]:
    """One expression that matches where any of the globs does. That is much faster than trying them one by one."""
    return re.compile("|".join(map(translate, globs)))


def place_of(image: ImageRecord, repository: str | None) -> Place:
    """What rules see of an image's name. `repository` (normalised) is that of images without a name, if known."""
    if image.dangling:
        return Place(repository, parse_normalized(repository).familiar(), "") if repository else Place("", "", "")
    if image.bare_tag:
        return Place("", "", image.name)
    try:
        reference = with_default_tag(parse_normalized(image.name))
    except InvalidReference:
        return Place(image.name, image.name, "")
    bare = Reference(reference.domain, reference.path)
    return Place(str(bare), bare.familiar(), reference.tag or "")


def denied(rule: Rule, image: ImageRecord, place: Place) -> bool:
    """Whether the rule removes an image even if something keeps it."""
    return bool(rule.deny) and not image.dangling and any(map(_any_of(rule.deny).match, place.names()))


def protecting(globs: tuple[str, ...], image: ImageRecord, place: Place) -> str | None:
    """The glob that protects an image: by its repository, with or without the tag, by its name or by its digest."""
    if not globs:
        return None
    words: list[str] = [image.target.digest]
    if not image.dangling:
        words += [*place.names(), place.repository, place.familiar, image.name]
    word = next(filter(_any_of(globs).match, words), None)
    return None if word is None else next(glob for glob in globs if fnmatchcase(word, glob))
