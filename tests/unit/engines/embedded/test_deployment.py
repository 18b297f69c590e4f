"""The example repository: its commit depends on the folder's content and on nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.engines.embedded.deployment import publish_example
from tests.git_repositories import ENVIRONMENT

FILES = {"base/Dockerfile": "FROM scratch\n", "base/with space\n": "odd\n", "web/.gitignore": "*\n", "web/ignored": "x"}


def folder(path: Path) -> Path:
    """Return a folder of examples."""
    for name, content in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    (path / "base" / "tool").write_text("#!/bin/sh\n")
    (path / "base" / "tool").chmod(0o755)
    return path


def git(repository: Path, *words: str) -> str:
    """Ask Git about a repository."""
    argv = ["git", f"--git-dir={repository}", *words]
    return subprocess.run(argv, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout.strip()


def test_everybody_gets_the_same_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user, hour, umask, place or Git configuration makes no difference, and no file is left out."""
    commits = {publish_example(folder(tmp_path / "one"), tmp_path / "one.git")}
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\nname = Me\n[core]\nautocrlf = true\nexcludesFile = ~/all\n[i18n]\ncommitEncoding = latin1\n"
    )
    (home / "all").write_text("*\n")
    for name, value in {"HOME": str(home), "GIT_AUTHOR_NAME": "Me", "TZ": "Asia/Tokyo", "GIT_DIR": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        other = folder(tmp_path / "a deeper" / "place")
        (other / "base" / "tool").chmod(0o700)
        os.utime(other / "base" / "tool", (1, 1))
        commits.add(publish_example(other, tmp_path / "two.git"))
    finally:
        os.umask(before)
    assert len(commits) == 1
    listed = git(tmp_path / "two.git", "ls-tree", "-r", "-z", "--name-only", "main").split("\0")
    assert sorted(filter(None, listed)) == sorted([*FILES, "base/tool"])


def test_an_edit_is_a_further_commit(tmp_path: Path) -> None:
    """The branch goes on from where it was; the same content
    again, also after an edit was taken back, is told as it is.
    """
    source, repository = folder(tmp_path / "examples"), tmp_path / "state" / "examples.git"
    first = publish_example(source, repository)
    assert publish_example(source, repository) == first
    shutil.rmtree(source / "web")
    (source / "base" / "Dockerfile").write_text("FROM scratch\nCOPY tool /tool\n")
    second = publish_example(source, repository)
    assert git(repository, "log", "--format=%H", "main").split() == [second, first]
    assert git(repository, "show", "main:base/Dockerfile") == "FROM scratch\nCOPY tool /tool"
    third = publish_example(folder(source), repository)
    assert git(repository, "log", "--format=%H", "main").split() == [third, second, first]
    assert git(repository, "rev-parse", f"{third}^{{tree}}") == git(repository, "rev-parse", f"{first}^{{tree}}")
