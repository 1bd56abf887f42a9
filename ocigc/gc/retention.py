"""Retention: a policy's rules say which images stay. The first rule that matches an image decides; what no rule matches
stays.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from heapq import nlargest
from operator import itemgetter
from typing import Any

from ocigc.gc.filters import ConfigLabels, LabelCheck
from ocigc.gc.images import Images
from ocigc.image import ImageRecord
from ocigc.reference import InvalidReference, Reference, parse_normalized, with_default_tag
from ocigc.semver import precedence

_SPARE = 100  # targets of a repository that are remembered besides those that may be the newest


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a policy. `repositories` are globs and `tags` regular expressions of which one must match; None: any.
    `keep_within` is in nanoseconds. A named image goes if the rule keeps something and nothing of that is the image, or
    if a glob of `deny` matches REPOSITORY:TAG; one without a name goes with `delete_untagged`.
    """

    repositories: tuple[str, ...] | None = None
    tags: tuple[re.Pattern[str], ...] | None = None
    keep_last: int | None = None
    by_version: bool = False
    keep_within: int | None = None
    keep_tagged: bool = False
    keep_labels: tuple[LabelCheck, ...] = ()
    keep_in_use: bool = False
    delete_untagged: bool = False
    delete_referrers: bool = False
    deny: tuple[str, ...] = ()

    @property
    def keeps(self) -> bool:
        """Whether it says what to keep, and so that the rest may go."""
        return bool(
            self.keep_last is not None
            or self.keep_within is not None
            or self.keep_tagged
            or self.keep_labels
            or self.keep_in_use
        )


Policy = Sequence[Rule]


@dataclass(frozen=True, slots=True)
class Retention:
    """What a policy comes to: by position, why images stay, and what lets go of the others; and the referrers that go
    without their subject.
    """

    retained: Mapping[int, str]
    released: Mapping[int, str]
    detached: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Place:
    """What a rule sees of an image's name: the repository in both forms, and the tag; empty where it has none."""

    name: str
    familiar: str
    tag: str

    def matches(self, glob: str, suffix: str = "") -> bool:
        return fnmatchcase(self.name + suffix, glob) or fnmatchcase(self.familiar + suffix, glob)


def retain(
    policy: Policy,
    images: Images,
    now: int,
    config_labels: ConfigLabels,
    referrers: Collection[int],
    repository: str | None = None,
) -> Retention:
    """Applies a policy to images whose time of creation is known where it can be. `referrers` are the positions of
    those that share the fate of a subject. `repository` (normalised) is that of images without a name, where somebody
    has said it.
    """
    governed = [array("I") for _ in policy]
    retained: dict[int, str] = {}
    released: dict[int, str] = {}
    detached: set[int] = set()
    for image in images:
        for view in image.by_name():
            number = _rule_of(policy, view, _place(view, repository))
            if number is None:
                retained[image.position] = "no rule of the policy matches it"
            elif image.position not in governed[number][-1:]:
                governed[number].append(image.position)

    def by_name(number: int, chosen: Iterable[int]) -> Iterator[ImageRecord]:
        """Those images, each under every name that a rule governs."""
        for image in images.picked(chosen):
            for view in image.by_name():
                if not image.aliases or _rule_of(policy, view, _place(view, repository)) == number:
                    yield view

    for number, rule in enumerate(policy):
        name = f"policy rule {number + 1}"
        own = array("I", (position for position in governed[number] if position not in referrers))
        newest = _newest(rule, by_name(number, own), repository)
        said: dict[str, str] = {}  # each reason once, however many images it keeps
        for image in by_name(number, own):
            place = _place(image, repository)
            denied = _denied(rule, image, place)
            reason = None if denied else _reason(rule, image, place, newest, now, config_labels)
            if reason is not None:
                retained[image.position] = said.setdefault(reason, f"{name}: {reason}")
            else:
                released[image.position] = said.setdefault("deny", f"{name}: deny") if denied else name
        for image in by_name(number, (position for position in governed[number] if position in referrers)):
            denied = _denied(rule, image, _place(image, repository))
            if denied or rule.delete_referrers:
                detached.add(image.position)
                released[image.position] = f"{name}: {'deny' if denied else 'delete-referrers'}"
    # An image with several names stays if one of them does.
    return Retention(retained, released, frozenset(detached.difference(retained)))


