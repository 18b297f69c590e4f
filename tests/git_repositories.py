"""Real Git repositories for tests: honest ones by Git's own commands, hostile ones object by object."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipelines.tools.git.repository import GitRepository

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
    # Nothing here is large enough to be tidied up, and each commit would start a program that finds that out.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "maintenance.auto",
    "GIT_CONFIG_VALUE_0": "false",
}


def content(repository: GitRepository, commit: str, path: str) -> str:
    """Return the text of a file of a commit that was fetched."""
    done = repository.call("cat-file", "blob", f"{commit}:{path}")
    assert done.code == 0, done.stderr
    return done.stdout


class Repository:
    """A repository with a working tree, whose default branch is main."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self.path = path
        self._unstaged: list[str] = []
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--template=", "--initial-branch=main", *arguments)

    @classmethod
    def at(cls, path: Path) -> Repository:
        """Return a repository that is there."""
        found = cls.__new__(cls)
        found.path, found._unstaged = path, []
        return found

    def copy(self, path: Path) -> Repository:
        """Return the same repository in another folder."""
        shutil.copytree(self.path, path, symlinks=True)
        return self.at(path)

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run Git here and return what it printed, stripped."""
        if self._unstaged:
            names, self._unstaged = self._unstaged, []
            self.git("add", "--force", "--", *names)
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=ENVIRONMENT, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def write(self, name: str, content: str | bytes, *, mode: int = 0o644) -> Repository:
        """Write a file of the working tree, to be staged before the next command of Git."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        self._unstaged.append(name)
        return self

    def link(self, name: str, target: str) -> Repository:
        """Make a symbolic link, to be staged before the next command of Git."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        self._unstaged.append(name)
        return self

    def commit(self, message: str = "Change") -> str:
        """Commit what is staged and return the commit's id."""
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def blob(self, content: str) -> str:
        """Store a file's content and return its id."""
        return self.git("hash-object", "-w", "--stdin", stdin=content.encode())

    def tree(self, entries: Mapping[str, tuple[str, str]]) -> str:
        """Store a tree of name → (mode, id) with names that Git would refuse, and return its id."""
        data = b"".join(
            f"{mode} {name}\0".encode() + bytes.fromhex(identity)
            for name, (mode, identity) in sorted(entries.items(), key=lambda item: item[0].encode())
        )
        return self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=data)

    def commit_tree(self, tree: str, *, ref: str = "refs/heads/main") -> str:
        """Commit a stored tree without a parent, point a ref at it and return the commit's id."""
        commit = self.git("commit-tree", "-m", "Hostile", tree)
        self.git("update-ref", ref, commit)
        return commit

    def submodule(self, path: str, url: str, commit: str) -> Repository:
        """Stage a submodule's link and its lines in .gitmodules, without fetching anything."""
        modules = self.path / ".gitmodules"
        old = modules.read_text() if modules.exists() else ""
        self.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        return self.write(".gitmodules", f'{old}[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')


def simple(path: Path) -> Repository:
    """Return a repository of three commits: a Dockerfile, a program and a link, on main, and a branch and two tags.

    main: one — two (tag light) — three (tag v1.0.0, annotated); branch feature/x is on two.
    """
    return _simple().copy(path)


@functools.cache
def _simple() -> Repository:
    repository = Repository(Path(tempfile.mkdtemp()) / "simple")
    repository.write("Dockerfile", "FROM scratch\nCOPY hello /hello\n").write("hello", "one\n", mode=0o755).commit(
        "One"
    )
    repository.write("hello", "two\n", mode=0o755).link("rootfs/etc/localtime", "/usr/share/zoneinfo/UTC").commit("Two")
    repository.git("branch", "feature/x")
    repository.git("tag", "light")
    repository.write("hello", "three\n", mode=0o755).commit("Three")
    repository.git("tag", "-a", "-m", "Release", "v1.0.0")
    repository.git("update-ref", "refs/pull/7/head", repository.git("rev-parse", "feature/x"))
    return repository
