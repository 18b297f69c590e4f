"""The step `deploy`: writes the digests and tags of published images to charts and environments."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from pipelines.declared.finding import ERROR
from pipelines.declared.shipway_yaml import COMMIT
from pipelines.deploy import edits
from pipelines.deploy.edits import Edited
from pipelines.deploy.model import Deployed, DeployTarget
from pipelines.deploy.state import DeployState, StateReader
from pipelines.deploy.writer import Draft, ForgeAccess, TargetWriter
from pipelines.errors import Misconfigured, Refused, ShipwayError, Transient, meant
from pipelines.images import graph as image_graph
from pipelines.images.builders.choice import choose_builder
from pipelines.images.builders.choice import target as builder_target
from pipelines.release import own_commit, plan_commit
from pipelines.release.plan_commit import Destination
from pipelines.step import parameters
from pipelines.step.groups import ChartSettings, TargetSettings
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Author, Head, WriteBack

CHARTS, ENVIRONMENTS = "charts", "environments"
"""Parts of what shipway.yaml names: the repository's own charts, and every environment."""
AUTHOR = "Shipway <shipway@noreply.invalid>"
"""Of commits, unless the setting `deploy-author` names another."""


@dataclass(frozen=True, kw_only=True)
class DeploySettings:
    """Where deployments are written to, and by whom."""

    environments: parameters.EnvironmentsRepository = ""
    environments_branch: parameters.EnvironmentsBranch = ""
    deploy_author: Annotated[str, Arg("who deployments' commits are by, Name <address>", setting="deploy-author")] = ""
    forges: parameters.Forges = ""

    @property
    def author(self) -> Author:
        """Who commits; raises Misconfigured if the setting cannot be read."""
        return Author.parse(self.deploy_author or AUTHOR)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DeployInputs:
    """Which branch is deployed, for what, and what may read and write."""

    repo: parameters.Repo
    ref: Annotated[
        str, Arg("full name of the branch whose head is deployed; empty: the one that shipway.yaml says")
    ] = ""
    build_args: Annotated[tuple[str, ...], Arg('arguments for every Dockerfile, as a JSON list of "NAME=value"')] = ()
    platform: Annotated[
        str, Arg("platform to build for, where shipway.yaml declares none; empty: as the settings say")
    ] = ""
    rebuild: Annotated[tuple[str, ...], Arg("images that this run built again, as passed to the step plan")] = ()
    max_age: Annotated[str, Arg("age of images that this run built again, as passed to the step plan")] = ""
    builder_version: Annotated[str, Arg("version of the builder, as a plan found it before; empty: asked for")] = ""
    now: Annotated[int, Arg("moment of the plan, in seconds since 1970; 0: this one")] = 0
    run: Annotated[str, Arg("name of the run, if it goes on to publish the charts that are written; else empty")] = ""
    credentials: parameters.GitLogin = Path("../git")
    write_credentials: parameters.GitWriteLogin = Path("../git-write")
    forge: parameters.ForgeLogins = Path("../forge")
    docker_config: parameters.PullLogins = Path("../pull")


def deploy(
    *,
    inputs: Annotated[DeployInputs, Group()],
    environment: Annotated[
        str, Arg("this environment only, or `charts`, or `environments`; empty: all that shipway.yaml names")
    ] = "",
    deploys: Annotated[DeploySettings, Group()],
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[TargetSettings, Group()],
) -> Deployed:
    """Write what a branch's head has in the registry to the targets in shipway.yaml: its own charts, environments.

    Only scalars change, a chart gets its next version, and what is up to date is not written again. Each target is
    written by a commit onto its branch, or by a pull request, which is updated while it is open.

    Example:
        shipway step deploy --repo=https://example.org/shop.git --registry=registry.example.org --outputs=out/deploy
    """
    with opened(inputs, deploys, settings, builder) as deployment:
        return deployment.run(environment)


