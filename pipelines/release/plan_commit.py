"""The plan of one commit: its snapshot compared with the registries. The charts' half is in `plan_charts`."""

from __future__ import annotations

import functools
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.declared import shipway_yaml
from pipelines.declared.finding import ERROR, Finding
from pipelines.declared.state import ABSENT, HELD, NOTHING, TAG
from pipelines.environments import image_uses
from pipelines.environments.image_uses import Values
from pipelines.errors import Misuse
from pipelines.images import context as image_context
from pipelines.images import decide as image_decide
from pipelines.images import graph as image_graph
from pipelines.images import key as image_key
from pipelines.images import ownership, registry_reader
from pipelines.images.decide import DesiredTags, ImageDecisions
from pipelines.images.discover import discover
from pipelines.images.key import RebuildPolicy
from pipelines.images.names import published_as
from pipelines.images.node import BuildTarget, Graph, ImageNode
from pipelines.images.ownership import Publisher
from pipelines.images.plan_model import ImageJob, PlannedImage
from pipelines.images.registry_reader import RegistryReader
from pipelines.images.registry_state import PreviousImage, RegistryState, SourceChanges
from pipelines.release import plan_charts
from pipelines.release import snapshot as release_snapshot
from pipelines.release.model import Plan, held_back
from pipelines.release.snapshot import RepositorySnapshot
from pipelines.step.groups import ChartSettings
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.tree import File, GitTree
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.connection import Timing
from pipelines.tools.registry.reference import Reference

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_COMMITS = 8
"""How many older commits are fetched, to name the files that changed; those first that most images were built from."""
_AGE = re.compile(r"[1-9][0-9]{0,3}[hdw]")


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a deployment publishes, and how to reach it."""

    reader: RegistryReader
    charts: ChartSettings
    docker_config: Path
    """Folder with the logins for reading."""

    @classmethod
    def connect(cls, settings: ChartSettings, docker_config: Path, *, timing: Timing | None = None) -> Destination:
        """Return the destination of some settings, not asked yet; raises Misconfigured if they cannot be read."""
        client = registry_client.connect(docker_config, settings, timing=timing)
        reader = RegistryReader(client=client, registry=settings.registry, project=settings.project)
        return cls(reader=reader, charts=settings, docker_config=docker_config)


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """Which commit to plan, and for what."""

    url: RepositoryUrl
    resolved: Resolved
    target: BuildTarget
    rebuilds: RebuildPolicy = field(default_factory=RebuildPolicy)
    rebuild: tuple[str, ...] = ()
    """Images to build again this time, by name or folder, or * for all."""


def age(text: str) -> str:
    """Return an age such as 7d. Raises Misuse if the text is not an age."""
    if text and not _AGE.fullmatch(text):
        raise Misuse("not an age", seen=repr(text[:100]), todo="write 12h, 7d or 4w")
    return text


def arguments(texts: Sequence[str]) -> tuple[str, ...]:
    """Return build arguments for every Dockerfile. Raises Misuse if one is not NAME=VALUE."""
    for argument in texts:
        if "=" not in argument.lstrip("="):
            raise Misuse("a build argument cannot be read", seen=repr(argument[:100]), todo="write NAME=VALUE")
    return tuple(texts)


def require_named(rebuild: Sequence[str], plan: Plan) -> None:
    """Raise Misuse if an image is to be built again that the plan does not have."""
    names = {name for image in plan.images for name in (image.name, image.path, image.dockerfile)}
    # If there are errors, it may be an image that has no name because of one.
    is_sound = all(finding.level != ERROR for finding in plan.findings)
    if is_sound and (unknown := sorted({str(Path(item)) for item in rebuild} - names - {"*"})):
        raise Misuse(
            f"there is no image {', '.join(unknown)} to build again",
            seen=f"images: {', '.join(image.name for image in plan.images) or 'none'}",
            todo="name an image or its folder",
        )


def plan(git: Git, request: PlanRequest, destination: Destination) -> Plan:
    """Return the plan of a commit. Raises what fetching it raises, and Misconfigured.

    Faults in what it declares are findings. If a registry does not answer, states are unknown.
    """
    with tempfile.TemporaryDirectory(prefix="shipway-plan-") as folder:
        work = Path(folder)
        return of_snapshot(
            release_snapshot.read(git, request.url, request.resolved, work), request, destination, work, git
        )


def of_snapshot(
    snapshot: RepositorySnapshot, request: PlanRequest, destination: Destination, work: Path, git: Git | None = None
) -> Plan:
    """Return the plan of a snapshot; `work` is a folder for files. Raises Misconfigured.

    With `git`, older commits are fetched, and reasons name the files that changed.
    """
    reader, target = destination.reader, request.target
    if snapshot.findings:
        # Images and charts and their names depend on that file.
        return _empty(snapshot, request)
    names = {"root_name": request.url.name, "registry": reader.registry, "project": reader.project}
    graph, values = read_graph(snapshot, target, **names)
    desired = registry_reader.desired_tags(request.resolved.ref, snapshot.commit.id)
    base_states = reader.bases(graph)
    bases, base_findings = image_decide.known_bases(graph, base_states)
    # A tag does not move, so what it names is not built anew with age.
    has_ages = not request.resolved.ref.startswith("refs/tags/")
    required = image_key.freshness(graph, _rebuilds(request, graph), has_ages=has_ages)
    settled = registry_reader.settle_keys(graph, target, bases, required, reader)
    registry = reader.state(graph, settled, desired)
    kept = {
        node.image.dockerfile
        for name, node in graph.nodes.items()
        if image_decide.kept_version(name, registry, desired)
    }
    publisher = _publisher(snapshot, request, destination)
    foreign = _foreign(graph, registry, publisher)
    decide = functools.partial(
        image_decide.decide,
        graph,
        inputs=settled.inputs,
        required=settled.required,
        bases=base_states,
        registry=registry,
        changes=_changes_since(git, snapshot, graph, registry.previous, target.builder) if git else {},
        versions=_version_lines(snapshot, graph),
        foreign=foreign,
    )
    decided = decide(desired=desired)
    if git and _lacks(decided, desired) and git.head(request.url, snapshot.ref) != snapshot.commit.id:
        # The branch's tag belongs to a newer commit by now.
        decided = decide(desired=replace(desired, moving=()))
    charts, chart_findings = plan_charts.plan(
        snapshot, destination.charts, values, destination.docker_config, work, publisher=publisher
    )
    held = held_back((chart for chart in charts if chart.state == ABSENT), decided.images, before_builds=True)
    charts = tuple(
        replace(chart, state=HELD, action=NOTHING, reasons=(held[chart.path],)) if chart.path in held else chart
        for chart in charts
    )
    base_findings = [finding for finding in base_findings if finding.path not in kept]
    findings: set[Finding] = {*graph.findings, *values.findings, *base_findings, *decided.findings, *chart_findings}
    findings |= {_belongs_elsewhere(graph.nodes[name], why) for name, why in foreign.items()}
    findings |= {*image_graph.deployment_loops(graph.nodes, *values.follow(snapshot.configuration.deploy))}
    return replace(
        _empty(snapshot, request),
        images=decided.images,
        charts=charts,
        waves=decided.waves,
        findings=tuple(sorted(findings)),
        followers=values.followers,
        deploys=_deploys(snapshot, values, decided.images, reader),
    )


def builds(
    graph: Graph, target: BuildTarget, ref: str, *, bases: RegistryReader, keys: RegistryReader
) -> tuple[Graph, dict[str, ImageJob]]:
    """Return the builds of images as a plan asks for them, and the graph, images blocked whose bases are not known.

    `bases` has the login to read images, `keys` the one to publish. Raises Misconfigured.
    """
    states = bases.bases(graph)
    known, findings = image_decide.known_bases(graph, states)
    policy, has_ages = RebuildPolicy(now=int(time.time())), not ref.startswith("refs/tags/")
    required = image_key.freshness(graph, policy, has_ages=has_ages)
    inputs = registry_reader.settle_keys(graph, target, known, required, keys).inputs
    faults = {name: "; ".join(image_decide.base_faults(node, states)[1]) for name, node in graph.nodes.items()}
    nodes = {name: replace(node, blocked=node.blocked or faults[name]) for name, node in graph.nodes.items()}
    jobs = {name: image_decide.job(graph.nodes[name], item, ()) for name, item in inputs.items()}
    found = tuple(sorted({*graph.findings, *findings}))
    return replace(graph, nodes=image_graph.spread(nodes), findings=found), jobs


def _lacks(decided: ImageDecisions, desired: DesiredTags) -> bool:
    """Whether a branch's tag is all that an image lacks of it; else a build, or nothing, is to be done anyway."""
    return any(image.action == TAG and {*image.tags} & {*desired.moving} for image in decided.images)


