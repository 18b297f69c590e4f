"""Build secrets go to the repositories that the deployment allows them to."""

from __future__ import annotations

import pytest

from pipelines.errors import Misconfigured, Refused
from pipelines.images.build import check_secrets

ALLOWED = (
    "npm=https://git.example.com/team/shop.git, npm=https://git.example.com/team/web,pip=ssh://git@git.example.com/a/b"
)


@pytest.mark.parametrize(
    ("ids", "repository"),
    [
        (["npm"], "https://git.example.com/team/shop"),
        (["npm"], "git@git.example.com:team/web.git"),
        (["pip"], "https://git.example.com/a/b.git"),
        ([], "https://elsewhere.example.com/x"),
    ],
)
def test_allowed(ids: list[str], repository: str) -> None:
    """However the repository is reached."""
    check_secrets(ids, repository, ALLOWED)


@pytest.mark.parametrize(
    ("ids", "repository", "allowed"),
    [
        (["npm"], "https://git.example.com/a/b", ALLOWED),
        (["npm", "pip"], "https://git.example.com/team/shop", ALLOWED),
        (["npm"], "https://git.example.com/team/shop-fork", ALLOWED),
        (["npm"], "https://git.example.com@evil.example.com/team/shop", ALLOWED),
        (["npm"], "/srv/git/shop", ALLOWED),
        (["npm"], "https://[git.example.com/team/shop", ALLOWED),
        (["npm"], "https://git.example.com/team/shop", "none"),
    ],
)
def test_refused(ids: list[str], repository: str, allowed: str) -> None:
    """Another repository, another secret, or none allowed at all."""
    with pytest.raises(Refused, match="is not allowed to"):
        check_secrets(ids, repository, allowed)


def test_any_is_for_ones_own_machine() -> None:
    """Where the secrets are one's own, so is the choice."""
    check_secrets(["npm"], "/srv/git/shop", "any")


@pytest.mark.parametrize(
    "allowed",
    [
        "npm",
        "npm=shop",
        "=https://git.example.com/a",
        "npm=https://git.example.com/a,,",
        "npm=https://git.example.com:99999999/a",
        "npm=https://[git.example.com/a",
    ],
)
def test_a_list_that_is_none_is_told(allowed: str) -> None:
    """And allows nothing."""
    with pytest.raises(Misconfigured, match="build-secrets"):
        check_secrets([], "https://git.example.com/a", allowed)
