"""Whose code a local run builds, and so what its RUN steps may be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import isolation
from tests.git_repositories import Repository, simple


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A folder that has main checked out; feature/x is behind it."""
    return simple(tmp_path / "app")


def settle(repo: object, revision: str, *, template: str = "build", asked: str = "", **settings: str) -> str:
    """Return the isolation that a run accepts."""
    found = isolation.settle({"secrets": "/none", **settings}, asked, template, repo=str(repo), revision=revision)
    assert found["secrets"] == "/none"
    return found["isolation"]


@pytest.mark.parametrize("template", ["build", "release", "clone-build-push"])
def test_own(template: str, repository: Repository) -> None:
    """What the folder has checked out, by whatever name."""
    for revision in ("HEAD", "main", "refs/heads/main", "v1.0.0", repository.git("rev-parse", "HEAD")):
        assert settle(repository.path, revision, template=template) == "chroot"
    repository.git("checkout", "--quiet", "feature/x")
    assert settle(repository.path, "feature/x", template=template) == "chroot"
    repository.git("checkout", "--quiet", "--detach")
    assert settle(repository.path, "HEAD", template=template) == "chroot"


def test_the_examples() -> None:
    """They are this project's."""
    assert settle("", "HEAD") == "chroot"


@pytest.mark.parametrize("revision", ["feature/x", "light", "main~1", "no-such-branch"])
def test_another_revision(revision: str, repository: Repository) -> None:
    """What the folder has, but not checked out, may be anybody's."""
    assert settle(repository.path, revision) == "sandbox"


def test_another_commit(repository: Repository) -> None:
    """By its id, too."""
    assert settle(repository.path, repository.git("rev-parse", "HEAD~1")) == "sandbox"


@pytest.mark.parametrize("template", ["check", "review", "reconcile"])
def test_templates_for_anybody(template: str, repository: Repository) -> None:
    """A check is of what others propose, wherever it lies."""
    assert settle(repository.path, "HEAD", template=template) == "sandbox"
    assert settle("", "HEAD", template=template) == "sandbox"


def test_addresses(repository: Repository, tmp_path: Path) -> None:
    """An address is a stranger's, also that of a folder; so is a repository without a working tree, or none."""
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    for repo in (f"file://{repository.path}", tmp_path / "bare.git", tmp_path, "git@git.example.com:a/b.git"):
        assert settle(repo, "main") == "sandbox"


def test_the_flag_decides(repository: Repository) -> None:
    """It is what its user says now, for anybody's code."""
    assert settle("https://git.example.com/a/b", "main", asked="chroot") == "chroot"
    assert settle("https://git.example.com/a/b", "main", template="check", asked="chroot") == "chroot"
    assert settle(repository.path, "HEAD", asked="sandbox") == "sandbox"


def test_the_setting_is_for_pods(repository: Repository) -> None:
    """A deployment's settings accept a chroot for its pods, not for this machine; they may ask for more."""
    assert settle("https://git.example.com/a/b", "main", isolation="chroot") == "sandbox"
    assert settle(repository.path, "HEAD", isolation="sandbox") == "sandbox"
