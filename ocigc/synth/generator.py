"""The content of a synthetic layout: images, and everything that gathers around them in years of pushes and
signatures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ocigc.errors import UsageError, printable
from ocigc.synth.blob_writer import BlobWriter, Descriptor, layer
from ocigc.times import SECOND, format_rfc3339, parse_rfc3339

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
EMPTY = "application/vnd.oci.empty.v1+json"

_FIRST = parse_rfc3339("2019-01-01T00:00:00Z")
_YEARS = 6 * 365 * 86_400 * SECOND
_DOMAINS = (
    "docker.io/library",
    "docker.io/bitnami",
    "ghcr.io/example",
    "quay.io/example",
    "registry.example:5000/team",
)
_PROJECTS = (
    "alpine",
    "api",
    "cache",
    "db",
    "gateway",
    "nginx",
    "postgres",
    "python",
    "queue",
    "redis",
    "web",
    "worker",
)
_STAGES = ("prod", "test", "build")
_TINY = 64  # bytes of a layer where only the number of blobs matters


@dataclass(frozen=True, slots=True)
class Spec:
    """`layer_bytes` is the median size of a layer. With `blobs`, images with tiny layers are added until there are that
    many blobs, and `images` does not count. Every manifest has `layers` layers of its own (None: a few).
    """

    seed: int = 0
    images: int = 20
    layer_bytes: int = 16_384
    blobs: int | None = None
    layers: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written. `in_use` are names of images that somebody could have containers of."""

    images: int
    blobs: int
    bytes: int
    in_use: tuple[tuple[str, str], ...]


def write(layout: Path, spec: Spec) -> Summary:
    """Writes a layout into a new or empty directory. Raises UsageError where it is neither, and OSError."""
    try:
        layout.mkdir(parents=True, exist_ok=True)
        if next(layout.iterdir(), None) is not None:
            raise UsageError(f"{printable(str(layout))}: not empty; give a new directory")
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{printable(str(layout))}: not a directory") from None
    return _Generator(layout, spec).write()


