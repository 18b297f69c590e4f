"""Writes a deployment's edits to a branch, by a commit or by a pull request that is updated while it is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.declared.shipway_yaml import COMMIT, PULL_REQUEST
from pipelines.deploy import message, provenance
from pipelines.deploy.edits import Edited
from pipelines.deploy.model import DeployTarget
from pipelines.errors import Misconfigured, Misuse
from pipelines.step.groups import NetworkSettings
from pipelines.tools.forge import connect as forge_connect
from pipelines.tools.forge.connect import NoForge
from pipelines.tools.forge.forge import Forge
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.write_back import Head, Proposal, Propose, WriteBack, Written
from pipelines.tools.registry.client import Registry

CLOSED = "shipway: closed"
"""Hidden first line of the comment that says why a pull request was closed."""
_HEADS = "refs/heads/"


@dataclass(frozen=True, kw_only=True)
class ForgeAccess:
    """The settings and logins that connect repositories to their forges."""

    folder: Path
    """The folder of the logins."""
    forges: str
    network: NetworkSettings

    def connect(self, url: RepositoryUrl) -> Forge:
        """Return the forge of a repository; raises Misconfigured if its kind or the login is missing."""
        return forge_connect.connect(
            url, self.folder, forges=self.forges, network=self.network, rights=forge_connect.PROPOSING
        )

    def known(self, url: RepositoryUrl) -> Forge | None:
        """Return the forge of a repository, or None if it is not configured."""
        try:
            return self.connect(url)
        except Misconfigured:
            return None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Edits, and what their commit or pull request says about them."""

    edited: Edited
    verb: str
    """The first word of the title, `Deploy`."""
    environment: str = ""
    """Empty for a repository's own charts."""
    reason: str = ""
    """The first paragraph of the body."""
    trailers: tuple[str, ...] = ()
    empty: str = ""
    """Why there are no edits, if there are none: the first line of the comment that closes a pull request."""
    is_marked: bool = False
    """Whether the commit's message has a hash of its files."""
    is_rollback: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetWriter:
    """Writes to one repository."""

    repository: WriteBack
    forges: ForgeAccess
    client: Registry
    """The registry that says where images come from."""

    def write(self, name: str, ref: str, branch: str, draft: Callable[[Head], Draft], *, way: str) -> DeployTarget:
        """Write edits onto the head of `ref` by a commit, or by a pull request from `branch`.

        `draft` computes them, again for each new head. Raises Misuse if the way is unknown, and what `draft`,
        WriteBack and the forge raise.
        """
        edited = Edited(files={})

        def propose(head: Head) -> Proposal:
            nonlocal edited
            current = draft(head)
            # Of a branch's own commit everything may be published; what its base waits for still is not.
            awaited = tuple(dict.fromkeys((*edited.awaited, *current.edited.awaited)))
            edited = replace(current.edited, awaited=awaited)
            return self._proposal(current)

        link = ""
        if way == PULL_REQUEST:
            written, link = self._pull_request(ref, branch, propose)
        elif way == COMMIT:
            written = self.repository.commit(ref, propose)
        else:
            raise Misuse("no such way", seen=repr(way), todo=f"use {COMMIT} or {PULL_REQUEST}")
        return DeployTarget(
            name=name,
            repo=str(self.repository.url),
            way=way,
            commit=written.commit,
            pull_request=link,
            changes=message.lines(edited.changes, edited.moves) if written.commit else (),
            kept=(*edited.kept, *edited.awaited),
            attempts=written.attempts,
        )

    def _proposal(self, draft: Draft) -> Proposal:
        edited = draft.edited
        if not edited.files:
            return Proposal(body="\n".join((draft.empty, *edited.kept)), is_partial=bool(edited.awaited))
        images = {d: c.image for c in edited.changes for d in (c.old_digest, c.digest) if d}
        known = provenance.by_digest(self.client, images, self.forges.known)
        body = message.body(edited.changes, edited.moves, known, is_rollback=draft.is_rollback)
        return Proposal(
            files=edited.files,
            title=message.title(draft.verb, edited.changes, edited.moves, draft.environment),
            body="\n\n".join(filter(None, (draft.reason, body))),
            trailers=(*draft.trailers, *message.trailers(edited.changes, edited.moves)),
            is_partial=bool(edited.awaited),
            is_marked=draft.is_marked,
        )

    def _pull_request(self, base: str, branch: str, propose: Propose) -> tuple[Written, str]:
        """Update a branch and its pull request; return the result and the pull request's address."""
        try:
            forge = self.forges.connect(self.repository.url)
        except NoForge as error:
            raise NoForge(
                error.what,
                seen=error.seen,
                todo=f"{error.todo}; or ask for a commit, with --commit or by `commit` in shipway.yaml",
            ) from error
        target = base.removeprefix(_HEADS)
        current = forge.pull_request(branch, base=target)

        def closing(proposal: Proposal) -> None:
            assert current is not None
            forge.comment(current.number, CLOSED, f"Closed: {proposal.body}")

        written = self.repository.branch(
            base, f"{_HEADS}{branch}", propose, is_open=current is not None, closing=closing
        )
        if not written.commit:
            if current:
                forge.close(current.number)
            return written, ""
        proposal = written.proposal
        if not proposal.files:  # the branch contains the change already, or keeps what it proposes
            return written, current.url if current else ""
        return written, forge.propose(head=branch, base=target, title=proposal.title, body=f"{proposal.body}\n").url
