"""Image references: the distribution grammar and its normalisation.

Source: github.com/distribution/reference (`reference.go`, `regexp.go`, `normalize.go`, `helpers.go`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from ocigc.values import frozen, replace

DEFAULT_DOMAIN = "docker.io"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_DEFAULT_TAG = "latest"
_NAME_LIMIT = 255

_ALPHANUMERIC = r"[a-z0-9]+"
_SEPARATOR = r"(?:[._]|__|[-]+)"
_PATH_COMPONENT = rf"{_ALPHANUMERIC}(?:{_SEPARATOR}{_ALPHANUMERIC})*"
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[(?:[a-fA-F0-9:]+)\])"
_DOMAIN = rf"{_HOST}(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_BARE_TAG = re.compile(_TAG)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class InvalidReference(ValueError):
    """The text is not an image reference."""


@frozen
class Reference:
    """A normalised reference: `path` is never empty."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """`docker.io/library/alpine`."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        return self.name + self._suffix()

    def familiar(self) -> str:
        """The short form that users know (`FamiliarString`)."""
        if self.domain != DEFAULT_DOMAIN:
            return str(self)
        path = self.path
        # An official image has one component after library/.
        if path.startswith(_OFFICIAL) and "/" not in path.removeprefix(_OFFICIAL):
            path = path.removeprefix(_OFFICIAL)
        return path + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_normalized(text: str) -> Reference:
    """A reference as users write it (`ParseNormalizedNamed`). Raises InvalidReference."""
    name, _, tag = text.rpartition(":")
    if "/" in name and is_bare_tag(tag) and (repository := _repository(name)) is not None:
        return Reference(repository.domain, repository.path, tag)
    return _parse_normalized(text)


@lru_cache(maxsize=1024)  # most names are a repository and a tag, and many have the same repository
def _repository(name: str) -> Reference | None:
    """A repository as users write it, without a tag or digest; None for any other text."""
    try:
        reference = _parse_normalized(name)
    except InvalidReference:
        return None
    return reference if reference.tag is None and reference.digest is None else None


def _parse_normalized(text: str) -> Reference:
    if _IDENTIFIER.fullmatch(text):
        raise InvalidReference(f"{text!r} is an image ID, not a name")
    domain, remainder = _split_domain(text)
    match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if match is None or match["domain"] is None:
        name = re.split(r"[:@]", remainder, maxsplit=1)[0]
        what = " is not an image reference" if name.lower() == name else ": a repository name must be lowercase"
        raise InvalidReference(f"{text!r}{what}")
    domain, path, tag, digest = match.groups()
    if len(domain) + len("/") + len(path) > _NAME_LIMIT:
        raise InvalidReference(f"{text[:40]!r}...: a repository name has at most {_NAME_LIMIT} characters")
    if digest is not None:
        algorithm, _, encoded = digest.partition(":")
        if len(encoded) != _HEX_LENGTHS.get(algorithm) or encoded.lower() != encoded:
            raise InvalidReference(f"{text!r}: invalid digest")
    return Reference(domain, path, tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    domain, slash, remainder = text.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain.lower() != domain):
        domain, remainder = DEFAULT_DOMAIN, text
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder


def parse_canonical(text: str) -> Reference:
    """A reference that is already in its normal form (`ParseNamed`). Raises InvalidReference."""
    reference = parse_normalized(text)
    if str(reference) != text:
        raise InvalidReference(f"{text!r} is not in its normal form")
    return reference


def with_default_tag(reference: Reference) -> Reference:
    """The reference, tagged `latest` where it names neither tag nor digest (`TagNameOnly`)."""
    if reference.tag is None and reference.digest is None:
        return replace(reference, tag=_DEFAULT_TAG)
    return reference


def in_full(text: str) -> str:
    """A name in its normal form, with the default tag. A text that is not a name stays as it is."""
    try:
        return str(with_default_tag(parse_normalized(text)))
    except InvalidReference:
        return text


def tag_of(text: str) -> str | None:
    """The tag in a name, which may be a tag alone; None where it has no tag."""
    if is_bare_tag(text):
        return text
    try:
        return parse_normalized(text).tag
    except InvalidReference:
        return None


def is_bare_tag(text: str) -> bool:
    """Whether a text is a tag and nothing more."""
    return _BARE_TAG.fullmatch(text) is not None


def split_names(text: str) -> tuple[str, ...]:
    """The names in a name annotation: several where it is a list of references with commas between them.

    Source: BuildKit `exporter/oci` before 2024, which wrote all names of an image into one entry.
    """
    if "," not in text:
        return (text,)
    names = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    return names if names and all(map(_is_name, names)) else (text,)


def _is_name(text: str) -> bool:
    try:
        parse_normalized(text)
    except InvalidReference:
        return is_bare_tag(text)
    return True


@lru_cache(maxsize=1024)
def _familiar(name: str) -> str:
    """The short form of a repository in its normal form; empty for any other text."""
    repository = _repository(name)
    return "" if repository is None or str(repository) != name else repository.familiar()


def familiar_name(text: str) -> str:
    """A name as moby shows it (`imageFamiliarName`). A name in normal form is shortened."""
    repository, _, tag = text.rpartition(":")
    if "/" in repository and is_bare_tag(tag) and (known := _familiar(repository)):
        return f"{known}:{tag}"
    try:
        return parse_canonical(text).familiar()
    except InvalidReference:
        return text
