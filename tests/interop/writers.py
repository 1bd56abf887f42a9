"""One history, written by several programs.

1.0.0 and 1.1.0 are single images, `same` is another name of 1.1.0, and 2.0.0 was an image before it became an index
of two platforms. Where the program knows referrers, 1.0.0, 2.0.0 and one of its platforms have an SBOM, and that of
1.0.0 has a signature.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.interop.programs import blobs, call, entries, names

HISTORY = ("1.0.0", "1.1.0", "same", "2.0.0")
TAGS = frozenset(HISTORY)
SBOM, SIGNATURE = "application/x-sbom", "application/x-signature"


@dataclass(frozen=True)
class Program:
    """A program that has written the history."""

    repository: str
    tags: Callable[[Path], set[str]]
    """The tags that it lists of a layout."""
    read: Callable[[Path, str], dict[str, bytes]]
    """The blobs of a copy that it makes of a layout's tag, with all that refers to it."""


def image(
    repository: str, tag: str, files: Path, *layers: str, platform: str = "linux/amd64", label: str = "tier=production"
) -> None:
    """An image in a registry, by crane, with a layer for each of these files."""
    for file in layers:
        call("tar", "-cf", files / f"{file}.tar", "-C", files, file)
    append = [part for file in layers for part in ("-f", files / f"{file}.tar")]
    call("crane", "append", *append, "-t", f"{repository}:{tag}")
    call("crane", "mutate", f"{repository}:{tag}", "--label", label, "--set-platform", platform)


def images(registry: str, files: Path) -> str:
    """The history without its referrers, in a registry. Returns the repository."""
    repository = f"{registry}/app"
    image(repository, "1.0.0", files, "one", label="tier=test")
    image(repository, "1.1.0", files, "two")
    call("crane", "tag", f"{repository}:1.1.0", "same")
    image(repository, "2.0.0", files, "three")
    for platform in ("linux/amd64", "linux/arm64"):
        image(repository, platform.replace("/", "-"), files, "three", platform=platform, label=f"for={platform}")
    platforms = [part for tag in ("linux-amd64", "linux-arm64") for part in ("-m", f"{repository}:{tag}")]
    call("crane", "index", "append", *platforms, "-t", f"{repository}:index")
    return repository


def copying(program: str, repository: str, tag: str, layout: Path, name: str | None = None) -> tuple[str, ...]:
    """The command that copies from a registry into a layout, under the tag or another name (but by crane)."""
    source, target = f"{repository}:{tag}", f"{layout}:{name or tag}"
    registry = repository.partition("/")[0]
    match program:
        case "oras":
            return "oras", "copy", "--from-plain-http", source, "--to-oci-layout", target
        case "regctl":
            return "regctl", "image", "copy", "--host", f"reg={registry},tls=disabled", source, f"ocidir://{target}"
        case "skopeo":
            return "skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{source}", f"oci:{target}"
        case _:
            return "crane", "pull", "--format", "oci", "--annotate-ref", source, str(layout)


def by_oras(layout: Path, files: Path, _registry: str) -> Program:
    """Artifacts: files, no image has a config. Every manifest that was pushed has an entry, most without a name."""

    def push(reference: str, file: str, *options: str) -> str:
        said = call("oras", "push", "--oci-layout", reference, file, "--format", "json", *options, cwd=files)
        return str(json.loads(said)["digest"])

    def attach(reference: str, kind: str, file: str) -> str:
        said = call(
            "oras", "attach", "--oci-layout", reference, "--artifact-type", kind, file, "--format", "json", cwd=files
        )
        return f"{layout}@{json.loads(said)['digest']}"

    push(f"{layout}:1.0.0", "one")
    push(f"{layout}:1.1.0", "two")
    call("oras", "tag", "--oci-layout", f"{layout}:1.1.0", "same")
    push(f"{layout}:2.0.0", "one", "--annotation", "overtaken=yes")
    platforms = [push(str(layout), file, "--annotation", "part=yes") for file in ("two", "three")]
    call("oras", "manifest", "index", "create", "--oci-layout", f"{layout}:2.0.0", *platforms)
    attach(attach(f"{layout}:1.0.0", SBOM, "two"), SIGNATURE, "three")
    attach(f"{layout}:2.0.0", SBOM, "two")
    attach(f"{layout}@{platforms[0]}", SBOM, "one")

    def tags(layout: Path) -> set[str]:
        return set(call("oras", "repo", "tags", "--oci-layout", layout).split())

    def read(layout: Path, tag: str) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory, "copy")
            call("oras", "copy", "-r", "--from-oci-layout", f"{layout}:{tag}", "--to-oci-layout", f"{copy}:{tag}")
            return blobs(copy)

    return Program("registry.example/app", tags, read)


