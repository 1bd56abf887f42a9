"""What is in use: the containers, references and digests that a runtime names."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Container:
    """A container as moby's daemon knows it.

    `image` is `Config.Image`, the reference that the user passed; `image_id` is `ImageID`, the digest it resolved to.
    Either may be empty.
    """

    id: str
    image: str
    image_id: str


@dataclass(frozen=True, slots=True)
class InUse:
    """All that is in use, from any number of sources.

    `containers` follow moby's rules of protection. `references` and `digests` come from every other source: a reference
    protects the name that it normalises to, a digest every image that has it as target, manifest or config.
    """

    containers: tuple[Container, ...] = ()
    references: frozenset[str] = field(default_factory=frozenset)
    digests: frozenset[str] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.containers or self.references or self.digests)

    def __or__(self, other: InUse) -> InUse:
        return InUse(
            self.containers + other.containers, self.references | other.references, self.digests | other.digests
        )