def _empty(snapshot: RepositorySnapshot, request: PlanRequest) -> Plan:
    """Return a plan without images and charts."""
    target = request.target
    return Plan(
        repo=str(request.url),
        commit=snapshot.commit.id,
        ref=snapshot.ref,
        platform=", ".join(target.platforms),
        builder=f"{target.builder} {target.builder_version}",
        images=(),
        charts=(),
        waves=(),
        findings=snapshot.findings,
        formerly=snapshot.configuration.formerly,
    )


def _publisher(snapshot: RepositorySnapshot, request: PlanRequest, destination: Destination) -> Publisher:
    return Publisher(
        repo=str(request.url), formerly=snapshot.configuration.formerly, shared=destination.charts.shared_names
    )


def _foreign(graph: Graph, registry: RegistryState, publisher: Publisher) -> dict[str, str]:
    """Return why each image's name belongs to another repository, for those whose does."""
    owners = {name: publisher.other(name, registry.sources(name)) for name in graph.nodes}
    return {name: publisher.words(name, owner) for name, owner in owners.items() if owner}


def _belongs_elsewhere(node: ImageNode, why: str) -> Finding:
    where = node.image.dockerfile
    return Finding(path=where, line=0, level=ERROR, rule="owner", text=why, todo=ownership.TODO)


