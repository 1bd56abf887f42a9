"""Leases at the border of their time."""

from __future__ import annotations

import pytest

from ocigc.labels import EXPIRE_LABEL, Lease
from ocigc.times import SECOND

END = 1_767_323_045 * SECOND  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(("now", "active"), [(END - 1, True), (END, True), (END + 1, False)])
def test_a_lease_ends_after_its_last_instant(now: int, active: bool) -> None:
    lease = Lease("a", {EXPIRE_LABEL: "2026-01-02T03:04:05Z"}, ())
    assert lease.expires == END
    assert lease.active(now) is active


@pytest.mark.parametrize("text", ["", "soon", "2026-01-02", "2026-13-02T03:04:05Z"])
def test_what_is_not_a_time_never_comes(text: str) -> None:
    lease = Lease("a", {EXPIRE_LABEL: text}, ())
    assert lease.expires is None
    assert lease.active(2**62)
