"""Image records, made from the entries of index.json."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from ocigc.errors import Remedy, UsageError
from ocigc.gc.graph import Graph, Groups, Walks
from ocigc.gc.images import NameKind, name_kind
from ocigc.image import DANGLING_PREFIX, ImageRecord, Media, dangling_name, repository_of
from ocigc.native import NO_NODE, Entries, NameForm, nodes_at, places_flagged
from ocigc.reference import InvalidReference, is_bare_tag, parse_normalized, split_names
from ocigc.values import field, frozen, replace


def repository_name(text: str) -> str:
    """The normalised name of a repository. Raises UsageError."""
    try:
        reference = parse_normalized(text)
    except InvalidReference as error:
        raise UsageError(f"repository {error}", Remedy.OTHER_REPOSITORY) from None
    if reference.tag is not None or reference.digest is not None:
        raise UsageError(f"repository {text!r}: expected a name without a tag or digest", Remedy.OTHER_REPOSITORY)
    return reference.name


@frozen
class _Names:
    """How the entries of an index name images. `bare` has a flag per entry: its name is only a tag. Such tags belong to
    `repository` (normalised), where it is known.
    """

    entries: Entries
    repository: str | None
    bare: bytes

    def full(self, position: int, text: str) -> tuple[str, ...]:
        """The names in an entry's name annotation, with their repository."""
        if self.bare[position]:
            return (text if self.repository is None else f"{self.repository}:{text}",)
        names = split_names(text)
        if self.repository is not None and "," in text:
            return tuple(f"{self.repository}:{name}" if is_bare_tag(name) else name for name in names)
        return names

    def key(self, position: int) -> tuple[tuple[str, ...], bytes]:
        """What identifies an entry's image: its full names (none if it has no name) and its target."""
        text, target = self.entries.name(position)
        return () if text is None else self.full(position, text), target

    def before_tag(self, position: int) -> str | None:
        """The part of an entry's name that says its repository: what comes before the tag, "@" for a bare tag, "" for
        no name. None for a name that must be parsed.
        """
        text = self.entries.text(position)
        if not text or self.bare[position]:
            return "@" if text else ""
        before, _, tag = text.rpartition(":")
        return before if before and "@" not in before and "," not in text and is_bare_tag(tag) else None

    def sort(self, positions: array[int]) -> None:
        """Sorts positions by full names, then by digests."""
        owner, owned = ("", None) if self.repository is None else (f"{self.repository}:", self.bare)
        self.entries.sort(positions, DANGLING_PREFIX, owner, owned)


_FORMS = range(256)
_GIVEN, _TAG = int(NameForm.GIVEN), int(NameForm.TAG)  # looking it up in the enum takes longer
_IS_TAG = bytes(bool(form & _TAG) for form in _FORMS)
_KIND = bytes(map((NameKind.NAMELESS.value, NameKind.NAMED.value).__getitem__, (bool(f & _GIVEN) for f in _FORMS)))


def _several_ways(forms: bytes, repository: str | None) -> Iterator[int]:
    """The positions of entries whose names have to be compared one by one, by the forms of all names."""
    present = set(forms)
    tags = {form & NameForm.TAG for form in present if form & NameForm.GIVEN}
    mixed = any(form & NameForm.LIST for form in present) or (repository is not None and len(tags) > 1)
    wanted = NameForm.GIVEN if mixed else NameForm.ODD
    if not any(form & wanted for form in present):
        return iter(())
    return (position for position, form in enumerate(forms) if form & wanted)


@frozen
class _Columns:
    """What is known besides the entries, by position: a NameKind for each entry that stands for an image, and the other
    entries of that image; whether any image has several names; the nodes of targets (NO_NODE if absent); when images
    were created (empty until it is asked for); the media of targets whose media type does not tell; and the digests of
    blobs that stay with images because of their own labels.
    """

    kinds: bytes
    again: Mapping[int, Sequence[int]]
    lists: bool
    targets: array[int] = field(default_factory=lambda: array("I"))
    created: Sequence[int | None] = ()
    forms: Mapping[int, Media] = field(default_factory=dict)
    labelled: Mapping[int, Sequence[str]] = field(default_factory=dict)


