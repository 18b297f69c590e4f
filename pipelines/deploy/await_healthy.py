"""The step `await-healthy`: whether what a source commit became runs, told to that commit."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pipelines.charts import registry_state
from pipelines.deploy import argo_cd
from pipelines.deploy.argo_cd import BROKEN, SETTLED, WAITING
from pipelines.deploy.health_status import Teller
from pipelines.deploy.inventory import Finder
from pipelines.deploy.status_model import Waited, Whereabouts
from pipelines.errors import Misconfigured, Misuse, ShipwayError
from pipelines.step.groups import ChartSettings
from pipelines.step.parameters import (
    EnvironmentsBranch,
    EnvironmentsRepository,
    ForgeLogins,
    Forges,
    GitLogin,
    PullLogins,
    Repo,
)
from pipelines.step.signature import Arg, Group
from pipelines.tools.forge.forge import StatusState
from pipelines.tools.git.address import Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.kubernetes import Denied, Document, Kubernetes
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.layout import Layout

NAMESPACE = "argocd"
"""Of Argo CD, where the settings say nothing else."""
_LOOK_SECONDS = 5.0
_STEADY_SECONDS = 10.0
"""How long an application must be settled: after a sync Argo CD shows the health of before for a moment."""
_BROKEN_SECONDS = 60.0
"""How long an application must be broken before that is believed: pods that start in the wrong order mend themselves."""


def await_healthy(
    *,
    repo: Repo,
    commit: Annotated[str, Arg("full id of the source commit")],
    minutes: Annotated[int, Arg("how long to wait at most")] = 15,
    account: Annotated[Path, Arg("folder of the account that may read Argo CD's applications")] = Path("../account"),
    credentials: GitLogin = Path("../git"),
    docker_config: PullLogins = Path("../pull"),
    forge: ForgeLogins = Path("../forge"),
    environments_repository: EnvironmentsRepository = "",
    environments_branch: EnvironmentsBranch = "",
    argo_cd_namespace: Annotated[str, Arg("namespace of Argo CD's applications", setting="argo-cd-namespace")] = "",
    forges: Forges = "",
    settings: Annotated[ChartSettings, Group(without=("chart_hosts", "mirrors"))],
) -> Waited:
    """Wait until every application that runs what was built or released from a commit is Synced and Healthy.

    The commit, and those that the images were built from, get a status for each environment: pending, success, or failure with
    what Argo CD says. Raises ShipwayError where
    an application stays broken or the time is over. An application that a later commit took over meanwhile is not waited for.

    Example:
        shipway step await-healthy --repo=https://git.example.com/team/shop.git --commit=0123456789012345678901234567890123456789
    """
    if not Revision(commit).is_commit:
        raise Misuse("not a commit", seen=repr(commit[:100]), todo="give its full id")
    if not environments_repository:
        return _unasked("no environments repository is set")
    if not (account / "token").exists():
        return _unasked("this run has no account that may ask the cluster")
    cluster = Kubernetes(account)
    teller = Teller.connect(repo, commit, forge, forges=forges, network=settings)
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{argo_cd_namespace or NAMESPACE}/applications"
    with (
        tempfile.TemporaryDirectory(prefix="shipway-await-") as work,
        Git(GitCredentials.read(credentials), ca_file=settings.authorities) as git,
    ):
        charts, _ = registry_state.connect(settings, Layout.create(Path(work) / "layout"), docker_config)
        finder = Finder(
            git=git,
            client=registry_client.connect(docker_config, settings),
            charts=charts,
            under=settings.under,
        )

        def look() -> tuple[Whereabouts, ...]:
            declared = finder.declared(environments_repository, environments_branch)
            return mine(finder.find(declared, _live(cluster, path)).rows, commit)

        return wait(look, teller, seconds=60.0 * minutes)


def _unasked(why: str) -> Waited:
    _say(f"nothing is waited for: {why}")
    return Waited(applications=0, healthy=0, summary=why, seconds=0)


def _live(cluster: Kubernetes, path: str) -> Mapping[str, Document]:
    """Return Argo CD's applications by name; raises Misconfigured where the account may not read them."""
    try:
        return {str(item["metadata"]["name"]): item for item in cluster.call("GET", path).get("items", ())}
    except Denied as error:
        raise Misconfigured(
            "Argo CD's applications cannot be read",
            seen=error.seen,
            todo="name the account shipway-await-healthy in the value `observers` of the chart environments, and see argo-cd-namespace",
        ) from error


