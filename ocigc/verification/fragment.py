"""The result of one shard of a verification as a file, and the whole verification made from all of them.

Fragments are merged only if nothing can be missing: every shard is present exactly once, all were made by one version
of ocigc with the same options, and all have seen the same images and the same blobs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ocigc._version import __version__
from ocigc.errors import MalformedError, Refused, UsageError, printable
from ocigc.layout.completeness import Incomplete
from ocigc.layout.damage import Affected
from ocigc.plain import plain, restored
from ocigc.verification.layers import LayerFindings
from ocigc.verification.scan import Verification, fault
from ocigc.verification.shard import Shard

_SUM = "sum"
_STATES = ("corrupt", "wrong size", "malformed", "missing")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What a shard has seen of one layout. Its `path` below the root, as people read it, is empty where the root is the
    layout itself. `index` is the SHA-256 of its index.json, `blobs` the `inventory` of all shards, and the run `began`
    at an instant. `result` is about the blobs of this shard, and about all manifests.
    """

    path: str
    index: str
    blobs: tuple[str, ...]
    began: int
    result: Verification


@dataclass(frozen=True, slots=True)
class Fragment:
    """The result of one shard. `root` is the absolute path of the layout or tree; `way` says how it was verified."""

    version: str
    root: str
    shard: Shard
    way: Mapping[str, str]
    layouts: tuple[Seen, ...]
    errors: tuple[str, ...] = ()


def make(root: str, shard: Shard, way: Mapping[str, str], layouts: Iterable[Seen], errors: Sequence[str]) -> Fragment:
    """The fragment of a run of this version."""
    return Fragment(__version__, root, shard, way, tuple(layouts), tuple(errors))


def dump(fragment: Fragment) -> str:
    """A fragment as one line of JSON, with a checksum."""
    content = plain(fragment)
    return json.dumps({**content, _SUM: _checksum(content)}) + "\n"


def parse(content: bytes, name: str) -> Fragment:
    """The fragment in a file of that name. Raises UsageError for a file of another kind, and MalformedError for a
    fragment that is damaged.
    """
    if not content:
        raise MalformedError(f"{name}: empty: its shard was refused or killed; run its shard again")
    if b'"shard"' not in content:
        raise UsageError(f"{name}: not a fragment of a verification: a shard that was verified writes one")
    try:
        found = json.loads(content)
        if not isinstance(found, dict) or found.pop(_SUM, None) != _checksum(found):
            raise ValueError("its checksum is wrong")
        fragment = restored(Fragment, found, Affected, LayerFindings, Incomplete)
        if wrong := next(filter(None, (fault(seen.result) for seen in fragment.layouts)), ""):
            raise ValueError(wrong)
        return fragment
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)) or "not JSON"
        raise MalformedError(f"{name}: not a whole fragment of a verification: {reason}; run its shard again") from None


