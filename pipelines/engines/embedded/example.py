"""The example repository: a Git repository made of a folder of this project.

A commit depends on the folder's content alone. Author, time and message are fixed, so everybody gets the same commit
and, with the same builder, the same digests. An edit of the folder becomes another commit.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.tools.processes import process

_IDENTITY = {"NAME": "Shipway examples", "EMAIL": "examples@shipway.invalid", "DATE": "1700000000 +0000"}


def publish(folder: Path, repository: Path) -> str:
    """Update branch `main` of a bare repository to the folder's content and return its commit."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_DIR": str(repository),
        "GIT_WORK_TREE": str(folder),
        "GIT_INDEX_FILE": str(repository / "examples.index"),
        **{f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER") for key, value in _IDENTITY.items()},
    }

    def git(*arguments: str, todo: str = "") -> str:
        done = process.run(["git", *arguments], timeout_seconds=60, env=environment, cwd=folder)
        return done.check(f"cannot make the example repository: git {arguments[0]}", todo=todo).stdout.strip()

    if not (repository / "HEAD").exists():
        repository.parent.mkdir(parents=True, exist_ok=True)
        bare = {key: value for key, value in environment.items() if not key.startswith("GIT_DIR")}
        bare.pop("GIT_WORK_TREE")
        process.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", repository], timeout_seconds=60, env=bare
        ).check("cannot make the example repository")
    git("add", "--all", "--force", ".")
    tree = git("write-tree")
    head = process.run(
        ["git", "rev-parse", "--verify", "--quiet", "main^{commit}"], timeout_seconds=60, env=environment
    )
    parent = head.stdout.strip()
    if parent and git("rev-parse", f"{parent}^{{tree}}") == tree:
        return parent
    commit = git("commit-tree", tree, *(["-p", parent] if parent else []), "-m", "Show what Shipway builds")
    git("update-ref", "refs/heads/main", commit)
    return commit