def _place(image: ImageRecord, repository: str | None) -> _Place:
    if image.dangling:
        return _Place(repository, parse_normalized(repository).familiar(), "") if repository else _Place("", "", "")
    if image.bare_tag:
        return _Place("", "", image.name)
    try:
        reference = with_default_tag(parse_normalized(image.name))
    except InvalidReference:
        return _Place(image.name, image.name, "")
    bare = Reference(reference.domain, reference.path)
    return _Place(str(bare), bare.familiar(), reference.tag or "")


def _rule_of(policy: Policy, image: ImageRecord, place: _Place) -> int | None:
    for number, rule in enumerate(policy):
        if rule.repositories is not None and (
            not place.name or not any(place.matches(glob) for glob in rule.repositories)
        ):
            continue
        if rule.tags is not None and (image.dangling or not any(tag.search(place.tag) for tag in rule.tags)):
            continue
        return number
    return None


def _order(rule: Rule, image: ImageRecord, place: _Place) -> tuple[Any, ...] | None:
    if rule.by_version:
        return precedence(place.tag)
    return None if image.created is None else (image.created,)


def _newest(rule: Rule, images: Iterable[ImageRecord], repository: str | None) -> set[tuple[str, str]]:
    """Repository and target of the newest named images of each repository; also of those that cannot be ordered."""
    kept: set[tuple[str, str]] = set()
    if rule.keep_last is None:
        return kept
    best: dict[str, dict[str, tuple[Any, ...]]] = {}
    for image in images:
        if image.dangling:
            continue
        place = _place(image, repository)
        order = _order(rule, image, place)
        digest = image.target.digest
        if order is None:
            kept.add((place.name, digest))
            continue
        targets = best.setdefault(place.name, {})
        # With the digest, so that there is an order also among targets of one age.
        targets[digest] = max(targets.get(digest, (order, digest)), (order, digest))
        if len(targets) > 2 * rule.keep_last + _SPARE:
            best[place.name] = _first(targets, rule.keep_last)
    for name, targets in best.items():
        kept.update((name, digest) for digest in _first(targets, rule.keep_last))
    return kept


def _first(targets: Mapping[str, tuple[Any, ...]], count: int) -> dict[str, tuple[Any, ...]]:
    return dict(nlargest(count, targets.items(), key=itemgetter(1)))


def _denied(rule: Rule, image: ImageRecord, place: _Place) -> bool:
    return not image.dangling and any(place.matches(glob, f":{place.tag}") for glob in rule.deny)


def _reason(
    rule: Rule,
    image: ImageRecord,
    place: _Place,
    newest: set[tuple[str, str]],
    now: int,
    config_labels: ConfigLabels,
) -> str | None:
    """Why a rule that does not deny an image keeps it; None where it may go."""
    if image.dangling and not rule.delete_untagged:
        return "it has no name, and delete-untagged is not set"
    if not image.dangling and not rule.keeps:
        return "nothing denies it"
    return next(_kept(rule, image, place, newest, now, config_labels), None)


def _kept(
    rule: Rule,
    image: ImageRecord,
    place: _Place,
    newest: set[tuple[str, str]],
    now: int,
    config_labels: ConfigLabels,
) -> Iterator[str]:
    if rule.keep_tagged and not image.dangling:
        yield "keep-tagged"
    if (place.name, image.target.digest) in newest and not image.dangling:
        yield f"keep-last {rule.keep_last}"
    if rule.keep_within is not None:
        if image.created is None:
            yield "keep-within: nobody knows when it was created"
        elif image.created >= now - rule.keep_within:
            yield "keep-within"
    if rule.keep_labels:
        configs = config_labels(image)
        if not configs or any(labels is None for labels in configs):
            yield "keep-labels: a config cannot be read or is not here"
        for check in rule.keep_labels:
            if any(labels is not None and check.accepts(labels) for labels in configs):
                yield f"keep-labels {check}"
