"""A repository's refs as Git lists them, and the ref that a revision means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.tools.git import errors
from pipelines.tools.git.address import RepositoryUrl, Revision

_SHORT = re.compile(r"[0-9a-f]{7,63}")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A resolved revision: a commit, and the full ref that names it; no ref for a bare commit id."""

    commit: str
    ref: str


@dataclass(frozen=True, kw_only=True)
class RefTarget:
    """The object that a ref names, which for an annotated tag is the tag, and its commit."""

    object: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Refs:
    """The refs of a repository: the commit of each, tags peeled, and the ref of its default branch."""

    commits: Mapping[str, str]
    default: str

    @property
    def branches(self) -> tuple[str, ...]:
        """The names of its branches, sorted."""
        return tuple(sorted(ref.removeprefix("refs/heads/") for ref in self.commits if ref.startswith("refs/heads/")))


def read(listing: str) -> Refs:
    """Return the refs in the output of `git ls-remote --symref`, without those that Git could read as an option."""
    commits: dict[str, str] = {}
    peeled: dict[str, str] = {}
    default = ""
    for line in listing.split("\n"):  # not splitlines: a name may contain U+2028
        value, _, name = line.partition("\t")
        if value.startswith("ref: "):
            default = value.removeprefix("ref: ") if name == "HEAD" else default
        elif name.endswith("^{}"):
            peeled[name.removesuffix("^{}")] = value
        elif _is_usable(name):
            commits[name] = value
    return Refs(commits=commits | {name: peeled[name] for name in peeled if name in commits}, default=default)


def find(url: RepositoryUrl, revision: Revision, refs: Refs) -> Resolved | None:
    """Return what a revision names, None if no ref matches; raises Misuse if a tag and a branch share the name."""
    candidates = (revision, f"refs/tags/{revision}", f"refs/heads/{revision}")
    matches = [name for name in candidates if name in refs.commits]
    if not matches and f"refs/{revision}" in refs.commits:
        matches = [f"refs/{revision}"]
    if len(matches) > 1:
        raise Misuse(
            f"{revision} names more than one thing in {url}",
            seen=" and ".join(f"{name} ({refs.commits[name][:12]})" for name in matches),
            todo="give the full name of one of them as the revision",
        )
    return Resolved(commit=refs.commits[matches[0]], ref=matches[0]) if matches else None


def default(url: RepositoryUrl, refs: Refs) -> Resolved:
    """Return the head of the default branch; raises ShipwayError if there is none, Refused if its name is unsafe."""
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
    """Return the commit of a branch's full ref; raises ShipwayError, which lists branches, if there is none."""
    if ref not in refs.commits:
        raise ShipwayError(
            f"{url} has no {ref or 'default branch'}",
            seen=f"branches: {', '.join(refs.branches[:10])}" if refs.branches else "it is empty",
            todo="push that branch, or correct its name" if ref else "push a commit to it",
        )
    return refs.commits[ref]


def unknown(url: RepositoryUrl, revision: Revision, refs: Refs) -> ShipwayError:
    """Return the error for an unknown revision, which suggests similar names."""
    import difflib  # noqa: PLC0415 - 1 ms, at each start of a step

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
