"""The step `deploy`: digests and tags of published images where charts and environments name them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.declared.finding import ERROR
from pipelines.declared.shipway_yaml import PULL_REQUEST
from pipelines.deploy import edits, message, model, pull_requests
from pipelines.deploy.edits import Edited
from pipelines.deploy.model import Deployed
from pipelines.deploy.pull_requests import Proposing
from pipelines.deploy.state import DeployState, StateReader
from pipelines.errors import Misconfigured, Refused, ShipwayError
from pipelines.images import build as image_build
from pipelines.images import graph as image_graph
from pipelines.images import platforms
from pipelines.images.node import BuildTarget
from pipelines.release import plan_commit
from pipelines.release.plan_commit import Destination
from pipelines.step.groups import BuilderSettings, ChartSettings
from pipelines.step.parameters import (
    DeployAuthor,
    EnvironmentsBranch,
    EnvironmentsRepository,
    ForgeLogins,
    Forges,
    GitLogin,
    GitWriteLogin,
    PullLogins,
    Repo,
)
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Author, Head, Proposal, WriteBack

CHARTS = "charts"


def deploy(
    *,
    repo: Repo,
    ref: Annotated[
        str, Arg("full name of the branch whose head is deployed; empty: the one that shipway.yaml says")
    ] = "",
    environment: Annotated[str, Arg("this environment only, or `charts`; empty: all that shipway.yaml names")] = "",
    build_args: Annotated[tuple[str, ...], Arg('arguments for every Dockerfile, as a JSON list of "NAME=value"')] = (),
    platform: Annotated[str, Arg("platform that is deployed; empty: this machine's")] = "",
    rebuild: Annotated[tuple[str, ...], Arg("images that this run built again, as the step plan was told")] = (),
    max_age: Annotated[str, Arg("age of images that this run built again, as the step plan was told")] = "",
    builder_version: Annotated[str, Arg("version of the builder, as a plan found it before; empty: asked for")] = "",
    now: Annotated[int, Arg("moment of the plan, in seconds since 1970; 0: this one")] = 0,
    credentials: GitLogin = Path("../git"),
    write_credentials: GitWriteLogin = Path("../git-write"),
    forge: ForgeLogins = Path("../forge"),
    docker_config: PullLogins = Path("../pull"),
    environments: EnvironmentsRepository = "",
    environments_branch: EnvironmentsBranch = "",
    deploy_author: DeployAuthor = "",
    forges: Forges = "",
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[BuilderSettings, Group()],
) -> Deployed:
    """Write what a branch's head has in the registry to where shipway.yaml says: its own charts, environments, or both.

    Only scalars change, a chart gets its next version, and what is as it should be is not written again. Each place is written by a
    commit onto its branch or by a pull request, which is updated while it is open.

    Example:
        shipway step deploy --repo=https://example.org/team/shop.git --registry=registry.example.org --outputs=out/deploy
    """
    settings.require_registry("ask")
    place = Destination.connect(settings, docker_config)
    target = BuildTarget(
        platform=platforms.read_platform(platform),
        builder=builder.builder,
        builder_version=builder_version or image_build.choose_builder(builder, Path("cache")).version(),
        compression=builder.compression,
        build_args=plan_commit.arguments(build_args),
    )
    url = RepositoryUrl(repo)
    proposing = Proposing(folder=forge, forges=forges, network=settings)
    with (
        Git(GitCredentials.read(credentials), ca_file=settings.authorities) as git,
        Git(GitCredentials.read(write_credentials), ca_file=settings.authorities) as writing,
    ):
        found = ref or git.refs(url).default
        with StateReader(
            git=git,
            url=url,
            ref=found,
            target=target,
            place=place,
            rebuild=rebuild,
            max_age=plan_commit.age(max_age),
            now=now,
        ) as reader:
            run = _Run(
                reader=reader,
                git=writing,
                author=Author.parse(deploy_author or AUTHOR),
                environments=environments,
                environments_branch=environments_branch,
                proposing=proposing,
            )
            return run.all(environment)


AUTHOR = "Shipway <shipway@noreply.invalid>"
"""Of commits, where the setting `deploy-author` names nobody."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    reader: StateReader
    git: Git
    author: Author
    environments: str
    environments_branch: str
    proposing: Proposing

    def all(self, only: str) -> Deployed:
        """Write to every place that follows this branch; what fails in one keeps no other from being written."""
        state = self.reader.head()
        if told := [finding for finding in state.declared.findings if finding.level == ERROR]:
            raise ShipwayError(
                f"what {state.url} deploys to cannot be read", seen="\n".join(map(str, told)), todo=told[0].todo
            )
        wanted = state.declared.configuration.deploy
        branch = f"refs/heads/{wanted.branch}" if wanted.branch else self.reader.git.refs(self.reader.url).default
        if not wanted or self.reader.ref != branch:
            why = (
                f"{branch} is deployed, not {self.reader.ref}" if wanted else "shipway.yaml names nothing to deploy to"
            )
            return _deployed("", why, ())
        ways = ({CHARTS: wanted.charts} if wanted.charts else {}) | dict(wanted.environments)
        if only and only not in ways:
            raise Misconfigured(
                f"shipway.yaml does not deploy to {only}", seen=f"deploy: {', '.join(ways)}", todo="add it there"
            )
        targets: list[model.DeployTarget] = []
        faults: list[ShipwayError] = []
        for name, way in ways.items():
            if only in {"", name}:
                try:
                    targets.append(self._charts(way) if name == CHARTS else self._environment(name, way))
                except ShipwayError as error:
                    sys.stderr.write(f"{name}: {error}\n")
                    faults.append(error)
        edits.raise_together(faults, f"{state.url} is not deployed everywhere")
        summary = "; ".join(f"{t.name}: {', '.join(t.changes) or 'as it should be'}" for t in targets)
        return _deployed(state.commit, summary, tuple(targets))

    def _charts(self, way: str) -> model.DeployTarget:
        def work(head: Head) -> tuple[DeployState, Edited]:
            state = self.reader.at(head.commit)
            _refuse_loops(state)
            return state, edits.edited(state, head)

        return self._target(CHARTS, str(self.reader.url), self.reader.ref, way, work)

    def _environment(self, name: str, way: str) -> model.DeployTarget:
        if not self.environments:
            raise Misconfigured(
                f"nothing says where the environment {name} is",
                seen="the setting `environments` is empty",
                todo="let it name the environments repository",
            )

        url = RepositoryUrl(self.environments)

        def work(head: Head) -> tuple[DeployState, Edited]:
            # Asked after the head that is written onto: whoever deploys a newer commit meanwhile moves that head.
            state = self.reader.head()
            if url.host_and_path == self.reader.url.host_and_path:
                _refuse_loops(state)
            return state, edits.environment_edited(state, head, name)

        branch = self.environments_branch
        ref = f"refs/heads/{branch}" if branch else self.git.refs(url).default
        return self._target(name, str(url), ref, way, work)

    def _target(
        self, name: str, repo: str, ref: str, way: str, work: Callable[[Head], tuple[DeployState, Edited]]
    ) -> model.DeployTarget:
        url = RepositoryUrl(repo)
        last: list[Edited] = []
        where = "" if name == CHARTS else name

        def make(head: Head) -> Proposal:
            state, edited = work(head)
            last[:] = [edited]
            return self._proposal(state, edited, where)

        back = WriteBack(git=self.git, url=url, author=self.author)
        link = ""
        if way == PULL_REQUEST:
            branch = f"shipway/{name}/{self.reader.url.name}-{hashlib.sha256(self.reader.url.encode()).hexdigest()[:8]}"
            written, link = self.proposing.propose(back, ref, branch, make)
        else:
            written = back.commit(ref, make)
        edited = last[-1]
        for line in edited.kept:
            sys.stderr.write(f"{name}: {line}\n")
        changes = message.lines(edited.changes, edited.moves) if written.commit else ()
        for line in changes:
            sys.stderr.write(f"{name}: {line}\n")
        return model.DeployTarget(
            name=name,
            repo=repo,
            way=way,
            commit=written.commit,
            pull_request=link,
            changes=changes,
            kept=edited.kept,
            attempts=written.attempts,
        )

    def _proposal(self, state: DeployState, edited: Edited, where: str) -> Proposal:
        if not edited.files:
            return Proposal()
        images = {d: c.image for c in edited.changes for d in (c.old_digest, c.digest) if d}
        known = pull_requests.of(state.place.reader.client, images, self.proposing)
        return Proposal(
            files=edited.files,
            title=message.title("Deploy", edited.changes, edited.moves, where),
            body=message.body(edited.changes, edited.moves, known),
            trailers=message.trailers(f"{state.url}@{state.commit}", edited.changes, edited.moves),
        )


def _refuse_loops(state: DeployState) -> None:
    if told := [finding for finding in state.plan.findings if finding.rule == image_graph.RULE]:
        raise Refused(
            "a deployment would be a reason for the next one", seen="\n".join(map(str, told)), todo=told[0].todo
        )


def _deployed(commit: str, summary: str, targets: tuple[model.DeployTarget, ...]) -> Deployed:
    sys.stderr.write(f"{summary}\n")
    return Deployed(commit=commit, written=sum(bool(t.commit) for t in targets), summary=summary, targets=targets)
