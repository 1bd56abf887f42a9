"""A plan in a file: what was asked for, what was in use, which index.json it was made for, and all that will go.

Applying it plans again, as of the same instant. Only a plan that removes exactly the same things is carried out, so
that what was reviewed is what happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ocigc.errors import MalformedError, Refused, printable
from ocigc.gc.decide import Request
from ocigc.gc.filters import Filters, LabelCheck
from ocigc.gc.in_use import InUse
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.plain import plain, restored
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.planning import PruneOptions
from ocigc.pruning.policy_file import parse_policy
from ocigc.strict_json import parse_json
from ocigc.times import nanoseconds

MARK = b'{\n "format": "ocigc plan 1",\n'
"""How such a file begins."""

_FORMAT = "ocigc plan 1"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as plain values. Instants and durations are in nanoseconds."""

    rules: str
    now: int
    grace: int
    dangling_only: bool
    dangling_stated: bool
    until: tuple[int, ...]
    labels: tuple[LabelCheck, ...]
    in_use: InUse
    repository: str | None
    driver: str
    allow_empty: bool
    trash: int | None
    references: tuple[str, ...] | None
    policy: str | None
    own_policy: bool
    keep_storage: int | None
    shared_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goes:
    """All that goes: untagged names and deleted digests in the order of the report, the other blobs, labels (digest,
    label, value) and leftovers; and the bytes of all of it.
    """

    images: tuple[tuple[str, str], ...]
    orphans: tuple[str, ...]
    unleased: tuple[tuple[str, str, str], ...]
    leftovers: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """`layout` is an absolute path. `index` is the SHA-256 of index.json, in hex, when the plan was made."""

    layout: str
    index: str
    asked: Asked
    goes: Goes
    format: str = field(default=_FORMAT)

    def options(self) -> PruneOptions:
        """The options to make the plan again. Raises MalformedError."""
        asked = self.asked
        try:
            rules = RULE_SETS[asked.rules]
        except KeyError:
            raise MalformedError(f"the plan is by unknown rules: {printable(asked.rules)!r}") from None
        request = Request(_filters(asked), asked.in_use, asked.now, asked.grace, rules=rules)
        return PruneOptions(
            request=request,
            repository=asked.repository,
            driver=asked.driver,
            allow_empty=asked.allow_empty,
            trash=asked.trash,
            references=asked.references,
            policy=None if asked.policy is None else parse_policy(asked.policy.encode(), "the plan's policy"),
            own_policy=asked.own_policy,
            keep_storage=asked.keep_storage,
            shared_with=asked.shared_with,
        )

    def check(self, planned: Pruned) -> None:
        """Raises Refused where a plan made now removes anything else."""
        now = goes(planned)
        if now == self.goes:
            return
        path = planned.snapshot.layout.path
        for what, then, there in (
            ("images", _names(self.goes), _names(now)),
            ("orphans", self.goes.orphans, now.orphans),
            ("leftovers", self.goes.leftovers, now.leftovers),
        ):
            if difference := sorted(set(then) ^ set(there)):
                more = "goes now too" if difference[0] in there else "does not go now"
                raise _changed(path, f": of its {what}, {printable(difference[0])} {more}")
        raise _changed(path)


def _changed(path: str, what: str = "") -> Refused:
    return Refused(f"{path}: it has changed since the plan was made{what}; nothing was changed; make the plan again")


def _names(gone: Goes) -> Sequence[str]:
    return [name for _, name in gone.images]


def _filters(asked: Asked) -> Filters:
    return Filters(asked.dangling_only, asked.until, asked.labels, asked.dangling_stated)


def goes(planned: Pruned) -> Goes:
    """All that goes by a plan."""
    return Goes(
        images=tuple(planned.items()),
        orphans=tuple(planned.orphans()),
        unleased=tuple((each.digest, each.label, each.value) for each in planned.unleased),
        leftovers=tuple(file for each in planned.leftovers for file in each.files),
        size=planned.reclaimed + planned.trashed,
    )


def save(planned: Pruned, path: str, options: PruneOptions, policy: str | None) -> bytes:
    """A plan as the content of a file. `path` is the absolute path of the layout; `policy` is the text that
    `options.policy` was read from.
    """
    request, filters = options.request, options.request.filters
    asked = Asked(
        rules=request.rules.name,
        now=request.now,
        grace=request.grace,
        dangling_only=filters.dangling_only,
        dangling_stated=filters.dangling_stated,
        until=filters.until,
        labels=filters.labels,
        in_use=request.in_use,
        repository=options.repository,
        driver=options.driver,
        allow_empty=options.allow_empty,
        trash=None if options.trash is None else nanoseconds(options.trash),
        references=options.references,
        policy=policy,
        own_policy=options.own_policy,
        keep_storage=options.keep_storage,
        shared_with=options.shared_with,
    )
    saved = SavedPlan(path, planned.snapshot.index.sha256, asked, goes(planned))
    document: Mapping[str, object] = {"format": _FORMAT, **{k: v for k, v in plain(saved).items() if k != "format"}}
    return json.dumps(document, indent=1, ensure_ascii=False).encode(errors="surrogateescape") + b"\n"


def read(content: bytes, name: str) -> SavedPlan:
    """Reads the plan in a file of that name. Raises MalformedError."""
    document = parse_json(content, name)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise MalformedError(f"{name}: not a plan that this version of ocigc has saved")
    try:
        return restored(SavedPlan, document)
    except ValueError as error:
        raise MalformedError(f"{name}: not a valid plan: {error}") from None