class IndexImages:
    """The images of an index, each made on demand. Entries with the same names and target are one image. Implements
    `ocigc.gc.images.Images`.
    """

    def __init__(self, names: _Names, columns: _Columns, positions: array[int]) -> None:
        self._names = names
        self._columns = columns
        self._positions = positions
        self._ordered: IndexImages | None = None
        self._refer = bool(names.entries.references() or columns.labelled)

    @classmethod
    def of(cls, entries: Entries, repository: str | None) -> IndexImages:
        """All images of an index. Bare tags belong to `repository` (normalised)."""
        forms, firsts = entries.forms()
        names = _Names(entries, repository, forms.translate(_IS_TAG))
        kinds = bytearray(forms.translate(_KIND))
        lists = False
        first: dict[tuple[tuple[str, ...], bytes], int] = {}
        # The same name may be written in two ways: in a list, and as a tag that belongs to the repository.
        for position in _several_ways(forms, repository):
            key = names.key(position)
            firsts[position] = first.setdefault(key, position)
            kinds[position] = name_kind(key[0]) if key[0] else NameKind.NAMELESS
            lists |= len(key[0]) > 1
        positions = array("I", range(len(entries)))
        again: dict[int, list[int]] = {}
        if firsts != positions:
            for position in (n for n, before in enumerate(firsts) if n != before):
                again.setdefault(firsts[position], []).append(position)
                kinds[position] = NameKind.NAMELESS
            positions = array("I", (n for n, before in enumerate(firsts) if n == before))
        return cls(names, _Columns(bytes(kinds), again, lists), positions)

    def located(self, targets: array[int]) -> IndexImages:
        """The same images in a store, given the nodes of the targets of all entries."""
        return IndexImages(self._names, replace(self._columns, targets=targets), self._positions)

    def read_as(self, forms: Mapping[int, Media]) -> IndexImages:
        """The same images, given by position the media of targets whose media type does not tell."""
        return IndexImages(self._names, replace(self._columns, forms=forms), self._positions)

    def with_labelled(self, labelled: Mapping[int, Sequence[str]]) -> IndexImages:
        """The same, each image with the digests, by its position, of blobs that stay while it does."""
        return IndexImages(self._names, replace(self._columns, labelled=labelled), self._positions)

    def labelled(self, graph: Graph) -> array[int]:
        """The nodes of those blobs."""
        digests = chain.from_iterable(self._columns.labelled.values())
        return array("I", (node for node in map(graph.find, digests) if node is not None))

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[ImageRecord]:
        return map(self.__getitem__, self._positions)

    def __getitem__(self, position: int) -> ImageRecord:
        names, columns = self._names, self._columns
        target, text = names.entries.target(position)
        full = (dangling_name(target.digest),) if text is None else names.full(position, text)
        if position in columns.forms:
            target = replace(target, media=columns.forms[position])
        return ImageRecord(
            full[0],
            target,
            self._references(position) if self._refer else (),
            self.entries_of(position),
            columns.created[position] if columns.created else None,
            names.repository is None and (bool(names.bare[position]) or (full[1:] != () and is_bare_tag(full[0]))),
            full[1:],
            text is None,
        )

    @property
    def positions(self) -> Sequence[int]:
        return self._positions

    @property
    def entries(self) -> Iterator[int]:
        again = self._columns.again
        further = (again[position] for position in self._positions if position in again) if again else ()
        return chain(self._positions, chain.from_iterable(further))

    def picked(self, positions: Iterable[int]) -> IndexImages:
        return IndexImages(self._names, self._columns, array("I", positions))

    def of_kind(self, *kinds: NameKind) -> IndexImages:
        # Usually every image has one entry, and this is known at once.
        others = self._columns.kinds.translate(None, bytes(kinds))
        if len(others) == len(self._columns.kinds):
            return self.picked(())
        if not others:
            return self
        wanted = self._columns.kinds.translate(bytes(kind in kinds for kind in _FORMS))
        return IndexImages(self._names, self._columns, places_flagged(wanted, self._positions))

    def in_order(self) -> IndexImages:
        if self._ordered is None:
            self._ordered = self.picked(self._sorted())
        return self._ordered

    def _sorted(self) -> Iterable[int]:
        if self._columns.lists:
            return (image.position for image in sorted(self, key=lambda image: image.sort_key))
        positions = array("I", self._positions)
        self._names.sort(positions)
        return positions

    def entries_of(self, position: int) -> tuple[int, ...]:
        return position, *self._columns.again.get(position, ())

    def dated(self, created: Callable[[int], int | None]) -> IndexImages:
        instants: list[int | None] = [None] * len(self._names.entries)
        for position in self._positions:
            instants[position] = created(position)
        return IndexImages(self._names, replace(self._columns, created=instants), self._positions)

    def unnamed(self) -> IndexImages:
        return self.with_labelled({}) if self._columns.labelled else self

    def targets(self, graph: Graph) -> array[int]:  # noqa: ARG002
        return nodes_at(self._columns.targets, self._positions)

    def groups(self, graph: Graph, *, forward: bool = False) -> Groups:
        targets = self.targets(graph)
        if not self._refer and NO_NODE not in targets:  # as usual
            return Groups(targets, array("I", range(1, len(targets) + 1)), forward)
        roots, ends = array("I"), array("I")
        for position, target in zip(self._positions, targets, strict=True):
            if target != NO_NODE:
                roots.append(target)
            if self._refer:
                roots.extend(node for node in map(graph.find, self._references(position)) if node is not None)
            ends.append(len(roots))
        return Groups(roots, ends, forward)

    def roots(self, graph: Graph) -> array[int]:
        return self.groups(graph).roots

    def medias(self) -> bytes:
        medias, forms = self._names.entries.medias(), self._columns.forms
        if not forms:
            return bytes(map(medias.__getitem__, self._positions))
        return bytes(forms.get(position) or medias[position] for position in self._positions)

    def walks(self, graph: Graph) -> Walks:
        return Walks(self.targets(graph), self.medias())

    def repositories(self, own: str | None) -> Iterator[str]:
        known: dict[str, str] = {}
        for position in self._positions:
            key = self._names.before_tag(position)
            if key is None:
                yield repository_of(self[position], own)
                continue
            if key not in known:
                known[key] = repository_of(self[position], own)
            yield known[key]

    def _references(self, position: int) -> tuple[str, ...]:
        """What any entry of an image refers to."""
        references = self._names.entries.references()
        own = (digest for each in self.entries_of(position) for digest in references.get(each, ()))
        return (*own, *self._columns.labelled.get(position, ()))


def written_names(entries: Entries, repository: str | None, position: int, names: Collection[str]) -> tuple[str, ...]:
    """Some names of an image, as one of its entries writes them."""
    text, _ = entries.name(position)
    written = () if text is None else split_names(text)
    owner = "" if repository is None else f"{repository}:"
    return tuple(each for each in written if each in names or (is_bare_tag(each) and owner + each in names))


def image_records(entries: Entries, repository: str | None = None) -> list[ImageRecord]:
    """The images of an index, without its blobs."""
    return list(IndexImages.of(entries, repository))
