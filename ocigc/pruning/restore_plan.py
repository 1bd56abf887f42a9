"""What a restore brings back: the chosen images, their parts and referrers, and all blobs that these reach. The blobs
may be in the layout by now, or in any run in the trash.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused, UsageError, printable
from ocigc.gc.images import fallback_subject
from ocigc.image import DANGLING_PREFIX, ImageRecord, Media
from ocigc.labels import PREFIX
from ocigc.layout import docker_list, label_files
from ocigc.layout.blob_check import has_blob, hasher
from ocigc.layout.dirfd import Dir
from ocigc.layout.index import Index, parse, with_name
from ocigc.layout.layout import Layout
from ocigc.native import Role, parse_children, parse_document
from ocigc.pruning import journal, run_directory, trash
from ocigc.pruning.journal import RestoreJournal, naming_run
from ocigc.pruning.put_back import blobs_in
from ocigc.pruning.run_directory import TRASH
from ocigc.pruning.trash import MANIFEST_LIMIT, Trashed
from ocigc.reference import split_names


def plan_restore(
    layout: Layout, state: Dir, chosen: Trashed, images: Sequence[ImageRecord], name: str | None
) -> tuple[RestoreJournal, list[Digest]]:
    """The journal of a restore of these images of a run, and the digests of the blobs that come back. Raises UsageError
    for a `name` that the image cannot get.
    """
    if name is not None:
        _check_name(layout, images, name)
    path = trash.path_of(chosen.id)
    whole = len(images) == len(chosen.images)
    with ExitStack() as stack:
        run = stack.enter_context(state.below(TRASH, chosen.id))
        others = [stack.enter_context(state.below(TRASH, each)) for each in trash.names(state) if each != chosen.id]
        places = (layout.dir, run, *others)
        content = trash.read_before(run, chosen.journal)
        before = parse(content)
        wanted = dict.fromkeys(_reached(places, images))
        with naming_run(path):
            for each in docker_list.taken_out(run):
                if each.config in wanted:
                    wanted |= dict.fromkeys(each.layers)
        if whole:
            wanted |= dict.fromkeys(digest for digest, _ in blobs_in(run, path))
        entries = [
            (position, _written(content, before, position, name)) for image in images for position in image.entries
        ]
        for image in _belonging(places, [each for each in chosen.images if each not in images], wanted):
            entries += [(position, _written(content, before, position, None)) for position in image.entries]
        # An entry is useless if the run has taken its target and the target is lost. A target that the run has not
        # taken may be in another layout that shares its blobs.
        targets = {position: before.entries[position].descriptor.digest for position, _ in entries}
        absent = {each for each in targets.values() if not any(has_blob(place, each) for place in places)}
        lost = absent.intersection(run_directory.to_delete(run, path)) if absent else ()
        entries = [(position, entry) for position, entry in entries if targets[position] not in lost]
    unlease = chosen.journal.unlease if whole else ()
    record = RestoreJournal(journal.new_id(), time.time_ns(), chosen.id, tuple(entries), tuple(unlease))
    return record, list(wanted)


def _written(content: bytes, before: Index, position: int, name: str | None) -> str:
    entry = before.entries[position]
    written = content[entry.start : entry.end]
    return (written if name is None else with_name(written, name)).decode()


def _check_name(layout: Layout, images: Sequence[ImageRecord], name: str) -> None:
    digests = {image.target.digest for image in images}
    if len(digests) != 1:
        raise UsageError(f"{layout.path}: a new name is for one image, but {len(digests):,} would come back")
    if not name or "," in name or not name.isprintable() or name.startswith(DANGLING_PREFIX):
        raise UsageError(f"{printable(name)!r} is not a name of an image: it needs printable characters and no comma")
    index = layout.read_index()
    for position, there in enumerate(index.entries.names()):
        if there is not None and name in split_names(there) and index.entries.target(position)[0].digest not in digests:
            raise UsageError(f"{layout.path}: another image has the name {printable(name)!r}; choose another")


def _reached(places: Sequence[Dir], images: Iterable[ImageRecord]) -> Iterator[Digest]:
    """The blobs that images reach, wherever they are."""
    pending = [(image.target.digest, Media.NONE) for image in images]
    pending += [(Digest(digest), Media.NONE) for image in images for digest in image.references]
    seen: set[str] = set()
    while pending:
        digest, media = pending.pop()
        if digest in seen or not Digest.recognises(digest):
            continue
        seen.add(digest)
        yield digest
        pending += [(Digest(each), Media.NONE) for each in _labelled(places, digest)]
        if media not in (Media.UNKNOWN, Media.CONFIG):
            with suppress(MalformedError):
                content = _read_sound(places, digest)
                pending += [(child.digest, child.media) for child in parse_document(content, media)]


def _belonging(
    places: Sequence[Dir], others: Sequence[ImageRecord], wanted: dict[Digest, None]
) -> Iterator[ImageRecord]:
    """Among the other images that a run has removed: the parts and referrers of the `wanted` blobs. What they reach is
    wanted too.
    """
    left = list(others)
    while found := [image for image in left if _belongs(places, image, wanted)]:
        left = [image for image in left if image not in found]
        wanted |= dict.fromkeys(_reached(places, found))
        yield from found


def _belongs(places: Sequence[Dir], image: ImageRecord, wanted: Container[str]) -> bool:
    if not image.nameless:
        subjects = [fallback_subject(name) for name in image.names]
        return all(subject is not None and subject in wanted for subject in subjects)
    if image.target.digest in wanted:
        return True
    with suppress(MalformedError):
        children = parse_children(_read_sound(places, image.target.digest), Media.NONE)
        return any(role is Role.SUBJECT and child.digest in wanted for role, child, _ in children)
    return False


def _read_sound(places: Sequence[Dir], digest: Digest) -> bytes:
    """The content of a blob with the right digest, from the first place that has it; empty where none has it."""
    for place in places:
        with suppress(OSError, Refused), place.below("blobs", digest.algorithm) as directory:
            content = directory.read(digest.encoded, MANIFEST_LIMIT)
            hashed = hasher(digest.algorithm)
            if hashed is None:
                return content
            hashed.update(content)
            if hashed.hexdigest() == digest.encoded:
                return content
    return b""


def _labelled(places: Sequence[Dir], digest: Digest) -> Iterator[str]:
    """The digests that a blob's labels name."""
    for place in places:
        with suppress(Refused):
            for label, value in label_files.read(place, digest).items():
                if label.startswith(PREFIX) and Digest.recognises(value):
                    yield value