def mine(rows: Sequence[Whereabouts], commit: str) -> tuple[Whereabouts, ...]:
    """Return the applications that run something that was built or released from a commit."""
    return tuple(row for row in rows if commit in {*(image.revision for image in row.images), row.chart_revision})


def wait(
    look: Callable[[], tuple[Whereabouts, ...]],
    teller: Teller,
    *,
    seconds: float,
    pause: float = _LOOK_SECONDS,
    steady: float = _STEADY_SECONDS,
) -> Waited:
    """Look again and again until everything is settled, something stays broken, or the time is over."""
    began = time.monotonic()
    broken_since: dict[str, float] = {}
    settled_since: dict[str, float] = {}
    while True:
        rows = look()
        now = time.monotonic()
        standing = {row.full_name: argo_cd.standing(row) for row in rows}
        settled_since = {name: settled_since.get(name, now) for name, how in standing.items() if how == SETTLED}
        standing |= {name: WAITING for name, since in settled_since.items() if now - since < steady}
        broken_since = {name: broken_since.get(name, now) for name, how in standing.items() if how == BROKEN}
        given_up = {name for name, since in broken_since.items() if now - since >= min(_BROKEN_SECONDS, seconds)}
        over = now - began >= seconds
        for environment in sorted({row.environment for row in rows}):
            own = [row for row in rows if row.environment == environment]
            teller.tell(environment, own, *_said(own, standing, given_up, over=over))
        settled = sum(how == SETTLED for how in standing.values())
        done = all(how == SETTLED or name in given_up for name, how in standing.items())
        if done or over:
            break
        time.sleep(pause)
    if settled < len(rows):
        bad = [
            f"{row.environment}/{row.application} is {_told(row)}" for row in rows if standing[row.full_name] != SETTLED
        ]
        raise ShipwayError(
            f"{len(bad)} of {len(rows)} applications do not run {teller.commit[:12]}",
            seen="\n".join(bad),
            todo="see Argo CD; `shipway rollback` goes back to what ran before",
        )
    summary = (
        f"{settled} of {len(rows)} applications are Synced and Healthy"
        if rows
        else "no application runs anything of this commit"
    )
    _say(summary)
    return Waited(applications=len(rows), healthy=settled, summary=summary, seconds=round(time.monotonic() - began))


def _said(
    rows: Sequence[Whereabouts], standing: Mapping[str, str], given_up: set[str], *, over: bool
) -> tuple[StatusState, str]:
    bad = [row for row in rows if row.full_name in given_up or (over and standing[row.full_name] != SETTLED)]
    open_ = [row for row in rows if standing[row.full_name] != SETTLED]
    if bad:
        return StatusState.FAILURE, "; ".join(f"{row.application} is {_told(row)}" for row in bad)
    if open_:
        return StatusState.PENDING, f"waiting for Argo CD: {', '.join(row.application for row in open_)}"
    return StatusState.SUCCESS, f"runs, Synced and Healthy: {', '.join(row.application for row in rows)}"


def _told(row: Whereabouts) -> str:
    if row.state is None:
        return "not in Argo CD"
    words = [row.state.sync or "not compared yet", row.state.health]
    running = "" if row.commit in row.state.revisions else f"not at {row.commit[:8]} yet"
    return ", ".join(filter(None, (*words, running, row.state.message[:100])))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
