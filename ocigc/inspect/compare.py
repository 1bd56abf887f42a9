"""What has changed in a store since an earlier report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocigc.errors import MalformedError
from ocigc.inspect.overview_values import ImageSummary, Overview
from ocigc.strict_json import parse_json
from ocigc.times import parse_rfc3339

Key = tuple[str, str]
"""An image: its layout (in a tree), and its name, or its digest where it has no name."""


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """An earlier report: its time and path, the bytes of all blobs, the digest and size of each image, and the size of
    each repository.
    """

    time: int
    path: str
    size: int
    images: Mapping[Key, tuple[str, int]]
    repositories: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """An image that is new, gone, or has other content under its name. Sizes are in bytes; None where the image is
    absent.
    """

    layout: str
    name: str
    before: int | None
    after: int | None

    @property
    def weight(self) -> int:
        """The bytes to sort by."""
        return max(self.before or 0, self.after or 0)


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences, the largest first. `repositories` has the bytes by which each repository has grown."""

    since: EarlierReport
    added: Sequence[Change]
    removed: Sequence[Change]
    moved: Sequence[Change]
    repositories: Sequence[tuple[str, int]]
    grown: int


def parse_earlier(content: bytes, name: str) -> EarlierReport:
    """Parses a report in JSON. Raises MalformedError, naming the file, where it is not one."""
    document = parse_json(content, name)
    try:
        return _earlier(document)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MalformedError(f"{name}: not a report of ocigc in JSON, or a damaged one") from None


def _earlier(document: Any) -> EarlierReport:
    if document["OcigcReport"] != 1:
        raise ValueError(document["OcigcReport"])
    images = {
        (_text(image.get("Layout", "")), _text(image["Name"] or image["Digest"])): (
            _text(image["Digest"]),
            _size(image["Size"]),
        )
        for image in document["ImagesUsage"]
    }
    repositories = {_text(each["Name"] or ""): _size(each["Size"]) for each in document["Repositories"]}
    time, path = parse_rfc3339(document["Time"]), _text(document["Path"])
    return EarlierReport(time, path, _size(document["Size"]), images, repositories)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value


def compare(earlier: EarlierReport, overview: Overview) -> Changes:
    """The differences between an earlier report and now."""
    now = {_key(image): (image.usage.image.target.digest, image.usage.size) for image in overview.images}
    added: list[Change] = []
    removed: list[Change] = []
    moved: list[Change] = []
    for key in earlier.images.keys() | now.keys():
        before, after = earlier.images.get(key), now.get(key)
        change = Change(*key, before and before[1], after and after[1])
        if before is None:
            added.append(change)
        elif after is None:
            removed.append(change)
        elif before[0] != after[0]:
            moved.append(change)
    sizes = {each.name: each.size for each in overview.repositories}
    grown = [
        (name, sizes.get(name, 0) - earlier.repositories.get(name, 0)) for name in sizes.keys() | earlier.repositories
    ]
    for each in (added, removed, moved):
        each.sort(key=lambda change: (-change.weight, change.name))
    return Changes(
        earlier,
        added,
        removed,
        moved,
        sorted(((name, by) for name, by in grown if by), key=lambda one: (-abs(one[1]), one[0])),
        overview.size - earlier.size,
    )


def _key(image: ImageSummary) -> Key:
    record = image.usage.image
    return image.layout, record.target.digest if record.dangling else record.name
