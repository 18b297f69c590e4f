"""The step `chart-publish`: charts of a checkout that the registry lacks, pushed, read back, then tagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

from pipelines import settings as setting_texts
from pipelines.charts import chart_yaml, registry_state
from pipelines.charts.model import ChartCheckout, ChartRelease, ChartReport, ComparedChart, ReleasedChart
from pipelines.charts.registry_state import ChartRegistry
from pipelines.declared.finding import WARNING
from pipelines.declared.state import ABSENT, BROKEN, DIFFERENT, IDENTICAL
from pipelines.errors import Refused, ShipwayError
from pipelines.images import ownership
from pipelines.images.ownership import Publisher
from pipelines.step.groups import ChartSettings
from pipelines.step.log import say
from pipelines.step.parameters import PushLogins
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry import manifest as registry_manifest
from pipelines.tools.registry.connection import QUESTIONS, Unanswered
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Reference
from pipelines.tools.registry.transfer import in_parallel

PUSHED = "pushed"
_LONGEST = 400
_MOST_LINES = 100


def chart_publish(
    *,
    checkout: Annotated[ChartCheckout, Arg("what the step chart-clone found")],
    report: Annotated[ChartReport, Arg("what the step chart-check found")],
    repo: Annotated[str, Arg("the repository that was asked for; empty: the checkout's")] = "",
    archives: Annotated[Path, Arg("folder of the layout with the charts to publish")] = Path("archives"),
    keep_going: Annotated[bool, Arg("whether what is good is published although other charts have errors")] = False,
    chart_collections: Annotated[
        str, Arg("repositories whose releases always keep going, or any", setting="chart-collections")
    ] = "",
    docker_config: PushLogins = Path("../push"),
    settings: Annotated[ChartSettings, Group(without=("chart_hosts", "mirrors"))],
) -> ChartRelease:
    """Publish every chart of a checkout that the registry does not have, parents first; none is ever overwritten.

    Refuses the release as a whole, before anything is sent, when the checks found an error, when a chart's version is
    published with different content, or when a chart's name belongs to another repository. A second run sends nothing;
    one after a run that was killed sends what is missing. A release that keeps going publishes every chart that has no
    error and depends on none that has, and fails with the rest.

    Example:
        shipway step chart-publish --checkout=out/clone --report=out/check --registry=registry.example --outputs=out
    """
    if repo and repo != checkout.repo:
        raise Refused(
            "the checkout is of another repository than was asked for",
            seen=f"it is not of {repo}",
            todo="run the step chart-clone again, then chart-check and this one",
        )
    faults = list(_faults(checkout, report))
    bad = _bad(checkout, report)
    # Errors that the report counts and does not show may be anybody's.
    is_known = report.errors <= sum(f.level != WARNING for f in report.findings)
    if faults and not (is_known and (keep_going or _is_collection(checkout.repo, chart_collections))):
        raise faults[0]
    layout = Layout(archives)
    registry_of_charts, _ = registry_state.connect(settings, layout, docker_config)
    owners = Publisher(repo=checkout.repo, formerly=checkout.formerly, shared=settings.shared_names)
    publisher = _ChartPublisher(registry_of_charts, layout, owners)
    charts = [c for c in checkout.charts if c.state in {ABSENT, IDENTICAL} and not (faults and c.path in bad)]
    in_parallel(publisher.require_own, [chart for chart in charts if chart.state == ABSENT], at_once=QUESTIONS)
    done: list[tuple[ReleasedChart, int]] = []
    for _, wave in groupby(sorted(charts, key=lambda chart: chart.wave), key=lambda chart: chart.wave):
        done += in_parallel(publisher.publish, list(wave), at_once=QUESTIONS)
    released = tuple(chart for chart, _ in done)
    result = ChartRelease(
        commit=checkout.commit,
        charts=released,
        pushed=sum(chart.state == PUSHED for chart in released),
        bytes=sum(size for _, size in done),
    )
    if faults:
        failure = Refused(
            f"{len(bad)} of {len(bad | {c.path for c in checkout.charts})} charts are not released",
            seen="\n".join(f"{fault.what}: {fault.seen}" for fault in faults),
            todo="correct them; the others are published",
        )
        failure.result = result
        raise failure
    return result


def _is_collection(repo: str, collections: str) -> bool:
    listed = setting_texts.names(collections)
    own = RepositoryUrl(repo).host_and_path
    return ownership.ANY in listed or own in {RepositoryUrl(one).host_and_path for one in listed}


def _bad(checkout: ChartCheckout, report: ChartReport) -> frozenset[str]:
    """Return the charts that keep a release from being whole, with those that depend on one of them."""
    bad = {f.chart for f in (*checkout.findings, *report.findings) if f.level != WARNING}
    names = Counter(chart.name for chart in checkout.charts)
    for chart in checkout.charts:  # parents first
        unchecked = chart.folder and chart.path not in report.checked
        stuck = chart.state in {BROKEN, DIFFERENT} or names[chart.name] > 1
        if unchecked or stuck or any(part.source in bad for part in chart.embedded):
            bad.add(chart.path)
    return frozenset(bad)


def _faults(checkout: ChartCheckout, report: ChartReport) -> Iterator[ShipwayError]:
    """Give what refuses a release: errors, charts nobody checked, versions that were published otherwise."""
    unchecked = {c.path for c in checkout.charts if c.folder} - set(report.checked)
    broken = [c.path for c in checkout.charts if c.state == BROKEN]
    own = [f for f in checkout.findings if f.level != WARNING]
    # What chart-check reports, a stranger's template may have written: one line each, and not without end.
    theirs = [f for f in report.findings if f.level != WARNING and f not in own]
    count = max(report.errors, len(own), len(broken))
    if count:
        lines = [" ".join(str(f).split())[:_LONGEST] for f in (*own, *theirs)]
        yield Refused(
            f"the charts have {count} error{'s' * (count > 1)}",
            seen="\n        ".join(lines[:_MOST_LINES]) or ", ".join(broken),
            todo="correct them; nothing was published",
        )
    if unchecked:
        yield Refused(
            "there are charts that were not checked",
            seen=", ".join(sorted(unchecked)),
            todo="run the step chart-check on this checkout, then this one",
        )
    if different := [chart for chart in checkout.charts if chart.state == DIFFERENT]:
        lines = [
            f"{c.name} {c.version} ({c.path}): {', '.join(c.differs[:10])}{' …' * (len(c.differs) > 10)}"
            f" differ{'s' * (len(c.differs) == 1)}; the next version is {c.next_version}"
            for c in different
        ]
        yield Refused(
            "a published version is never overwritten",
            seen="\n        ".join(lines),
            todo="`shipway step chart-version --write=true` gives these charts their next versions",
        )


class _ChartPublisher:
    """One release's charts on their way into the registry."""

    def __init__(self, registry: ChartRegistry, layout: Layout, publisher: Publisher) -> None:
        self._registry = registry
        self._layout = layout
        self._publisher = publisher

    def require_own(self, chart: ComparedChart) -> None:
        """Raise Refused if a chart's name belongs to another repository, Transient if that is unknown."""
        to = self._registry.reference(chart.name, chart_yaml.tag(chart.version))
        self._publisher.require(*self._registry.owner(to, None))

    def publish(self, chart: ComparedChart) -> tuple[ReleasedChart, int]:
        """Return a chart as the registry has it, and how many bytes were sent for it.

        Raises Refused when somebody published different content meanwhile, Transient when the registry does not answer.
        """
        to = self._registry.reference(chart.name, chart_yaml.tag(chart.version))
        if to.name != chart.repository:
            raise Refused(
                f"{chart.name} was compared with another registry",
                seen=f"{chart.repository}, while this step publishes to {to.name}",
                todo="give both steps the same settings",
            )
        if chart.state == IDENTICAL:
            return _released(chart, to, chart.digest, IDENTICAL), 0
        ours = self._ours(chart)
        if published := self._registry.published(to):
            return _released(chart, to, self._same(chart, to, ours, published), IDENTICAL), 0
        sent = self._registry.client.push(self._layout, ours.descriptor, to)
        by_digest = to.with_digest(ours.descriptor.digest)
        # While it was sent, another run may have come first.
        if published := self._registry.published(to):
            return _released(chart, to, self._same(chart, to, ours, published), IDENTICAL), 0
        self._registry.client.tag(by_digest, to.tag)
        published = self._registry.published(to)
        if published is None:
            raise Unanswered(
                f"{to} was pushed and cannot be read back",
                seen="the registry has no such tag",
                todo="look at the registry's storage, then run this again",
            )
        digest = self._same(chart, to, ours, published)
        say(f"{to} is published as {digest}")
        size = ours.descriptor.size + sum(blob.size for blob in ours.blobs) if sent else 0
        return _released(chart, to, digest, PUSHED), size

    def _ours(self, chart: ComparedChart) -> Manifest:
        """Return the manifest to push; raises Refused where the layout does not hold the one of the checkout."""
        descriptor = self._layout.named(f"{chart.name}:{chart_yaml.tag(chart.version)}")
        found = registry_manifest.read(
            self._layout.read(descriptor.digest), content_type=descriptor.media_type, what=f"cannot push {chart.name}"
        )
        if descriptor.digest != chart.digest or chart.archive not in registry_state.digests(found):
            raise Refused(
                f"{self._layout.path} does not hold the chart {chart.name} of the checkout",
                seen=f"it holds {descriptor.digest}, the checkout says {chart.digest}",
                todo="run the step chart-clone again, then chart-check and this one",
            )
        return found

    def _same(self, chart: ComparedChart, to: Reference, ours: Manifest, published: Manifest) -> str:
        """Return the digest of what is published; raises Refused where it is not this chart's content."""
        if registry_state.digests(published) == registry_state.digests(ours):
            return str(published.descriptor.digest)
        raise Refused(
            "a published version is never overwritten",
            seen=f"{to} is now {published.descriptor.digest}, whose content differs from {chart.path}",
            todo="run the release again; it names the files and the next version",
        )


def _released(chart: ComparedChart, to: Reference, digest: str, state: str) -> ReleasedChart:
    return ReleasedChart(
        name=chart.name,
        version=chart.version,
        digest=digest,
        reference=str(to.with_digest(digest)),
        state=state,
    )
