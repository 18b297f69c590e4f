"""A bare repository that commits are fetched into, read with Git's plumbing commands.

It is outside the checkout, so no build sees it, and nothing in a checkout becomes Git's configuration.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import ShipwayError
from pipelines.step.texts import LATEST
from pipelines.tools.git import errors
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.environment import GitEnvironment, configuration
from pipelines.tools.git.tree import LINK, SUBMODULE
from pipelines.tools.processes.process import Completed, run

LOCAL_SECONDS = 900
_MOST_PATHS = 100
"""Limit of paths in one command: each may have 4096 bytes (PATH_MAX), all arguments 2 MiB (execve(2))."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit's id, its time in seconds since 1970, and the id of its tree."""

    id: str
    time: int
    tree: str


@dataclass(frozen=True, kw_only=True)
class TreeEntry:
    """One file, link or submodule of a tree, with its path from the root.

    Bytes of the path that are not UTF-8 are lone surrogates (PEP 383).
    """

    mode: str
    id: str
    path: str

    @property
    def is_submodule(self) -> bool:
        """Whether it is a submodule."""
        return self.mode == SUBMODULE

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode == LINK


class GitRepository:
    """A bare repository with commits of one address."""

    def __init__(self, path: Path, url: RepositoryUrl, environment: GitEnvironment, *, git: str = "git") -> None:
        self.path = path.absolute()
        self.url = url
        self._environment = environment
        self._git = git
        self.lacks_files = False
        """Whether it holds the commit's tree, but only those files that were fetched later."""
        self._commits: dict[str, Commit] = {}

    @classmethod
    def create(
        cls,
        path: Path,
        url: RepositoryUrl,
        environment: GitEnvironment,
        *,
        git: str,
        commit: str,
        settings: Iterable[tuple[str, str]] = (),
    ) -> GitRepository:
        """Return a new, empty repository at `path`, which is replaced; `commit` shows the hash algorithm.

        It is what `git init --bare` and `git config` would create (gitrepository-layout(5)), without their processes.
        """
        if path.exists():
            shutil.rmtree(path)
        for folder in ("objects", "refs"):
            (path / folder).mkdir(parents=True)
        (path / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
        version = [("core.repositoryformatversion", "0")]
        if len(commit) == 64:
            version = [("core.repositoryformatversion", "1"), ("extensions.objectFormat", "sha256")]
        (path / "config").write_bytes(configuration([*version, ("core.bare", "true"), *settings]))
        return cls(path, url, environment, git=git)

    def remove(self) -> None:
        """Remove the repository; checkouts stay."""
        shutil.rmtree(self.path)

    def commit(self, commit: str) -> Commit:
        """Return a commit; raises ShipwayError if it is missing or is not a commit."""
        if commit not in self._commits:
            self._commits[commit] = self._read(commit)
        return self._commits[commit]

    def _read(self, commit: str) -> Commit:
        done = self.call("log", "-1", "--no-show-signature", "--format=%H %T %ct", commit)
        words = done.stdout.split()
        if done.code != 0 or not words or words[0] != commit:
            seen = f"it is an annotated tag of {words[0]}" if words else errors.cleaned(done.stderr)
            raise ShipwayError(f"{commit} is not a commit of {self.url}", seen=seen, todo="give the id of a commit")
        # An unreadable date counts as none, a date before 1970 as 1970, one after the year 9999 as its end.
        time = int(words[2]) if len(words) > 2 else 0
        return Commit(id=words[0], tree=words[1], time=min(max(time, 0), LATEST))

    def message(self, commit: str) -> str:
        """Return the message of a commit that is here; empty if it is not."""
        return self.call("log", "-1", "--no-show-signature", "--format=%B", commit).stdout

    def has(self, commit: str) -> bool:
        """Whether the commit was fetched."""
        return self.call("cat-file", "-e", f"{commit}^{{commit}}").code == 0

    def tree(self, commit: str) -> tuple[TreeEntry, ...]:
        """Return every file, link and submodule of a commit."""
        done, listing = self._bytes("ls-tree", "-r", "-z", "--full-tree", commit)
        if done.code != 0:
            raise errors.error(f"cannot list the tree of {commit}", done, None, "")
        entries = []
        for line in _items(listing):
            head, _, path = line.partition("\t")
            mode, _, identity = head.split(" ")
            entries.append(TreeEntry(mode=mode, id=identity, path=path))
        return tuple(entries)

    def contents(self, entries: Iterable[TreeEntry], *, most_bytes: int) -> dict[str, bytes]:
        """Return the bytes of fetched files by path, as stored: .gitattributes do not apply. Raises ShipwayError.

        Files of more than `most_bytes` are left out, unread.
        """
        every = list(entries)
        sizes = self.sizes(every)
        selected = [entry for entry in every if sizes[entry.id] <= most_bytes]
        if not selected:
            return {}
        text = "".join(f"{entry.id}\n" for entry in selected)
        done, data = self._bytes("cat-file", "--batch", "--buffer", stdin=text)
        contents: dict[str, bytes] = {}
        start = 0
        for entry in selected:
            end = data.find(b"\n", start)
            words = data[start:end].split()
            if done.code != 0 or end < 0 or len(words) != 3:
                raise ShipwayError(f"{entry.path} of {self.url} cannot be read", seen=errors.cleaned(done.stderr))
            contents[entry.path] = data[end + 1 : end + 1 + int(words[2])]
            start = end + 1 + int(words[2]) + 1
        return contents

    def sizes(self, entries: Iterable[TreeEntry]) -> dict[str, int]:
        """Return the size of each file by its id; raises ShipwayError if one is missing."""
        text = "".join(f"{entry.id}\n" for entry in entries)
        if not text:
            return {}
        done = self.call("cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer", stdin=text)
        pairs = [line.split(" ") for line in done.stdout.splitlines()]
        if done.code != 0 or not all(len(pair) == 2 and pair[1].isdigit() for pair in pairs):
            raise ShipwayError(f"files of {self.url} cannot be read", seen=errors.cleaned(done.stderr))
        return {name: int(size) for name, size in pairs}

    def submodule_settings(self, commit: str) -> dict[str, dict[str, str]]:
        """Return the settings of each submodule in a commit's .gitmodules, by its name; raises ShipwayError."""
        done, listing = self._bytes("config", f"--blob={commit}:.gitmodules", "-z", "--list")
        if done.code != 0:
            raise ShipwayError(
                "the file .gitmodules cannot be read",
                seen=errors.cleaned(done.stderr),
                todo="commit a .gitmodules that names each submodule, or build without submodules",
            )
        submodules: dict[str, dict[str, str]] = {}
        for item in _items(listing):
            name, _, value = item.partition("\n")
            section, _, key = name.rpartition(".")
            if section.startswith("submodule."):
                submodules.setdefault(section.removeprefix("submodule."), {})[key] = value
        return submodules

    def check_out(self, commit: str, folder: Path, *, lfs: bool = False) -> None:
        """Write a commit's files into an empty folder: files 644 or 755 as the commit says, folders 755.

        With `lfs`, large files replace their pointers. Raises Refused if the tree would write into a .git folder,
        Transient if large files cannot be fetched, ShipwayError otherwise.
        """
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        words = [f"--work-tree={folder.absolute()}", "read-tree", "--reset", "-u", commit]
        done = self.call(*words, lfs=lfs, cwd=folder)
        if done.code != 0:
            login = self._environment.login(self.url) if lfs else ""
            raise errors.error(f"cannot check out {commit} of {self.url}", done, self.url if lfs else None, login)

    def write(self, commit: str, paths: Iterable[str], folder: Path) -> None:
        """Write some of a commit's files into a folder, as `check_out` does; raises what it raises."""
        folder.mkdir(parents=True, exist_ok=True)
        selected = list(paths)
        text = "".join(f"{path}\0" for path in selected if _is_text(path))
        odd = [path for path in selected if not _is_text(path)]  # stdin is text; arguments may be any bytes
        batches = [odd[start : start + _MOST_PATHS] for start in range(0, len(odd), _MOST_PATHS)]
        calls: list[tuple[list[str], str | None]] = [
            (["read-tree", commit], None),
            (["checkout-index", "-z", "--stdin", "--force"], text),
            *((["checkout-index", "--force", "--", *batch], None) for batch in batches),
        ]
        for words, stdin in calls:
            done = self.call(f"--work-tree={folder.absolute()}", *words, cwd=folder, stdin=stdin)
            if done.code != 0:
                raise errors.error(f"cannot read files of {commit} of {self.url}", done, None, "")

    def _bytes(self, *words: str, stdin: str | None = None) -> tuple[Completed, bytes]:
        """Run a Git command on this repository; return its result, and its output byte for byte."""
        file = self.path / f"shipway-output-{secrets.token_hex(4)}"  # several threads may run at once
        done = self.call(*words, stdin=stdin, into=file)
        data = file.read_bytes()
        file.unlink()
        return done, data

    def call(
        self,
        *words: str,
        lfs: bool = False,
        cwd: Path | None = None,
        stdin: str | None = None,
        into: Path | None = None,
    ) -> Completed:
        """Run a Git command on this repository, with `into` its output into a file; it fetches large files alone."""
        return run(
            [self._git, f"--git-dir={self.path}", *words],
            timeout_seconds=LOCAL_SECONDS,
            env=self._environment.variables(self.url if lfs else None, lfs=lfs),
            cwd=cwd,
            stdin=stdin,
            umask=0o022,
            into=into,
        )


def _items(listing: bytes) -> list[str]:
    """Return the items of a list that Git terminates with NUL; distinct bytes stay distinct names."""
    return [item for item in listing.decode("utf-8", "surrogateescape").split("\0") if item]


def _is_text(path: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in path)
