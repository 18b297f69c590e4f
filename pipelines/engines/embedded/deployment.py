"""The embedded deployment, which a machine without settings uses: a registry, and the example repository."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines.engines.embedded import base_image, state_folder
from pipelines.engines.embedded.registry import EmbeddedRegistry
from pipelines.images.builders import builder
from pipelines.tools.processes import process
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Reference

BASE = "busybox:static"
BASE_HOST = "shipway.local"
"""The name under which Dockerfiles of the examples ask for the base; no such host exists."""
_IDENTITY = {"NAME": "Shipway examples", "EMAIL": "examples@shipway.invalid", "DATE": "1700000000 +0000"}


def registry(state: Path) -> EmbeddedRegistry:
    """Return the registry whose data is kept in a state folder."""
    return EmbeddedRegistry(state / "registry")


def clean(state: Path) -> None:
    """Stop the registry and remove the files of runs on this machine; the folders of Secrets and unknown files stay."""
    registry(state).clean()
    for name in ("cache", "runs", "examples.git"):
        builder.remove_folder(state / name)
    state_folder.remove(state)


def settings(state: Path) -> dict[str, str]:
    """Start the registry if it does not run, and return settings that use it."""
    address = registry(state).start()
    return {
        "registry": address,
        "project": "shipway",
        "plain-http": address,
        "mirrors": f"{BASE_HOST}={address}",
    }


def publish_base(address: str) -> None:
    """Push the base image of the examples, unless the registry has it."""
    client = Registry(Credentials(), plain_http=frozenset({address}))
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout.create(Path(folder))
        descriptor = base_image.write(layout, base_image.find_busybox())
        to = Reference.parse(f"{address}/{BASE}")
        present = client.resolve(to)
        if present is None or present.descriptor.digest != descriptor.digest:
            client.push(layout, descriptor, to)
            client.tag(to.with_digest(descriptor.digest), to.tag)


def publish_examples(state: Path, examples: Path) -> str:
    """Update the example repository of a state folder, as `publish_example` does, and return its path."""
    repository = (state_folder.make(state) / "examples.git").resolve()
    publish_example(examples.resolve(), repository)
    return str(repository)


def publish_example(folder: Path, repository: Path) -> str:
    """Update branch `main` of a bare repository to the folder's content and return its commit.

    A commit depends on the folder's content alone. Author, time and message are fixed, so everybody gets the same
    commit and, with the same builder, the same digests. An edit of the folder becomes another commit.
    """
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
