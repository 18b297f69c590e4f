"""The step `impact-gather`: which applications a commit touches, and everything that it takes to render them.

It has the credentials that `impact`, which runs strangers' templates, has not.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.charts import registry_state
from pipelines.environments.model import Application
from pipelines.environments.repository import DeclaredEnvironments
from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.impact.charts import CommitCharts, ImpactCharts
from pipelines.impact.model import Gathered, Rendering, Touched
from pipelines.step.groups import ChartSettings, CommitInputs, EnvironmentsSettings, ReadLogins
from pipelines.step.log import say
from pipelines.step.signature import Arg, Group
from pipelines.tools.git import history as git_history
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.checkout import make_room
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.layout import Layout

EVERYBODY = "everybody"


def impact_gather(
    *,
    inputs: Annotated[CommitInputs, Group(without=("ref",))],
    base: Annotated[str, Arg("branch, tag or commit to compare with; empty: the default branch")] = "",
    logins: Annotated[ReadLogins, Group()],
    folder: Annotated[Path, Arg("folder that charts and values are written into")] = Path("impact"),
    shown_to: Annotated[
        str, Arg("who may see values of environments by the way of a template: none or everybody", setting="impact")
    ] = "none",
    environments: Annotated[EnvironmentsSettings, Group()],
    settings: Annotated[ChartSettings, Group(without=("mirrors", "shared_names"))],
) -> Gathered:
    """Find the applications that a commit touches, and bring the charts and values that they had and would have.

    For a repository with charts, these are the applications of the environments repository that use a chart which
    differs; for the environments repository itself, those whose own files differ, and where it has charts, too, those.
    Compared is with the last commit that both have. Where nobody is to see values of environments, nothing is gathered:
    whoever writes a template can print every value that it is given.

    Example:
        shipway step impact-gather --repo=. --environments-repository=../environments --outputs=out/gather
    """
    url = RepositoryUrl(inputs.repo)
    if shown_to != EVERYBODY:
        say("not shown: the setting `impact` is not everybody")
        return Gathered(repo=inputs.repo, commit="", base="", environments="", untouched=0, touched=(), findings=())
    make_room(folder)
    (folder / "values").mkdir(parents=True)
    with (
        tempfile.TemporaryDirectory(prefix="shipway-impact-") as work,
        Git(GitCredentials.read(logins.credentials), ca_file=settings.authorities) as git,
        ThreadPoolExecutor() as pool,  # what is fetched waits for hosts most of the time
    ):
        published, repositories = registry_state.connect(
            settings, Layout.create(Path(work) / "layout"), logins.docker_config
        )
        deployments = RepositoryUrl(environments.environments_repository or inputs.repo)
        charts = ImpactCharts(
            git=git,
            registry=published,
            repositories=repositories,
            folder=folder,
            work=Path(work),
            asked=(url, deployments),
        )
        own = url.host_and_path == deployments.host_and_path
        deployed = pool.submit(_newest, git, deployments, environments.environments_branch) if not own else None
        head = git.resolve(url, Revision(inputs.revision))
        against = git.resolve(url, Revision(base or "HEAD"))
        ahead = pool.submit(charts.of_commit, url, head) if not own else None
        # Most often the base itself is the last commit that both have, and its charts come while that is found out.
        behind = pool.submit(charts.of_commit, url, against) if not own and against.commit != head.commit else None
        shared = git_history.merge_base(git, url, head.commit, against.commit, Path(work) / "history") or against.commit
        gatherer = _Gatherer(charts=charts, folder=folder)
        before = Resolved(commit=shared, ref="")
        touched: list[Touched] = []
        if deployed and ahead:
            known = behind if behind and shared == against.commit else None
            sides = [known.result() if known else charts.of_commit(url, before), ahead.result()]
            new = deployed.result()
            untouched = list(new.found.applications)
        else:
            old, new = pool.map(lambda side: DeclaredEnvironments.read(git, url, side), (before, head))
            charted = (before, head) if old.charts or new.charts else ()
            sides = list(pool.map(lambda side: charts.of_commit(url, side), charted))
            touched, untouched = gatherer.by_config(old, new, sides)
        if sides:
            more, untouched = gatherer.by_charts(new, untouched, url, sides)
            touched += more
    touched.sort(key=lambda item: (item.environment, item.application))
    for item in touched:
        say(f"{item.environment}/{item.application}: {item.fault or item.chart}")
    say(f"{len(touched)} applications touched, {len(untouched)} not")
    return Gathered(
        repo=inputs.repo,
        commit=head.commit,
        base=shared,
        environments=new.commit,
        untouched=len(untouched),
        touched=tuple(touched),
        findings=new.found.findings,
    )


def _newest(git: Git, url: RepositoryUrl, branch: str) -> DeclaredEnvironments:
    return DeclaredEnvironments.read(git, url, git.resolve(url, Revision(branch or "HEAD")))


@dataclass(frozen=True, kw_only=True)
class _Gatherer:
    charts: ImpactCharts
    folder: Path

    def by_config(
        self, before: DeclaredEnvironments, after: DeclaredEnvironments, sides: Sequence[CommitCharts]
    ) -> tuple[list[Touched], list[Application]]:
        """Return the applications whose own files differ between two commits, and those of the later one that do not.

        `sides` are the charts of both commits, or nothing where they have none.
        """
        old, new = ({item.folder: item for item in side.found.applications} for side in (before, after))
        touched: list[Touched] = []
        untouched: list[Application] = []
        for path in sorted(old.keys() | new.keys()):
            one, other = old.get(path), new.get(path)
            same = one == other and before.values_of(one) == after.values_of(other)
            if same:
                untouched += [other] if other else []
                continue
            pair: list[Rendering | None] = []
            faults = []
            for item, declared, side in zip((one, other), (before, after), sides or (None, None), strict=True):
                try:
                    pair.append(self._rendering(item, declared, self._chart(item, side)) if item else None)
                except ShipwayError as error:
                    pair.append(None)
                    faults.append(_fault(error))
            touched.append(_touched(other or one, pair[0], pair[1], faults))
        return touched, untouched

    def by_charts(
        self,
        declared: DeclaredEnvironments,
        applications: Sequence[Application],
        url: RepositoryUrl,
        sides: Sequence[CommitCharts],
    ) -> tuple[list[Touched], list[Application]]:
        """Return the applications whose chart differs between two commits of its repository, and the others."""
        touched: list[Touched] = []
        untouched: list[Application] = []
        for item in applications:
            paths = [_chart_path(item, url, commit) for commit in sides]
            signatures = [commit.signatures.get(path or "") for path, commit in zip(paths, sides, strict=True)]
            if signatures[0] == signatures[1]:
                untouched.append(item)
                continue
            pair: list[Rendering | None] = []
            faults = []
            for path, commit in zip(paths, sides, strict=True):
                try:
                    packed = (self.charts.from_commit(commit, path), commit.tree.charts[path].version) if path else None
                    pair.append(self._rendering(item, declared, packed) if packed else None)
                except ShipwayError as error:
                    pair.append(None)
                    faults.append(_fault(error))
            touched.append(_touched(item, pair[0], pair[1], faults))
        return touched, untouched

    def _chart(self, item: Application, commit: CommitCharts | None) -> tuple[str, str]:
        if item.repo:
            return self.charts.from_git(item.repo, item.path, item.revision), item.revision
        chart = commit.named(item.chart) if commit else None
        if commit and chart and chart.version == item.version:  # it may not be published yet
            return self.charts.from_commit(commit, chart.path), item.version
        return self.charts.from_registry(item.chart, item.version), item.version

    def _rendering(self, item: Application, declared: DeclaredEnvironments, chart: tuple[str, str]) -> Rendering:
        digest, version = chart
        data = declared.values_of(item)
        name = hashlib.sha256(data).hexdigest() if data else ""
        if name:
            (self.folder / "values" / f"{name}.yaml").write_bytes(data)
        return Rendering(
            chart=digest,
            version=version,
            release=item.name,
            namespace=item.namespace,
            values=name,
            skip_crds=item.skip_crds,
        )


def _touched(item: Application | None, before: Rendering | None, after: Rendering | None, faults: list[str]) -> Touched:
    assert item is not None
    return Touched(
        environment=item.environment,
        application=item.name,
        chart=item.chart or f"{item.repo} {item.path}",
        before=before,
        after=after,
        fault="; ".join(dict.fromkeys(faults)),
    )


def _chart_path(item: Application, url: RepositoryUrl, commit: CommitCharts) -> str | None:
    """Return the folder of an application's chart in a commit, or None if it is not in that repository."""
    if item.repo:
        path = item.path if RepositoryUrl(item.repo).host_and_path == url.host_and_path else ""
        return path if path in commit.tree.charts else None
    chart = commit.named(item.chart)
    return chart.path if chart else None


def _fault(error: ShipwayError) -> str:
    """Return what an error says of an application; raises it again where it says nothing about it."""
    if isinstance(error, Transient | Misconfigured):
        raise error
    return f"{error.what}: {error.seen}" if error.seen else error.what
