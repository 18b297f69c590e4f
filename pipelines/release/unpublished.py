"""Version tags of a repository whose images the registry lacks, however old their commits are.

A forge tells of a push that moves many refs with no event for any: GitHub of more than three tags.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from pipelines.bounds import LARGEST
from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import NAME
from pipelines.errors import ShipwayError, reason
from pipelines.images import tag_names
from pipelines.images.discover import discover
from pipelines.step.log import say
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import GitRepository, TreeEntry
from pipelines.tools.registry.connection import QUESTIONS
from pipelines.tools.registry.transfer import in_parallel


def tags(
    git: Git, url: RepositoryUrl, head: Resolved, commits: Mapping[str, str], tags_of: Callable[[str], Collection[str]]
) -> frozenset[str]:
    """Return those of some full tags, each with its commit, of which an image lacks the version.

    `head` is a branch's; `tags_of` returns the tags that an image has in the registry. What cannot be read or is not
    known is left out, and reported. Raises what `Git.fetch` raises for the head.
    """
    versions = {ref: version for ref, commit in commits.items() if (version := _version(ref, commit))}
    if not versions:
        return frozenset()
    names = dict(_names(git, url, head, {commits[ref]: ref for ref in versions}))

    def published(name: str) -> Collection[str] | None:
        try:
            return tags_of(name)
        except ShipwayError as error:
            say(f"it is not known which versions of {name} are published: {error.what}: {error.seen}")
            return None

    every = sorted({name for found in names.values() for name in found})
    known = dict(zip(every, in_parallel(published, every, at_once=QUESTIONS), strict=True))

    def lacks(name: str, version: str) -> bool:
        there = known[name]
        return there is not None and version not in there

    return frozenset(
        ref for ref, version in versions.items() if any(lacks(name, version) for name in names.get(commits[ref], ()))
    )


def _version(ref: str, commit: str) -> str:
    try:
        return tag_names.tag_plan(ref, commit).version
    except ShipwayError as error:
        say(f"left out: {error.what}: {error.seen}")
        return ""


def _names(
    git: Git, url: RepositoryUrl, head: Resolved, refs: Mapping[str, str]
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield commits, which are given with a ref of each, with the names of their images."""
    with tempfile.TemporaryDirectory(prefix="shipway-tags-") as folder:
        repository = git.fetch(url, head, Path(folder) / "git", with_files=False)
        # All in one question, unless one of them is no commit.
        if not git.fetch_also(repository, refs):
            for commit in refs:
                git.fetch_also(repository, [commit])
        # The trees of all tags at once would take more memory than a pod has.
        own: dict[str, TreeEntry | None] = {}
        for commit, ref in refs.items():
            try:
                own[commit] = next((entry for entry in repository.tree(commit) if entry.path == NAME), None)
            except ShipwayError as error:
                say(f"left out: {ref}: {reason(error)}")
        git.fetch_files(repository, (entry.id for entry in own.values() if entry))
        for commit, entry in own.items():
            try:
                yield commit, _names_at(repository, commit, entry, url.name)
            except ShipwayError as error:
                say(f"left out: {refs[commit]}: {reason(error)}")


def _names_at(repository: GitRepository, commit: str, own: TreeEntry | None, root_name: str) -> frozenset[str]:
    data = repository.contents([own], most_bytes=LARGEST).get(NAME, b"") if own else b""
    configuration = shipway_yaml.require(data, is_link=own is not None and own.is_link)
    paths = sorted(entry.path for entry in repository.tree(commit))
    return frozenset(image.name for image in discover(paths, configuration, root_name).images)
