"""Retention: what a policy says about each image. Doubt keeps: an image whose age or version is unknown stays, and the
reason says so.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from ocigc.gc.filters import ConfigLabels
from ocigc.gc.images import Images, NameKind, name_kind
from ocigc.gc.newest import NewestOfPeriods, NewestTargets, Order, Repository
from ocigc.gc.policy import Place, Policy, Rule, denied, place_of, protecting
from ocigc.image import ImageRecord
from ocigc.semver import precedence

_AGE_UNKNOWN = "nobody knows when it was created"


@dataclass(frozen=True, slots=True)
class ImageStates:
    """What is known about images besides their names, by position: the `referrers` whose subject is present, those that
    are `orphaned`, and images that are `incomplete` because some or all of their content is absent.
    """

    referrers: Collection[int] = ()
    orphaned: Collection[int] = ()
    incomplete: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Retention:
    """What a policy decides, by position: why images stay, what removes the others, and which referrers go without
    their subject.
    """

    retained: Mapping[int, str]
    released: Mapping[int, str]
    detached: frozenset[int]


@dataclass(slots=True)
class _Outcome:
    retained: dict[int, str] = field(default_factory=dict)
    released: dict[int, str] = field(default_factory=dict)
    detached: set[int] = field(default_factory=set)


def retain(
    policy: Policy,
    images: Images,
    now: int,
    config_labels: ConfigLabels,
    states: ImageStates,
    repository: str | None = None,
) -> Retention:
    """Applies a policy to images, whose times of creation must have been looked up. `repository` (normalised) is that
    of images without a name, where it is known. An image with several names stays if one of the names does.
    """
    governed = [array("I") for _ in policy.rules]
    outcome = _Outcome()
    globs = policy.protected
    for image in images:
        for view in image.by_name():
            place = place_of(view, repository)
            if (glob := protecting(globs, view, place)) is not None:
                outcome.retained[image.position] = f"protect {glob}"
            number = policy.rule_of(view, place)
            if number is None:
                outcome.retained.setdefault(image.position, "no rule of the policy matches it")
            elif image.position not in governed[number][-1:]:
                governed[number].append(image.position)
    for number, rule in enumerate(policy.rules):

        def views(rule_number: int = number) -> Iterator[tuple[ImageRecord, Place]]:
            """Its images, each under every name about which the rule decides."""
            for image in images.picked(governed[rule_number]):
                for view in image.by_name():
                    place = place_of(view, repository)
                    if not image.aliases or policy.rule_of(view, place) == rule_number:
                        yield view, place

        judge = _RuleJudge(rule, f"policy rule {number + 1}", now, config_labels, states)
        judge.count(views())
        for view, place in views():
            judge.decide(view, place, outcome)
    return Retention(outcome.retained, outcome.released, frozenset(outcome.detached.difference(outcome.retained)))


class _RuleJudge:
    """Decides by one rule about the images that it governs."""

    def __init__(self, rule: Rule, name: str, now: int, config_labels: ConfigLabels, states: ImageStates) -> None:
        self._rule = rule
        self._name = name
        self._now = now
        self._config_labels = config_labels
        self._states = states
        self._last = None if rule.keep_last is None else NewestTargets(rule.keep_last)
        self._periods = [(period, count, NewestOfPeriods(period, count)) for period, count in rule.keep_periods]
        self._said: dict[str, str] = {}  # one copy of each reason, however many images it keeps

    def count(self, views: Iterable[tuple[ImageRecord, Place]]) -> None:
        """Counts all images of the rule, to find the newest. Referrers, absent images, and images without a name that
        stay in any case do not count.
        """
        if self._last is None and not self._periods:
            return
        for image, place in views:
            position = image.position
            if self._is_referrer(position) or position in self._states.incomplete:
                continue
            if image.dangling and not self._rule.delete_untagged:
                continue
            group = (place.repository, image.dangling)
            if self._last is not None and (order := self._order(image, place)) is not None:
                self._last.add(group, image.target.digest, order)
            if image.created is not None:
                for _, _, newest in self._periods:
                    newest.add(group, image.created)

    def decide(self, image: ImageRecord, place: Place, outcome: _Outcome) -> None:
        """Adds the decision about an image to the outcome."""
        position = image.position
        if denied(self._rule, image, place):
            outcome.released[position] = self._say("deny")
            if self._is_referrer(position):
                outcome.detached.add(position)
            return
        if position in self._states.referrers:
            if self._rule.delete_referrers:
                outcome.released[position] = self._say("delete-referrers")
                outcome.detached.add(position)
                return
            if name_kind(image.names) != NameKind.NAMED:
                return  # its subject decides
        # If its subject is present, it goes with that: otherwise it would be orphaned.
        if self._is_referrer(position) and (released := self._orphan_rule(image)) is not None:
            outcome.released[position] = self._say(released)
            return
        reasons = ", ".join(self._reasons(image, place))
        if reasons:
            outcome.retained.setdefault(position, self._say(reasons))
        else:
            outcome.released[position] = self._name

    def _say(self, reason: str) -> str:
        return self._said.setdefault(reason, f"{self._name}: {reason}")

    def _is_referrer(self, position: int) -> bool:
        return position in self._states.referrers or position in self._states.orphaned

    def _orphan_rule(self, image: ImageRecord) -> str | None:
        """The key that removes an orphaned referrer, unless its age or its labels keep it."""
        for key, stated in (
            ("delete-orphaned-referrers", self._rule.delete_orphaned_referrers),
            ("delete-referrers", self._rule.delete_referrers),
        ):
            if stated and not any(chain(self._within(image), self._labelled(image))):
                return key
        return None

    def _reasons(self, image: ImageRecord, place: Place) -> Iterator[str]:
        """What keeps an image, by this rule."""
        rule = self._rule
        if image.dangling and not rule.delete_untagged:
            yield "it has no name, and delete-untagged is not set"
            return
        if not image.dangling and not rule.keeps:
            yield "nothing denies it"
            return
        if image.position in self._states.orphaned and not image.dangling:
            yield "it is an orphaned referrer, and delete-orphaned-referrers is not set"
        if rule.keep_tagged and not image.dangling:
            yield "keep-tagged"
        if not self._is_referrer(image.position):
            yield from self._newest(image, place)
        if rule.keep_versions and not image.dangling:
            yield from self._in_range(image, place)
        yield from self._within(image)
        yield from self._labelled(image)

    def _newest(self, image: ImageRecord, place: Place) -> Iterator[str]:
        group: Repository = (place.repository, image.dangling)
        if self._last is not None:
            key = f"keep-last {self._rule.keep_last}"
            order = self._order(image, place)
            if order is None:
                by_version = self._rule.by_version and not image.dangling
                yield f"{key}: {_no_version(place) if by_version else _AGE_UNKNOWN}"
            elif self._last.keeps(group, image.target.digest, order):
                yield key
        for period, count, newest in self._periods:
            if image.created is None:
                yield f"keep-{period.value} {count}: {_AGE_UNKNOWN}"
            elif newest.keeps(group, image.created):
                yield f"keep-{period.value} {count}"

    def _order(self, image: ImageRecord, place: Place) -> Order | None:
        if self._rule.by_version and not image.dangling:
            return precedence(place.tag)
        return None if image.created is None else (image.created,)

    def _in_range(self, image: ImageRecord, place: Place) -> Iterator[str]:
        version = precedence(place.tag)
        if version is None:
            if not self._is_referrer(image.position):
                yield f"keep-versions: {_no_version(place)}"
            return
        for versions in self._rule.keep_versions:
            if versions.contains(version):
                yield f"keep-versions {versions.text}"

    def _within(self, image: ImageRecord) -> Iterator[str]:
        if self._rule.keep_within is None:
            return
        if image.created is None:
            yield f"keep-within: {_AGE_UNKNOWN}"
        elif image.created >= self._now - self._rule.keep_within:
            yield "keep-within"

    def _labelled(self, image: ImageRecord) -> Iterator[str]:
        if not self._rule.keep_labels:
            return
        configs = self._config_labels(image)
        if not configs or any(labels is None for labels in configs):
            yield "keep-labels: a config is absent or cannot be read"
        for check in self._rule.keep_labels:
            if any(labels is not None and check.accepts(labels) for labels in configs):
                yield f"keep-labels {check}"


def _no_version(place: Place) -> str:
    return f"its tag {place.tag!r} is not a version" if place.tag else "it has no tag, and so no version"
