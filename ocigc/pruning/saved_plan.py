"""A plan in a file: what was asked for, what was in use, which index.json it was made for, and all that will go; for
one layout, or for a tree of them.

Applying it plans again, as of the same instant. Only a plan that removes exactly the same things from the same
index.json is carried out, so that what was reviewed is what happens. A plan for a tree that was cut off after some of
its layouts can be applied again: a layout whose index.json is as the plan leaves it counts as done, or as under way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused, printable
from ocigc.gc.decide import Request
from ocigc.gc.filters import Filters, LabelCheck
from ocigc.gc.in_use import InUse
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.layout.layout import INDEX, INDEX_LIMIT
from ocigc.native import NEVER
from ocigc.plain import plain, restored
from ocigc.pruning.execute import index_change
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.policy_file import parse_policy
from ocigc.pruning.prune_options import PruneOptions
from ocigc.pruning.run_directory import pending_below
from ocigc.pruning.what_goes import WhatGoes, what_goes
from ocigc.strict_json import parse_json, write_json
from ocigc.times import nanoseconds

BEGINNING = b'{\n "format": "ocigc plan 1",\n'
"""The first bytes of such a file."""

_FORMAT = "ocigc plan 1"
_ANOTHER_INDEX = f"{INDEX} is another one"


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
    max_delete: str | None = None

    def options(self) -> PruneOptions:
        """The options to make the plan again. Raises MalformedError."""
        try:
            rules = RULE_SETS[self.rules]
        except KeyError:
            raise MalformedError(f"the plan is by unknown rules: {printable(self.rules)!r}") from None
        times = (self.now, self.grace, self.trash or 0)
        if not 0 <= min(times) <= max(times) <= NEVER:
            raise MalformedError("the plan has a time that is out of range")
        policy = None if self.policy is None else self.policy.encode(errors="surrogatepass")
        request = Request(_filters(self), self.in_use, self.now, self.grace, rules=rules)
        return PruneOptions(
            request=request,
            repository=self.repository,
            driver=self.driver,
            allow_empty=self.allow_empty,
            trash=self.trash,
            references=self.references,
            policy=None if policy is None else parse_policy(policy, "the plan's policy"),
            own_policy=self.own_policy,
            keep_storage=self.keep_storage,
            shared_with=self.shared_with,
        )


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan for one layout. `layout` is an absolute path. `index` is the SHA-256 of index.json, in hex, when the plan
    was made."""

    layout: str
    index: str
    asked: Asked
    goes: WhatGoes
    format: str = field(default=_FORMAT)

    def check(self, planned: Pruned) -> None:
        """Raises Refused where a plan made now removes anything else, or index.json is another one."""
        now = what_goes(planned)
        if now != self.goes:
            raise _changed(planned.snapshot.layout.path, self.goes.difference(now) or _sizes(self.goes, now))
        if planned.snapshot.index.sha256 != self.index:
            raise _changed(planned.snapshot.layout.path, _ANOTHER_INDEX)


@dataclass(frozen=True, slots=True)
class LayoutPlan:
    """The plan for one layout of a tree, by its path below the root. `index` and `after` are the SHA-256 of index.json,
    in hex, when the plan was made and after it is carried out; `shared` are the blobs that it keeps because other
    layouts need and lack them."""

    layout: str
    index: str
    after: str
    goes: WhatGoes
    shared: tuple[str, ...]

    def has_begun(self, now: LayoutNow) -> bool:
        """Whether a plan made now is the rest of this one, which was carried out, or interrupted on the way."""
        rest, done = now.plan.goes, now.plan.goes.empty and now.lacks_the_rest
        return now.plan.index == self.after and rest.within(self.goes) and (now.interrupted or done)


@dataclass(frozen=True, slots=True)
class LayoutNow:
    """A layout of a tree when a saved plan is applied, and the plan for it that is made now. `interrupted`: a run was
    cut off. `lacks_the_rest`: all blobs that go by the saved plan and not by this one are gone."""

    plan: LayoutPlan
    interrupted: bool
    lacks_the_rest: bool


