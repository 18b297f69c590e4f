"""What a repository's refs name, and which of them a person's revision means: read from what Git lists, without asking again."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.tools.git import errors
from pipelines.tools.git.address import RepositoryUrl, Revision

_SHORT = re.compile(r"[0-9a-f]{7,63}")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What a revision names: a commit, and the full ref it was found under; no ref for a bare commit id."""

    commit: str
    ref: str


@dataclass(frozen=True, kw_only=True)
class RefTarget:
    """What a ref names: the object itself, which for an annotated tag is the tag, and its commit."""

    object: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Refs:
    """What a repository offers: each ref's commit, tags peeled, and the ref of its default branch."""

    commits: Mapping[str, str]
    default: str

    @property
    def branches(self) -> tuple[str, ...]:
        """The names of its branches, sorted."""
        return tuple(sorted(ref.removeprefix("refs/heads/") for ref in self.commits if ref.startswith("refs/heads/")))


def read(listing: str) -> Refs:
    """Return the refs that `git ls-remote --symref` lists; those that Git could read as an option are left out."""
    commits: dict[str, str] = {}
    peeled: dict[str, str] = {}
    default = ""
    for line in listing.split("\n"):  # not splitlines: U+2028 may stand in a name
        value, _, name = line.partition("\t")
        if value.startswith("ref: "):
            default = value.removeprefix("ref: ") if name == "HEAD" else default
        elif name.endswith("^{}"):
            peeled[name.removesuffix("^{}")] = value
        elif _is_usable(name):
            commits[name] = value
    return Refs(commits=commits | {name: peeled[name] for name in peeled if name in commits}, default=default)


def find(url: RepositoryUrl, revision: Revision, refs: Refs) -> Resolved | None:
    """Return what a revision names among refs, None where there is nothing; raises Misuse where a tag and a branch share the name."""
    names = (revision, f"refs/tags/{revision}", f"refs/heads/{revision}")
    found = [name for name in names if name in refs.commits]
    if not found and f"refs/{revision}" in refs.commits:
        found = [f"refs/{revision}"]
    if len(found) > 1:
        raise Misuse(
            f"{revision} names more than one thing in {url}",
            seen=" and ".join(f"{name} ({refs.commits[name][:12]})" for name in found),
            todo="give the full name of one of them as the revision",
        )
    return Resolved(commit=refs.commits[found[0]], ref=found[0]) if found else None


def default(url: RepositoryUrl, refs: Refs) -> Resolved:
    """Return the head of the default branch; raises ShipwayError where there is none, Refused where its name could be an option."""
    if refs.default and not _is_usable(refs.default):
        raise Refused(
            f"the default branch of {url} has a name that is never used",
            seen=repr(errors.cleaned(refs.default)[:200]),
            todo="name a branch, or give the repository another default branch",
        )
    commit = refs.commits.get(refs.default) or refs.commits.get("HEAD")
    if commit is None:
        branches = refs.branches
        raise ShipwayError(
            f"{url} has no default branch",
            seen=f"branches: {', '.join(branches[:10])}" if branches else "it is empty",
            todo="give a revision" if branches else "push a commit to it",
        )
    return Resolved(commit=commit, ref=refs.default if refs.default in refs.commits else "")


def branch(url: RepositoryUrl, ref: str, refs: Refs) -> str:
    """Return the commit that a branch's full ref names; raises ShipwayError, naming branches, where there is none."""
    if ref not in refs.commits:
        raise ShipwayError(
            f"{url} has no {ref or 'default branch'}",
            seen=f"branches: {', '.join(refs.branches[:10])}" if refs.branches else "it is empty",
            todo="push that branch, or correct its name" if ref else "push a commit to it",
        )
    return refs.commits[ref]


def unknown(url: RepositoryUrl, revision: Revision, refs: Refs) -> ShipwayError:
    """Return the error for a revision that nothing is called, naming close ones."""
    short = {name.removeprefix("refs/heads/").removeprefix("refs/tags/") for name in refs.commits if name != "HEAD"}
    close = difflib.get_close_matches(revision, sorted(short), n=5, cutoff=0.5)
    todo = f"did you mean {' or '.join(close)}?" if close else "give a branch, a tag or a full commit id"
    if _SHORT.fullmatch(revision):
        todo = "give the whole commit id: a server knows no abbreviations"
    heads = sum(name.startswith("refs/heads/") for name in refs.commits)
    tags = sum(name.startswith("refs/tags/") for name in refs.commits)
    return ShipwayError(
        f"{url} has no revision {revision}", seen=f"{heads} branches and {tags} tags, none of that name", todo=todo
    )


def _is_usable(name: str) -> bool:
    if name == "HEAD":
        return True
    try:
        Revision(name)
    except Misuse:
        return False
    return name.startswith("refs/") and not any(part.startswith("-") for part in name.split("/"))
