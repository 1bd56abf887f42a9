"""What a user means by REF: an image's name, a digest, or the beginning of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.errors import UsageError
from ocigc.gc.filters import Filters
from ocigc.gc.graph import Graph
from ocigc.gc.images import Images
from ocigc.image import ImageRecord
from ocigc.printable import printable
from ocigc.reference import InvalidReference, parse_normalized, with_default_tag

_SHOWN = 5
_BEGINNING = re.compile(r"(?:(?P<algorithm>[a-z0-9]+):)?(?P<encoded>[0-9a-f]{7,})")


def resolve_images(images: Images, reference: str, parts: Iterable[ImageRecord] = ()) -> list[ImageRecord]:
    """The images that a reference names: one by its name, or all names of one target by its digest.

    Raises UsageError if it names none, one of the parts, or several targets by the beginning of a digest.
    """
    wanted = _normal(reference)
    named = [image for image in images if image.is_called(reference)]
    named = named or [image for image in images if wanted is not None and wanted in map(_normal, image.names)]
    if named:
        return named
    by_digest = [image for image in images if _begins(image.target.digest, reference)]
    digests = sorted({image.target.digest for image in by_digest})
    if len(digests) > 1:
        raise UsageError(f"{printable(reference)!r} is the beginning of several digests: {_some(digests)}")
    if any(_begins(part.target.digest, reference) for part in parts if not digests):
        raise UsageError(f"{printable(reference)!r} is part of another image, and goes with that")
    if not digests:
        raise UsageError(f"no image {printable(reference)!r}; `ocigc ls` shows what there is")
    return by_digest


@dataclass(frozen=True, slots=True)
class Selection:
    """Positions of the images that are meant with all their names, and of those of which only some names are meant."""

    whole: frozenset[int]
    names: Mapping[int, Collection[str]]


def select(images: Images, references: Iterable[str], parts: Iterable[ImageRecord] = ()) -> Selection:
    """The images and names that references mean: a name means itself alone, a digest every name. Raises UsageError, as
    `resolve_images` does.
    """
    found: dict[int, set[str]] = {}
    for reference in references:
        for image in resolve_images(images, reference, parts):
            named = [view.name for view in image.by_name() if view.is_called(reference)]
            named = named or [name for name in image.names if not image.dangling and _same(name, reference)]
            found.setdefault(image.position, set()).update(named or image.names)
    some = {position: names for position, names in found.items() if len(names) < len(images[position].names)}
    return Selection(frozenset(found.keys() - some.keys()), some)


def only(detached: Collection[int], images: Images) -> Filters:
    """Filters that let go of the images at these positions alone, each of them also without its subject."""
    others = dict.fromkeys((position for position in images.positions if position not in detached), "it was not named")
    return Filters(dangling_only=False, until=(), labels=(), retained=others, detached=frozenset(detached))


def resolve_blob(images: Images, graph: Graph, reference: str) -> Digest:
    """The digest that a reference means: of an image's target, of any blob, or one that is absent if it is whole.

    Raises UsageError.
    """
    match = _BEGINNING.fullmatch(reference)
    if match is not None and graph.find(reference) is None:
        beginning = reference if match["algorithm"] else f"sha256:{reference}"
        first = graph.find_longer(beginning)
        if first is not None:
            digest = graph.digest(first)
            others = {image.target.digest for image in images if _begins(image.target.digest, reference)} - {digest}
            if first + 1 < len(graph) and graph.digest(first + 1).startswith(beginning):
                others.add(graph.digest(first + 1))
            if others:
                raise UsageError(
                    f"{printable(reference)!r} is the beginning of several digests: {_some(sorted({digest, *others}))}"
                )
            return digest
    if graph.find(reference) is not None or _is_whole(reference):
        return Digest(reference)
    return resolve_images(images, reference)[0].target.digest


def _is_whole(reference: str) -> bool:
    return Digest.parse_registered(reference) is not None


def _begins(digest: Digest, reference: str) -> bool:
    match = _BEGINNING.fullmatch(reference)
    if match is None:
        return False
    return digest.startswith(reference) if match["algorithm"] else digest.encoded.startswith(reference)


def _normal(name: str) -> str | None:
    try:
        return str(with_default_tag(parse_normalized(name)))
    except InvalidReference:
        return None


def _same(name: str, reference: str) -> bool:
    normal = _normal(reference)
    return normal is not None and _normal(name) == normal


def _some(digests: Sequence[str]) -> str:
    more = f" and {len(digests) - _SHOWN:,} more" if len(digests) > _SHOWN else ""
    return ", ".join(digests[:_SHOWN]) + more
