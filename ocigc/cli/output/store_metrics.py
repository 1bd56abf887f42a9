"""What `du --metrics-file` tells of a store: how large it is, what would go, and how it fares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ocigc.inspect.disk_usage import Consumption, freed
from ocigc.inspect.health import Disk, Health
from ocigc.times import SECOND


def store_metrics(consumption: Consumption) -> dict[str, float]:
    """The figures of a store, or of a tree of them, by the names of their metrics."""
    reclaimable, reclaimable_all = (
        sum(freed(files)) + consumption.leftovers_freed for files in (consumption.dangling, consumption.unused)
    )
    return {
        "images": len(consumption.images),
        "blobs": consumption.blobs,
        "store_bytes": consumption.size,
        "store_disk_bytes": consumption.disk,
        "reclaimable_bytes": reclaimable,
        "reclaimable_all_bytes": reclaimable_all,
        **_health(consumption.health),
        **_disks(consumption.disks),
    }


def _health(each: Sequence[Health]) -> dict[str, float]:
    verified = [0 if health.verified is None else health.verified for health in each]
    return {
        "trash_bytes": sum(health.trashed for health in each),
        "trash_runs": sum(health.runs for health in each),
        "incomplete_images": sum(health.incomplete for health in each),
        "damaged_manifests": sum(len(health.damaged) for health in each),
        "oldest_verification_timestamp_seconds": min(verified, default=0) / SECOND,
    }


def _disks(disks: Sequence[Disk]) -> dict[str, float]:
    """Of several disks that with the least room: it is full first."""
    if not disks:
        return {}
    disk = min(disks, key=lambda disk: disk.free)
    return {"disk_size_bytes": disk.total, "disk_free_bytes": disk.free}


def repository_metrics(consumption: Consumption) -> Mapping[str, Mapping[str, float]]:
    """The figures of each repository, by its name as `du` shows it; of one name in several layouts, the sum."""
    found: dict[str, Counter[str]] = {}
    for each in consumption.repositories:
        found.setdefault(each.name or "<none>", Counter()).update(
            {
                "repository_images": each.images,
                "repository_bytes": each.size,
                "repository_unique_bytes": each.unique,
                "repository_reclaimable_bytes": each.reclaimable,
            }
        )
    return found
