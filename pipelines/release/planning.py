"""One plan from its two halves: what a commit declares, and what the registries say.

What changed of an image since it was built last: asked of Git alone, and only to say so.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.declared import shipway_yaml
from pipelines.declared.finding import ERROR, Finding
from pipelines.environments import image_uses
from pipelines.environments.image_uses import Values
from pipelines.errors import Misuse
from pipelines.images import context as image_context
from pipelines.images import decide as image_decide
from pipelines.images import graph as image_graph
from pipelines.images import key as image_key
from pipelines.images import registry_reader
from pipelines.images.key import RebuildPolicy
from pipelines.images.model import PlannedImage
from pipelines.images.node import BuildTarget, Graph, ImageNode
from pipelines.images.registry_reader import RegistryReader
from pipelines.images.registry_state import PreviousImage, SourceChanges
from pipelines.release import plan_charts, tree
from pipelines.release.model import Plan
from pipelines.release.tree import RepositorySnapshot
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
"""That are fetched, those first that most images were built from."""


_AGE = re.compile(r"[1-9][0-9]{0,3}[hdw]")


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a deployment publishes, and how it is spoken to."""

    reader: RegistryReader
    charts: ChartSettings
    docker_config: Path
    """Folder of the logins for reading."""

    @classmethod
    def connect(cls, settings: ChartSettings, docker_config: Path, *, timing: Timing | None = None) -> Destination:
        """Return the destination of some settings; nothing is asked yet. Raises Misconfigured for what cannot be read."""
        client = registry_client.connect(docker_config, settings, timing=timing)
        reader = RegistryReader(client=client, registry=settings.registry, project=settings.project)
        return cls(reader=reader, charts=settings, docker_config=docker_config)


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What is to be planned."""

    url: RepositoryUrl
    resolved: Resolved
    target: BuildTarget
    rebuilds: RebuildPolicy = field(default_factory=RebuildPolicy)
    rebuild: tuple[str, ...] = ()
    """Images to build again for this time's sake, by name or folder, or * for all."""


def age(text: str) -> str:
    """Return an age such as 7d; raises Misuse for what is none."""
    if text and not _AGE.fullmatch(text):
        raise Misuse("not an age", seen=repr(text[:100]), todo="write 12h, 7d or 4w")
    return text


def arguments(given: Sequence[str]) -> tuple[str, ...]:
    """Return build arguments for every Dockerfile; raises Misuse for one that is none."""
    for argument in given:
        if "=" not in argument.lstrip("="):
            raise Misuse("a build argument cannot be read", seen=repr(argument[:100]), todo="write NAME=VALUE")
    return tuple(given)


def require_named(rebuild: Sequence[str], found: Plan) -> None:
    """Raise Misuse where an image is to be built again that the plan does not have."""
    names = {name for image in found.images for name in _names(image.name, image.path)}
    # Where there are errors, it may be one of those that nobody can name.
    is_sound = all(finding.level != ERROR for finding in found.findings)
    if is_sound and (unknown := sorted({str(Path(item)) for item in rebuild} - names - {"*"})):
        raise Misuse(
            f"there is no image {', '.join(unknown)} to build again",
            seen=f"images: {', '.join(image.name for image in found.images) or 'none'}",
            todo="name an image or its folder",
        )


def plan(git: Git, request: PlanRequest, place: Destination) -> Plan:
    """Return what is to be done for a commit; raises what fetching it raises, and Misconfigured.

    Faults of what it declares are findings, and a registry that does not answer leaves states unknown.
    """
    with tempfile.TemporaryDirectory(prefix="shipway-plan-") as folder:
        work = Path(folder)
        return of(tree.read(git, request.url, request.resolved, work), request, place, work, git)


def of(
    declared: RepositorySnapshot, request: PlanRequest, place: Destination, work: Path, git: Git | None = None
) -> Plan:
    """Return what is to be done for a commit that was read; `work` may take files. Raises Misconfigured.

    With `git`, reasons say which files changed, for which older commits are fetched.
    """
    reader, target = place.reader, request.target
    if declared.findings:
        # Which images and charts there are, and under which names, is what that file says.
        return _empty(declared, request)
    found, used = _graph(declared, request, reader)
    wanted = registry_reader.desired_tags(request.resolved.ref, declared.commit.id)
    answers = reader.bases(found, target.platform)
    bases, wrong = image_decide.known_bases(found, answers)
    asked = image_key.freshness(found, _rebuilds(request, found))
    settled = registry_reader.settle_keys(found, target, bases, asked, reader)
    made = settled.made
    observed = reader.state(found, made, wanted, settled.keys, settled.behind)
    changed = since(git, declared, found, observed.previous, target.builder) if git else {}
    decided = image_decide.decide(
        found,
        target,
        made=made,
        asked=asked,
        answers=answers,
        observed=observed,
        changes=changed,
        wanted=wanted,
        versions=_version_lines(declared, found),
    )
    charts, told = plan_charts.plan(declared, place.charts, used, place.docker_config, work)
    findings: set[Finding] = {*found.findings, *used.findings, *wrong, *decided.findings, *told}
    findings |= {*image_graph.deployment_loops(found.nodes, *used.follow(declared.configuration.deploy))}
    return replace(
        _empty(declared, request),
        images=decided.images,
        charts=charts,
        waves=decided.waves,
        findings=tuple(sorted(findings)),
        followers=used.followers,
        deploys=_deploys(declared, used, decided.images, reader),
    )


