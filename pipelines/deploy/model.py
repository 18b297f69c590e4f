"""What deployments wrote."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DeployTarget:
    """One place that follows the images: a repository's own charts, or an environment."""

    name: str
    """The environment's name, or `charts`."""
    repo: str
    way: str
    """`commit` or `pull-request`."""
    commit: str
    """That was pushed, or that an open pull request has; empty where there is nothing to write."""
    pull_request: str
    """Its address, for people."""
    changes: tuple[str, ...]
    """One line for each image and chart, old and new."""
    kept: tuple[str, ...]
    """What was left as it is, and why."""
    attempts: int
    """How often somebody else's push was waited out, and one."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What came of one deployment of a branch's head."""

    commit: str
    """The head that it was worked out from; empty where the branch does not deploy."""
    written: int
    """How many places were written to, or proposed."""
    summary: str
    """One line for people."""
    targets: tuple[DeployTarget, ...]
