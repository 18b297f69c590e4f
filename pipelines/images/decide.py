"""Decides what to do for each image, and why: a pure function of what a commit declares and what is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipelines.declared import shipway_yaml
from pipelines.declared.finding import ERROR, WARNING, Finding
from pipelines.declared.state import ABSENT, BLOCKED, BUILD, DIFFERENT, NOTHING, PUBLISHED, TAG, UNKNOWN
from pipelines.errors import ShipwayError
from pipelines.images.key import Freshness, KeyInputs, parent_name
from pipelines.images.names import published_as, title
from pipelines.images.node import Graph, ImageNode
from pipelines.images.plan_model import ImageJob, PlannedImage
from pipelines.images.registry_state import (
    NOT_ASKED,
    REVISION,
    VERSION,
    PreviousImage,
    RegistryState,
    SourceChanges,
    TagState,
)
from pipelines.images.tag_names import version_of
from pipelines.tools.registry.reference import Reference, key_tag


@dataclass(frozen=True, kw_only=True)
class DesiredTags:
    """The tags that should name an image of this commit."""

    moving: tuple[str, ...] = ()
    """A branch's, a pull request's."""
    version: str = ""
    """Of a Git tag, never overwritten."""
    commit: str = ""
    """The commit's id, and the tag that names what the version was published as for it."""
    released: str = ""
    latest: str = ""
    """`latest` if the version may raise it, else empty."""


@dataclass(frozen=True, kw_only=True)
class ImageDecisions:
    """The images with their actions, the builds in waves, and the findings."""

    images: tuple[PlannedImage, ...]
    waves: tuple[tuple[ImageJob, ...], ...]
    findings: tuple[Finding, ...]


BaseStates: TypeAlias = Mapping[tuple[str, str], TagState]
"""The states of images from outside, by the name in Dockerfiles and the platform."""


def known_bases(graph: Graph, bases: BaseStates) -> tuple[dict[tuple[str, str], str], list[Finding]]:
    """Return the digest of each known image from outside, and a finding for each line that names no image."""
    known = {name: state.digest for name, state in bases.items() if state.digest}
    findings = []
    for node in graph.nodes.values():
        for external in node.externals:
            state = bases.get((external.name, external.platform or node.platform), NOT_ASKED)
            if state.absent or state.wrong:
                text = state.wrong or f"there is no image {external.name}, here or in its registry"
                todo = state.todo or "correct its name or its tag"
                where = node.image.dockerfile
                findings.append(Finding(path=where, line=external.line, level=ERROR, rule="base", text=text, todo=todo))
    return known, findings


def decide(
    graph: Graph,
    *,
    inputs: Mapping[str, KeyInputs],
    required: Mapping[str, Freshness],
    bases: BaseStates,
    registry: RegistryState,
    changes: Mapping[str, SourceChanges],
    desired: DesiredTags,
    versions: Mapping[str, int],
    foreign: Mapping[str, str],
) -> ImageDecisions:
    """Return what to do.

    By image name, `inputs` has the images whose key is known, `changes` the known changes since the last build, and
    `versions` the line of shipway.yaml with an image's own version, and `foreign` why a name belongs to another
    repository; `bases` has the states of images from outside.
    """
    planned: dict[str, PlannedImage] = {}
    findings: list[Finding] = []
    for name, node in graph.nodes.items():
        state, reasons = _state(node, inputs, bases, registry, planned)
        digest = registry.keys.get(name, NOT_ASKED).digest
        if not node.blocked and (kept := kept_version(published_as(name), registry, desired)):
            state, reasons, digest = PUBLISHED, (), digest if node.is_part else kept
        if name in foreign:
            state, reasons, digest = BLOCKED, (foreign[name],), ""
        tags: tuple[str, ...] = ()
        action = BUILD if state == ABSENT else NOTHING
        if state == ABSENT:
            renewal = required[name].why if registry.behind.get(name) and name in required else ""
            reasons = (
                (renewal,)
                if renewal
                else why(node, inputs[name], planned, registry, changes.get(name), commit=desired.commit)
            )
        if state in {PUBLISHED, ABSENT}:
            tags, refused, unknown = _tags(node, registry, DesiredTags() if node.is_part else desired, digest)
            if state == PUBLISHED and name in registry.behind:
                tags = (*tags, key_tag(inputs[name].lasting_key))
            if refused:
                state, action, reasons = DIFFERENT, NOTHING, (refused,)
            elif unknown:
                state, action, reasons = UNKNOWN, NOTHING, (unknown,)
            elif tags and action == NOTHING:
                action, reasons = TAG, (f"{', '.join(tags)} {'does' if len(tags) == 1 else 'do'} not name it",)
        if name not in foreign:
            findings += _own_version(node, registry, versions.get(name, 0))
        planned[name] = PlannedImage(
            name=name,
            path=node.image.path,
            state=state,
            action=action,
            reasons=tuple(reasons),
            key=inputs[name].key if name in inputs else "",
            moment=inputs[name].moment if name in inputs else 0,
            digest=digest,
            parents=node.parent_names,
            externals=tuple(external.id for external in node.externals),
            shared=node.settings.shared,
            tags=tags,
            dockerfile=node.image.dockerfile,
        )
    return ImageDecisions(
        images=tuple(planned.values()), waves=_waves(graph, inputs, planned), findings=tuple(findings)
    )


