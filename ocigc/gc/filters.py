"""Filters: which images may be pruned at all.

Source: moby `api/types/filters` (ParseFlag, Validate, GetBoolOrDefault), `ImagesPrune`, `setupFilters` and
`setupLabelFilter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ocigc.errors import UsageError
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.image import ImageRecord
from ocigc.times import format_rfc3339
from ocigc.values import field, frozen

ACCEPTED = ("dangling", "label", "label!", "until")
_LABEL_LIMIT = 4096  # bytes of key and value together, as containerd's labels.Validate allows

ConfigLabels = Callable[[ImageRecord], Sequence[Mapping[str, str] | None]]
"""The `config.Labels` of each present config in an image's walk; None for a config that cannot be read."""


@frozen
class LabelCheck:
    """One `label` or `label!` filter. With `value` None, it asks only whether the label exists. The rule set gives
    `unequal_if_absent`.
    """

    key: str
    value: str | None
    negate: bool
    unequal_if_absent: bool = False

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether a config with these labels passes."""
        if self.value is None:
            return (self.key in labels) != self.negate
        if self.key not in labels:
            return self.negate and self.unequal_if_absent
        return (labels[self.key] == self.value) != self.negate

    def __str__(self) -> str:
        key = f"label{'!' if self.negate else ''}={self.key}"
        return key if self.value is None else f"{key}={self.value}"


@frozen
class Filters:
    """Which images are candidates.

    `until` are instants: an image must be older than each of them. One config must pass all checks of `labels`.
    `dangling_stated` says that a filter states `dangling_only`; otherwise that is the default. By position, `retained`
    has the reason why an image stays, and `released` what removes it; `detached` are the referrers that go without
    their subject. With `chosen`, images were chosen by name, by a policy or by a limit on storage, and not only by the
    other filters.
    """

    dangling_only: bool
    until: tuple[int, ...]
    labels: tuple[LabelCheck, ...]
    dangling_stated: bool = False
    retained: Mapping[int, str] = field(default_factory=dict)
    released: Mapping[int, str] = field(default_factory=dict)
    detached: frozenset[int] = frozenset()
    chosen: bool = False

    def objection(self, image: ImageRecord, config_labels: ConfigLabels) -> str | None:
        """The filter that keeps the image; None if it is a candidate. A filter by age keeps an image of unknown age,
        and a filter by labels one whose config cannot be read.
        """
        if self.dangling_only and not image.dangling:
            return "dangling=true"
        if self.until and image.created is None:
            return "until: nobody knows when it was created"
        for instant in self.until:
            if image.created is not None and image.created >= instant:
                return f"until={format_rfc3339(instant)}"
        return self._label_objection(config_labels(image)) if self.labels else None

    def _label_objection(self, configs: Sequence[Mapping[str, str] | None]) -> str | None:
        readable = [labels for labels in configs if labels is not None]
        if not readable or len(readable) < len(configs):
            return f"{self.labels[0]}: a config is absent or cannot be read"
        failed = [[check for check in self.labels if not check.accepts(labels)] for labels in readable]
        return None if [] in failed else str(failed[0][0])


def _split(arguments: Iterable[str]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UsageError(f"invalid filter {argument!r}: expected KEY=VALUE or KEY!=VALUE")
        named = values.setdefault(key.strip().lower(), [])
        if value.strip() not in named:
            named.append(value.strip())
    return values


def _dangling_only(values: Sequence[str] | None) -> bool:
    if values is None:
        return True
    yes = "1" in values or "true" in values
    no = "0" in values or "false" in values
    if yes == no:
        raise UsageError(f"invalid filter 'dangling=[{' '.join(values)}]': expected true or false, not both")
    return yes


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def label_check(text: str, key: str = "label", rules: RuleSet = SEED) -> LabelCheck:
    """The check of a `label` or `label!` filter. Raises UsageError."""
    name, equals, value = text.partition("=")
    if len(_bytes(name)) + len(_bytes(value)) > _LABEL_LIMIT:
        raise UsageError(f"invalid filter: label {name[:40]!r}... is longer than {_LABEL_LIMIT} bytes")
    negate = key.endswith("!")
    if name.endswith("!"):
        name, negate = name[:-1], not negate
    return LabelCheck(name, value if equals else None, negate, rules.unequal_if_absent)


def parse_filters(
    arguments: Iterable[str], *, prune_all: bool, now: int, local_offset: int, rules: RuleSet = SEED
) -> Filters:
    """Parses `--filter` arguments; `prune_all` means `dangling=false`.

    `now` is an instant, `local_offset` is in seconds east of UTC. Raises UsageError.
    """
    values = _split([*arguments, *(["dangling=false"] if prune_all else [])])
    for key in values:
        if key not in ACCEPTED:
            raise UsageError(f"invalid filter {key!r}: expected one of {', '.join(ACCEPTED)}")
    dangling_only = _dangling_only(values.get("dangling"))
    try:
        until = tuple(rules.until(text, now, local_offset) for text in values.get("until", ()))
    except ValueError as error:
        raise UsageError(f"{rules.until_error}: {error}") from None
    labels = tuple(label_check(text, key, rules) for key in ("label", "label!") for text in values.get(key, ()))
    return Filters(dangling_only, until, labels, dangling_stated="dangling" in values)
