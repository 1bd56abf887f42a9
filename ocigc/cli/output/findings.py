"""What verify and check found about blobs and images, as JSON and as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ocigc.cli.output.words import human_size
from ocigc.errors import printable
from ocigc.layout.completeness import Incomplete
from ocigc.layout.damage import Affected

_SHOWN = 5


def incomplete_as_json(found: Incomplete) -> dict[str, object]:
    """What one image lacks for one platform."""
    layout = {"Layout": found.layout} if found.layout else {}
    return {
        **layout,
        "Name": None if found.image.dangling else found.image.name,
        "Digest": found.image.target.digest,
        "Platform": found.platform or None,
        "Missing": [each.digest for each in found.missing],
        "Bytes": found.size,
    }


def incomplete_as_text(found: Incomplete) -> str:
    """The same in a line."""
    layout = f"{printable(found.layout)}: " if found.layout else ""
    platform = f" {printable(found.platform)}" if found.platform else ""
    missing = _some([each.digest for each in found.missing])
    return f"{layout}{printable(found.image.familiar)}{platform}: {human_size(found.size)} missing: {missing}"


def affected_as_json(found: Affected) -> dict[str, object]:
    """One bad or missing blob, with the images that it belongs to."""
    return {"Layout": found.layout, "Digest": found.digest, "State": found.state, "Images": list(found.images)}


def affected_as_text(found: Affected) -> str:
    """The same in a line."""
    return f"{printable(found.digest)}{_owners([found])}"


def named(line: str, affected: Iterable[Affected]) -> str:
    """A line that begins with a digest, with the images that the blob belongs to."""
    digest = line.partition(": ")[0]
    return line + _owners([each for each in affected if each.digest == digest])


def _owners(found: Sequence[Affected]) -> str:
    if not found:
        return ""
    names = _some([name for each in found for name in each.images]) or "no image"
    return f" ({found[0].layout}: {names})"


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    return ", ".join(map(printable, texts[:_SHOWN])) + more
