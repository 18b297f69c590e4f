"""Sets commit statuses at a repository's forge: one for each environment that a commit is deployed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.deploy.status import ApplicationStatus, is_commit
from pipelines.errors import Misuse
from pipelines.step.groups import NetworkSettings
from pipelines.step.log import say
from pipelines.tools.forge import connect as forge_connect
from pipelines.tools.forge.connect import NoForge
from pipelines.tools.forge.forge import Forge, Status, StatusState
from pipelines.tools.git.address import RepositoryUrl

_CONTEXT = "shipway/{}"


@dataclass(frozen=True, kw_only=True)
class CommitStatuses:
    """The statuses of commits by environment, each set only if it changes."""

    commit: str
    """The commit of the run that waits."""
    also: Sequence[str] = ()
    """Further commits of the same run."""
    repo: str
    """Host and path of its repository."""
    forge: Forge | None
    reported: dict[tuple[str, str], tuple[StatusState, str]]
    """State and description by commit and environment."""

    @classmethod
    def connect(
        cls,
        repo: str,
        commit: str,
        folder: Path,
        *,
        forges: str,
        network: NetworkSettings,
        also: Sequence[str] = (),
    ) -> CommitStatuses:
        """Return the statuses at a repository's forge; without a forge they are only printed."""
        url = RepositoryUrl(repo)
        forge: Forge | None = None
        try:
            forge = forge_connect.connect(url, folder, forges=forges, network=network)
        except NoForge as error:
            say(f"no status is written: {error.what}")
        return cls(commit=commit, also=also, repo=url.host_and_path, forge=forge, reported={})

    def report(
        self, environment: str, applications: Sequence[ApplicationStatus], state: StatusState, text: str
    ) -> None:
        """Set the status of the commits behind an environment's applications, if it has changed.

        The commit of a deployment releases the chart that names an image, so the commit that the image was built from
        gets the status, too, but for pending. If that one succeeded before, a later change does not revoke it.
        """
        # Whoever ends this run reports that it waits no more for its own commit, and for no other.
        own = (self.commit, *self.also)
        others = (*self.also, *self._sources(applications)) if state is not StatusState.PENDING else ()
        for commit in dict.fromkeys((self.commit, *others)):
            key, before = (commit, environment), self.reported.get((commit, environment))
            if before is None and commit not in own and self._succeeded(commit, environment):
                before = (StatusState.SUCCESS, "")
            if before == (state, text) or (before and before[0] is StatusState.SUCCESS and commit not in own):
                self.reported[key] = before
                continue
            self.reported[key] = (state, text)
            say(f"{commit[:12]} {environment} {state}: {text}")
            if self.forge:
                status = Status(context=_CONTEXT.format(environment), state=state, description=text)
                self.forge.set_status(commit, status)

    @property
    def waiting(self) -> frozenset[str]:
        """The environments that the run's own commit waits for."""
        waits = ((commit, name) for (commit, name), said in self.reported.items() if said[0] is StatusState.PENDING)
        return frozenset(name for commit, name in waits if commit == self.commit)

    def _sources(self, applications: Sequence[ApplicationStatus]) -> list[str]:
        """Return the commits of this repository that the applications' images were built from."""
        images = (image for item in applications for image in item.images)
        # What an annotation says may be any text: `..` is another address of the forge.
        return [i.revision for i in images if is_commit(i.revision) and _host_and_path(i.source) == self.repo]

    def _succeeded(self, commit: str, environment: str) -> bool:
        status = self.forge.status(commit, _CONTEXT.format(environment)) if self.forge else None
        return status is not None and status.state is StatusState.SUCCESS


def _host_and_path(source: str) -> str:
    """Return host and path of the repository in a label; empty if it names none."""
    try:
        return RepositoryUrl(source).host_and_path
    except Misuse:
        return ""
