"""Layouts for tests, written blob by blob."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

NAME_ANNOTATIONS = {
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
    "org.opencontainers.image.base.name",
}

Descriptor = dict[str, Any]


def path_of(target: Descriptor) -> str:
    """The file of a blob, relative to the layout."""
    return f"blobs/{target['digest'].replace(':', '/')}"


class LayoutWriter:
    """A layout under construction. Every method that writes a blob returns its descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.entries: list[Descriptor] = []
        self.write_index()

    def blob(self, content: bytes | str, media_type: str = LAYER, algorithm: str = "sha256") -> Descriptor:
        data = content.encode() if isinstance(content, str) else content
        encoded = hashlib.new(algorithm, data).hexdigest()
        directory = self.path / "blobs" / algorithm
        directory.mkdir(exist_ok=True)
        (directory / encoded).write_bytes(data)
        return {"mediaType": media_type, "digest": f"{algorithm}:{encoded}", "size": len(data)}

    def json(self, document: Any, media_type: str) -> Descriptor:
        return self.blob(json.dumps(document), media_type)

    def config(
        self, seed: str = "", *, labels: Mapping[str, str] | None = None, created: str | None = None
    ) -> Descriptor:
        document: dict[str, Any] = {"architecture": "amd64", "os": "linux", "comment": seed}
        if labels is not None:
            document["config"] = {"Labels": dict(labels)}
        if created is not None:
            document["created"] = created
        return self.json(document, CONFIG)

    def manifest(
        self, config: Descriptor, layers: Iterable[Descriptor] = (), subject: Descriptor | None = None, **more: Any
    ) -> Descriptor:
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": list(layers), **more}
        if subject is not None:
            document["subject"] = subject
        return self.json(document, MANIFEST)

    def image(self, seed: str, layers: Iterable[str] = ("base",), **config: Any) -> Descriptor:
        return self.manifest(self.config(seed, **config), [self.blob(layer) for layer in layers])

    def index(self, manifests: Iterable[Descriptor]) -> Descriptor:
        return self.json({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}, INDEX)

    def tag(self, target: Descriptor, name: str | None = None, **annotations: str) -> None:
        """Adds an entry to index.json; without a name, it is dangling: an image that has lost its last name."""
        if name is None and not annotations.keys() & NAME_ANNOTATIONS:
            name = f"moby-dangling@{target['digest']}"
        if name is not None:
            annotations["org.opencontainers.image.ref.name"] = name
        self.entry(target, **annotations)

    def entry(self, target: Descriptor, **annotations: str) -> None:
        """Adds an entry to index.json that has no name but what the annotations give it."""
        self.entries.append({**target, "annotations": annotations} if annotations else target)
        self.write_index()

    def write_index(self) -> None:
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries}
        (self.path / "index.json").write_text(json.dumps(document))

    def labels(self, target: Descriptor, labels: Mapping[str, str]) -> Path:
        path = self.sidecar_path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(labels)))
        return path

    def lease(self, identity: str, resources: Iterable[Descriptor], **labels: str) -> None:
        (self.path / "leases").mkdir(exist_ok=True)
        document = {
            "id": identity,
            "created": "2024-01-01T00:00:00Z",
            "labels": {f"containerd.io/gc.{key}": value for key, value in labels.items()},
            "resources": [{"type": "content", "id": resource["digest"]} for resource in resources],
        }
        (self.path / "leases" / f"{identity}.json").write_text(json.dumps(document))

    def blob_path(self, target: Descriptor) -> Path:
        return self.path / path_of(target)

    def sidecar_path(self, target: Descriptor) -> Path:
        return self.path / "labels" / (target["digest"].replace(":", "/") + ".json")

    def present(self) -> set[str]:
        """The digests of all blobs."""
        return {f"{path.parent.name}:{path.name}" for path in (self.path / "blobs").glob("*/*")}

    def has(self, target: Descriptor) -> bool:
        return self.blob_path(target).exists()


def varied(path: Path, images: int, repeated: int) -> LayoutWriter:
    """Images with a layer in common, each with one of its own that says a few bytes so many times; an orphan; and a
    blob of sha512."""
    writer = LayoutWriter(path)
    for number in range(images):
        writer.tag(writer.image(f"image {number}", ["base", f"layer {number}" * repeated]), f"app:{number}")
    writer.blob("an orphan")
    writer.blob("of sha512" * repeated, algorithm="sha512")
    return writer


def snapshot(path: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything in a layout but ocigc's own state, to tell whether anything has changed."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for directory, names, files in os.walk(path):
        if ".ocigc" in names:
            names.remove(".ocigc")
        for name in [*names, *files]:
            full = Path(directory, name)
            mode = full.lstat().st_mode
            content: bytes | str = b""
            if full.is_symlink():
                content = str(full.readlink())
            elif full.is_file():
                content = full.read_bytes()
            found[str(full.relative_to(path))] = (mode, content)
    return found
