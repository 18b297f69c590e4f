"""Pull requests of deployments: one for each place, opened once and brought up to date while it is open.

Where published images and charts come from, as their annotations say, and the pages that show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.deploy.message import Origin
from pipelines.errors import Misconfigured, Misuse
from pipelines.images.tag_moves import REVISION
from pipelines.step.groups import NetworkSettings
from pipelines.tools.forge import connect as forge_connect
from pipelines.tools.forge.connect import NoForge
from pipelines.tools.forge.forge import Forge
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.write_back import Propose, WriteBack, Written
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Reference

_SOURCE = "org.opencontainers.image.source"


_HEADS = "refs/heads/"


@dataclass(frozen=True, kw_only=True)
class Proposing:
    """How the forges of repositories are spoken to."""

    folder: Path
    """Of the logins."""
    forges: str
    network: NetworkSettings

    def connect(self, url: RepositoryUrl) -> Forge:
        """Return the forge of a repository; raises Misconfigured where nobody says which, or how to log in."""
        return forge_connect.connect(
            url, self.folder, forges=self.forges, network=self.network, rights=forge_connect.PROPOSING
        )

    def known(self, url: RepositoryUrl) -> Forge | None:
        """Return the same for links, which may be missing."""
        try:
            return self.connect(url)
        except Misconfigured:
            return None

    def propose(self, back: WriteBack, base: str, branch: str, make: Propose) -> tuple[Written, str]:
        """Bring a branch and its pull request to what is to be written; return what came of it, and the address.

        Raises what `WriteBack.branch` raises, and what the forge raises.
        """
        try:
            forge = self.connect(back.url)
        except NoForge as error:
            raise NoForge(
                error.what,
                seen=error.seen,
                todo=f"{error.todo}; or ask for a commit, with --commit or by `commit` in shipway.yaml",
            ) from error
        written = back.branch(base, f"{_HEADS}{branch}", make)
        if not written.commit:
            return written, ""
        proposal = written.proposal
        if not proposal.files:  # people's own commits on it say it already
            found = forge.pull_request(branch)
            return written, found.url if found else ""
        opened = forge.propose(
            head=branch, base=base.removeprefix(_HEADS), title=proposal.title, body=f"{proposal.body}\n"
        )
        return written, opened.url


def read(client: Registry, image: Reference) -> tuple[str, RepositoryUrl | None]:
    """Return commit and repository of an image or a chart; empty, or None, where nobody says. Raises Transient."""
    manifest = client.resolve(image)
    notes = (manifest.json.get("annotations") or {}) if manifest else {}
    try:
        source = RepositoryUrl(str(notes.get(_SOURCE, "")))
    except Misuse:
        source = None
    return str(notes.get(REVISION, "")), source


def of(client: Registry, images: Mapping[str, str], proposing: Proposing) -> dict[str, Origin]:
    """Return where images come from, by digest; `images` are addresses by digest. Raises Transient."""
    found: dict[str, Origin] = {}
    for digest, address in images.items():
        try:
            image = Reference.parse(f"{address}@{digest}")
        except Misuse:  # what somebody wrote there by hand
            continue
        commit, source = read(client, image)
        found[digest] = Origin(commit=commit, repo=str(source or ""), links=proposing.known(source) if source else None)
    return found
