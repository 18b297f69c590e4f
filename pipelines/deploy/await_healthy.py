"""The step `await-healthy`: waits until the applications of a source commit are healthy, and sets its status."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.charts import registry_state
from pipelines.deploy.commit_statuses import CommitStatuses
from pipelines.deploy.inventory import Inventory
from pipelines.deploy.running import LivePods
from pipelines.deploy.status import BROKEN, SETTLED, WAITING, ApplicationStatus, rollout
from pipelines.errors import Misconfigured, Misuse, ShipwayError
from pipelines.step.groups import ChartSettings, EnvironmentsSettings, ReadLogins
from pipelines.step.log import say
from pipelines.step.parameters import ForgeLogins, Forges, Repo
from pipelines.step.signature import Arg, Group
from pipelines.step.texts import FreeText
from pipelines.tools.forge.forge import StatusState
from pipelines.tools.git.address import Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.kubernetes import Denied, Document, Kubernetes
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.layout import Layout

NAMESPACE = "argocd"
"""Argo CD's namespace, unless the settings name another."""
_POLL_SECONDS = 1.0
_DECLARED_SECONDS = 5.0
"""How old what the environments repository declares may be."""
_STEADY_SECONDS = 10.0
"""How long an application must be settled, by Argo CD's own times: after a sync it reports the old health for a
moment."""
_BROKEN_SECONDS = 60.0
"""How long an application may be broken: pods that start in the wrong order recover by themselves."""


@dataclass(frozen=True, kw_only=True)
class Waited:
    """The applications of a source commit at the end of the wait."""

    applications: int
    """The number of applications that run something built or released from the commit."""
    healthy: int
    summary: FreeText
    """One line for people."""
    seconds: int
    """How long the step waited."""


def await_healthy(
    *,
    repo: Repo,
    commit: Annotated[str, Arg("full id of the source commit")],
    also: Annotated[tuple[str, ...], Arg("ids of commits made of it or that it is made of, as a JSON list")] = (),
    minutes: Annotated[int, Arg("how long to wait at most")] = 15,
    account: Annotated[Path, Arg("folder of the account that may read Argo CD's applications")] = Path("../account"),
    logins: Annotated[ReadLogins, Group()],
    forge: ForgeLogins = Path("../forge"),
    environments: Annotated[EnvironmentsSettings, Group()],
    argo_cd_namespace: Annotated[str, Arg("namespace of Argo CD's applications", setting="argo-cd-namespace")] = "",
    forges: Forges = "",
    settings: Annotated[ChartSettings, Group(without=("chart_hosts", "mirrors", "shared_names"))],
) -> Waited:
    """Wait until every application that runs what was built or released from a commit is Synced and Healthy.

    The commit, and those that the images were built from, get a status for each environment: pending, success, or
    failure with Argo CD's message. Applications that a later commit has replaced meanwhile are left out. Raises
    ShipwayError if an application stays broken or the time is over.

    Example:
        shipway step await-healthy --repo=https://example.org/shop.git --commit=0123456789012345678901234567890123456789
    """
    if not Revision(commit).is_commit:
        raise Misuse("not a commit", seen=repr(commit[:100]), todo="give its full id")
    if not environments.environments_repository:
        return _skipped("no environments repository is set")
    if not (account / "token").exists():
        return _skipped("this run has no account that may ask the cluster")
    cluster = Kubernetes(account)
    commit_statuses = CommitStatuses.connect(repo, commit, forge, forges=forges, network=settings, also=also)
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{argo_cd_namespace or NAMESPACE}/applications"
    with (
        tempfile.TemporaryDirectory(prefix="shipway-await-") as work,
        Git(GitCredentials.read(logins.credentials), ca_file=settings.authorities) as git,
    ):
        charts, _ = registry_state.connect(settings, Layout.create(Path(work) / "layout"), logins.docker_config)
        inventory = Inventory(
            git=git, client=registry_client.connect(logins.docker_config, settings), charts=charts, under=settings.under
        )

        declared, at = inventory.declared(environments), time.monotonic()
        denied: dict[str, str] = {}

        def read() -> tuple[ApplicationStatus, ...]:
            nonlocal declared, at
            if time.monotonic() - at > _DECLARED_SECONDS:
                declared, at = inventory.declared(environments), time.monotonic()
            pods = LivePods(ask=lambda path: cluster.call("GET", path), denied=denied)
            statuses = inventory.statuses(declared, _live(cluster, path), pods)
            return tuple(status for status in statuses if {commit, *also} & status.source_commits)

        return wait(read, commit_statuses, seconds=60.0 * minutes)


def _skipped(why: str) -> Waited:
    say(f"nothing is waited for: {why}")
    return Waited(applications=0, healthy=0, summary=why, seconds=0)


