"""Names of images in registries.

The grammar is that of the OCI distribution specification (section "Pulling manifests") and of
github.com/distribution/reference. Short names follow Docker's rule: no registry means docker.io, and a single word is
below `library/` there.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from io import BufferedReader

from pipelines.errors import Misuse

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEY = re.compile(r"[0-9a-f]{64}")
_BUILT = re.compile(r"built-([0-9a-f]{64})-([0-9]{1,12})")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT = 65535
_MAX_REPOSITORY = 255
DOCKER_HUB = "docker.io"


class Digest(str):
    """A content address, `sha256:` and 64 hex digits."""

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        """Return `text` as a digest; raises Misuse if it is invalid."""
        if not _DIGEST.fullmatch(text):
            raise Misuse("not a digest", seen=repr(text[:100]), todo="give sha256: and 64 hex digits")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the digest of some bytes."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, file: BufferedReader) -> Digest:
        """Return the digest of an open file's content, read in pieces."""
        return cls("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())

    @property
    def hex(self) -> str:
        """The 64 hex digits alone."""
        return self.removeprefix("sha256:")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One image: registry, repository, and optionally a tag and a digest."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    def __post_init__(self) -> None:
        """Raise Misuse if the grammar does not allow a part."""
        match = _REGISTRY.fullmatch(self.registry)
        if not match or int(match["port"] or 0) > _MAX_PORT:
            raise Misuse("not a registry's address", seen=repr(self.registry), todo="give host or host:port, no scheme")
        if not _REPOSITORY.fullmatch(self.repository) or len(self.repository) > _MAX_REPOSITORY:
            raise Misuse(
                "not a repository's name",
                seen=repr(self.repository),
                todo="use lower-case letters, digits and . _ - between them, parts separated by /",
            )
        if self.tag and not _TAG.fullmatch(self.tag):
            raise Misuse(
                "not a tag",
                seen=repr(self.tag),
                todo="use up to 128 letters, digits and . _ -, not starting with . or -",
            )

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference in a text, short names completed; raises Misuse."""
        rest, at, digest = text.partition("@")
        head, slash, tail = rest.partition("/")
        if slash and ("." in head or ":" in head or head == "localhost" or head.startswith("[")):
            registry, rest = head, tail
        else:
            registry = DOCKER_HUB
        repository, colon, tag = rest.partition(":")
        if colon and not tag:
            raise Misuse(
                "a reference ends where its tag should be", seen=repr(text[:200]), todo="give the tag or no colon"
            )
        if registry in {DOCKER_HUB, "index.docker.io"}:
            registry = DOCKER_HUB
            repository = repository if "/" in repository else f"library/{repository}"
        return cls(registry=registry, repository=repository, tag=tag, digest=Digest(digest) if at else None)

    @classmethod
    def under(cls, registry: str, project: str, name: str, *, tag: str = "") -> Reference:
        """Return an image of a deployment by its name below the project, which may be empty; raises Misuse."""
        return cls(registry=registry, repository="/".join(filter(None, (project.strip("/"), name))), tag=tag)

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    def with_tag(self, tag: str) -> Reference:
        """Return the same image under a tag, without a digest."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Reference:
        """Return the same image by digest, without a tag."""
        return replace(self, tag="", digest=Digest(digest))

    def __str__(self) -> str:
        """Return the whole reference."""
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def key_tag(key: str) -> str:
    """Return the tag for the first image that was built with a key; raises Misuse if the key is invalid."""
    if not _KEY.fullmatch(key):
        raise Misuse(
            "not an image's key", seen=repr(key[:100]), todo="give the 64 hex digits that `shipway plan` prints"
        )
    return f"key-{key}"


def built_tag(key: str, seconds: int) -> str:
    """Return the tag that says when an image of a lasting key was built, in seconds since 1970.

    The time is in its name, so that neither the image's digest follows the clock nor another manifest is needed. Raises
    Misuse if the key is invalid.
    """
    return f"built-{key_tag(key).removeprefix('key-')}-{seconds}"


def built_of(tag: str) -> tuple[str, int] | None:
    """Return the lasting key and the time of a tag that `built_tag` made; None for any other."""
    match = _BUILT.fullmatch(tag)
    return (match[1], int(match[2])) if match else None