def by_regctl(layout: Path, files: Path, registry: str) -> Program:
    """Images from a registry. Referrers are listed by an index under the fallback tag of their subject."""
    repository = images(registry, files)

    def put(subject: str, kind: str, text: str) -> str:
        said = call(
            *("regctl", "artifact", "put", "--artifact-type", kind, "--subject", subject),
            *("--format", "{{.Manifest.GetDescriptor.Digest}}"),
            stdin=text,
        )
        return f"ocidir://{layout}@{said.strip()}"

    for tag in HISTORY:
        call(*copying("regctl", repository, tag, layout))
    call(*copying("regctl", repository, "index", layout, "2.0.0"))
    put(put(f"ocidir://{layout}:1.0.0", SBOM, "of 1.0.0"), SIGNATURE, "of the SBOM")
    put(f"ocidir://{layout}:2.0.0", SBOM, "of 2.0.0")
    index = next(
        entry for entry in entries(layout) if entry["annotations"]["org.opencontainers.image.ref.name"] == "2.0.0"
    )
    platforms = json.loads((layout / "blobs" / index["digest"].replace(":", "/")).read_text())["manifests"]
    put(f"ocidir://{layout}@{platforms[0]['digest']}", SBOM, "of one platform")

    def tags(layout: Path) -> set[str]:
        listed = call("regctl", "tag", "ls", f"ocidir://{layout}").split()
        return {tag for tag in listed if not tag.startswith("sha256-")}

    def read(layout: Path, tag: str) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as directory:
            call(
                *("regctl", "image", "copy", "--referrers", "--digest-tags"),
                *(f"ocidir://{layout}:{tag}", f"ocidir://{directory}/copy:{tag}"),
            )
            return blobs(Path(directory, "copy"))

    return Program("registry.example/app", tags, read)


def by_skopeo(layout: Path, files: Path, registry: str) -> Program:
    """Images from a registry, an entry for each name; what has lost its name to another stays without one."""
    repository = images(registry, files)

    for tag in HISTORY:
        call(*copying("skopeo", repository, tag, layout))
    call(*copying("skopeo", repository, "index", layout, "2.0.0"))

    def read(layout: Path, tag: str) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as directory:
            call("skopeo", "copy", "--all", f"oci:{layout}:{tag}", f"oci:{directory}/copy:{tag}")
            return blobs(Path(directory, "copy"))

    return Program("registry.example/app", lambda layout: {str(name) for name in names(layout)} - {"None"}, read)


def by_crane(layout: Path, files: Path, registry: str) -> Program:
    """Images from a registry, under their full names."""
    repository = images(registry, files)
    call("crane", "tag", f"{repository}:index", "2.0.0")
    for tag in HISTORY:
        call(*copying("crane", repository, tag, layout))

    def listed(layout: Path) -> dict[str, str]:
        """The digest of each tag, as crane has pushed the whole layout to a registry."""
        call("crane", "push", "--index", layout, f"{registry}/again:all")
        manifests = json.loads(call("crane", "manifest", f"{registry}/again:all"))["manifests"]
        key = "org.opencontainers.image.ref.name"
        return {entry["annotations"][key].rpartition(":")[2]: entry["digest"] for entry in manifests}

    def read(layout: Path, tag: str) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory, "copy")
            call("crane", "pull", "--format", "oci", f"{registry}/again@{listed(layout)[tag]}", copy)
            return blobs(copy)

    return Program(repository, lambda layout: set(listed(layout)), read)
