"""What is in use, as values: the containers of moby's daemon, and what all other sources mention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ocigc.reference import InvalidReference, Reference, parse_normalized, with_default_tag
from ocigc.values import field, frozen, replace

_SANDBOXES = ("pause", "mirrored-pause")  # the second is Rancher's copy of the first
_OFFICIAL = "docker.io/library/"


@frozen
class Container:
    """A container as moby's daemon knows it.

    `image` is `Config.Image`, the reference that the user passed; `image_id` is `ImageID`, the digest it resolved to.
    Either may be empty.
    """

    id: str
    image: str
    image_id: str

    @property
    def started_by_id(self) -> bool:
        """Whether the user named the image by its ID, whole or shortened."""
        return self.image_id.startswith("sha256:" + self.image.removeprefix("sha256:"))


@frozen
class Mirror:
    """States that images below one registry or repository are also kept below another name. Both names are
    normalised.
    """

    source: str
    copy: str


@frozen
class InUse:
    """All that is in use, from any number of sources.

    `containers` follow moby's rules of protection. `references` and `digests` come from all other sources. A reference
    protects the name that it normalises to. A digest protects every image that has it as target, manifest or config.
    `pods` says whether there is a list of pods, `sandboxes` whether a source names the images of pod sandboxes.
    """

    containers: tuple[Container, ...] = ()
    references: frozenset[str] = field(default_factory=frozenset)
    digests: frozenset[str] = field(default_factory=frozenset)
    mirrors: tuple[Mirror, ...] = ()
    pods: bool = False
    sandboxes: bool = False

    def __bool__(self) -> bool:
        return bool(self.containers or self.references or self.digests)

    def __or__(self, other: InUse) -> InUse:
        return InUse(
            self.containers + other.containers,
            self.references | other.references,
            self.digests | other.digests,
            self.mirrors + other.mirrors,
            self.pods or other.pods,
            self.sandboxes or other.sandboxes,
        )

    @property
    def lists_names(self) -> bool:
        """Whether there is a source other than moby's containers."""
        return bool(self.references or self.digests)

    @property
    def sandboxes_unknown(self) -> bool:
        """Whether there are pods, but no source names the image of their sandboxes."""
        return self.pods and not self.sandboxes and not any(map(is_sandbox, self.references))

    def names_of(self, text: str) -> list[Reference]:
        """The names that a reference means: itself, normalised, and the names that mirrors give it. Empty if it is not
        a reference.
        """
        reference = normalized(text)
        return [] if reference is None else [reference, *_mirrored(reference, self.mirrors)]


def normalized(text: str) -> Reference | None:
    """A reference in its normal form, tagged `latest` if it has neither tag nor digest; None if it is not a
    reference.
    """
    try:
        return with_default_tag(parse_normalized(text))
    except InvalidReference:
        return None


def is_sandbox(name: str) -> bool:
    """Whether a name is, by convention, that of the image of pod sandboxes."""
    component = name.partition("@")[0].rsplit("/", 1)[-1].partition(":")[0]
    return component in _SANDBOXES


def _mirrored(reference: Reference, mirrors: Iterable[Mirror]) -> Iterator[Reference]:
    name = reference.name
    for mirror in mirrors:
        # A mirror of docker.io may have library/ before the official images, or not.
        copies = [f"{mirror.copy}{name[len(mirror.source) :]}"] if f"{name}/".startswith(f"{mirror.source}/") else []
        if copies and mirror.source == "docker.io" and name.startswith(_OFFICIAL):
            copies.append(f"{mirror.copy}/{name.removeprefix(_OFFICIAL)}")
        for copy in copies:
            if (found := normalized(copy)) is not None:
                yield replace(found, tag=reference.tag, digest=reference.digest)


def parse_mirror(text: str) -> Mirror:
    """A mirror written as FROM=TO, such as `docker.io=mirror.lan:5000`. Raises ValueError."""
    source, equals, copy = text.partition("=")
    if not equals:
        raise ValueError(f"expected FROM=TO, as in docker.io=mirror.lan:5000: {text!r}")
    return Mirror(_prefix(source), _prefix(copy))


def _prefix(text: str) -> str:
    """A registry or repository that names of images may begin with. Raises ValueError."""
    name = text.removesuffix("/")
    reference = normalized(f"{name}/x/x")  # with two more components, `library/` is not inserted
    if reference is None or not reference.name.endswith("/x/x"):
        raise ValueError(f"not a registry or repository: {text!r}")
    return reference.name.removesuffix("/x/x")
