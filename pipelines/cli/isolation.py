"""How far RUN steps are kept from this machine in a local run: one's own code is trusted further than a stranger's."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.cli import options as cli_options
from pipelines.errors import ShipwayError
from pipelines.tools.git.address import RepositoryUrl, Revision

_SANDBOX = "sandbox"
_CHROOT = "chroot"
_OWN = ("build", "clone-build-push", "release")
"""The templates whose RUN steps can be the user's own: they build one commit, and others what anybody proposed."""


def settle(settings: Mapping[str, str], asked: str, template: str, *, repo: str, revision: str) -> dict[str, str]:
    """Return the settings of a local run with the isolation that its builds have at least.

    `asked` is the flag's value, which decides if there is one; the settings accept a chroot for pods alone. `repo` is
    empty for the examples.
    """
    if not asked:
        is_own = template in _OWN and (not repo or _is_checked_out(settings, repo, revision))
        asked = settings.get("isolation") or _CHROOT if is_own else _SANDBOX
    return {**settings, "isolation": asked}


def _is_checked_out(settings: Mapping[str, str], repo: str, revision: str) -> bool:
    """Whether a revision is what a folder has checked out; an address is a stranger's, also that of a folder."""
    if "://" in repo:
        return False
    try:
        url, parsed = RepositoryUrl(repo), Revision(revision)
        with cli_options.git(settings) as git:
            return bool(url.local_path) and git.checked_out(url) == git.resolve(url, parsed).commit
    except ShipwayError:
        return False  # the run itself says what is wrong
