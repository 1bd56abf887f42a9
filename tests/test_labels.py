"""Leases at the border of their time."""

from __future__ import annotations

import pytest

from ocigc.labels import EXPIRE_LABEL, Lease, is_content_reference, is_root
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


@pytest.mark.parametrize(
    ("key", "root", "reference"),
    [
        ("gc.root", True, False),
        ("gc.root.x", True, False),
        ("gc.ref.content", False, True),
        ("gc.ref.content.config", False, True),
        ("gc.ref.content/0", False, True),
        ("gc.ref.contents", False, False),
        ("gc.ref.image.x", False, False),
        ("gc.bref.content.x", False, False),
        ("gc.bref.image", False, False),
        ("gc.bref.container", True, False),
        ("gc.future", True, False),
        ("gc.expire", False, False),
        ("gc.flat", False, False),
        ("distribution.source.docker.io", False, False),
    ],
)
def test_what_labels_mean_here_as_in_the_core(key: str, root: bool, reference: bool) -> None:
    assert is_root(f"containerd.io/{key}") is root
    assert is_content_reference(f"containerd.io/{key}") is reference
