"""YAML, as far as manifests need it. PyYAML is an extra: `ocigc[yaml]`."""

from __future__ import annotations

import re
from typing import Any

from ocigc.errors import UsageError
from ocigc.printable import printable

_YAML = re.compile(r"""^\s*(?:---|-\s|[\w.$/"'-]+\s*:(?:\s|$))""", re.MULTILINE)
_NULL = "tag:yaml.org,2002:null"


def recognises(text: str) -> bool:
    """Whether some line is a key, an item of a list, or parts two documents; no reference looks like that."""
    return _YAML.search(text) is not None


def loads(text: str, name: str) -> list[Any]:
    """The documents, scalars as text; empty ones are left out. Raises UsageError for what is no YAML, or has a key
    twice."""
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            f"--in-use {name}: reading YAML needs PyYAML: install ocigc[yaml], or convert the file to JSON"
        ) from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = [_value(node, {}, name) for node in yaml.compose_all(text, loader)]
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split()) or "nested too deep"
        raise UsageError(f"--in-use {name}: no valid YAML: {printable(reason)}") from None
    return [document for document in documents if document is not None]


def _value(node: Any, known: dict[int, Any], name: str) -> Any:
    """A node as a plain value. An alias is the very value that it stands for, so none is made twice."""
    if id(node) in known:
        return known[id(node)]
    if isinstance(node.value, str):
        return None if node.tag == _NULL else node.value
    if node.id == "sequence":
        items: list[Any] = []
        known[id(node)] = items
        items += [_value(child, known, name) for child in node.value]
        return items
    members: dict[str, Any] = {}
    known[id(node)] = members
    for key, child in node.value:
        text = str(key.value)
        if text in members:
            line = key.start_mark.line + 1
            raise UsageError(f"--in-use {name}: line {line}: the key {printable(text)!r} stands twice in one mapping")
        members[text] = _value(child, known, name)
    return members
