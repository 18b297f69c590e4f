"""The steps of a run that publishes the charts which it moves: `deploy-charts`, `deploy-publish` and `deploy-await`.

They stand in one pod, with the step `chart-check` between the first two and `deploy` before the last. What fails in one
of them does not keep environments from being written; the last step then fails with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pipelines.charts import clone as chart_clone
from pipelines.charts import publish as chart_publish
from pipelines.charts.model import ChartCheckout, ChartReport
from pipelines.deploy import await_healthy, edits
from pipelines.deploy.deploy import DeployInputs, Deployment, DeploySettings, opened
from pipelines.deploy.model import Deployed, DeployTarget, Fault
from pipelines.environments import image_uses
from pipelines.errors import ShipwayError, Transient
from pipelines.release import own_commit
from pipelines.release.own_commit import OwnCommit
from pipelines.step.groups import ChartSettings, CommitInputs, EnvironmentsSettings, ReadLogins, TargetSettings
from pipelines.step.log import say
from pipelines.step.parameters import ForgeLogins, Forges, PushLogins, Repo, Source
from pipelines.step.signature import Arg, Group
from pipelines.step.texts import Encoded, ObjectId
from pipelines.tools.git.checkout import make_room


@dataclass(frozen=True, kw_only=True)
class DeployedCharts(ChartCheckout, Fault):
    """The charts of the commit that a run made of a person's, packed; without charts if it made none."""

    targets: Annotated[tuple[DeployTarget, ...], Encoded()] = ()
    """That of the repository's own charts, or none."""
    made_of: ObjectId = ""
    """The person's commit that the run's was made of; empty if there is none."""


@dataclass(frozen=True, kw_only=True)
class Delivered(Deployed):
    """What was written, and what became of the applications."""

    made: ObjectId
    """The commit that a run made of a person's; empty if there is none."""
    made_of: ObjectId
    """The person's."""
    applications: int
    healthy: int
    seconds: int


def deploy_charts(
    *,
    inputs: Annotated[DeployInputs, Group()],
    source: Source = Path("source"),
    archives: Annotated[Path, Arg("folder of the layout that charts to publish are written into")] = Path("archives"),
    unpacked: Annotated[Path, Arg("folder that charts to check are unpacked into")] = Path("unpacked"),
    deploys: Annotated[DeploySettings, Group()],
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[TargetSettings, Group()],
) -> DeployedCharts:
    """Write digests to the repository's own charts by a commit, and pack the charts that it moved from that commit.

    A second attempt finds the commit of the first, and packs the same. Raises Transient; other faults are in the
    result.

    Example:
        shipway step deploy-charts --repo=https://example.org/shop.git --registry=registry.example --outputs=out/charts
    """
    nothing = DeployedCharts(
        repo=inputs.repo, revision="", ref=inputs.ref, commit="", time=0, tree="", charts=(), findings=()
    )
    for folder in (source, archives, unpacked):
        make_room(folder)
        folder.mkdir(parents=True)
    targets: tuple[DeployTarget, ...] = ()
    faults: list[ShipwayError] = []
    try:
        with opened(inputs, deploys, settings, builder) as deployment:
            targets = deployment.write_charts(faults)
            made = _made(deployment, targets)
        if made is None:
            return _told(replace(nothing, targets=targets), faults)
        commit, own = made
        checkout = chart_clone.chart_clone(
            inputs=CommitInputs(repo=inputs.repo, revision=commit, ref=deployment.reader.ref),
            logins=ReadLogins(credentials=inputs.credentials, docker_config=inputs.docker_config),
            source=source,
            archives=archives,
            unpacked=unpacked,
            settings=settings,
        )
    except Transient:
        raise
    except ShipwayError as error:
        return _told(replace(nothing, targets=targets), [*faults, error])
    moved = [chart for chart in checkout.charts if any(image_uses.is_in(path, chart.path) for path in own.paths)]
    # One that is held back may have been moved by a chart that it depends on.
    charts = [chart for chart in moved if chart.path not in deployment.held]
    kept = {chart.path for chart in charts}
    findings = tuple(one for one in checkout.findings if one.chart in kept)
    fields = vars(checkout) | {"charts": tuple(charts), "findings": findings}
    done = DeployedCharts(**fields, targets=targets, made_of=own.source)
    return _told(done, faults)


