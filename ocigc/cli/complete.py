"""`ocigc _complete`: what a shell can complete a word with. The shell asks at every press of Tab, so the command loads
next to nothing, takes no lock, and is silent about errors.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # loading typing takes longer than answering
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LIMIT = 64 << 20  # bytes of index.json
_MOST = 10_000  # answers
_NAMES = (
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
    "org.opencontainers.image.base.name",
)

_BOOLEAN = ("true", "false")
FILTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "prune": {"dangling": _BOOLEAN, "until": (), "label": (), "label!": ()},
    "ls": {
        "reference": (),
        "dangling": _BOOLEAN,
        "referrer": _BOOLEAN,
        "orphaned": _BOOLEAN,
        "in-use": _BOOLEAN,
        "leased": _BOOLEAN,
        "incomplete": _BOOLEAN,
        "damaged": _BOOLEAN,
        "until": (),
        "larger": (),
    },
    "du": {"repository": (), "larger": ()},
}
"""The keys of --filter by command, each with the values that are known."""


def complete(words: Sequence[str]) -> int:
    """Prints the completions, one per line. The arguments are `KIND WORD...`: what to complete, and the command line so
    far.
    """
    try:
        for number, each in enumerate(_answers(words[0], words[1:]) if words else ()):
            if number == _MOST:
                break
            print(each)
        sys.stdout.flush()
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        pass
    return 0


def _answers(kind: str, words: Sequence[str]) -> Iterator[str]:
    if kind == "filters":
        command = next((word for word in words if word in FILTERS), "prune")
        for key, values in FILTERS[command].items():
            yield from (f"{key}={value}" for value in values or ("",))
        return
    layout = next((path for path in map(os.path.expanduser, words) if _is_layout(path)), None)
    if layout is None:
        return
    if kind == "images":
        yield from _images(layout)
    elif kind == "leases":
        yield from (name.removesuffix(".json") for name in _listing(layout, "leases") if name.endswith(".json"))
    elif kind == "runs":
        yield from (name for name in _listing(layout, ".ocigc", "trash") if name.isalnum())


def _is_layout(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "oci-layout"))


def _listing(*path: str) -> list[str]:
    return sorted(os.listdir(os.path.join(*path)))


def _images(layout: str) -> Iterator[str]:
    """The names of images, as `ocigc ls` shows them."""
    import json

    path = os.path.join(layout, "index.json")
    if os.path.getsize(path) > _LIMIT:
        return
    with open(path, "rb") as file:
        entries = json.load(file)["manifests"]
    found = {name for entry in entries for name in _names(entry.get("annotations") or {})}
    yield from sorted(name for name in found if name.isprintable() and not name.startswith("moby-dangling@"))


def _names(annotations: dict[str, str]) -> list[str]:
    text = next((annotations[key] for key in _NAMES if key in annotations), "")
    names = filter(None, (name.strip() for name in text.split(",")))
    return [name.removeprefix("docker.io/library/").removeprefix("docker.io/") for name in names]
