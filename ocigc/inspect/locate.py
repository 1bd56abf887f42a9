"""Finds images in a tree of layouts, where they are called REPOSITORY:TAG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ocigc.errors import OcigcError, printable
from ocigc.gc.resolve import NoSuchImage, near, resolve_images
from ocigc.layout.discover import Found, Tree
from ocigc.layout.index_images import IndexImages


def locate(
    tree: Tree, references: Iterable[str], repository: Callable[[Found], str | None]
) -> Mapping[Found, Sequence[str]]:
    """Of each layout that has any of the images, the references that name them there. Layouts that cannot be read are
    passed over. Raises NoSuchImage for a reference that names an image in none.
    """
    wanted = list(references)
    found: dict[Found, list[str]] = {}
    names: list[str] = []
    for member in tree.found:
        try:
            with tree.open(member) as layout:
                images = IndexImages.of(layout.read_index().entries, repository(member))
        except (OcigcError, OSError):
            continue
        for reference in wanted:
            try:
                resolve_images(images, reference)
            except NoSuchImage:
                continue
            found.setdefault(member, []).append(reference)
        names += [name for image in images if not image.dangling for name in image.familiar_names]
    there = {reference for each in found.values() for reference in each}
    for reference in wanted:
        if reference not in there:
            raise NoSuchImage(
                f"{printable(tree.path)}: no layout has an image {printable(reference)!r}{near(names, reference)}"
            )
    return found
