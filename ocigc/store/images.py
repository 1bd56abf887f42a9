"""Image records out of the entries of index.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ocigc.errors import UsageError
from ocigc.image import ImageRecord, dangling_name
from ocigc.reference import InvalidReference, is_bare_tag, parse_normalized
from ocigc.store.index import Entry


def repository_name(text: str) -> str:
    """The normalised name of a repository. Raises UsageError."""
    try:
        reference = parse_normalized(text)
    except InvalidReference as error:
        raise UsageError(f"--repository {text!r}: {error}") from None
    if reference.tag is not None or reference.digest is not None:
        raise UsageError(f"--repository {text!r}: expected a repository without a tag or digest")
    return reference.name


def image_records(entries: Iterable[Entry], repository: str | None) -> list[ImageRecord]:
    """The images of an index. Entries of one name and target are one image; `repository` (normalised) owns bare
    tags.
    """
    records: dict[tuple[str, str], ImageRecord] = {}
    again: dict[tuple[str, str], list[ImageRecord]] = {}
    for position, entry in enumerate(entries):
        record = _record(position, entry, repository)
        identity = record.name, record.target.digest
        if records.setdefault(identity, record) is not record:
            again.setdefault(identity, []).append(record)
    for identity, others in again.items():
        records[identity] = _merged([records[identity], *others])
    return list(records.values())


def _record(position: int, entry: Entry, repository: str | None) -> ImageRecord:
    name = entry.name
    bare_tag = name is not None and is_bare_tag(name)
    if name is None:
        name = dangling_name(entry.descriptor.digest)
    elif bare_tag and repository is not None:
        name, bare_tag = f"{repository}:{name}", False
    return ImageRecord(
        name=name,
        target=entry.descriptor,
        references=entry.references,
        entries=(position,),
        bare_tag=bare_tag,
    )


def _merged(same: Sequence[ImageRecord]) -> ImageRecord:
    """One image of several entries: it holds what any of them does."""
    return replace(
        same[0],
        references=tuple(reference for record in same for reference in record.references),
        entries=tuple(position for record in same for position in record.entries),
    )
