"""References that are in use but match no image here: a name is misspelt, or the list is from another place.

The user has to know, because such a reference protects nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches

from ocigc.gc.in_use import InUse, normalized
from ocigc.image import ImageRecord
from ocigc.reference import Reference, familiar_name
from ocigc.values import frozen

_SHOWN = 3
_NAME_LIMIT = 100_000  # names to compare with
_COMPARED = 1000  # of them at a time
_LIKE, _LIKE_OF_RELATED = 0.75, 0.5  # by `difflib`, of 1


@frozen
class _Mention:
    """One reference that is in use: the normalised names that it can mean, and digests."""

    text: str
    names: frozenset[str]
    tags: frozenset[str]
    digests: frozenset[str]


class Matching:
    """Compares what is in use with the images of one or more layouts."""

    def __init__(self, in_use: InUse) -> None:
        self._mentions = {mention.text: mention for mention in _mentions(in_use)}
        self._names = frozenset().union(*(mention.names for mention in self._mentions.values()))
        self._tags = frozenset().union(*(mention.tags for mention in self._mentions.values()))
        self._tails = frozenset(_tail(name) for name in self._names)
        self._digests = frozenset().union(*(mention.digests for mention in self._mentions.values()))
        self._found: set[str] = set()
        self._seen: dict[str, None] = {}

    def see(self, images: Iterable[ImageRecord], present: Callable[[str], bool]) -> None:
        """Takes the images of a layout into account; `present` says whether the layout has a digest."""
        for image in images:
            if image.target.digest in self._digests:
                self._found.add(image.target.digest)
            if image.dangling:
                continue
            for view in image.by_name():
                self._see_name(view)
        self._found.update(digest for digest in self._digests if digest not in self._found and present(digest))

    def _see_name(self, image: ImageRecord) -> None:
        if len(self._seen) < _NAME_LIMIT:
            self._seen[image.name] = None
        if image.bare_tag:
            if image.name in self._tags:
                self._found.add(f":{image.name}")
        elif _tail(image.name) in self._tails and (reference := normalized(image.name)) is not None:
            self._found.add(str(reference))

    @property
    def total(self) -> int:
        """How many references are in use."""
        return len(self._mentions)

    @property
    def unmatched(self) -> Sequence[str]:
        """Those that match nothing, sorted."""
        return sorted(mention.text for mention in self._mentions.values() if not self._matches(mention))

    def _matches(self, mention: _Mention) -> bool:
        tags = {f":{tag}" for tag in mention.tags}
        return not self._found.isdisjoint(mention.names | mention.digests | tags)

    def __str__(self) -> str:
        """How many match nothing, the first of them, and the most similar names."""
        unmatched = self.unmatched
        shown = [f"{text}{self._nearest(text)}" for text in unmatched[:_SHOWN]]
        more = f" and {len(unmatched) - _SHOWN:,} more" if len(unmatched) > _SHOWN else ""
        return f"{len(unmatched):,} of {self.total:,} references match no image here: {', '.join(shown)}{more}"

    def _nearest(self, text: str) -> str:
        reference = normalized(text)
        if reference is None or not self._seen:
            return ""
        related = [each for each in self._seen if _related(each, reference)]
        compared, likeness = (related, _LIKE_OF_RELATED) if related else (list(self._seen), _LIKE)
        near = get_close_matches(str(reference), compared[:_COMPARED], 1, likeness)
        return f" (nearest: {familiar_name(near[0])})" if near else ""


def _mentions(in_use: InUse) -> Iterator[_Mention]:
    for container in in_use.containers:
        names = [] if container.started_by_id else in_use.names_of(container.image)
        digests = frozenset((container.image_id,)) if container.image_id else frozenset()
        yield _mention(container.image or container.image_id, names, digests)
    for text in in_use.references:
        yield _mention(text, in_use.names_of(text), frozenset())
    for digest in in_use.digests:
        yield _Mention(digest, frozenset(), frozenset(), frozenset((digest,)))


def _mention(text: str, references: Iterable[Reference], digests: frozenset[str]) -> _Mention:
    names, tags = set(), set()
    for reference in references:
        names.add(str(reference))
        if reference.digest is not None:
            digests |= {reference.digest}
        if reference.tag is not None:
            names.add(f"{reference.name}:{reference.tag}")
            tags.add(reference.tag)
    return _Mention(text, frozenset(names), frozenset(tags), digests)


def _tail(name: str) -> str:
    """The last component of a repository. It distinguishes a name from most others."""
    return name.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0]


def _related(name: str, reference: Reference) -> bool:
    """Whether a name has the same last component, or the same tag and host."""
    if _tail(name) == _tail(reference.name):
        return True
    return name.startswith(f"{reference.domain}/") and name.endswith(f":{reference.tag}")