class _Generator:
    def __init__(self, layout: Path, spec: Spec) -> None:
        self._layout = layout
        self._spec = spec
        self._random = Random(spec.seed)
        self._blobs = BlobWriter(layout)
        self._entries: list[Descriptor] = []
        self._bases: dict[str, list[tuple[Descriptor, str]]] = {}
        self._signable: list[Descriptor] = []

    def write(self) -> Summary:
        for number in self._numbers():
            self._image(number)
        self._referrers()
        self._leases()
        self._orphans()
        named = [entry for entry in self._entries if _name(entry) and ":sha256-" not in _name(entry)]
        in_use = self._random.sample(named, len(named) // 3)
        (self._layout / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self._entries})
        )
        (self._layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        names = tuple((_name(entry), str(entry["digest"])) for entry in in_use)
        return Summary(len(self._entries), self._blobs.count, self._blobs.bytes, names)

    def _numbers(self) -> Iterator[int]:
        if self._spec.blobs is None:
            yield from range(self._spec.images)
            return
        number = 0
        while self._blobs.count < self._spec.blobs * 95 // 100:
            yield number
            number += 1

    # Images

    def _image(self, number: int) -> None:
        random = self._random
        repository = f"{random.choice(_DOMAINS)}/{random.choice(_PROJECTS)}"
        created = format_rfc3339(_FIRST + int(_YEARS * random.random()))
        kind = random.random()
        if kind < 0.3:
            target = self._index(repository, created)
        else:
            target = self._manifest(repository, created, "amd64", docker=kind < 0.5)
        self._signable.append(target)
        annotations = {"org.opencontainers.image.created": created}
        fate = random.random()
        if fate < 0.15:
            self._entries.append({**target, "annotations": annotations})  # a newer image has taken its tag
            return
        tag = f"{random.randint(1, 4)}.{number}.{random.randint(0, 9)}"
        self._tag(target, f"{repository}:{tag}", annotations)
        if fate > 0.9:
            self._tag(target, f"{repository}:stable-{number}", annotations)

    def _tag(self, target: Descriptor, name: str, annotations: dict[str, str]) -> None:
        self._entries.append({**target, "annotations": {"io.containerd.image.name": name, **annotations}})

    def _index(self, repository: str, created: str) -> Descriptor:
        """A multi-platform image with attestations, as buildx writes it."""
        manifests = []
        attestations = []
        for architecture in ("amd64", "arm64"):
            manifest = self._manifest(repository, created, architecture, docker=False)
            manifests.append({**manifest, "platform": {"architecture": architecture, "os": "linux"}})
            attestations.append(self._attestation(manifest))
        if self._spec.blobs is None and self._random.random() < 0.2:
            # Somebody copied only one platform. Not in layouts for measuring, which other tools must be able to read.
            self._blobs.remove(manifests[1])
        return self._blobs.write_json(
            {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*manifests, *attestations]}, OCI_INDEX
        )

    def _attestation(self, manifest: Descriptor) -> Descriptor:
        statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": manifest["digest"]}]}
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self._blobs.write_json({"architecture": "unknown", "os": "unknown"}, OCI_CONFIG),
            "layers": [self._blobs.write_json(statement, IN_TOTO)],
        }
        annotations = {
            "vnd.docker.reference.digest": manifest["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        platform = {"architecture": "unknown", "os": "unknown"}
        return {**self._blobs.write_json(document, OCI_MANIFEST), "annotations": annotations, "platform": platform}

    def _manifest(self, repository: str, created: str, architecture: str, *, docker: bool) -> Descriptor:
        random = self._random
        base = self._base(f"{repository.rsplit('/', 1)[0]} {architecture}")
        own = random.randint(5, 10) if self._spec.blobs is not None else random.randint(1, 4)
        layers = [*base, *(self._layer() for _ in range(own if self._spec.layers is None else self._spec.layers))]
        labels = {"maintainer": "team@example.com", "stage": random.choice(_STAGES)}
        config = self._blobs.write_json(
            {
                "architecture": architecture,
                "os": "linux",
                "created": created,
                "config": {"Env": ["PATH=/usr/bin:/bin"], "Labels": labels},
                "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            },
            DOCKER_CONFIG if docker else OCI_CONFIG,
        )
        if random.random() < 0.3:
            snapshot = layers[-1][1]
            self._blobs.label(config, {"containerd.io/gc.ref.snapshot.overlayfs": snapshot})
        media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
        layer_type = DOCKER_LAYER if docker else OCI_LAYER
        manifest = self._blobs.write_json(
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": config,
                "layers": [{**descriptor, "mediaType": layer_type} for descriptor, _ in layers],
            },
            media_type,
        )
        if random.random() < 0.1:
            domain, _, path = repository.partition("/")
            self._blobs.label(manifest, {f"containerd.io/distribution.source.{domain}": path})
        return manifest

    def _base(self, family: str) -> list[tuple[Descriptor, str]]:
        if family not in self._bases:
            self._bases[family] = [self._layer(4) for _ in range(self._random.randint(1, 3))]
        return self._bases[family]

    def _layer(self, scale: float = 1) -> tuple[Descriptor, str]:
        size = _TINY
        if self._spec.blobs is None:
            size = int(scale * self._spec.layer_bytes * math.exp(self._random.gauss(0, 1)))
        content, diff_id = layer(self._random, size)
        return self._blobs.write(content, OCI_LAYER), diff_id

    # What gathers around the images

    def _referrers(self) -> None:
        empty = self._blobs.write(b"{}", EMPTY)
        for target in self._random.sample(self._signable, len(self._signable) // 8):
            payload = {"critical": {"image": {"docker-manifest-digest": target["digest"]}, "type": "cosign"}}
            document: dict[str, Any] = {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": empty,
                "layers": [self._blobs.write_json(payload, SIMPLE_SIGNING)],
            }
            if self._random.random() < 0.5:
                signature = self._blobs.write_json(document, OCI_MANIFEST)
                tag = target["digest"].replace(":", "-") + ".sig"
                self._tag(signature, f"registry.example:5000/signatures:{tag}", {})
            else:
                document |= {"artifactType": SIMPLE_SIGNING, "subject": target}
                self._entries.append(self._blobs.write_json(document, OCI_MANIFEST))

    def _leases(self) -> None:
        if not self._signable:
            return
        (self._layout / "leases").mkdir()
        for identity, expires in (("pull-in-progress", "2999-01-01T00:00:00Z"), ("long-over", "2020-01-01T00:00:00Z")):
            target = self._random.choice(self._signable)
            lease = {
                "id": identity,
                "created": "2019-06-01T00:00:00Z",
                "labels": {"containerd.io/gc.expire": expires},
                "resources": [{"type": "content", "id": target["digest"]}],
            }
            (self._layout / "leases" / f"{identity}.json").write_text(json.dumps(lease))
        pinned, _ = self._layer()
        self._blobs.label(pinned, {"containerd.io/gc.root": "2019-06-01T00:00:00Z"})

    def _orphans(self) -> None:
        """Layers of pulls that were cut off, and an image that nobody names any more."""
        self._manifest("docker.io/library/gone", "2019-01-01T00:00:00Z", "amd64", docker=False)
        wanted = self._spec.blobs
        missing = max(2, self._spec.images // 8) if wanted is None else max(0, wanted - self._blobs.count)
        for _ in range(missing):
            self._layer()


def _name(entry: Descriptor) -> str:
    return str(entry.get("annotations", {}).get("io.containerd.image.name", ""))
