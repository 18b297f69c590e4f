"""The repository that a command is about: an address, a folder, or the examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.cli import running
from pipelines.errors import Misuse
from pipelines.tools.git.address import RepositoryUrl

EXAMPLES = running.TEMPLATES.parents[2] / "examples"


def here(repo: str) -> str:
    """Return the address for a run on this machine: its pods work in folders of their own, where a relative path means nothing."""
    return repo if "://" in repo or not Path(repo).is_dir() else str(Path(repo).resolve())


def on_cluster(repo: str) -> str:
    """Return the address for a run on a cluster; raises Misuse for one that a cluster cannot reach."""
    if not repo or RepositoryUrl(repo).local_path:
        raise Misuse(
            "a cluster cannot read a folder of this machine",
            seen=repo or "no repository, which means the examples",
            todo="give an address that its pods reach: REPO=https://git.example.com/team/shop.git",
        )
    return repo


def examples(state: Path, settings: Mapping[str, str]) -> str:
    """Bring the example repository up to date, and its base into this machine's registry; return its address."""
    from pipelines.engines.embedded import deployment  # noqa: PLC0415 - only for the examples

    if f"{deployment.BASE_HOST}=" in settings.get("mirrors", ""):
        deployment.publish_base(settings["registry"])
    return deployment.publish_examples(state, EXAMPLES)
