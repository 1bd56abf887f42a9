"""Kubernetes objects, from `kubectl get -o json` or as YAML manifests (Helm's output too), and compose files.

Operators state the images that they start in variables called RELATED_IMAGE_…, as OLM requires.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ocigc.errors import UsageError, printable
from ocigc.gc.in_use import InUse
from ocigc.inuse.mention import Source, all_fit, documents, mention, mention_if_any, union

# An image has to be named here; anything that is not a reference is an error.
_CONTAINERS = frozenset(("containers", "initContainers", "ephemeralContainers", "services"))
_PODS = frozenset(("Pod", "PodList"))
_RELATED = "RELATED_IMAGE_"
_STATUSES = frozenset(("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"))


def _is_kubernetes(document: object) -> bool:
    """One or more objects that each have an `apiVersion` and a `kind`, or the `services` of a compose file."""
    return all_fit(
        documents(document),
        lambda each: {"apiVersion", "kind"} <= each.keys() or isinstance(each.get("services"), dict),
    )


def _read_kubernetes(document: object, name: str) -> InUse:
    """Every `image` and `imageID`, at any place: in pods, in objects that make pods, in custom resources; and the
    images that nodes, kustomizations and the variables of operators name.

    Outside of containers, `image` may mean anything, so a value that is not a reference is ignored there. Raises
    UsageError.
    """
    return union(list(_found(document, name)))


def _found(document: object, name: str) -> Iterator[InUse]:
    # Through aliases of YAML, a node may be in many places, even in itself. Each is visited once in each role.
    seen: set[tuple[int, bool]] = set()
    pending: list[tuple[object, str, bool]] = [(document, name, False)]
    while pending:
        node, where, strict = pending.pop()
        if not isinstance(node, dict | list) or (id(node), strict) in seen:
            continue
        seen.add((id(node), strict))
        if isinstance(node, list):
            pending += [(child, f"{where}[{number}]", strict) for number, child in enumerate(node)]
            continue
        if node.get("kind") in _PODS:
            yield InUse(pods=True)
        for key in ("image", "imageID"):
            yield _image(node.get(key), f"{where}.{key}", strict)
        yield from _further(node, where)
        for key, child in node.items():
            inside = key in _CONTAINERS or key in _STATUSES
            if inside and isinstance(child, dict):
                # A compose file's services have names.
                pending += [(service, f"{where}.{key}.{name}", True) for name, service in child.items()]
            else:
                pending.append((child, f"{where}.{key}", inside))


def _image(value: object, where: str, strict: bool) -> InUse:
    if strict and value is not None and value != "":
        if not isinstance(value, str):
            raise UsageError(f"{where}: must be a string")
        return mention(value, where)
    if isinstance(value, dict):
        # A volume that is an image, or an image in parts, as values of charts have them.
        return mention_if_any(value.get("reference"), where) | _in_parts(value, "registry", "repository", "tag", where)
    return mention_if_any(value, where)


def _in_parts(parts: dict[str, object], registry: str, repository: str, tag: str, where: str) -> InUse:
    """An image whose reference is in several members."""
    host, name, version, digest = (parts.get(key) for key in (registry, repository, tag, "digest"))
    if not isinstance(name, str) or not name:
        return InUse()
    text = f"{host}/{name}" if isinstance(host, str) and host else name
    if isinstance(version, str | int | float) and version != "":
        text += f":{version}"
    return mention_if_any(f"{text}@{digest}" if isinstance(digest, str) and digest else text, where)


def _further(node: dict[str, object], where: str) -> Iterator[InUse]:
    """What else names images."""
    name = node.get("name")
    if isinstance(name, str) and name.startswith(_RELATED):
        yield mention_if_any(node.get("value"), where)
    images = node.get("images")
    for each in images if isinstance(images, list) else ():
        if isinstance(each, dict):
            # A node lists the `names` of images that it has; a kustomization gives an image a `newName`.
            names = each.get("names")
            yield from [mention_if_any(text, where) for text in names] if isinstance(names, list) else ()
            renamed = {**each, "newName": each.get("newName") or each.get("name")}
            yield _in_parts(renamed, "", "newName", "newTag", where) if {"newName", "newTag"} & each.keys() else InUse()
        else:
            yield mention_if_any(each, where)


KUBERNETES = Source("`kubectl get -o json`, Kubernetes manifests or a compose file", _is_kubernetes, _read_kubernetes)


_YAML = re.compile(r"""^\s*(?:---|-\s|[\w.$/"'-]+\s*:(?:\s|$))""", re.MULTILINE)
_NULL = "tag:yaml.org,2002:null"


def is_yaml(text: str) -> bool:
    """Whether some line is a key, an item of a list, or separates two documents. A reference never has that form."""
    return _YAML.search(text) is not None


def load_yaml(text: str, name: str) -> list[object]:
    """The documents, scalars as text; empty ones are left out. Raises UsageError for what is not YAML, or has a key
    twice."""
    try:
        import yaml
    except ImportError:
        raise UsageError(
            f"{name}: reading YAML needs PyYAML: install ocigc[yaml], or convert the file to JSON"
        ) from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = [_value(node, {}, name) for node in yaml.compose_all(text, loader)]
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split()) or "nested too deeply"
        raise UsageError(f"{name}: not valid YAML: {printable(reason)}") from None
    return [document for document in documents if document is not None]


def _value(node: Any, known: dict[int, object], name: str) -> object:
    """A node as a plain value. An alias becomes the very value that it stands for, so none is made twice."""
    if id(node) in known:
        return known[id(node)]
    if isinstance(node.value, str):
        return None if node.tag == _NULL else node.value
    if node.id == "sequence":
        items: list[object] = []
        known[id(node)] = items
        items += [_value(child, known, name) for child in node.value]
        return items
    members: dict[str, object] = {}
    known[id(node)] = members
    for key, child in node.value:
        text = str(key.value)
        if text in members:
            line = key.start_mark.line + 1
            raise UsageError(f"{name}: line {line}: the key {printable(text)!r} occurs twice in one mapping")
        members[text] = _value(child, known, name)
    return members
