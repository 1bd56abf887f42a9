"""The corpus: layouts that an attacker, a bad disk or a broken tool leaves behind, each built by code.

Every case begins with a sound layout (`sound`), and does one thing to it. It says why it is there, how a prune has to
end (0: done; 2: no layout; 3: refused, and nothing changed), and what the one line has to name.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.helpers.layouts import INDEX, MANIFEST, Descriptor, LayoutWriter

MIB = 1 << 20
ABSENT = "sha256:" + "a" * 64
KEPT = "example.com/kept:1"

Damage = Callable[[LayoutWriter], object]
"""Makes a sound layout hostile."""


@dataclass(frozen=True)
class Case:
    """`why` is the reason why the case exists; `line` is in the one line of a refusal."""

    name: str
    why: str
    damage: Damage
    code: int = 3
    line: str = ""
    root: bool = False
    """Whether only root can build it."""
    seen: bool = True
    """Whether a dry run has to see it too: it looks at neither the journal nor the trash."""


def outside(layout: LayoutWriter) -> Path:
    """A directory for bait, which nobody may change."""
    return layout.path.parent / "outside"


def sound(path: Path) -> LayoutWriter:
    """An image that is in use, one that is not, and an orphan, with labels and a lease."""
    layout = LayoutWriter(path)
    outside(layout).mkdir()
    kept = layout.image("kept", ["base", "kept"])
    layout.tag(kept, KEPT)
    layout.tag(layout.image("gone", ["base", "gone"]), "example.com/gone:1")
    layout.labels(kept, {"containerd.io/distribution.source.example.com": "kept"})
    layout.lease("lease", [kept])
    layout.blob("an orphan")
    return layout


# Digests that are none, wherever a digest may stand

_DIGESTS = {
    "traversal": ("sha256:../../../outside/bait", "would be a path out of blobs/"),
    "traversal-in-algorithm": ("../../outside:" + "a" * 64, "would be a path out of blobs/"),
    "absolute": ("/etc/passwd", "openat ignores its directory for such a name"),
    "absolute-encoded": ("sha256:/etc/passwd", "openat ignores its directory for such a name"),
    "uppercase": ("sha256:" + "A" * 64, "on some file systems it is the file of another digest"),
    "overlong": ("sha256:" + "a" * 65, "begins as a digest that may be there"),
    "short": ("sha256:" + "a" * 63, "a prefix of a digest that may be there"),
    "huge": ("sha256:" + "a" * 100_000, "must not run over a buffer"),
    "nul": ("sha256:" + "a" * 64 + "\0", "C would see a good digest"),
    "empty": ("", "would name the directory itself"),
    "dot": ("sha256:.", "would name the directory itself"),
    "no-algorithm": (":" + "a" * 64, "would name blobs/ itself"),
    "unicode": ("sha256:" + "\uff10" * 64, "digits to isdigit(), not to the grammar"),
    "escape": ("\x1b]0;owned\x07", "must not reach a terminal by way of the message"),
}


def _target(digest: str) -> Descriptor:
    return {"mediaType": MANIFEST, "digest": digest, "size": 1}


def _digest_in_index(digest: str, layout: LayoutWriter) -> None:
    layout.tag(_target(digest), "example.com/bad:1")


def _digest_in_manifest(digest: str, layout: LayoutWriter) -> None:
    layout.tag(layout.manifest(layout.config("bad"), [_target(digest)]), "example.com/bad:1")


def _digest_in_subject(digest: str, layout: LayoutWriter) -> None:
    layout.tag(layout.manifest(layout.config("bad"), [], subject=_target(digest)))


def _digest_in_lease(digest: str, layout: LayoutWriter) -> None:
    layout.lease("bad", [_target(digest)])


def _digest_in_label(digest: str, layout: LayoutWriter) -> None:
    layout.labels(layout.entries[0], {"containerd.io/gc.ref.content.x": digest, "containerd.io/gc.root": "1"})


def _digest_in_annotation(digest: str, layout: LayoutWriter) -> None:
    layout.tag({**layout.entries[0]}, "example.com/bad:1", **{"containerd.io/gc.ref.content.x": digest})


def _digests() -> Iterable[Case]:
    for name, (digest, why) in _DIGESTS.items():
        yield Case(f"digest-{name}-in-index", why, partial(_digest_in_index, digest), 3, "index.json")
        yield Case(f"digest-{name}-in-manifest", why, partial(_digest_in_manifest, digest), 3, "manifest sha256:")
        yield Case(f"digest-{name}-in-subject", why, partial(_digest_in_subject, digest), 3, "manifest sha256:")
        yield Case(f"digest-{name}-in-lease", why, partial(_digest_in_lease, digest), 3, "leases/bad.json")
        # containerd takes the value as it is, and finds no content of that name.
        yield Case(f"digest-{name}-in-label", why, partial(_digest_in_label, digest), 0)
        yield Case(f"digest-{name}-in-annotation", why, partial(_digest_in_annotation, digest), 0)


# Files that are something else

_OF_A_BLOB = hashlib.sha256(b"base").hexdigest()
_PLACES = {
    "blob": f"blobs/sha256/{'b' * 64}",
    "foreign": "blobs/sha256/upload",
    "index": "index.json",
    "marker": "oci-layout",
    "sidecar": f"labels/sha256/{_OF_A_BLOB}.json",
    "lease": "leases/lease.json",
    "policy": "ocigc.toml",
    "lock": ".ocigc/lock",
    "run": ".ocigc/run",
    "trash": ".ocigc/trash",
}
_DIRECTORIES = ("blobs", "blobs/sha256", "labels", "labels/sha256", "leases", ".ocigc")


def _clear(layout: LayoutWriter, place: str) -> Path:
    path = layout.path / place
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def _fifo(place: str, layout: LayoutWriter) -> None:
    os.mkfifo(_clear(layout, place))


def _device(place: str, layout: LayoutWriter) -> None:
    os.mknod(_clear(layout, place), stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero


def _socket(place: str, layout: LayoutWriter) -> None:
    path = _clear(layout, place)
    where = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(where)


def _directory(place: str, layout: LayoutWriter) -> None:
    _clear(layout, place).mkdir()


def _symlink(place: str, layout: LayoutWriter) -> None:
    """To bait that would do: the same file or directory, outside."""
    path = layout.path / place
    path.parent.mkdir(exist_ok=True)
    bait = outside(layout) / "bait"
    if path.exists():
        path.rename(bait)
    elif "." in path.name[1:]:
        bait.write_text("{}")
    else:
        bait.mkdir()
    path.symlink_to(bait)


def _broken_symlink(place: str, layout: LayoutWriter) -> None:
    _clear(layout, place).symlink_to(outside(layout) / "nowhere")


_KINDS: dict[str, tuple[Callable[[str, LayoutWriter], None], str]] = {
    "fifo": (_fifo, "opening or reading it waits for ever"),
    "device": (_device, "reading it never ends, and opening one may do anything"),
    "socket": (_socket, "cannot be opened at all"),
    "directory": (_directory, "opens like a file, and cannot be unlinked like one"),
    "symlink": (_symlink, "leads out of the layout to something that would do"),
    "broken-symlink": (_broken_symlink, "looks absent to whoever follows it, and is made by whoever creates"),
}


def _files() -> Iterable[Case]:
    for kind, (make, why) in _KINDS.items():
        for name, place in _PLACES.items():
            if kind == "directory" and name in ("foreign", "trash"):
                continue  # a directory is what they may be
            code = 2 if name == "marker" else 3
            root, seen = kind == "device", name not in ("lock", "run", "trash")
            line = place.rpartition("/")[2]
            yield Case(f"{kind}-as-{name}", why, partial(make, place), code, line, root, seen)
    for place in _DIRECTORIES:
        why, seen = _KINDS["symlink"][1], place != ".ocigc"
        yield Case(f"symlink-as-{place}", why, partial(_symlink, place), 3, place.partition("/")[0], seen=seen)


# Documents that are none, wherever a document may stand

_DEEP = 100_000
_DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "a crash leaves such files"),
    "nuls": (bytes(4096), "a crash leaves such files"),
    "cut": (b'{"a": "b"', "a crash or a full disk leaves such files"),
    "array": (b"[]", "JSON, but no object"),
    "string": (b'"x"', "JSON, but no object"),
    "null": (b"null", "JSON, but no object"),
    "bom": (b'\xef\xbb\xbf{"a": "b"}', "some editors write one, some readers skip it, RFC 8259 forbids it"),
    "utf-16": ('{"a": "b"}'.encode("utf-16"), "some readers guess encodings"),
    "nul-behind": (b'{"a": "b"}\0', "C would see the end"),
    "nul-within": (b'{"a\0": "b"}', "C would see the end"),
    "bad-utf-8": (b'{"a": "\xff"}', "readers replace it, or refuse it"),
    "surrogate-in-utf-8": (b'{"a": "\xed\xa0\x80"}', "readers replace it, or refuse it"),
    "overlong-utf-8": (b'{"a": "\xc0\xaf"}', "a slash to some readers"),
    "duplicate-keys": (b'{"a": "b", "a": "c"}', "readers take the first, or the last"),
    "duplicate-escaped-keys": (b'{"a": "b", "\\u0061": "c"}', "the same key, written in two ways"),
    "deep": (b'{"a": ' + b"[" * _DEEP + b"]" * _DEEP + b"}", "recursion would overflow the stack"),
    "open-deep": (b'{"a":' * _DEEP, "recursion would overflow the stack, and it never ends"),
    "nan": (b'{"a": NaN}', "Python takes it, JSON knows no such thing"),
    "number": (b'{"a": 01}', "octal to some readers"),
    "comment": (b'{"a": "b"} // c', "some readers allow it"),
    "two": (b'{"a": "b"}{"c": "d"}', "a reader of streams takes the first"),
}


def _index_document(content: bytes, layout: LayoutWriter) -> None:
    (layout.path / "index.json").write_bytes(content)


def _marker_document(content: bytes, layout: LayoutWriter) -> None:
    (layout.path / "oci-layout").write_bytes(content)


def _manifest_document(content: bytes, layout: LayoutWriter) -> None:
    layout.tag(layout.blob(content, MANIFEST), "example.com/bad:1")


def _child_document(content: bytes, layout: LayoutWriter) -> None:
    layout.tag(layout.index([layout.blob(content, INDEX)]), "example.com/bad:1")


def _sidecar_document(content: bytes, layout: LayoutWriter) -> None:
    layout.labels(layout.entries[1], {}).write_bytes(content)


def _lease_document(content: bytes, layout: LayoutWriter) -> None:
    (layout.path / "leases" / "lease.json").write_bytes(content)


_READERS: dict[str, tuple[Callable[[bytes, LayoutWriter], None], str]] = {
    "index": (_index_document, "index.json"),
    "marker": (_marker_document, "oci-layout"),
    "manifest": (_manifest_document, "manifest sha256:"),
    "child": (_child_document, "index sha256:"),
    "sidecar": (_sidecar_document, "labels/sha256/"),
    "lease": (_lease_document, "leases/lease.json"),
}


def _documents() -> Iterable[Case]:
    for place, (write, line) in _READERS.items():
        for name, (content, why) in _DOCUMENTS.items():
            yield Case(f"{name}-{place}", why, partial(write, content), 2 if place == "marker" else 3, line)


# Documents that are JSON, but not what they have to be


def _json_index(**document: Any) -> Damage:
    return partial(_index_document, json.dumps(document).encode())


def _json_manifest(**document: Any) -> Damage:
    return partial(_manifest_document, json.dumps({"schemaVersion": 2, **document}).encode())


def _json_lease(**document: Any) -> Damage:
    return partial(_lease_document, json.dumps({"id": "lease", **document}).encode())


def _json_sidecar(document: Any) -> Damage:
    return partial(_sidecar_document, json.dumps(document).encode())


def _size(text: str) -> Damage:
    return partial(_index_document, f'{{"manifests": [{{"digest": "{ABSENT}", "size": {text}}}]}}'.encode())


_CONFIG = {"digest": ABSENT, "size": 1}

_FORMS = [
    Case("size-negative", "would wrap around as an unsigned number", _size("-1"), 3, "size"),
    Case("size-beyond-63-bits", "would wrap around", _size("9223372036854775808"), 3, "size"),
    Case("size-of-400-digits", "is infinite as a float, and slow as an int", _size("1" + "0" * 400), 3, "size"),
    Case("size-fraction", "readers cut it, or refuse it", _size("1.5"), 3, "size"),
    Case("size-exponent", "readers expand it, or refuse it", _size("1e400"), 3, "size"),
    Case("size-string", "readers convert it, or refuse it", _size('"1"'), 3, "index.json"),
    Case("manifests-object", "some readers iterate over keys", _json_index(manifests={}), 3, "index.json"),
    Case("manifests-numbers", "an entry that is no object", _json_index(manifests=[1]), 3, "index.json"),
    Case("manifests-in-capitals", "Go's encoding/json takes it for the same key", _json_index(Manifests=[]), 3, "case"),
    Case(
        "index-with-config", "CVE-2021-41190: both an index and a manifest", _json_index(manifests=[], config=_CONFIG)
    ),
    Case(
        "annotations-array", "annotations that are no object", _json_index(manifests=[{**_CONFIG, "annotations": []}])
    ),
    Case(
        "annotations-numbers",
        "a name that is no string",
        _json_index(manifests=[{**_CONFIG, "annotations": {"org.opencontainers.image.ref.name": 1}}]),
        3,
        "annotations",
    ),
    Case(
        "manifest-and-index",
        "CVE-2021-41190: two readers see two images",
        _json_manifest(config=_CONFIG, layers=[], manifests=[_CONFIG]),
        3,
        "both",
    ),
    Case("manifest-that-is-an-index", "its descriptor says otherwise", _json_manifest(manifests=[_CONFIG]), 3, "index"),
    Case("manifest-of-another-type", "says itself that it is an index", _json_manifest(mediaType=INDEX), 3, "index"),
    Case(
        "schema-1", "has no descriptors, so its layers would go", _json_manifest(schemaVersion=1), 3, "schemaVersion 1"
    ),
    Case(
        "schema-1-layers", "the same without its version", _json_manifest(fsLayers=[{"blobSum": ABSENT}]), 3, "schema 1"
    ),
    Case("layers-object", "layers that are no array", _json_manifest(config=_CONFIG, layers={})),
    Case("descriptor-without-digest", "what it refers to is unknown", _json_manifest(config={"size": 1}), 3, "digest"),
    Case("descriptor-in-capitals", "Go reads it", _json_manifest(config={**_CONFIG, "Digest": ABSENT}), 3, "case"),
    Case("lease-without-id", "a lease that nobody could release", partial(_lease_document, b"{}"), 3, "id"),
    Case("lease-id-number", "a lease that nobody could release", _json_lease(id=1), 3, "id"),
    Case("lease-labels-numbers", "its end is unknown", _json_lease(labels={"containerd.io/gc.expire": 1}), 3, "labels"),
    Case("lease-resources-object", "what it holds is unknown", _json_lease(resources={}), 3, "resources"),
    Case("lease-resources-numbers", "what it holds is unknown", _json_lease(resources=[1]), 3, "resource"),
    Case("sidecar-numbers", "a label that is no string", _json_sidecar({"containerd.io/gc.root": 1}), 3, "labels/"),
    Case("sidecar-nested", "a label that is no string", _json_sidecar({"a": {"b": "c"}}), 3, "labels/"),
]


# Content that is too large


def _many_leases(layout: LayoutWriter) -> None:
    (layout.path / "leases").mkdir(exist_ok=True)
    for number in range(10_001):
        (layout.path / "leases" / f"{number}.json").write_bytes(b"{}")


def _sparse(place: str, size: int, layout: LayoutWriter) -> None:
    path = layout.path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)


def _sparse_manifest(layout: LayoutWriter) -> None:
    os.truncate(layout.blob_path(layout.entries[1]), 1024 * MIB)


def _sparse_layer(layout: LayoutWriter) -> None:
    """No prune reads layers."""
    (layout.path / "blobs" / "sha256" / ("c" * 64)).touch()
    os.truncate(layout.path / "blobs" / "sha256" / ("c" * 64), 128 * MIB)


def _wide_entry(layout: LayoutWriter) -> None:
    bomb = b"[]," * (64 << 20)
    (layout.path / "index.json").write_bytes(
        b'{"manifests":[{"digest":"%s","size":1,"x":[%s[]]}]}' % (ABSENT.encode(), bomb)
    )


def _wide_manifest(layout: LayoutWriter) -> None:
    _manifest_document(b'{"layers":[],"x":[' + b"[]," * (5 << 20) + b"[]]}", layout)


def _wide_unknown(layout: LayoutWriter) -> None:
    bomb = layout.blob(b"[" + b"[]," * (5 << 20) + b"[]]", "application/vnd.example.bomb.v1+json")
    layout.tag(layout.manifest(layout.config("bomb"), [bomb]), "example.com/bomb:1")


def _many_descriptors(layout: LayoutWriter) -> None:
    layer = json.dumps({"digest": ABSENT, "size": 1}, separators=(",", ":"))
    _manifest_document(f'{{"layers":[{",".join([layer] * 150_000)}]}}'.encode(), layout)


_NO_ROOM = "far too large, and takes no room on disk"
_SIZES = [
    Case("sparse-index", _NO_ROOM, partial(_sparse, "index.json", 513 * MIB), 3, "index.json"),
    Case("sparse-marker", _NO_ROOM, partial(_sparse, "oci-layout", 65 * MIB), 2, "oci-layout"),
    Case("many-leases", "each is read into memory", _many_leases, 3, "10,000 leases"),
    Case("sparse-lease", _NO_ROOM, partial(_sparse, "leases/lease.json", 65 * MIB), 3, "lease.json"),
    Case("sparse-sidecar", _NO_ROOM, partial(_sparse, _PLACES["sidecar"], 65 * MIB), 3, "labels/"),
    Case("sparse-policy", _NO_ROOM, partial(_sparse, "ocigc.toml", 65 * MIB), 3, "ocigc.toml"),
    Case("sparse-manifest", _NO_ROOM, _sparse_manifest, 3, "sha256:"),
    Case("sparse-layer", "128 MiB that take no room on disk, and that a prune need not read", _sparse_layer, 0),
    Case("wide-entry", "each [] of three bytes becomes a list of 56", _wide_entry, 3, "index.json"),
    Case("wide-manifest", "five million empty arrays", _wide_manifest, 0),
    Case("wide-unknown-json", "the same in a blob that is looked into", _wide_unknown, 0),
    Case("many-descriptors", "a manifest of as many layers as fit into it", _many_descriptors, 0),
]


# Blobs that are not what their names say


def _manifest_path(layout: LayoutWriter) -> Path:
    return layout.blob_path(layout.entries[1])


def _corrupt(layout: LayoutWriter) -> None:
    path = _manifest_path(layout)
    path.write_bytes(path.read_bytes()[:-1] + b" ")


def _truncated(layout: LayoutWriter) -> None:
    path = _manifest_path(layout)
    os.truncate(path, path.stat().st_size - 10)


def _emptied(layout: LayoutWriter) -> None:
    os.truncate(_manifest_path(layout), 0)


def _grown(layout: LayoutWriter) -> None:
    with _manifest_path(layout).open("ab") as file:
        file.write(b" ")


def _swapped(layout: LayoutWriter) -> None:
    one, two = map(layout.blob_path, layout.entries)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def _missing(layout: LayoutWriter) -> None:
    _manifest_path(layout).unlink()


def _corrupt_child(layout: LayoutWriter) -> None:
    child = layout.image("child")
    layout.tag(layout.index([child]), "example.com/bad:1")
    layout.blob_path(child).write_text("{}")


def _leased(layout: LayoutWriter) -> None:
    image = layout.image("leased")
    layout.lease("lease", [image])
    layout.blob_path(image).write_text("{}")


_BLOBS = [
    Case("manifest-corrupt", "what it refers to is unknown", _corrupt, 3, "sha256:"),
    Case("manifest-truncated", "what it refers to is unknown", _truncated, 3, "sha256:"),
    Case("manifest-empty", "a crash leaves such files", _emptied, 3, "sha256:"),
    Case("manifest-grown", "valid JSON still, but not what was signed", _grown, 3, "sha256:"),
    Case("manifests-swapped", "both are valid, and neither is what it is called", _swapped, 3, "sha256:"),
    Case("manifest-missing", "sparse stores are normal", _missing, 0),
    Case("child-corrupt", "below an index it counts as much", _corrupt_child, 3, "sha256:"),
    Case("leased-corrupt", "under a lease it counts as much", _leased, 3, "sha256:"),
]


# Names


def _hard_links(layout: LayoutWriter) -> None:
    """Everything is a file outside, too: that one may lose a link, and nothing else."""
    for number, path in enumerate(sorted(layout.path.rglob("*"))):
        if path.is_file():
            (outside(layout) / str(number)).hardlink_to(path)


def _hostile_names(layout: LayoutWriter) -> None:
    evil = "evil\x1b[2J\x1b]0;owned\x07\u202e\u2028\n\r\x00:1\ud800"
    layout.tag(layout.image("evil"), evil)
    layout.lease("evil", [layout.entries[0]])
    document = json.loads((layout.path / "leases" / "evil.json").read_text())
    document.update(id=evil, created=evil, labels={evil: evil, "containerd.io/gc.expire": evil})
    (layout.path / "leases" / "evil.json").write_text(json.dumps(document))
    (layout.path / "leases" / "evil.json").rename(layout.path / "leases" / "evil\x1b[2J\n.json")
    layout.labels(layout.entries[0], {evil: evil, "containerd.io/gc.ref.snapshot.overlayfs": evil})
    (layout.path / "blobs" / "sha256" / "evil\x1b[2J\n").write_text("mine")


def _broken_lease_of_a_hostile_name(layout: LayoutWriter) -> None:
    (layout.path / "leases" / os.fsdecode(b"evil\x1b[2J\n\xff.json")).write_text("{")


def _fifo_of_a_hostile_name(layout: LayoutWriter) -> None:
    os.mkfifo(layout.path / "blobs" / "sha256" / os.fsdecode(b"evil\x1b[2J\n\xff"))


def _names_that_are_no_text(layout: LayoutWriter) -> None:
    (layout.path / "labels" / "sha256").mkdir(parents=True, exist_ok=True)
    for place in (".", "blobs", "blobs/sha256", "labels", "labels/sha256", "leases"):
        (layout.path / place / os.fsdecode(b"\xff\xfe\x1b")).write_text("mine")


def _foreign_files(layout: LayoutWriter) -> None:
    for name in (
        "README",
        "sha256/upload",
        f"sha256/{'A' * 64}",
        f"sha256/{'a' * 65}",
        "md5/" + "a" * 32,
        "md5/.."[:4],
    ):
        path = layout.path / "blobs" / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text("mine")


_NAMES = [
    Case("hard-links", "what a link outside shares must not be written to", _hard_links, 0),
    Case("hostile-names", "escapes of terminals, line ends, bidi marks, NUL, lone surrogates", _hostile_names, 0),
    Case("hostile-name-of-a-lease", "an error names the file", _broken_lease_of_a_hostile_name, 3, "leases/evil\\x1b"),
    Case("hostile-name-of-a-fifo", "an error names the file", _fifo_of_a_hostile_name, 3, "blobs/sha256/evil"),
    Case("names-that-are-no-utf-8", "Linux names are bytes", _names_that_are_no_text, 0),
    Case("foreign-files", "what is no digest is not ours", _foreign_files, 0),
]


# Shapes and times


def _deep_indexes(layout: LayoutWriter) -> None:
    target = layout.image("deep", ["bottom"])
    for _ in range(10_000):
        target = layout.index([target])
    layout.tag(target, "example.com/deep:1")


def _cycle_of_labels(layout: LayoutWriter) -> None:
    one, two = layout.entries
    layout.labels(one, {"containerd.io/gc.ref.content.0": two["digest"]})
    layout.labels(two, {"containerd.io/gc.ref.content.0": one["digest"]})


def _cycle_of_indexes(layout: LayoutWriter) -> None:
    """Under an algorithm that nobody can verify: with a true digest there is no cycle."""
    (layout.path / "blobs" / "nohash").mkdir()
    document = json.dumps({"manifests": [{"mediaType": INDEX, "digest": "nohash:cycle", "size": 100}]}).ljust(100)
    (layout.path / "blobs" / "nohash" / "cycle").write_text(document)
    layout.tag({"mediaType": INDEX, "digest": "nohash:cycle", "size": 100}, "example.com/cycle:1")


def _false_cycle(layout: LayoutWriter) -> None:
    index = {"mediaType": INDEX, "digest": "sha256:" + "c" * 64, "size": 100}
    layout.blob_path(index).write_text(json.dumps({"manifests": [index]}))
    layout.tag(index, "example.com/cycle:1")


def _unknown_types(layout: LayoutWriter) -> None:
    children = [layout.blob(f"{{ no json {n}", media) for n, media in enumerate(("", "x", "a/b+json", "\0", "a" * 255))]
    layout.tag(layout.manifest(layout.config("unknown"), children), "example.com/unknown:1")


def _skewed(layout: LayoutWriter) -> None:
    for number, path in enumerate(sorted(layout.path.rglob("*"))):
        os.utime(path, ns=((-(2**33), 0, 2**62)[number % 3],) * 2)


_SHAPES = [
    Case("indexes-10000-deep", "recursion would overflow the stack", _deep_indexes, 0),
    Case("cycle-of-labels", "a walk would never end", _cycle_of_labels, 0),
    Case("cycle-of-indexes", "a walk would never end", _cycle_of_indexes, 0),
    Case("cycle-of-false-digests", "a walk that does not verify would never end", _false_cycle, 3, "sha256:ccc"),
    Case("unknown-media-types", "leaves, also where they say that they are JSON", _unknown_types, 0),
    Case("clock-skew", "files from before 1970 and from after 2100", _skewed, 0),
]

# Journals and trash that came with the layout, from a stranger


def _journal(**fields: Any) -> bytes:
    sound = {"kind": "prune", "id": "0123abcd", "started": 1, "in_grace_after": 1, "expires": 1}
    sound |= {"before": "0" * 64, "after": "0" * 64, "removed": [], "renamed": [], "unlease": [], "shared": False}
    return json.dumps({"version": 2, **sound, **fields}).encode()


def _restore_journal(**fields: Any) -> bytes:
    sound = {"kind": "restore", "id": "0123abcd", "started": 1, "run": "4567abcd", "entries": [], "unlease": []}
    return json.dumps({"version": 2, **sound, **fields}).encode()


_OUT = {"digest": "../../../outside:bait", "label": "a", "value": "b"}
_JOURNALS: dict[str, tuple[bytes, str]] = {
    **{name: _DOCUMENTS[name] for name in ("empty", "nuls", "cut", "array", "null", "deep")},
    "of-another-version": (_journal(version=3), "what it means is unknown"),
    "of-another-kind": (_journal(kind="x"), "what it means is unknown"),
    "without-fields": (b'{"version": 2}', "what it means is unknown"),
    "with-other-fields": (_journal(x=1), "what it means is unknown"),
    "id-traversal": (_journal(id="../../../outside"), "removing that run would remove what lies outside"),
    "id-absolute": (_journal(id="/etc"), "removing that run would remove what lies outside"),
    "id-number": (_journal(id=1), "compared and joined as a string"),
    "started-string": (_journal(started="x"), "compared as a number"),
    "started-huge": (_journal(started=1 << 80), "more than C's 64 bits"),
    "expires-float": (_journal(expires=1e308), "more than C's 64 bits"),
    "removed-strings": (_journal(removed=["a"]), "positions in index.json"),
    "removed-number": (_journal(removed=1), "positions in index.json"),
    "unlease-traversal": (_journal(unlease=[_OUT]), "its sidecar would be rewritten outside"),
    "unlease-numbers": (_journal(unlease=[{"digest": 1, "label": 2, "value": 3}]), "joined as strings"),
    "unlease-array": (_journal(unlease=[[]]), "no object"),
    "before-path": (_journal(before="../index"), "compared as a digest"),
    "removed-negative": (_journal(removed=[-1]), "positions in index.json"),
    "renamed-numbers": (_journal(renamed=[[0, [1]]]), "names as strings"),
    "too-large": (_journal(id="x" * (64 << 20)), "read into memory"),
}
_RESTORES = {
    "run-traversal": (_restore_journal(run="../../outside"), "blobs would come out of what lies outside"),
    "entries-objects": (_restore_journal(entries=[[0, {}]]), "written into index.json as they are"),
    "entries-number": (_restore_journal(entries=1), "no list"),
    "with-other-fields": (_restore_journal(x=1), "what it means is unknown"),
}
_TO_DELETE = {
    "traversal": (b"../../../outside:bait\n", "its sidecar would be moved, and removed, from outside"),
    "encoded-traversal": (b"sha256:../../../outside/bait\n", "its sidecar would be moved, and removed, from outside"),
    "no-text": (b"\xff\xfe\n", "is no ASCII"),
    "empty-line": (b"\n", "would name a directory"),
    "nul": (b"sha256:" + b"a" * 64 + b"\0\n", "C would see a good digest"),
}


def _bait(layout: LayoutWriter) -> None:
    (outside(layout) / "bait.json").write_text('{"a": "b"}')
    (layout.path / "labels" / "sha256").mkdir(parents=True, exist_ok=True)


def _interrupted(journal: bytes, to_delete: bytes, layout: LayoutWriter) -> None:
    _bait(layout)
    run = layout.path / ".ocigc" / "run"
    run.mkdir(parents=True)
    (run / "journal.json").write_bytes(journal)
    (run / "to-delete").write_bytes(to_delete)


def _trashed(journal: bytes, layout: LayoutWriter, *, name: str = "0123abcd") -> None:
    _bait(layout)
    run = layout.path / ".ocigc" / "trash" / name
    run.mkdir(parents=True)
    (run / "journal.json").write_bytes(journal)
    (run / "index.before").write_text('{"manifests": []}')


def _to_delete_fifo(layout: LayoutWriter) -> None:
    _interrupted(_journal(), b"", layout)
    (layout.path / ".ocigc" / "run" / "to-delete").unlink()
    os.mkfifo(layout.path / ".ocigc" / "run" / "to-delete")


def _leftover(name: str, layout: LayoutWriter) -> None:
    (outside(layout) / "bait").mkdir()
    (outside(layout) / "bait" / "precious").write_text("mine")
    (layout.path / ".ocigc").mkdir()
    (layout.path / ".ocigc" / name).symlink_to(outside(layout) / "bait")


def _state() -> Iterable[Case]:
    for name, (content, why) in _JOURNALS.items():
        yield Case(f"journal-{name}", why, partial(_interrupted, content, b""), 3, "journal.json", seen=False)
        yield Case(f"trash-{name}", why, partial(_trashed, content), 3, "journal.json", seen=False)
    for name, (content, why) in _RESTORES.items():
        yield Case(f"restore-{name}", why, partial(_interrupted, content, b""), 3, "journal.json", seen=False)
    for name in ("x", "0123ABCD", "..ocigc", "0123abcd.tmp"):
        why = "a name in the trash becomes a path"
        yield Case(f"trash-name-{name}", why, partial(_trashed, _journal(), name=name), 3, "trash", seen=False)
    for name, (content, why) in _TO_DELETE.items():
        yield Case(f"to-delete-{name}", why, partial(_interrupted, _journal(), content), 3, "to-delete", seen=False)
    yield Case("to-delete-fifo", _KINDS["fifo"][1], _to_delete_fifo, 3, "to-delete", seen=False)
    why = "the journal of one run would remove another"
    yield Case("trash-of-another-run", why, partial(_trashed, _journal(id="4567abcd")), 3, "another run", seen=False)
    for name in ("draft", "discarded"):
        yield Case(
            f"symlink-as-{name}", "what is left of a run is removed", partial(_leftover, name), 3, name, seen=False
        )


CASES = [*_state(), *_digests(), *_files(), *_documents(), *_FORMS, *_SIZES, *_BLOBS, *_NAMES, *_SHAPES]
