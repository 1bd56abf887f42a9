"""Two rule sets for one code. Every difference between the versions of moby's rules is here, and nowhere else.

Sources: moby `daemon/containerd/image_prune.go` at 87c87bccb5 (SEED) and at docker-v29.7.2 (DOCKER_29). docs/rules.md
compares them.
"""

from __future__ import annotations

from collections.abc import Callable

from ocigc.gc.until import parse_until, parse_until_29
from ocigc.image import Media
from ocigc.values import frozen


@frozen
class RuleSet:
    """One version's answers to the questions on which the versions differ.

    `until` parses a value of that filter, given now (an instant) and the local zone (seconds east of UTC), and raises
    ValueError; `until_error` begins the message. `reported` are the media of the blobs that `Deleted` names in the walk
    of an image. Other blobs of the walk are only counted.
    """

    name: str
    until: Callable[[str, int, int], int]
    until_error: str
    reported: frozenset[Media]
    id_protects_names: bool
    """A container that was started by the ID of an image also protects its reference as a name."""
    digested_protects_tag: bool
    """A container of `repo:tag@digest` also protects `repo:tag`."""
    last_name_stays: bool
    """Content that a container uses keeps its last name; otherwise it becomes a dangling image."""
    unequal_if_absent: bool
    """`label!=k=v` matches a config without `k`."""
    skips_attestations: bool
    """The label filter ignores attestations of buildx."""
    unleases: bool
    """Configs that no image has any more lose their snapshot label."""


SEED = RuleSet(
    name="seed",
    until=parse_until,
    until_error="invalid filter 'until'",
    reported=frozenset(Media),
    id_protects_names=False,
    digested_protects_tag=False,
    last_name_stays=False,
    unequal_if_absent=False,
    skips_attestations=False,
    unleases=True,
)

DOCKER_29 = RuleSet(
    name="docker-29",
    until=parse_until_29,
    until_error="invalid value for 'until' filter",
    reported=frozenset((Media.MANIFEST, Media.INDEX)),
    id_protects_names=True,
    digested_protects_tag=True,
    last_name_stays=True,
    unequal_if_absent=True,
    skips_attestations=True,
    unleases=False,
)

RULE_SETS = {rules.name: rules for rules in (SEED, DOCKER_29)}
