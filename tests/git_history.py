"""A repository whose commits are made from whole trees, quickly, without a working tree."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.git_repositories import ENVIRONMENT

_WHO = "Ada <ada@example.org> 1700000000 +0000"


class History:
    """A bare repository, and the tree of each commit that was made here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trees: dict[str, dict[str, str]] = {}
        self.parents: dict[str, tuple[str, ...]] = {}
        path.mkdir(parents=True)
        self._git("init", "--quiet", "--bare", "--initial-branch=main")

    def commit(self, tree: Mapping[str, str], *parents: str) -> str:
        """Store a commit of these files and return its id; no branch names it yet. No two commits are the same."""
        message = f"Change {len(self.trees)}"
        lines = [f"commit refs/shipway/made\ncommitter {_WHO}\ndata {len(message)}\n{message}\n"]
        lines += [f"{'merge' if number else 'from'} {parent}\n" for number, parent in enumerate(parents)]
        lines += ["deleteall\n", *(_file(path, text) for path, text in sorted(tree.items()))]
        self._git("fast-import", "--quiet", "--force", stdin="".join(lines))
        commit = self._git("rev-parse", "refs/shipway/made")
        self._git("update-ref", "-d", "refs/shipway/made")
        self.trees[commit], self.parents[commit] = dict(tree), parents
        return commit

    def push(self, ref: str, commit: str) -> None:
        """Let a full ref name a commit, as a push or a force push does; an empty text deletes it."""
        self._git("update-ref", *(("-d", ref) if not commit else (ref, commit)))

    def refs(self) -> dict[str, str]:
        """Return what each branch and tag names."""
        lines = self._git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return {name: commit for name, _, commit in (line.partition(" ") for line in lines)}

    def _git(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=ENVIRONMENT,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout.strip()


def _file(path: str, text: str) -> str:
    return f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n"
