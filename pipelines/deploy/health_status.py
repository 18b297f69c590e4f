"""What commits are told of their environments: a status for each, at the forge that their repository is at."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.deploy.status_model import Whereabouts
from pipelines.errors import Misuse
from pipelines.step.groups import NetworkSettings
from pipelines.tools.forge import connect as forge_connect
from pipelines.tools.forge.connect import NoForge
from pipelines.tools.forge.forge import Forge, Status, StatusState
from pipelines.tools.git.address import RepositoryUrl

_CONTEXT = "shipway/{}"


@dataclass(frozen=True, kw_only=True)
class Teller:
    """Tells commits how their environments are, each thing once."""

    commit: str
    """Of the run that waits."""
    repo: str
    """Host and path of its repository."""
    forge: Forge | None
    told: dict[tuple[str, str], tuple[StatusState, str]]
    """By commit and environment."""

    @classmethod
    def connect(cls, repo: str, commit: str, folder: Path, *, forges: str, network: NetworkSettings) -> Teller:
        """Return one that speaks to the repository's forge, or to people alone where there is none."""
        url = RepositoryUrl(repo)
        forge: Forge | None = None
        try:
            forge = forge_connect.connect(url, folder, forges=forges, network=network)
        except NoForge as error:
            _say(f"no status is written: {error.what}")
        return cls(commit=commit, repo=url.host_and_path, forge=forge, told={})

    def tell(self, environment: str, rows: Sequence[Whereabouts], state: StatusState, text: str) -> None:
        """Give the commits behind an environment's applications a status, if it says something new.

        A deployment's own commit releases the chart that names an image: so the commit that the image was built from is told, too,
        but for one that was told of success before, which a later change does not take back.
        """
        for commit in dict.fromkeys((self.commit, *self._sources(rows))):
            key, before = (commit, environment), self.told.get((commit, environment))
            if before is None and commit != self.commit and self._succeeded(commit, environment):
                before = (StatusState.SUCCESS, "")
            if before == (state, text) or (before and before[0] is StatusState.SUCCESS and commit != self.commit):
                self.told[key] = before
                continue
            self.told[key] = (state, text)
            _say(f"{commit[:12]} {environment} {state}: {text}")
            if self.forge:
                status = Status(context=_CONTEXT.format(environment), state=state, description=text)
                self.forge.set_status(commit, status)

    def _sources(self, rows: Sequence[Whereabouts]) -> list[str]:
        """Return the commits of this repository that the applications' images were built from."""
        images = (image for row in rows for image in row.images if image.revision and image.source)
        return [image.revision for image in images if _place(image.source) == self.repo]

    def _succeeded(self, commit: str, environment: str) -> bool:
        status = self.forge.status(commit, _CONTEXT.format(environment)) if self.forge else None
        return status is not None and status.state is StatusState.SUCCESS


def _place(source: str) -> str:
    """Return host and path of the repository that a label names; nothing for one that names none."""
    try:
        return RepositoryUrl(source).host_and_path
    except Misuse:
        return ""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
