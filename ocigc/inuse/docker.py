"""Output of docker, podman and nerdctl: containers and images, from `inspect`, `ps` and `images`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ocigc.errors import UsageError
from ocigc.gc.in_use import Container, InUse
from ocigc.inuse.mention import Source, all_fit, field, fields, mention, union


def _is_array_of(document: object, fits: Callable[[dict[str, object]], bool]) -> bool:
    """Whether it is an array of objects that fit, with at least one."""
    return isinstance(document, list) and all_fit(document, fits)


def _read_fields(*keys: str) -> Callable[[object, str], InUse]:
    """Reads what these fields of each entry name, where they are present. The reader raises UsageError."""

    def read(document: Any, name: str) -> InUse:
        return union([field(entry, key, f"{name}: entry {n}") for n, entry in enumerate(document) for key in keys])

    return read


def _is_inspect(document: object) -> bool:
    """An array of objects that each have a `Config` and an `Image`; an empty array is an empty answer."""
    return isinstance(document, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("Config"), dict) and "Image" in entry for entry in document
    )


def _read_inspect(document: Any, name: str) -> InUse:
    """The containers. Raises UsageError if a field is not a string."""
    return union([_inspected_container(entry, f"{name}: entry {number}") for number, entry in enumerate(document)])


def _inspected_container(entry: dict[str, Any], where: str) -> InUse:
    fields = {"Id": entry.get("Id"), "Config.Image": entry["Config"].get("Image"), "Image": entry["Image"]}
    for key, value in fields.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{where}: {key} must be a string")
    image = fields["Image"] or ""
    if "Image" not in entry["Config"] and not image.startswith("sha256:"):
        # nerdctl has the name only in `Image`.
        return field(entry, "Image", where)
    return InUse((Container(fields["Id"] or "", fields["Config.Image"] or "", image),))


INSPECT = Source("`docker inspect` of containers", _is_inspect, _read_inspect)


def _is_podman_inspect(document: object) -> bool:
    """Objects that each have `ImageName` as well as `Image`."""
    return _is_array_of(document, lambda entry: {"Image", "ImageName"} <= entry.keys())


# `Image` is the ID of an image: the digest of its config.
PODMAN_INSPECT = Source(
    "`podman inspect` of containers", _is_podman_inspect, _read_fields("Image", "ImageName", "ImageDigest")
)


def _is_container_list(document: object) -> bool:
    """Objects that each have an `Image` and an `ID` (podman: `Id`). With a `Config` they are from `docker inspect`."""
    return _is_array_of(
        document, lambda entry: "Image" in entry and ("ID" in entry or "Id" in entry) and "Config" not in entry
    )


# Only podman has `ImageID`.
CONTAINER_LIST = Source(
    "`docker ps`, `podman ps` or `nerdctl ps --format json`", _is_container_list, _read_fields("Image", "ImageID")
)


_NONE = "<none>"


def _is_image_list(document: object) -> bool:
    """Objects that each have `RepoTags` and an `Id`, or `Repository`, `Tag` and an `ID`."""
    return _is_array_of(
        document, lambda entry: {"Id", "RepoTags"} <= entry.keys() or {"ID", "Repository", "Tag"} <= entry.keys()
    )


def _read_image_list(document: Any, name: str) -> InUse:
    """The images by name, ID and digest. Raises UsageError."""
    parts = []
    for number, entry in enumerate(document):
        where = f"{name}: entry {number}"
        parts += _row(entry, where) if "Repository" in entry else _described(entry, where)
    return union(parts)


def _described(entry: dict[str, object], where: str) -> list[InUse]:
    names = [each for key in ("RepoTags", "RepoDigests", "Names") for each in fields(entry, key, where)]
    return [field(entry, "Id", where), field(entry, "Digest", where), *names]


def _row(entry: dict[str, object], where: str) -> list[InUse]:
    """A row of a table, in which `<none>` means that a value is absent. The ID counts only if nothing else does, as
    most are shortened.
    """
    stated = {key: value for key, value in entry.items() if value != _NONE}
    parts = [field(stated, "Digest", where)]
    if "Repository" in stated:
        tag = f":{stated['Tag']}" if stated.get("Tag") else ""
        parts.append(mention(f"{stated['Repository']}{tag}", f"{where}: Repository"))
    return parts if any(parts) else [field(stated, "ID", where)]


IMAGE_LIST = Source(
    "`docker images`, `nerdctl images` or `podman images --format json`", _is_image_list, _read_image_list
)
