"""A report as JSON, for `ocigc report --compare` and for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ocigc.inspect.growth import Fit
from ocigc.inspect.overview_values import Fate, ImageSummary, Overview
from ocigc.strict_json import json_pieces
from ocigc.times import format_rfc3339

BEGINNING = b'{"OcigcReport": 1'
"""The beginning of every such document."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a report was made. `layout` is the path as the user gave it, `path` the absolute one. `in_use` are the files
    of what is in use, `mirrors` the names under which their references are sought too, `rules` is the name of the rule
    set. For a tree, `layouts` are the ones that were read, and `errors` say why others were not.
    """

    layout: str
    path: str
    host: str
    version: str
    now: int
    in_use: list[str] = field(default_factory=list)
    mirrors: list[str] = field(default_factory=list)
    rules: str = ""
    recursive: bool = False
    repository: str = ""
    layouts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def as_json(overview: Overview, made: Circumstances, fit: Fit | None) -> Iterator[bytes]:
    """The document, a line, in pieces."""
    health = overview.health
    document: dict[str, object] = {
        "OcigcReport": 1,
        "Version": made.version,
        "Time": format_rfc3339(made.now),
        "Host": made.host,
        "Path": made.path,
        **({"Layouts": made.layouts} if made.recursive else {}),
        "UseSources": made.in_use,
        "Rules": made.rules,
        "Policy": overview.policy or None,
        "Images": len(overview.images),
        "Blobs": overview.blobs,
        "Size": overview.size,
        "Disk": overview.on_disk,
        "Reclaimable": overview.prune.bytes,
        "ReclaimableAll": overview.prune_all.bytes,
        "Health": {
            "Verified": None if health.verified is None else format_rfc3339(health.verified),
            "Corrupt": health.corrupt,
            "Damaged": list(health.damaged),
            "Incomplete": health.incomplete,
            "Refused": health.refused or None,
            "TrashRuns": health.runs,
            "TrashSize": health.trashed,
        },
        "FileSystem": None if overview.disk is None else {"Total": overview.disk.total, "Free": overview.disk.free},
        "Growth": None
        if fit is None
        else {
            "BytesPerDay": round(fit.slope),
            "Points": fit.points,
            "Full": None if fit.full is None else format_rfc3339(fit.full),
        },
        "Repositories": [
            {
                "Name": each.name or None,
                "Images": each.images,
                "Size": each.size,
                "Unique": each.alone,
                "Reclaimable": each.prune,
                "ReclaimableAll": each.prune_all,
            }
            for each in overview.repositories
        ],
        "ImagesUsage": (_image(image, overview, made) for image in overview.images),
        "Errors": made.errors,
    }
    for piece in json_pieces(document):
        yield piece.encode()
    yield b"\n"


def _image(image: ImageSummary, overview: Overview, made: Circumstances) -> dict[str, object]:
    record = image.usage.image
    unit = overview.units[image.unit]
    return {
        "Name": None if record.dangling else record.name,
        "Digest": record.target.digest,
        **({"Layout": image.layout} if made.recursive else {}),
        "Created": None if record.created is None else format_rfc3339(record.created),
        "Size": image.usage.size,
        "Unique": image.usage.unique,
        "State": list(states(image, overview)),
        "Prune": bool(image.fate & Fate.PRUNE),
        "PruneAll": bool(image.fate & Fate.ALL),
        "Troubles": list(unit.troubles),
    }


def states(image: ImageSummary, overview: Overview) -> Iterator[str]:
    """The states of an image, in the order that the page expects."""
    unit = overview.units[image.unit]
    if image.usage.dangling:
        yield "dangling"
    if image.usage.referrer:
        yield "referrer"
    if image.usage.orphaned:
        yield "orphaned"
    if image.usage.in_use:
        yield "in use"
    if image.usage.leased:
        yield "leased"
    if image.usage.damaged or unit.damaged:
        yield "damaged"
    if unit.absent:
        yield "absent"
    elif unit.lacking:
        yield "incomplete"