def _deploys(
    snapshot: RepositorySnapshot, values: Values, images: Sequence[PlannedImage], reader: RegistryReader
) -> tuple[str, ...]:
    """Return the places that a run of this ref would write to; environments are not read."""
    deploy = snapshot.configuration.deploy
    if not deploy.follows(snapshot.ref):
        return ()
    named = {use.image for use in values.uses}
    digests = {
        Reference.under(reader.registry, reader.project, item.name).name: item.digest
        for item in images
        if item.name in named
    }
    under = Reference.under(reader.registry, reader.project, "x").name.removesuffix("x")
    files = {use.file: snapshot.tree.read(use.file) or b"" for use in values.uses}
    elsewhere = {item.file for item in snapshot.configuration.values}
    is_stale = bool(deploy.charts) and any(
        file in elsewhere or image_uses.is_stale(data, file, under, digests) for file, data in files.items()
    )
    return (*(("charts",) if is_stale else ()), *deploy.environments)


def read_graph(
    snapshot: RepositorySnapshot, target: BuildTarget, *, root_name: str, registry: str, project: str
) -> tuple[Graph, Values]:
    """Return the images of a snapshot, and the values files that name them."""
    configuration = snapshot.configuration
    found = discover(snapshot.tree.paths, configuration, root_name)
    images = {*(image.name for image in found.images), *found.clashing}
    where = {"registry": registry, "project": project}
    values = image_uses.read(snapshot.tree, configuration, charts=snapshot.charts, images=images, **where)
    graph = image_graph.read(snapshot.tree, configuration, target, written=values.written, root_name=root_name, **where)
    return graph, values


def _rebuilds(request: PlanRequest, graph: Graph) -> RebuildPolicy:
    asked = {str(Path(item)) for item in request.rebuild}
    rebuild = {n for n, node in graph.nodes.items() if asked & {"*", published_as(n), *vars(node.image).values()}}
    return RebuildPolicy(now=request.rebuilds.now, max_age=request.rebuilds.max_age, rebuild=rebuild)


def _version_lines(snapshot: RepositorySnapshot, graph: Graph) -> dict[str, int]:
    return {
        name: snapshot.configuration.line(node.image.dockerfile, "version")
        for name, node in graph.nodes.items()
        if node.settings.version
    }


def _changes_since(
    git: Git, snapshot: RepositorySnapshot, graph: Graph, previous: Mapping[str, PreviousImage], builder: str
) -> dict[str, SourceChanges]:
    """Return what changed of images since the commits that they were built from, if the remote still has those."""
    counted = Counter(item.revision for item in previous.values() if _COMMIT.fullmatch(item.revision))
    own = snapshot.commit.id
    others = [commit for commit, _ in counted.most_common() if commit != own][:_MOST_COMMITS]
    trees = {own: snapshot.tree}
    if others and git.fetch_also(snapshot.repository, others):
        for commit in others:
            entries = snapshot.repository.tree(commit)
            trees[commit] = GitTree(files={entry.path: File(entry.mode, entry.id) for entry in entries})
    return {
        name: _changes(snapshot.tree, trees[item.revision], graph.nodes[name], builder)
        for name, item in previous.items()
        if item.revision in trees
    }


def _changes(new: GitTree, old: GitTree, node: ImageNode, builder: str) -> SourceChanges:
    folders = (node.image.path, *node.settings.shared)
    paths = {path for folder in folders for tree in (new, old) for path in tree.below(folder)}
    own = (node.image.dockerfile, *image_context.ignore_files(node.image.path, node.image.dockerfile))
    paths |= {*filter(None, map(new.target, own))}
    files = image_context.seen(
        new,
        {path for path in paths if new.files.get(path) != old.files.get(path)},
        folder=node.image.path,
        dockerfile=node.image.dockerfile,
        shared=node.settings.shared,
        excluded=node.context.excluded if node.context else (),
        builder=builder,
    )
    return SourceChanges(files=files, settings=new.files.get(shipway_yaml.NAME) != old.files.get(shipway_yaml.NAME))