def _live(cluster: Kubernetes, path: str) -> Mapping[str, Document]:
    """Return Argo CD's applications by name; raises Misconfigured if the account may not read them."""
    try:
        return {str(item["metadata"]["name"]): item for item in cluster.call("GET", path).get("items", ())}
    except Denied as error:
        raise Misconfigured(
            "Argo CD's applications cannot be read",
            seen=error.seen,
            todo="name the account shipway-await-healthy in the value `observers` of the chart environments, "
            "and see argo-cd-namespace",
        ) from error


def wait(
    read: Callable[[], tuple[ApplicationStatus, ...]],
    commit_statuses: CommitStatuses,
    *,
    seconds: float,
    pause: float = _POLL_SECONDS,
    steady: float = _STEADY_SECONDS,
) -> Waited:
    """Read the applications' status until all are settled, those that are not stay broken, or the time is over."""
    began = time.monotonic()
    broken_since: dict[str, float] = {}
    settled_since: dict[str, float] = {}
    while True:
        statuses = read()
        now = time.monotonic()
        rollouts = {status.full_name: rollout(status) for status in statuses}
        settled_since = {
            status.full_name: settled_since.get(status.full_name, now - _age(status))
            for status in statuses
            if rollouts[status.full_name] == SETTLED
        }
        rollouts |= {name: WAITING for name, since in settled_since.items() if now - since < steady}
        broken_since = {name: broken_since.get(name, now) for name, how in rollouts.items() if how == BROKEN}
        given_up = {name for name, since in broken_since.items() if now - since >= min(_BROKEN_SECONDS, seconds)}
        over = now - began >= seconds
        open_ = [status for status in statuses if rollouts[status.full_name] != SETTLED]
        failed = [status for status in open_ if over or status.full_name in given_up]
        environments = {status.environment for status in statuses}
        for environment in sorted(commit_statuses.waiting - environments):
            commit_statuses.report(environment, (), StatusState.SUCCESS, "a later commit has taken its place")
        for environment in sorted(environments):
            own, own_open, own_failed = (
                [status for status in some if status.environment == environment] for some in (statuses, open_, failed)
            )
            commit_statuses.report(environment, own, *_commit_status(own, own_open, own_failed))
        if over or len(failed) == len(open_):
            break
        time.sleep(pause)
    if open_:
        raise ShipwayError(
            f"{len(open_)} of {len(statuses)} applications do not run {commit_statuses.commit[:12]}",
            seen="\n".join(f"{status.path} is {_description(status)}" for status in open_),
            todo="see Argo CD; `shipway rollback` goes back to what ran before",
        )
    summary = "no application runs anything of this commit"
    if statuses:
        summary = f"{len(statuses)} of {len(statuses)} applications are Synced and Healthy{_unknown(statuses)}"
    say(summary)
    elapsed = round(time.monotonic() - began)
    return Waited(applications=len(statuses), healthy=len(statuses), summary=summary, seconds=elapsed)


def _commit_status(
    statuses: Sequence[ApplicationStatus], open_: Sequence[ApplicationStatus], failed: Sequence[ApplicationStatus]
) -> tuple[StatusState, str]:
    if failed:
        return StatusState.FAILURE, "; ".join(f"{status.application} is {_description(status)}" for status in failed)
    if open_:
        return StatusState.PENDING, f"waiting for Argo CD: {', '.join(status.application for status in open_)}"
    names = ", ".join(status.application for status in statuses)
    if unknown := _unknown(statuses):
        return StatusState.SUCCESS, f"Synced and Healthy: {names}{unknown}"
    return StatusState.SUCCESS, f"runs, Synced and Healthy: {names}"


def _unknown(statuses: Sequence[ApplicationStatus]) -> str:
    """Return, to be appended, of which applications it is unknown what they run, and why; empty if it is known."""
    found = [
        f"{status.application} ({image.why.removeprefix('unknown: ')})"
        for status in statuses
        for image in status.images
        if image.runs is None and image.why
    ]
    return f"; unknown what runs: {', '.join(found)}" if found else ""


def _age(status: ApplicationStatus) -> float:
    """Return how many seconds ago an application became what it is, by Argo CD's own times; 0 if they do not say."""
    since = status.state.since if status.state else 0.0
    return max(0.0, time.time() - since) if since else 0.0


def _description(status: ApplicationStatus) -> str:
    if status.state is None:
        return "not in Argo CD"
    words = [status.state.sync or "not compared yet", status.state.health]
    behind = "" if status.commit in status.state.revisions else f"not at {status.commit[:8]} yet"
    if not status.is_at_version:
        behind = f"not at version {status.version[:40]} yet"
    others = [image.why for image in status.images if image.is_contradicted]
    return ", ".join(filter(None, (*words, behind, *others, status.state.message[:100])))
