"""What a user means by REF: an image's name, a pattern of names, a digest, or the beginning of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice

from ocigc.digest import Digest
from ocigc.errors import Remedy, UsageError, printable
from ocigc.gc.filters import Filters
from ocigc.gc.graph import Graph
from ocigc.gc.images import Images
from ocigc.image import ImageRecord
from ocigc.reference import InvalidReference, parse_normalized, with_default_tag
from ocigc.values import frozen

_SHOWN = 5
_COMPARED = 5000  # names to compare with a name that was not found: each takes some 20 µs
_BEGINNING = re.compile(r"(?:(?P<algorithm>[a-z0-9]+):)?(?P<encoded>[0-9a-f]{7,})")
_TOO_SHORT = re.compile(r"sha(?:256|512):[0-9a-f]{0,6}")


class NoSuchImage(UsageError):
    """A reference that names no image."""


def resolve_images(
    images: Images | Sequence[ImageRecord], reference: str, parts: Iterable[ImageRecord] = ()
) -> list[ImageRecord]:
    """The images that a reference names: by a name, that image; by a pattern (`app:1.*`), all whose names match; by a
    digest, all images with that target.

    Raises NoSuchImage if it names none. Raises UsageError if it names a part, or is the beginning of several digests.
    """
    named = [image for image in images if image.is_called(reference)]
    if not named and is_pattern(reference):
        named = [image for image in images if _matches(image, reference)]
        if not named:
            raise no_such_image(f"no image matches {printable(reference)!r}", _names(images), reference)
    wanted = None if named else _normal(reference)
    named = named or [image for image in images if wanted is not None and wanted in map(_normal, image.names)]
    if named:
        return named
    by_digest = [image for image in images if _begins(image.target.digest, reference)]
    digests = sorted({image.target.digest for image in by_digest})
    if len(digests) > 1:
        raise UsageError(f"{printable(reference)!r} is the beginning of several digests: {_some(digests)}")
    if any(_begins(part.target.digest, reference) for part in parts if not digests):
        raise UsageError(f"{printable(reference)!r} is part of another image, and goes with it")
    if not digests and _TOO_SHORT.fullmatch(reference):
        raise NoSuchImage(f"no image {reference!r}: the beginning of a digest needs at least 7 digits")
    if not digests:
        raise no_such_image(f"no image {printable(reference)!r}", _names(images), reference)
    return by_digest


def is_pattern(reference: str) -> bool:
    """Whether a reference is a pattern, as in a shell, unless an image has it as its name."""
    return any(character in reference for character in "*?[")


def _matches(image: ImageRecord, pattern: str) -> bool:
    return not image.dangling and any(fnmatchcase(name, pattern) for name in (*image.names, *image.familiar_names))


def _names(images: Images | Sequence[ImageRecord]) -> Iterator[str]:
    return (name for image in images if not image.dangling for name in image.familiar_names)


def no_such_image(
    message: str, names: Iterable[str], reference: str, remedy: Remedy = Remedy.LIST_IMAGES
) -> NoSuchImage:
    """The error for a reference that is not among the names. It has the most similar names or, if there are none, the
    remedy.
    """
    known = list(islice(names, _COMPARED))
    wanted = reference.rstrip("*").removeprefix("docker.io/library/").removeprefix("docker.io/")
    repository = wanted.rpartition(":")[0] or wanted
    found = [name for name in known if name.rpartition(":")[0] == repository]
    found = found or [name for name in known if wanted and wanted in name]
    if not found:
        from difflib import get_close_matches

        found = get_close_matches(wanted, known, _SHOWN)
    if found:
        return NoSuchImage(f"{message}; there is {printable(_some(sorted(found)))}")
    return NoSuchImage(message, remedy)


@frozen
class Selected:
    """Positions of the images that are meant with all their names, and of those that are meant with only some."""

    whole: frozenset[int]
    names: Mapping[int, Collection[str]]


def select(images: Images, references: Iterable[str], parts: Iterable[ImageRecord] = ()) -> Selected:
    """The images and names that references mean: a name means only itself, a digest means every name. Raises
    UsageError, as `resolve_images` does.
    """
    found: dict[int, set[str]] = {}
    for reference in references:
        for image in resolve_images(images, reference, parts):
            named = [view.name for view in image.by_name() if view.is_called(reference) or _matches(view, reference)]
            named = named or [name for name in image.names if not image.dangling and _same(name, reference)]
            found.setdefault(image.position, set()).update(named or image.names)
    some = {position: names for position, names in found.items() if len(names) < len(images[position].names)}
    return Selected(frozenset(found.keys() - some.keys()), some)


def filters_for(detached: Collection[int], images: Images) -> Filters:
    """Filters that allow only the images at these positions to go, each also without its subject."""
    others = dict.fromkeys((position for position in images.positions if position not in detached), "it was not named")
    return Filters(dangling_only=False, until=(), labels=(), retained=others, detached=frozenset(detached), chosen=True)


def resolve_blob(images: Images, graph: Graph, reference: str) -> Digest:
    """The digest that a reference means: that of an image's target, of any blob, or a whole digest that is absent.

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
    try:
        found = resolve_images(images, reference)
    except NoSuchImage as error:
        if match is None or error.remedy is None:
            raise
        raise NoSuchImage(f"no image or blob {printable(reference)!r}", Remedy.LIST_IMAGES) from None
    if len({image.target.digest for image in found}) > 1:
        names = _some(sorted(image.familiar for image in found))
        raise UsageError(f"{printable(reference)!r} matches several images; name one of them: {printable(names)}")
    return found[0].target.digest


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


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