@dataclass(frozen=True, slots=True)
class SavedTree:
    """A plan for a tree. `tree` is the absolute path of its root; `skipped` are the layouts that had no plan."""

    tree: str
    asked: Asked
    layouts: tuple[LayoutPlan, ...]
    skipped: tuple[str, ...]
    format: str = field(default=_FORMAT)

    def plan_of(self, path: str) -> LayoutPlan | None:
        """The plan for the layout at a path."""
        return next((each for each in self.layouts if each.layout == path), None)

    def check(self, tree: str, layouts: Sequence[LayoutNow], skipped: Collection[str]) -> None:
        """Raises Refused where the plans made now for the tree at this path remove anything but the same things, or the
        rest of them."""
        then = {each.layout: each for each in self.layouts}
        there = {each.plan.layout: each for each in layouts}
        for path in sorted({*then, *self.skipped} ^ {*there, *skipped}):
            raise _changed(tree, f"layout {printable(path)} is {'gone' if path in then else 'new'}")
        for path in sorted({*self.skipped} ^ {*skipped}):
            raise _changed(tree, f"layout {printable(path)} is {'' if path in skipped else 'not '}skipped now")
        begun = {path for path, each in then.items() if not each.goes.empty and each.has_begun(there[path])}
        for path in then.keys() - begun:
            _check_layout(tree, then[path], there[path].plan, sizes=not begun)
        if begun and all(each.plan.goes.empty and not each.interrupted for each in layouts):
            raise _changed(tree, "all that goes by the plan is gone")


def _check_layout(tree: str, then: LayoutPlan, now: LayoutPlan, *, sizes: bool) -> None:
    path = printable(then.layout)
    what = then.goes.difference(now.goes)
    if what is None and sizes and then.goes != now.goes:
        what = _sizes(then.goes, now.goes)
    if what is not None:
        raise _changed(tree, f"{path}: {what}")
    if then.index != now.index:
        raise _changed(tree, f"{path}: {_ANOTHER_INDEX}")
    for digest in sorted({*then.shared} ^ {*now.shared}):
        needed = "needed" if digest in now.shared else "not needed"
        raise _changed(tree, f"{path}: blob {printable(digest)} is {needed} by other layouts now")


def _sizes(then: WhatGoes, now: WhatGoes) -> str:
    if then.size != now.size:
        return f"{now.size:,} bytes go now, not {then.size:,}"
    return "the order of what goes differs"


def _changed(path: str, what: str) -> Refused:
    return Refused(
        f"{printable(path)}: it has changed since the plan was made: {what}; nothing was changed; make the plan again"
    )


def _filters(asked: Asked) -> Filters:
    return Filters(asked.dangling_only, asked.until, asked.labels, asked.dangling_stated)


def plan_for(planned: Pruned, path: str, shared: Collection[str]) -> LayoutPlan:
    """The plan for the layout of a tree at a path. Raises Refused."""
    index = planned.snapshot.index.sha256
    return LayoutPlan(path, index, _index_after(planned), what_goes(planned), tuple(sorted(shared)))


def layout_now(planned: Pruned, plan: LayoutPlan, then: LayoutPlan | None) -> LayoutNow:
    """The layout with the plan that was made for it now, and `then`. Raises OSError."""
    store = planned.snapshot.store
    rest = () if then is None else then.goes.rest(plan.goes).orphans
    found = (Digest.parse_registered(each) for each in rest)
    lacks = all(digest is not None and store.find(digest) is None for digest in found)
    return LayoutNow(plan, pending_below(planned.snapshot.layout), lacks)


def _index_after(planned: Pruned) -> str:
    """The SHA-256 of index.json when the plan is carried out."""
    snapshot = planned.snapshot
    content = snapshot.layout.dir.read(INDEX, INDEX_LIMIT)
    if sha256(content).hexdigest() != snapshot.index.sha256:
        raise _changed(snapshot.layout.path, "index.json has just been written")
    digest = sha256()
    for piece in snapshot.index.changed(lambda start, end: content[start:end], index_change(snapshot, planned.plan)):
        digest.update(piece)
    return digest.hexdigest()


def asked_for(options: PruneOptions, policy: str | None, max_delete: str | None) -> Asked:
    """What was asked for; `policy` is the text that `options.policy` was read from, `max_delete` that of the limit."""
    request, filters = options.request, options.request.filters
    return Asked(
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
        max_delete=max_delete,
    )


def save(planned: Pruned, path: str, options: PruneOptions, policy: str | None, max_delete: str | None) -> bytes:
    """A plan as the content of a file. `path` is the absolute path of the layout; `policy` is the text that
    `options.policy` was read from, `max_delete` that of the limit.
    """
    asked = asked_for(options, policy, max_delete)
    return as_file(SavedPlan(path, planned.snapshot.index.sha256, asked, what_goes(planned)))


def as_file(saved: SavedPlan | SavedTree) -> bytes:
    """A plan as the content of a file."""
    document: Mapping[str, object] = {"format": _FORMAT, **{k: v for k, v in plain(saved).items() if k != "format"}}
    return write_json(document, indent=1) + b"\n"


def read(content: bytes, name: str) -> SavedPlan | SavedTree:
    """Reads the plan in a file of that name. Raises MalformedError."""
    document = parse_json(content, name)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise MalformedError(f"{name}: not a plan that this version of ocigc has saved")
    try:
        return restored(SavedTree, document) if "tree" in document else restored(SavedPlan, document)
    except ValueError as error:
        raise MalformedError(f"{name}: not a valid plan: {error}") from None
