"""Which repository's Dockerfiles may read which build secrets: a decision of the deployment, and of no argument."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.errors import Misconfigured, Refused
from pipelines.tools.git.address import public_address

ANY = "any"
NONE = "none"


def check(ids: Iterable[str], repository: str, allowed: str) -> None:
    """Raise Refused when a secret is not allowed to a repository, Misconfigured when `allowed` is not what it should be.

    `allowed` is `any`, `none`, or a list of id=repository, separated by commas. How a repository is reached, by https or
    by ssh, makes no difference.
    """
    if allowed == ANY:
        return
    given: set[tuple[str, str]] = set()
    for item in () if allowed == NONE else allowed.split(","):
        name, _, address = item.strip().partition("=")
        if not name or not public_address(address):
            raise Misconfigured(
                "the setting build-secrets is not a list of id=repository",
                seen=repr(item.strip()[:200]),
                todo="write id=https://host/path, separated by commas",
            )
        given.add((name, public_address(address)))
    for name in sorted(ids):
        if (name, public_address(repository)) not in given:
            raise Refused(
                f"the secret {name} is not allowed to {public_address(repository) or repository}",
                seen="the setting build-secrets names "
                + (", ".join(sorted(address for other, address in given if other == name)) or "no repository for it"),
                todo="allow it in the installation's values, under buildSecrets, if this repository may know it",
            )
