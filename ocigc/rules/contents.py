"""What there is to decide on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ocigc.lease import Lease
from ocigc.rules.graph import Graph
from ocigc.rules.images import Images


@dataclass(frozen=True, slots=True)
class Contents:
    """What a layout holds. `label_roots` are the nodes with a `gc.root` label; `served`: a registry keeps it, and finds
    manifests by the digests of its entries."""

    images: Images
    leases: Sequence[Lease]
    label_roots: Sequence[int]
    graph: Graph
    served: bool = False
