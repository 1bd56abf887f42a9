"""What the page's scripts read (`static/store.js`): the store in columns, as numbers where possible.

A page of 10^5 images must stay below 15 MB. So with many images, digests are shortened, blobs are listed only for the
largest images, and the smallest images are summed up by repository.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from ocigc.cli.output.html.growth_chart import growth_chart
from ocigc.cli.output.html.headline import shown
from ocigc.cli.output.report_json import Circumstances, states
from ocigc.errors import printable
from ocigc.gc.images import NameKind, name_kind
from ocigc.image import Media
from ocigc.inspect.growth import Fit
from ocigc.inspect.overview_values import NOBODY, Amounts, ImageSummary, Overview, RepositorySummary
from ocigc.reference import DEFAULT_DOMAIN
from ocigc.times import SECOND

_ROOM = 14_000_000  # bytes
_WHOLE_DIGESTS = 10_000  # units; of more, the digests are cut
_REPOSITORIES = 5000
_SMALLER = "smaller repositories"
_TROUBLES = 5  # of one unit
RULES = "seed"
"""The rule set that a command uses by default."""
_STATES = ("dangling", "referrer", "orphaned", "in use", "leased", "damaged", "incomplete", "absent")
_IMAGE = ("tag", "repository", "unit", "created", "state", "fate", "why", "layout")
_BITS = {state: 1 << bit for bit, state in enumerate(_STATES)}
_ODD = 1 << 8
_FALLBACK = 1 << 9
_KINDS = ("layer", "manifest", "index", "config", "blob")
_MEDIAS = {Media.MANIFEST: 1, Media.INDEX: 2, Media.CONFIG: 3, None: 4}


def document(overview: Overview, made: Circumstances, fit: Fit | None) -> str:
    """The document, as JSON in which an HTML parser finds no tag, no comment and no entity. It reads each unit and
    group many times.
    """
    order = sorted(range(len(overview.units)), key=lambda number: -overview.units[number].size)
    while True:
        built = _Document(overview, made, sorted(order)).build(fit)
        text = json.dumps(built, separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        if len(text) <= _ROOM or not order:
            return text
        order = order[: int(len(order) * min(_ROOM / len(text), 1) * 0.95)]


class _Table:
    """Values that are told by their position."""

    def __init__(self) -> None:
        self.numbers: dict[object, int] = {}

    def __call__(self, value: object) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.numbers)


class _Document:
    """The document with rows for the units at some positions."""

    def __init__(self, overview: Overview, made: Circumstances, kept: Sequence[int]) -> None:
        self._overview = overview
        self._made = made
        self._kept = kept
        self._groups = {
            number: position
            for position, number in enumerate(sorted({group for n in kept for group in overview.units[n].groups}))
        }
        units = frozenset(kept)
        self._listed = {
            number: position
            for position, number in enumerate(
                number
                for number, blob in enumerate(overview.listed)
                if (blob.owner in units if blob.owner >= 0 else ~blob.owner in self._groups)
            )
        }
        each = sorted(overview.repositories, key=lambda repository: -repository.size)
        self._large = frozenset((one.registry, one.name) for one in each[:_REPOSITORIES])
        self._repositories = _Table()
        self._reasons = _Table()
        self._layouts = _Table()

    def build(self, fit: Fit | None) -> dict[str, object]:
        overview, made = self._overview, self._made
        numbers = {old: new for new, old in enumerate(self._kept)}
        columns, folded, usage = self._images(numbers), self._folded(numbers), self._usage()
        registries, repositories = self._names()
        return {
            "layout": made.layout,
            "now": made.now / SECOND,
            "size": overview.size,
            "blobCount": overview.blobs,
            "imageCount": len(overview.images),
            "orphaned": overview.orphaned,
            "leftovers": overview.leftovers_freed,
            "linked": overview.size - overview.on_disk,
            "prune": [overview.prune.images, overview.prune.blobs, overview.prune.bytes],
            "pruneAll": [overview.prune_all.images, overview.prune_all.blobs, overview.prune_all.bytes],
            "images": columns,
            "units": self._units(numbers),
            "groups": self._shared(numbers),
            "blobs": self._blobs(numbers),
            "platformOf": self._platforms(),
            "troubles": self._troubles(numbers),
            "follows": self._follows(numbers),
            "kinds": _KINDS,
            "others": {
                "listed": [
                    [blob.digest.short, blob.size, _MEDIAS.get(blob.media, 0), blob.fate] for blob in overview.others
                ],
                "rest": _flat(overview.others_rest),
            },
            "folded": folded,
            "foldedShared": self._folded_shared(),
            "usage": usage,
            "growth": growth_chart(overview, fit, made.now),
            "registries": registries,
            "repositories": repositories,
            "reasons": [reasons and list(map(printable, reasons)) for reasons in self._reasons],
            "layouts": list(map(printable, self._layouts)) if made.recursive else [],
            "argument": _argument(made.path),
            "options": _options(made),
        }

    def _names(self) -> tuple[list[str], list[tuple[int, str, str]]]:
        """The registries, and of each repository the registry and two names: within that, and in full."""
        registries, repositories = _Table(), []
        for registry, name in self._repositories:
            # A familiar name leaves docker.io out.
            label = name.removeprefix(f"{registry}/")
            # Where repositories are paths, the registry is unknown.
            unsaid = registry == DEFAULT_DOMAIN and self._made.recursive and not self._made.repository
            repositories.append((registries("" if unsaid else registry), shown(label), shown(name)))
        return list(map(printable, registries)), repositories

    def _usage(self) -> list[list[int]]:
        """What each repository has. If there is no room for all, the smallest are put together as one."""
        each = sorted(self._overview.repositories, key=lambda repository: -repository.size)
        rows = [[self._repositories((one.registry, one.name)), *_figures(one)] for one in each[:_REPOSITORIES]]
        rest = [_figures(one) for one in each[_REPOSITORIES:]]
        if rest:
            rows.append([self._repositories(("", _SMALLER)), *map(sum, zip(*rest, strict=True))])
        return rows

    def _images(self, numbers: dict[int, int]) -> dict[str, list[object]]:
        rows = [self._image(image, numbers[image.unit]) for image in self._overview.images if image.unit in numbers]
        columns = {name: [row[place] for row in rows] for place, name in enumerate(_IMAGE)}
        if not self._made.recursive:
            del columns["layout"]
        return columns

    def _image(self, image: ImageSummary, unit: int) -> tuple[object, ...]:
        """What `_IMAGE` names."""
        record = image.usage.image
        suffix = "" if record.dangling else record.familiar.removeprefix(image.repository)
        bits = sum(map(_BITS.__getitem__, states(image, self._overview)))
        fallback = name_kind(record.names) == NameKind.FALLBACK
        return (
            shown(suffix),
            self._repositories((image.registry, image.repository)),
            unit,
            _seconds(record.created),
            bits | _ODD * image.odd | _FALLBACK * fallback,
            int(image.fate),
            self._reasons(image.reasons),
            self._layouts(image.layout),
        )

    def _units(self, numbers: dict[int, int]) -> dict[str, list[Any]]:
        units = [self._overview.units[number] for number in numbers]
        cut = len(units) > _WHOLE_DIGESTS
        blobs = [None if unit.blobs is None else [self._listed[blob] for blob in unit.blobs] for unit in units]
        while blobs and blobs[-1] is None:
            blobs.pop()
        return {
            "digest": [unit.digest.short if cut else unit.digest for unit in units],
            "size": [unit.size for unit in units],
            "alone": [unit.alone for unit in units],
            "free": [unit.free for unit in units],
            "rest": [_flat(unit.rest) for unit in units],
            "groups": [[self._groups[number] for number in unit.groups] for unit in units],
            "blobs": blobs,
            "platforms": [printable(", ".join(unit.platforms)) for unit in units[: len(blobs)]],
        }

    def _shared(self, numbers: dict[int, int]) -> dict[str, list[object]]:
        """The shared blobs of units that have no row. They go only with the last of their units, which the page cannot
        work out.
        """
        bound = {
            group for number, unit in enumerate(self._overview.units) if number not in numbers for group in unit.groups
        }
        groups = {number: self._overview.groups[number] for number in self._groups}
        return {
            "size": [group.size for group in groups.values()],
            "free": [0 if number in bound else group.free for number, group in groups.items()],
            "rest": [_flat(group.rest) for group in groups.values()],
        }

    def _folded_shared(self) -> list[int]:
        """What units without a row have in common: fates, counts and bytes."""
        amounts: dict[int, tuple[int, int]] = {}
        for number, group in enumerate(self._overview.groups):
            if number not in self._groups:
                count, size = amounts.get(0, (0, 0))
                amounts[0] = count + 1, size + group.size
        return [number for fate, (count, size) in amounts.items() for number in (fate, count, size)]

    def _blobs(self, numbers: dict[int, int]) -> dict[str, list[object]]:
        listed = [self._overview.listed[number] for number in self._listed]
        return {
            "digest": [blob.digest.short for blob in listed],
            "size": [blob.size for blob in listed],
            "kind": [_MEDIAS.get(blob.media, 0) for blob in listed],
            "fate": [int(blob.fate) for blob in listed],
            "owner": [self._owner(blob.owner, numbers) for blob in listed],
        }

    def _platforms(self) -> dict[int, str]:
        """The platforms of manifests, by the positions of those."""
        platforms = ((position, self._overview.listed[number].platform) for number, position in self._listed.items())
        return {position: printable(platform) for position, platform in platforms if platform}

    def _owner(self, owner: int, numbers: dict[int, int]) -> int | None:
        if owner == NOBODY:
            return None
        if owner >= 0:
            return numbers.get(owner)
        group = self._groups.get(~owner)
        return None if group is None else ~group

    def _troubles(self, numbers: dict[int, int]) -> dict[int, list[str]]:
        units = self._overview.units
        return {
            new: list(map(printable, units[old].troubles[:_TROUBLES]))
            for old, new in numbers.items()
            if units[old].troubles
        }

    def _follows(self, numbers: dict[int, int]) -> dict[int, int]:
        found = {}
        for old, new in numbers.items():
            follows = self._overview.units[old].follows
            owner = None if follows in (None, old) else self._owner(follows, numbers)
            if owner is not None:
                found[new] = owner
        return found

    def _folded(self, numbers: dict[int, int]) -> list[list[int]]:
        """The units without a row, by repository and fate: how many images, and the bytes that only they have."""
        found: dict[tuple[int, int], list[int]] = {}
        seen = set()
        for image in self._overview.images if len(numbers) < len(self._overview.units) else ():
            if image.unit in numbers:
                continue
            known = (image.registry, image.repository) in self._large
            place = (image.registry, image.repository) if known else ("", _SMALLER)
            key = self._repositories(place), int(image.fate)
            amount = found.setdefault(key, [0, 0])
            amount[0] += 1
            if image.unit not in seen:
                seen.add(image.unit)
                amount[1] += self._overview.units[image.unit].alone
        return [[*key, *amount] for key, amount in found.items()]


def _figures(repository: RepositorySummary) -> tuple[int, ...]:
    return repository.images, repository.size, repository.alone, repository.prune, repository.prune_all


def _flat(amounts: Amounts) -> list[int]:
    return [number for fate, (count, size) in amounts.items() for number in (int(fate), count, size)]


def _seconds(instant: int | None) -> float | int | None:
    if instant is None:
        return None
    return instant // SECOND if instant % SECOND == 0 else instant / SECOND


def _argument(path: str) -> str:
    """The path for a shell. A path with characters that a terminal would interpret is replaced by a word."""
    return shlex.quote(path) if path == printable(path) else "LAYOUT"


def _options(made: Circumstances) -> str:
    """The options with which the command decides as the page does."""
    words = ["--recursive"] if made.recursive else []
    if made.repository and made.repository == printable(made.repository):
        words.append(f"--repository {shlex.quote(made.repository)}")
    if made.rules != RULES:
        words.append(f"--rules {made.rules}")
    words += (f"--mirror {_argument(mirror)}" for mirror in made.mirrors)
    for name in made.in_use:
        words.append(f"--in-use {_argument(name)}")
    return " ".join(words)