def _checksum(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Merged:
    """The results by layout, as one run would have them, and what else went wrong."""

    fragment: Fragment
    results: Sequence[tuple[str, Verification]]
    errors: Sequence[str]


def merge(fragments: Sequence[tuple[str, Fragment]]) -> Merged:
    """Merges what all shards have found. Each fragment comes with the name of its file. Raises Refused where something
    would be missing.
    """
    ordered = [fragment for _, fragment in sorted(fragments, key=lambda each: each[1].shard.number)]
    _refuse_foreign(fragments)
    _refuse_gaps(fragments)
    errors = list(dict.fromkeys(error for each in ordered for error in each.errors))
    failed = {error.partition(": ")[0] for error in errors}
    paths = dict.fromkeys(seen.path for each in ordered for seen in each.layouts)
    results = []
    for path in paths:
        parts = [(each.shard, seen) for each in ordered for seen in each.layouts if seen.path == path]
        if len(parts) == len(ordered):
            results.append((path, _merged(path or printable(ordered[0].root), parts)))
        elif path not in failed:
            without = next(each.shard for each in ordered if path not in {seen.path for seen in each.layouts})
            raise Refused(
                f"{path}: shard {without} did not see this layout: the tree has changed meanwhile; run the shards again"
            )
    _refuse_replicas(fragments)
    return Merged(ordered[0], results, errors)


def _refuse_foreign(fragments: Sequence[tuple[str, Fragment]]) -> None:
    """Refuses fragments of different verifications, or of another version."""
    if not fragments:
        raise Refused("there is nothing to merge: give the fragments of all shards")
    first_name, first = fragments[0]
    for name, each in fragments:
        if each.version != __version__:
            made = f"made by ocigc {printable(each.version)}, and this is {__version__}"
            raise Refused(f"{name}: {made}: run all shards with one version")
        if each.shard.of != first.shard.of:
            raise Refused(
                f"{name}: shard {each.shard}, but {first_name} is shard {first.shard}: not the same verification"
            )
        if each.way != first.way:
            raise Refused(f"{name}: verified in another way than {first_name}: run all shards with the same options")


def _refuse_replicas(fragments: Sequence[tuple[str, Fragment]]) -> None:
    """Refuses fragments of different paths. They may be copies of one layout, each verified only in part."""
    first_name, first = fragments[0]
    for name, each in fragments:
        if each.root != first.root:
            places = f"of {printable(each.root)}, but {first_name} is of {printable(first.root)}"
            raise Refused(f"{name}: {places}: these may be copies; run all shards with one path")


def _refuse_gaps(fragments: Sequence[tuple[str, Fragment]]) -> None:
    of = fragments[0][1].shard.of
    names: dict[int, str] = {}
    for name, each in fragments:
        number = each.shard.number
        if not 1 <= number <= of:
            raise Refused(f"{name}: there is no shard {each.shard}")
        if number in names:
            raise Refused(f"{name}: shard {each.shard} is in {names[number]} too: give each shard once")
        names[number] = name
    missing = [f"{number}/{of}" for number in range(1, of + 1) if number not in names]
    if missing:
        raise Refused(f"not all shards were given: {_some(missing)} missing")


def _merged(layout: str, parts: Sequence[tuple[Shard, Seen]]) -> Verification:
    """What all shards of a layout have found. The latest of them shows what is there now."""
    _, latest = max(parts, key=lambda part: part[1].began)
    other = next((shard for shard, seen in parts if seen.index != latest.index), None)
    if other is not None:
        raise Refused(f"{layout}: index.json has changed since shard {other} ran: run the shards again")
    of = parts[0][0].of
    if any(len(seen.blobs) != of for _, seen in parts):
        raise Refused(f"{layout}: a fragment does not list the blobs of all shards: run the shards again")
    stale = [str(shard) for shard, seen in parts if seen.blobs[shard.number - 1] != latest.blobs[shard.number - 1]]
    if stale:
        raise Refused(f"{layout}: blobs have come or gone since these shards ran: {_some(stale)}; run them again")
    return _union([seen.result for _, seen in parts], latest.result)


def _union(results: Sequence[Verification], latest: Verification) -> Verification:
    corrupt = sorted({digest for each in results for digest in each.corrupt})
    malformed = {line for each in results for line in each.malformed}
    return replace(
        latest,
        checked=sum(each.checked for each in results),
        bytes=sum(each.bytes for each in results),
        corrupt=corrupt,
        wrong_size=sorted({digest for each in results for digest in each.wrong_size}),
        missing=sorted({digest for each in results for digest in each.missing}),
        unsupported=sorted({digest for each in results for digest in each.unsupported}),
        malformed=sorted(line for line in malformed if not any(digest in line for digest in corrupt)),
        errors=sorted({line for each in results for line in each.errors}),
        unchecked=sum(each.unchecked for each in results),
        skipped=sum(each.skipped for each in results),
        compared=sum(each.compared for each in results),
        left=sum(each.left for each in results),
        affected=_affected([each for result in results for each in result.affected]),
        seconds=max(each.seconds for each in results),
    )


def _affected(found: Iterable[Affected]) -> list[Affected]:
    """Each blob once. A blob with a wrong digest is listed only as that."""
    once = {(each.state, each.digest): each for each in found}
    kept = [
        each
        for (state, digest), each in once.items()
        if state in _STATES and not (state == "malformed" and ("corrupt", digest) in once)
    ]
    return sorted(kept, key=lambda each: (_STATES.index(each.state), each.digest))


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