def _empty(declared: RepositorySnapshot, request: PlanRequest) -> Plan:
    """Return the plan of a commit that declares nothing that can be planned."""
    target = request.target
    return Plan(
        repo=str(request.url),
        commit=declared.commit.id,
        ref=declared.ref,
        platform=target.platform,
        builder=f"{target.builder} {target.builder_version}",
        images=(),
        charts=(),
        waves=(),
        findings=declared.findings,
    )


def _deploys(
    declared: RepositorySnapshot, used: Values, images: Sequence[PlannedImage], reader: RegistryReader
) -> tuple[str, ...]:
    """Return the places that a run of this ref would write to: environments are not looked into."""
    wanted = declared.configuration.deploy
    if not wanted.follows(declared.ref):
        return ()
    named = {use.image for use in used.uses}
    digests = {
        Reference.under(reader.registry, reader.project, item.name).name: item.digest
        for item in images
        if item.name in named
    }
    under = Reference.under(reader.registry, reader.project, "x").name.removesuffix("x")
    files = {use.file: declared.tree.read(use.file) or b"" for use in used.uses}
    is_stale = bool(wanted.charts) and any(
        image_uses.is_stale(data, file, under, digests) for file, data in files.items()
    )
    return (*(("charts",) if is_stale else ()), *wanted.environments)


def _graph(declared: RepositorySnapshot, request: PlanRequest, reader: RegistryReader) -> tuple[Graph, Values]:
    names = {"root_name": request.url.name, "registry": reader.registry, "project": reader.project}
    configuration = declared.configuration
    images = {image.name for image, _ in image_graph.discover(declared.tree, configuration, request.url.name)[0]}
    used = image_uses.read(
        declared.tree,
        configuration,
        charts=declared.charts,
        images=images,
        registry=reader.registry,
        project=reader.project,
    )
    return image_graph.read(declared.tree, configuration, request.target, written=used.written, **names), used


def _rebuilds(request: PlanRequest, found: Graph) -> RebuildPolicy:
    asked = {str(Path(item)) for item in request.rebuild}
    rebuild = {name for name, node in found.nodes.items() if asked & {"*", *_names(name, node.image.path)}}
    return RebuildPolicy(now=request.rebuilds.now, max_age=request.rebuilds.max_age, rebuild=rebuild)


def _names(name: str, folder: str) -> tuple[str, str, str]:
    """Return what people may call an image."""
    return name, folder, str(Path(folder) / "Dockerfile")


def _version_lines(declared: RepositorySnapshot, found: Graph) -> dict[str, int]:
    return {
        name: declared.configuration.line(node.image.path, "version")
        for name, node in found.nodes.items()
        if node.settings.version
    }


def since(
    git: Git, declared: RepositorySnapshot, graph: Graph, previous: Mapping[str, PreviousImage], builder: str
) -> dict[str, SourceChanges]:
    """Return the changes of images since the commits that they were built from before, for those that the remote still gives."""
    counted = Counter(item.revision for item in previous.values() if _COMMIT.fullmatch(item.revision))
    own = declared.commit.id
    others = [commit for commit, _ in counted.most_common() if commit != own][:_MOST_COMMITS]
    trees = {own: declared.tree}
    if others and git.fetch_also(declared.repository, others):
        for commit in others:
            entries = declared.repository.tree(commit)
            trees[commit] = GitTree(files={entry.path: File(entry.mode, entry.id) for entry in entries})
    return {
        name: _changes(declared.tree, trees[item.revision], graph.nodes[name], builder)
        for name, item in previous.items()
        if item.revision in trees
    }


def _changes(new: GitTree, old: GitTree, node: ImageNode, builder: str) -> SourceChanges:
    folders = (node.image.path, *node.settings.shared)
    paths = {path for folder in folders for tree in (new, old) for path in tree.below(folder)}
    files = image_context.seen(
        new,
        (path for path in paths if new.files.get(path) != old.files.get(path)),
        folder=node.image.path,
        dockerfile=node.image.dockerfile,
        shared=node.settings.shared,
        excluded=node.context.excluded if node.context else (),
        builder=builder,
    )
    said, before = (tree.files.get(shipway_yaml.NAME) for tree in (new, old))
    return SourceChanges(files=files, settings=said != before)
