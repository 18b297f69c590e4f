"""Commits made without a working tree: a few files of a commit replaced, everything else taken over by its id.

What is written are a file's own bytes: no .gitattributes, no line ends, no filter has a part in it. A repository of thousands of
files costs no more than the files that change.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import Misconfigured
from pipelines.tools.git import errors
from pipelines.tools.git.repository import GitRepository

_FILE = "100644"


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who a commit is by."""

    name: str
    email: str

    @classmethod
    def parse(cls, text: str) -> Author:
        """Return the author that `Name <address>` writes; raises Misconfigured."""
        name, bracket, rest = text.strip().partition("<")
        email = rest.removesuffix(">")
        is_whole = bracket and rest.endswith(">") and name.strip() and "@" in email
        if not is_whole or not text.isprintable() or any(sign in email for sign in "<> "):
            raise Misconfigured(
                "the author of commits cannot be read", seen=repr(text[:200]), todo="write Name <name@example.com>"
            )
        return cls(name=name.strip(), email=email)


def commit(
    repository: GitRepository,
    onto: str,
    files: Mapping[str, bytes],
    *,
    parents: Sequence[str],
    message: str,
    author: Author,
) -> str:
    """Return a new commit whose tree is that of `onto` with some files written; raises ShipwayError.

    A file that was there keeps its mode.
    """
    modes = {entry.path: entry.mode for entry in repository.tree(onto) if entry.path in files}
    with tempfile.TemporaryDirectory(prefix="shipway-files-") as text:
        places = [Path(text) / str(number) for number in range(len(files))]
        for place, data in zip(places, files.values(), strict=True):
            place.write_bytes(data)
        listed = "".join(f"{place}\n" for place in places)
        ids = _checked(repository, ["hash-object", "-w", "--no-filters", "--stdin-paths"], listed).split()
    lines = "".join(f"{modes.get(path, _FILE)} {identity}\t{path}\0" for path, identity in zip(files, ids, strict=True))
    _checked(repository, ["read-tree", onto])
    _checked(repository, ["update-index", "-z", "--index-info"], lines)
    # Files that were not fetched are taken over by their ids.
    tree = _checked(repository, ["write-tree", "--missing-ok"]).strip()
    who = ["-c", f"user.name={author.name}", "-c", f"user.email={author.email}"]
    above = [word for parent in parents for word in ("-p", parent)]
    return _checked(repository, [*who, "commit-tree", tree, *above, "-F", "-"], message).strip()


def _checked(repository: GitRepository, words: Sequence[str], stdin: str | None = None) -> str:
    done = repository.call(*words, stdin=stdin)
    if done.code != 0:
        raise errors.error("cannot make a commit", done, None, "")
    return done.stdout
