"""The names of an image's tags, decided from the ref and the commit alone; `tag_moves` sets them in a registry.

Each kind of tag has names of its own, so that no branch can take another branch's tag or another kind of tag: a branch
whose name is not a legal tag, or looks like another kind of tag or as if it ended in a hash, gets a tag with a hash.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.errors import Misuse, Refused

if TYPE_CHECKING:
    import semver

LATEST = "latest"
_LEGAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MOST = 128
_HASH_DIGITS = 12
_HASHED = re.compile(rf".*-[0-9a-f]{{{_HASH_DIGITS}}}", re.DOTALL)
# `sha256-…` is how registries without the referrers API store signatures: distribution-spec, "Referrers Tag Schema".
# Numbers alone are versions too: people expect 1.2 to follow 1.2.x.
_RESERVED = re.compile(
    r"latest|(?:built|git|key|pr|sha256|sha512)(?:[-_.].*)?|v?[0-9]+(?:\.[0-9]+)*(?:[-_].*)?", re.IGNORECASE
)
_LASTING = re.compile(r"(?:built|git|key)-.+|v?[0-9].*", re.IGNORECASE)
_OWN_VERSION = re.compile(r"[0-9][A-Za-z0-9._-]{0,127}")
_PULL_REQUEST = re.compile(r"refs/(?:pull|merge-requests|pull-requests)/([0-9]{1,18})/(?:head|merge|from)")


@dataclass(frozen=True, kw_only=True)
class TagPlan:
    """The tags of one image; an empty string if it has none of that kind."""

    commit: str
    """`git-<commit>`."""
    branch: str = ""
    """Follows the branch that the ref names."""
    version: str = ""
    """Never overwritten."""
    pull_request: str = ""

    @property
    def moving(self) -> tuple[str, ...]:
        """The tags that later images may take over: a branch's, a pull request's."""
        return tuple(filter(None, (self.branch, self.pull_request)))

    @property
    def released(self) -> str:
        """Says that the version is the commit's, for an image that was built from an earlier one.

        The commit's own tag follows later builds. Empty without a version, or if it would be too long for a tag.
        """
        tag = f"{self.commit}-{self.version}"
        return tag if self.version and len(tag) <= _MOST else ""

    @property
    def is_release(self) -> bool:
        """Whether `latest` may name the image: it has a version that is not a pre-release."""
        return is_release(self.version)


def tag_plan(ref: str, commit: str) -> TagPlan:
    """Return the tags for the image of a commit, asked for by a full ref, which may be empty.

    Raises Refused if the version is too long for a tag.
    """
    own = commit_tag(commit)
    if ref.startswith("refs/heads/"):
        return TagPlan(commit=own, branch=branch_tag(ref.removeprefix("refs/heads/")))
    if ref.startswith("refs/tags/v"):
        return TagPlan(commit=own, version=version_tag(ref.removeprefix("refs/tags/v")))
    if match := _PULL_REQUEST.fullmatch(ref):
        return TagPlan(commit=own, pull_request=f"pr-{int(match[1])}-{commit}")
    return TagPlan(commit=own)


def commit_tag(commit: str) -> str:
    """Return the tag of a commit's image."""
    return f"git-{commit}"


def own_version_tag(version: str) -> str:
    """Return the tag of an image's own version in shipway.yaml; raises Misuse if it could be another kind of tag."""
    if not _OWN_VERSION.fullmatch(version):
        raise Misuse(
            "not a version", seen=repr(version[:100]), todo="begin it with a digit; use letters, digits and . _ -"
        )
    return version


def branch_tag(branch: str) -> str:
    """Return the tag that follows a branch: its name if that is a free and legal tag, else a slug with a hash."""
    if _LEGAL.fullmatch(branch) and not _RESERVED.fullmatch(branch) and not _HASHED.fullmatch(branch):
        return branch
    digits = hashlib.sha256(branch.encode()).hexdigest()[:_HASH_DIGITS]
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", branch).strip(".-")
    if not slug or _RESERVED.fullmatch(f"{slug}-{digits}"):
        slug = f"branch-{slug}".rstrip("-")
    return f"{slug[: _MOST - _HASH_DIGITS - 1].rstrip('.-')}-{digits}"


def version_tag(version: str) -> str:
    """Return the tag of a SemVer version, or an empty string if it is not one; raises Refused if it is too long.

    A tag cannot contain the + before build metadata; as in Helm, it becomes _, which SemVer does not use itself.
    """
    parsed = parse_version(version)
    if parsed is None:
        return ""
    tag = str(parsed).replace("+", "_")
    if len(tag) > _MOST:
        raise Refused(
            "the version is too long for a tag",
            seen=f"{len(tag)} characters: {tag[:60]}…",
            todo=f"use at most {_MOST} characters",
        )
    return tag


def is_lasting(tag: str) -> bool:
    """Whether a tag has the form of those that name a version or a build, and follow no branch."""
    return _LASTING.fullmatch(tag) is not None


def version_of(tag: str) -> semver.Version | None:
    """Return the version that a tag or a label names, or None."""
    return parse_version(tag.replace("_", "+"))


def is_release(tag: str) -> bool:
    """Whether a tag names a version without a pre-release part."""
    version = version_of(tag)
    return version is not None and not version.prerelease


def parse_version(text: str) -> semver.Version | None:
    """Return a version of the form that semver.org defines, or None."""
    import semver  # noqa: PLC0415 - 2 ms, at each start of a step

    try:
        return semver.Version.parse(text)
    except ValueError:
        return None