def _state(
    node: ImageNode,
    inputs: Mapping[str, KeyInputs],
    bases: BaseStates,
    registry: RegistryState,
    planned: Mapping[str, PlannedImage],
) -> tuple[str, Sequence[str]]:
    if node.blocked:
        return BLOCKED, (node.blocked,)
    above = [planned[name] for name in node.parent_names]
    for state in (BLOCKED, DIFFERENT, UNKNOWN):
        if stuck := [parent.name for parent in above if parent.state == state]:
            return (UNKNOWN if state == UNKNOWN else BLOCKED), [f"parent image {name} is {state}" for name in stuck]
    state, faults = base_faults(node, bases)
    if faults:
        return state, faults
    answer = registry.keys.get(node.name, NOT_ASKED)
    if answer.unknown or answer.wrong or node.name not in inputs:
        return UNKNOWN, (answer.unknown or answer.wrong,)
    return (PUBLISHED, ()) if answer.digest else (ABSENT, ())


def base_faults(node: ImageNode, bases: BaseStates) -> tuple[str, Sequence[str]]:
    """Return the state of an image whose bases are not known, and why; there is no reason if all of them are."""
    for external in node.externals:
        answer = bases.get((external.name, external.platform or node.platform), NOT_ASKED)
        if answer.wrong or answer.absent:
            return BLOCKED, (f"base {external.name} exists nowhere" if answer.absent else answer.wrong,)
    silent = [(e.id, bases.get((e.name, e.platform or node.platform), NOT_ASKED).unknown) for e in node.externals]
    return UNKNOWN, [f"base {name}: {why}" for name, why in silent if why]


def kept_version(name: str, registry: RegistryState, desired: DesiredTags) -> str:
    """Return the digest that a Git tag's version has been published as for this very commit, or an empty string.

    It stays what the version is, whatever was built since, and whatever moved that it is based on. To build it again
    is refused, if somebody asks for that.
    """
    if name in registry.behind:
        return ""
    published = registry.tags.get((name, desired.version), NOT_ASKED)
    released = registry.tags.get((name, desired.released), NOT_ASKED)
    is_kept = published.digest == released.digest or published.annotations.get(REVISION) == desired.commit
    return published.digest if is_kept else ""


def _tags(
    node: ImageNode, registry: RegistryState, desired: DesiredTags, digest: str
) -> tuple[tuple[str, ...], str, str]:
    """Return the tags that do not name the image yet, or else why it is refused, or why that is unknown."""
    missing = []
    for tag in (*desired.moving, *filter(None, (desired.version, desired.latest))):
        answer = registry.tags.get((node.name, tag), NOT_ASKED)
        if answer.unknown:
            return (), "", f"the tag {tag}: {answer.unknown}"
        if tag == desired.version and answer.digest and answer.digest != digest:
            text = f"version {tag} is published with different content and is never overwritten"
            return (), text, ""
        if (
            tag == desired.latest
            and answer.digest
            and not _is_lower(answer.annotations.get(VERSION, ""), desired.version)
        ):
            continue
        if answer.digest != digest or not digest:
            missing.append(tag)
    if (
        node.settings.version
        and not node.is_part
        and registry.tags.get((node.name, node.settings.version), NOT_ASKED).absent
    ):
        missing.append(node.settings.version)
    return tuple(missing), "", ""


def _is_lower(version: str, than: str) -> bool:
    one, other = version_of(version), version_of(than)
    return one is not None and other is not None and one < other


def _own_version(node: ImageNode, registry: RegistryState, line: int) -> Iterable[Finding]:
    """Give a finding if an image's own version is published with different content: the new image does not get it."""
    version = node.settings.version
    published = registry.tags.get((node.name, version), NOT_ASKED) if version else NOT_ASKED
    key = registry.keys.get(node.name, NOT_ASKED)
    if published.digest and not key.unknown and published.digest != key.digest:
        yield Finding(
            path=shipway_yaml.NAME,
            line=line,
            level=WARNING,
            rule="version",
            text=f"version {version} of {node.name} is published with different content, which stays",
            todo="raise the version to publish what is declared now under one",
        )


