"""What crictl says about a node of a cluster: the output of `ps`, `pods`, `images`, `inspect`, `inspectp`, `inspecti`
and `info`. The image of pods' sandboxes is in `info` and `inspectp`, and is pinned in `images`.

Sources: cri-api `runtime.v1`; containerd `internal/cri/server` (`sandboxImage`, `pinned_images` of older and newer
versions, the `image` of a sandbox's info); CRI-O `server/runtime_status.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ocigc.errors import UsageError
from ocigc.gc.in_use import InUse
from ocigc.inuse.mention import Source, all_fit, documents, field, fields, mention, union

_SANDBOX_KEYS = frozenset(("sandboxImage", "sandbox_image", "pauseImage", "pause_image"))
_PINNED_KEYS = frozenset(("pinned_images", "pinnedImages"))
_SANDBOX_ANNOTATIONS = ("io.kubernetes.cri.sandbox-image-name", "io.kubernetes.cri-o.ImageName")
_NAMED = InUse(sandboxes=True)


def _is_cri(document: object) -> bool:
    """Objects of any of these forms."""
    forms = (_is_list, _is_pods, _is_details, _is_info)
    return all_fit(documents(document), lambda each: "kind" not in each and any(fits(each) for fits in forms))


def _is_list(document: dict[str, Any]) -> bool:
    """The list `containers` or `images`, whose entries are what crictl writes."""
    lists = {key: document[key] for key in ("containers", "images") if isinstance(document.get(key), list)}
    return bool(lists) and all(
        isinstance(entry, dict) and ("image" in entry if kind == "containers" else {"id", "repoTags"} <= entry.keys())
        for kind, entries in lists.items()
        for entry in entries
    )


def _is_pods(document: dict[str, object]) -> bool:
    items = document.get("items")
    return isinstance(items, list) and all(
        isinstance(each, dict) and {"id", "metadata"} <= each.keys() for each in items
    )


def _is_details(document: dict[str, object]) -> bool:
    """The `status` of a container, a pod or an image."""
    status = document.get("status")
    return isinstance(status, dict) and "id" in status and ("metadata" in status or "repoTags" in status)


def _is_info(document: dict[str, object]) -> bool:
    """What a runtime says about itself: the whole answer, or only its `config`."""
    status, config = document.get("status"), document.get("config")
    whole = isinstance(status, dict) and "conditions" in status
    return isinstance(config, dict) and (whole or _has_key(config, _SANDBOX_KEYS | _PINNED_KEYS))


def _has_key(node: object, keys: frozenset[str]) -> bool:
    """Whether an object has one of the keys, itself or anywhere in it."""
    if isinstance(node, dict):
        return not keys.isdisjoint(node) or any(_has_key(each, keys) for each in node.values())
    return isinstance(node, list) and any(_has_key(each, keys) for each in node)


def _read_cri(document: object, name: str) -> InUse:
    """The images by reference and digest. Raises UsageError."""
    answers = documents(document)
    parts: list[InUse] = []
    for number, each in enumerate(answers):
        where = name if len(answers) == 1 else f"{name}: object {number}"
        if _is_info(each):
            parts += _sandbox_images(each["config"], f"{where}: config")
        elif _is_details(each):
            parts += _details(each, where)
        elif _is_list(each):
            parts += _listed(each, where)
        else:
            parts += [InUse(pods=True), *(_pod(pod, f"{where}: items[{n}]") for n, pod in enumerate(each["items"]))]
    return union(parts)


def _listed(document: dict[str, Any], where: str) -> Iterator[InUse]:
    for kind in ("containers", "images"):
        for number, entry in enumerate(document.get(kind) or ()):
            place = f"{where}: {kind}[{number}]"
            yield _container(entry, place) if kind == "containers" else _image(entry, place)


def _container(entry: dict[str, object], where: str) -> InUse:
    image = entry.get("image")
    if not isinstance(image, dict):
        raise UsageError(f"{where}: image must be an object")
    named = [field(image, key, where) for key in ("image", "userSpecifiedImage")]
    return union([*named, *(field(entry, key, where) for key in ("imageRef", "imageId"))])


def _image(entry: dict[str, object], where: str) -> InUse:
    names = [*fields(entry, "repoTags", where), *fields(entry, "repoDigests", where)]
    # The images that a runtime pins are those of its sandboxes.
    return union([field(entry, "id", where), *names, _NAMED if entry.get("pinned") is True else InUse()])


def _details(document: dict[str, Any], where: str) -> Iterator[InUse]:
    status = document["status"]
    if "repoTags" in status:
        yield _image(status, f"{where}: status")
    elif "image" in status:
        yield _container(status, f"{where}: status")
    else:
        yield InUse(pods=True)
        yield _pod(status, f"{where}: status")
        info = document.get("info")
        yield _sandbox(info, "image", f"{where}: info") if isinstance(info, dict) else InUse()
        # Newer versions tell a pod's containers, too.
        for number, entry in enumerate(document.get("containersStatuses") or status.get("containersStatuses") or ()):
            yield _container(entry, f"{where}: containersStatuses[{number}]")


def _pod(pod: dict[str, object], where: str) -> InUse:
    """A pod in a list. Some runtimes say which image its sandbox has."""
    annotations = pod.get("annotations")
    found = [_sandbox(pod, "image", where)]
    if isinstance(annotations, dict):
        found += [_sandbox(annotations, key, f"{where}: annotations") for key in _SANDBOX_ANNOTATIONS]
    return union(found)


def _sandbox(entry: dict[str, object], key: str, where: str) -> InUse:
    image = field(entry, key, where)
    return image | _NAMED if image else image


def _sandbox_images(node: object, where: str) -> Iterator[InUse]:
    """Images of sandboxes and others that a runtime keeps, wherever they are in its configuration."""
    if isinstance(node, list):
        for number, each in enumerate(node):
            yield from _sandbox_images(each, f"{where}[{number}]")
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _SANDBOX_KEYS and value:
                yield _sandbox(node, key, where)
            elif key in _PINNED_KEYS and value:
                images = value.values() if isinstance(value, dict) else value
                yield union([_pinned(each, f"{where}: {key}") for each in images]) | _NAMED
            else:
                yield from _sandbox_images(value, f"{where}.{key}")


def _pinned(image: object, where: str) -> InUse:
    if not isinstance(image, str):
        raise UsageError(f"{where} must name images")
    return mention(image, where)


CRI = Source("`crictl ps`, `pods`, `images`, `inspect`, `inspectp` or `info`, as JSON", _is_cri, _read_cri)