def _told(done: DeployedCharts, faults: list[ShipwayError]) -> DeployedCharts:
    """Return the result with its faults, which it also says."""
    fault = edits.together(faults, f"not every chart of {done.repo} is written")
    if fault:
        say(str(fault))
    return done.with_fault(fault)


def _made(deployment: Deployment, targets: tuple[DeployTarget, ...]) -> tuple[str, OwnCommit] | None:
    """Return the commit that a run made of this branch, now or in an earlier attempt, and of what it made it."""
    reader = deployment.reader
    commit = next((target.commit for target in targets if target.commit and not target.pull_request), "")
    commit = commit or reader.git.commit_at(reader.url, reader.ref)
    own = own_commit.read(reader.git, reader.url, commit) if targets else None
    return (commit, own) if own else None


def deploy_publish(
    *,
    checkout: Annotated[ChartCheckout, Arg("what the step deploy-charts says")],
    report: Annotated[ChartReport, Arg("what the step chart-check found")],
    repo: Repo,
    archives: Annotated[Path, Arg("folder of the layout with the charts to publish")] = Path("archives"),
    docker_config: PushLogins = Path("../push"),
    settings: Annotated[ChartSettings, Group(without=("chart_hosts", "mirrors"))],
) -> Fault:
    """Publish the charts that the step deploy-charts packed, as the step chart-publish does; raises Transient.

    Example:
        shipway step deploy-publish --checkout=out/charts --report=out/check --repo=https://example.org/shop.git
    """
    if not checkout.charts:
        return Fault()
    try:
        chart_publish.chart_publish(
            checkout=checkout,
            report=report,
            repo=repo,
            archives=archives,
            docker_config=docker_config,
            settings=settings,
        )
    except Transient:
        raise
    except ShipwayError as error:
        say(str(error))
        return Fault().with_fault(error)
    return Fault()


def deploy_await(
    *,
    charts: Annotated[DeployedCharts, Arg("what the step deploy-charts did")],
    published: Annotated[Fault, Arg("what kept the step deploy-publish from publishing")],
    deployed: Annotated[Deployed, Arg("what the step deploy wrote to environments")],
    repo: Repo,
    commit: Annotated[str, Arg("full id of the source commit")],
    head: Annotated[str, Arg("the commit that a person pushed, if it is another one; else empty")] = "",
    minutes: Annotated[int, Arg("how long to wait at most")] = 15,
    account: Annotated[Path, Arg("folder of the account that may read Argo CD's applications")] = Path("../account"),
    logins: Annotated[ReadLogins, Group()],
    forge: ForgeLogins = Path("../forge"),
    environments: Annotated[EnvironmentsSettings, Group()],
    argo_cd_namespace: Annotated[str, Arg("namespace of Argo CD's applications", setting="argo-cd-namespace")] = "",
    forges: Forges = "",
    settings: Annotated[ChartSettings, Group(without=("chart_hosts", "mirrors", "shared_names"))],
) -> Delivered:
    """Fail with what the steps before could not do, or wait as the step await-healthy does; return what all did.

    Example:
        shipway step deploy-await --charts=out/a --published=out/b --deployed=out/c --repo=https://x.org/y --commit=0
    """
    targets = (*charts.targets, *deployed.targets)
    result = Delivered(
        commit=deployed.commit or charts.commit,
        written=sum(bool(target.commit) for target in targets),
        summary="; ".join(f"{target.name}: {', '.join(target.changes) or 'up to date'}" for target in targets),
        targets=targets,
        made=charts.commit,
        made_of=charts.made_of,
        applications=0,
        healthy=0,
        seconds=0,
    )
    try:
        charts.require_none("charts")
        published.require_none("publish")
        try:
            waited = await_healthy.await_healthy(
                repo=repo,
                commit=head or commit,  # whose report says that nobody waits any more
                also=tuple(filter(None, (commit, charts.commit))),
                minutes=minutes,
                account=account,
                logins=logins,
                forge=forge,
                environments=environments,
                argo_cd_namespace=argo_cd_namespace,
                forges=forges,
                settings=settings,
            )
            result = replace(result, applications=waited.applications, healthy=waited.healthy, seconds=waited.seconds)
        finally:  # what is not written is waited for in vain
            deployed.require_none("environments")
    except ShipwayError as error:
        error.result = result
        raise
    return result