def _waves(
    graph: Graph, inputs: Mapping[str, KeyInputs], planned: Mapping[str, PlannedImage]
) -> tuple[tuple[ImageJob, ...], ...]:
    """Return the builds in as few waves as their dependencies allow."""
    number: dict[str, int] = {}
    waves: list[list[ImageJob]] = []
    for name, node in graph.nodes.items():
        if planned[name].action != BUILD:
            continue
        parents = tuple(sorted((one for one in node.parent_names if one in number), key=number.__getitem__))
        number[name] = max((number[parent] + 1 for parent in parents), default=0)
        if number[name] == len(waves):
            waves.append([])
        waves[number[name]].append(job(node, inputs[name], parents))
    return tuple(map(tuple, waves))


def job(node: ImageNode, inputs: KeyInputs, parents: tuple[str, ...]) -> ImageJob:
    """Return the build of an image; `parents` are those that are built before it."""
    pins = [f"{name}={digest}" for name, digest in inputs.images.items()]
    pins += [f"{edge.written}={key_tag(inputs.parents[parent_name(node, edge)])}" for edge in node.parents]
    return ImageJob(
        name=node.name,
        title=title(node.name),
        path=node.image.path,
        dockerfile=node.image.dockerfile,
        target=node.settings.target,
        build_args=node.build_args,
        secret_ids=node.settings.secrets,
        shared=node.settings.shared,
        exclude=node.context.excluded if node.context else (),
        version=node.settings.version,
        platform=node.platform,
        key=inputs.key,
        renews=inputs.lasting_key if inputs.moment else "",
        moment=inputs.moment,
        pins=tuple(pins),
        parents=parents,
        requires=_requires(parents),
    )


def _requires(parents: Sequence[str]) -> str:
    """Return the expression that matches lists of names in JSON, one of each wave, that have all the parents.

    No quote may stand in it; this range of characters has the quote that stands around a name, and none of names.
    """
    return f"'{'.*'.join('[!-,]' + name.replace('.', '[.]') + '[!-,]' for name in parents)}'"


_NAMED_FILES = 3
"""Of the files that changed."""


def why(
    node: ImageNode,
    inputs: KeyInputs,
    planned: Mapping[str, PlannedImage],
    registry: RegistryState,
    changes: SourceChanges | None,
    *,
    commit: str = "",
) -> tuple[str, ...]:
    """Return the reasons of a build, as far as the earlier image shows them."""
    previous = registry.previous.get(node.name)
    if previous is None:
        return (f"it was never published as {' or '.join(registry.candidates)}",)
    reasons = [f"parent image {name} is rebuilt" for name in node.parent_names if planned[name].action == BUILD]
    reasons += _moved(inputs.images, previous)
    reasons += [
        f"parent image {edge.name} is another one"
        for edge in node.parents
        if edge.written == previous.base_name and planned[edge.name].digest not in {"", previous.base_digest}
    ]
    since = f"changed since {previous.revision[:12]}"
    if changes and changes.files:
        more = len(changes.files) - _NAMED_FILES
        shown = ", ".join(changes.files[:_NAMED_FILES])
        reasons.append(f"{shown} and {more} more files {since}" if more > 0 else f"{shown} {since}")
    if changes and changes.settings and "rebuild" in inputs.salt:
        reasons.append(f"{shipway_yaml.NAME} asks for it: {inputs.salt['rebuild']}")
    if not reasons and previous.revision == commit:
        return (f"{previous.tag} is of this commit, but of other images, arguments or builder, or without a key",)
    what = "its files, its Dockerfile" if changes is None else "what it copies from other images"
    what = shipway_yaml.NAME if changes and changes.settings else what
    return tuple(reasons) or (f"{what}, its arguments or the builder {since}",)


def _moved(images: Mapping[str, str], previous: PreviousImage) -> Iterable[str]:
    for name, digest in images.items():
        if previous.base_digest and previous.base_digest != digest and previous.base_name == _full(name):
            yield f"base {name} moved {previous.base_digest[:19]}… → {digest[:19]}…"


def _full(name: str) -> str:
    """Return the reference in an image's labels for a name in a Dockerfile."""
    try:
        reference = Reference.parse(name)
    except ShipwayError:
        return name
    return str(reference if reference.tag or reference.digest else reference.with_tag("latest"))
