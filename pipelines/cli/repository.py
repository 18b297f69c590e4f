"""The repository that a command means: the one that is named, that of this folder, or the examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pipelines
from pipelines.errors import Misuse

DATA = Path(pipelines.__path__[0]) / "data"
"""What a checkout has beside the package: links there, files in a wheel."""
EXAMPLES = DATA / "examples"


def named(repo: str, *, examples: bool = False) -> str:
    """Return the repository that is named, else the one that this folder is in; an empty text for the examples.

    Raises Misuse if there is none, or two.
    """
    if examples and repo:
        raise Misuse("two repositories are named", seen=f"{repo} and --examples", todo="name one")
    if examples or repo:
        return repo
    if own := of_this_folder():
        return own
    seen = str(Path.cwd())
    raise Misuse("no repository is named, and this folder is in none", seen=seen, todo="give REPO, or --examples")


def of_this_folder() -> str:
    """Return the folder of the repository that this folder is in, or an empty text."""
    here = Path.cwd()
    return next((str(folder) for folder in (here, *here.parents) if (folder / ".git").exists()), "")


def examples(state: Path, settings: Mapping[str, str]) -> str:
    """Bring the example repository up to date, and its base into this machine's registry; return its address."""
    from pipelines.engines.embedded import deployment  # noqa: PLC0415 - only for the examples

    if f"{deployment.BASE_HOST}=" in settings.get("mirrors", ""):
        deployment.publish_base(settings["registry"])
    return deployment.publish_examples(state, EXAMPLES)