@contextlib.contextmanager
def opened(
    inputs: DeployInputs, deploys: DeploySettings, settings: ChartSettings, builder: TargetSettings
) -> Iterator[Deployment]:
    """Give the deployment of a branch, with its logins and connections; raises Misuse and Misconfigured."""
    settings.require_registry("ask")
    destination = Destination.connect(settings, inputs.docker_config)
    target = builder_target(
        builder,
        choose_builder(builder, Path("cache")),
        platform=inputs.platform,
        version=inputs.builder_version,
        build_args=plan_commit.arguments(inputs.build_args),
    )
    url = RepositoryUrl(inputs.repo)
    forge_access = ForgeAccess(folder=inputs.forge, forges=deploys.forges, network=settings)
    with (
        Git(GitCredentials.read(inputs.credentials), ca_file=settings.authorities) as git,
        Git(GitCredentials.read(inputs.write_credentials), ca_file=settings.authorities) as writing,
        StateReader(
            git=git,
            url=url,
            ref=inputs.ref or git.refs(url).default,
            target=target,
            destination=destination,
            rebuild=inputs.rebuild,
            max_age=plan_commit.age(inputs.max_age),
            now=inputs.now,
        ) as reader,
    ):
        yield Deployment(
            reader=reader, git=writing, author=deploys.author, settings=deploys, forges=forge_access, maker=inputs.run
        )


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One branch, and what its head is written to."""

    reader: StateReader
    git: Git
    author: Author
    settings: DeploySettings
    forges: ForgeAccess
    maker: str
    """The run that publishes what is written, and whose last step fails with faults; or empty."""
    held: set[str] = field(default_factory=set)
    """Charts that were written, or found, and are not to be published."""

    def run(self, only: str) -> Deployed:
        """Write to every target of this branch; a fault in one does not keep the others from being written."""
        ways, why = self._ways()
        if why:
            return _deployed("", why, ())
        if only == ENVIRONMENTS:
            ways.pop(CHARTS, None)
        elif only and only not in ways:
            todo = meant([only], ways, "add it there")
            raise Misconfigured(f"shipway.yaml does not deploy to {only}", seen=f"deploy: {', '.join(ways)}", todo=todo)
        targets: list[DeployTarget] = []
        faults: list[ShipwayError] = []
        for name, way in ways.items():
            if only in {"", ENVIRONMENTS, name}:
                try:
                    write = self._charts if name == CHARTS else partial(self._environment, name)
                    targets.append(write(way, faults))
                except ShipwayError as error:
                    sys.stderr.write(f"{name}: {error}\n")
                    faults.append(error)
        summary = "; ".join(f"{t.name}: {', '.join(t.changes) or 'up to date'}" for t in targets)
        done = _deployed(self.reader.head().commit, summary, tuple(targets))
        fault = edits.together(faults, f"{self.reader.url} is not deployed everywhere")
        if fault and (not self.maker or isinstance(fault, Transient)):
            fault.result = done
            raise fault
        return done.with_fault(fault)

    def write_charts(self, faults: list[ShipwayError]) -> tuple[DeployTarget, ...]:
        """Write to the repository's own charts, if shipway.yaml says so of this branch; return that target or none.

        What kept single charts from being written is added to `faults`.
        """
        way = self._ways()[0].get(CHARTS, "")
        return (self._charts(way, faults),) if way else ()

    def _ways(self) -> tuple[dict[str, str], str]:
        """Return how each target of this branch is written, or why there is none."""
        state = self.reader.head()
        if errors := [finding for finding in state.snapshot.findings if finding.level == ERROR]:
            raise ShipwayError(
                f"what {state.url} deploys to cannot be read", seen="\n".join(map(str, errors)), todo=errors[0].todo
            )
        configured = state.snapshot.configuration.deploy
        if not configured:
            return {}, "shipway.yaml names nothing to deploy to"
        named = configured.branch
        branch = f"refs/heads/{named}" if named else self.reader.git.refs(self.reader.url).default
        if self.reader.ref != branch:
            return {}, f"{branch} is deployed, not {self.reader.ref}"
        return ({CHARTS: configured.charts} if configured.charts else {}) | dict(configured.environments), ""

    def _charts(self, way: str, faults: list[ShipwayError]) -> DeployTarget:
        def draft(head: Head) -> Draft:
            state = self.reader.at(head.commit)
            _refuse_loops(state)
            edited = edits.edit_charts(state, head, publishes=bool(self.maker) and way == COMMIT)
            self.held.update(edited.held)
            return self._draft(state, edited, way)

        return self._write(CHARTS, (self.reader.url, self.reader.ref), draft, way, faults)

    def _environment(self, name: str, way: str, faults: list[ShipwayError]) -> DeployTarget:
        if not self.settings.environments:
            raise Misconfigured(
                f"nothing says where the environment {name} is",
                seen="the setting `environments` is empty",
                todo="let it name the environments repository",
            )
        url = RepositoryUrl(self.settings.environments)

        def draft(head: Head) -> Draft:
            # Read after the head that is written onto: a newer deployment moves that head meanwhile.
            state = self.reader.head()
            if url.host_and_path == self.reader.url.host_and_path:
                _refuse_loops(state)
            return self._draft(state, edits.edit_environment(state, head, name, way=way), way, name)

        branch = self.settings.environments_branch
        ref = f"refs/heads/{branch}" if branch else self.git.refs(url).default
        return self._write(name, (url, ref), draft, way, faults)

    def _write(
        self,
        name: str,
        at: tuple[RepositoryUrl, str],
        draft: Callable[[Head], Draft],
        way: str,
        faults: list[ShipwayError],
    ) -> DeployTarget:
        """Write to a branch what is drafted of its head, and add what kept single parts of it out to `faults`."""
        source, (url, ref) = self.reader.url, at
        found: dict[str, ShipwayError] = {}

        def noted(head: Head) -> Draft:
            made = draft(head)
            found.update({str(fault): fault for fault in made.edited.faults})
            return made

        writer = TargetWriter(
            repository=WriteBack(git=self.git, url=url, author=self.author),
            forges=self.forges,
            client=self.reader.destination.reader.client,
        )
        branch = f"shipway/{name}/{source.name}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"
        target = writer.write(name, ref, branch, noted, way=way)
        faults += found.values()
        sys.stderr.writelines(f"{name}: {line}\n" for line in (*target.kept, *target.changes))
        return target

    def _draft(self, state: DeployState, edited: Edited, way: str, environment: str = "") -> Draft:
        # What people merge has a webhook of its own, whose run publishes.
        maker = self.maker if way == COMMIT else ""
        return Draft(
            edited=edited,
            verb="Deploy",
            environment=environment,
            trailers=own_commit.trailers(state.url, state.commit, maker),
            is_marked=bool(maker),
            empty=f"{environment or 'the charts'} has nothing left to take of {state.url}@{state.commit}.",
        )


def _refuse_loops(state: DeployState) -> None:
    if loops := [finding for finding in state.plan.findings if finding.rule == image_graph.LOOP]:
        raise Refused(
            "a deployment would be a reason for the next one", seen="\n".join(map(str, loops)), todo=loops[0].todo
        )


def _deployed(commit: str, summary: str, targets: tuple[DeployTarget, ...]) -> Deployed:
    sys.stderr.write(f"{summary}\n")
    return Deployed(commit=commit, written=sum(bool(t.commit) for t in targets), summary=summary, targets=targets)
