"""What may be asked of a prune, besides the layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ocigc.gc.decide import Request
from ocigc.gc.filters import parse_filters
from ocigc.gc.in_use import InUse
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.image import ImageRecord
from ocigc.times import SECOND, Duration, nanoseconds
from ocigc.values import field, frozen

if TYPE_CHECKING:
    from datetime import timedelta

    from ocigc.gc.policy import Policy


def request(
    filters: Iterable[str] = (),
    *,
    prune_all: bool = False,
    in_use: InUse | None = None,
    grace: int | timedelta = 3600 * SECOND,
    rules: RuleSet = SEED,
) -> Request:
    """A request as of now: filters as `docker image prune` takes them, durations of `until` counted from now, dates in
    the local zone. `grace` is in nanoseconds or a `timedelta`. Raises UsageError.
    """
    now = time.time_ns()
    local_offset = time.localtime(now // SECOND).tm_gmtoff
    parsed = parse_filters(filters, prune_all=prune_all, now=now, local_offset=local_offset, rules=rules)
    return Request(parsed, InUse() if in_use is None else in_use, now, nanoseconds(grace), rules=rules)


@frozen
class PruneOptions:
    """How to prune, besides the request to the rules.

    With `references`, exactly these images go, and orphans that no image reached stay; without, the rules of the
    request decide. With a `policy`, only images that it lets go may go. It replaces the policy in the layout's own file
    (which counts only with `own_policy`); `default_policy` applies where there is no such file. With `keep_storage`
    (bytes), only as many images go, the oldest first, as it takes for the store to fit. Images for which `keeps` is
    true stay too; it sees their time of creation if that is known. References in use that match no image are noted
    (`match_in_use`), or the run is refused (`in_use_strict`).

    Bare tags belong to `repository` (normalised). `driver` is the snapshotter of the unlease rule. What is removed
    stays in the trash for `trash`, nanoseconds or a `timedelta` (None: it is freed at once). `wait` is for the lock. A
    layout that is `in_tree` may lose its last dangling images. `shared_with` are the paths of layouts whose blobs may
    lie in this one: what they need and lack stays.
    """

    request: Request = field(default_factory=request)
    repository: str | None = None
    driver: str = "overlayfs"
    dry_run: bool = False
    allow_empty: bool = False
    explain: bool = False
    trash: int | timedelta | None = None
    wait: Duration = 0
    references: tuple[str, ...] | None = None
    policy: Policy | None = None
    own_policy: bool = True
    default_policy: Policy | None = None
    keep_storage: int | None = None
    keeps: Callable[[ImageRecord], bool] | None = None
    match_in_use: bool = True
    in_use_strict: bool = False
    in_tree: bool = False
    shared_with: tuple[str, ...] = ()
