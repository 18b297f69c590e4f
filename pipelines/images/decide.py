"""What is to be done for each image: a pure function of what a commit declares and what registries say.

Why an image is built, in words for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.declared import shipway_yaml
from pipelines.declared.finding import ERROR, WARNING, Finding
from pipelines.errors import ShipwayError
from pipelines.images.key import Freshness, KeyInputs
from pipelines.images.model import (
    ABSENT,
    BLOCKED,
    BUILD,
    DIFFERENT,
    NOTHING,
    PUBLISHED,
    TAG,
    UNKNOWN,
    ImageJob,
    PlannedImage,
)
from pipelines.images.node import BuildTarget, Graph, ImageNode
from pipelines.images.registry_state import NOT_ASKED, PreviousImage, RegistryState, SourceChanges, TagState
from pipelines.images.tag_names import parse_version
from pipelines.tools.registry.reference import Reference, key_tag

VERSION = "org.opencontainers.image.version"


@dataclass(frozen=True, kw_only=True)
class DesiredTags:
    """The tags that are to name an image of this commit."""

    moving: tuple[str, ...] = ()
    """A branch's, a pull request's."""
    version: str = ""
    """Of a Git tag, never overwritten."""
    latest: str = ""
    """`latest`, where the version may raise it."""


@dataclass(frozen=True, kw_only=True)
class ImageDecisions:
    """The images with their actions, the builds in waves, and what was found."""

    images: tuple[PlannedImage, ...]
    waves: tuple[tuple[ImageJob, ...], ...]
    findings: tuple[Finding, ...]


def known_bases(graph: Graph, answers: Mapping[str, TagState]) -> tuple[dict[str, str], list[Finding]]:
    """Return the digest of each image from outside that is known, and a finding for each line that names none."""
    known = {name: answer.digest for name, answer in answers.items() if answer.digest}
    findings = []
    for node in graph.nodes.values():
        for external in node.externals:
            answer = answers.get(external.name, NOT_ASKED)
            if answer.absent or answer.wrong:
                text = answer.wrong or f"there is no image {external.name}, here or in its registry"
                todo = answer.todo or "correct its name or its tag"
                where = node.image.dockerfile
                findings.append(Finding(path=where, line=external.line, level=ERROR, rule="base", text=text, todo=todo))
    return known, findings


def decide(
    graph: Graph,
    target: BuildTarget,
    *,
    made: Mapping[str, KeyInputs],
    asked: Mapping[str, Freshness],
    answers: Mapping[str, TagState],
    observed: RegistryState,
    changes: Mapping[str, SourceChanges],
    wanted: DesiredTags,
    versions: Mapping[str, int],
) -> ImageDecisions:
    """Return what is to be done. `made` has what decides each image whose key is known, `answers` those about bases.

    `changes` has those of images that were built before, where they are known; `versions` has the line of shipway.yaml that gives an image a version of its own, by name.
    """
    planned: dict[str, PlannedImage] = {}
    findings: list[Finding] = []
    for name, node in graph.nodes.items():
        state, reasons = _state(node, made, answers, observed, planned)
        tags: tuple[str, ...] = ()
        action = BUILD if state == ABSENT else NOTHING
        if state == ABSENT:
            renewal = asked[name].why if observed.behind.get(name) and name in asked else ""
            reasons = (renewal,) if renewal else why(node, made[name], planned, observed, changes.get(name))
        if state in {PUBLISHED, ABSENT}:
            tags, refused, unknown = _tags(node, observed, wanted)
            if state == PUBLISHED and name in observed.behind:
                tags = (*tags, key_tag(made[name].lasting_key))
            if refused:
                state, action, reasons = DIFFERENT, NOTHING, (refused,)
            elif unknown:
                state, action, reasons = UNKNOWN, NOTHING, (unknown,)
            elif tags and action == NOTHING:
                action, reasons = TAG, (f"{', '.join(tags)} {'does' if len(tags) == 1 else 'do'} not name it",)
        findings += _own_version(node, observed, versions.get(name, 0))
        planned[name] = PlannedImage(
            name=name,
            path=node.image.path,
            state=state,
            action=action,
            reasons=tuple(reasons),
            key=made[name].key if name in made else "",
            moment=made[name].moment if name in made else 0,
            digest=observed.keys.get(name, NOT_ASKED).digest,
            parents=node.parent_names,
            externals=tuple(external.name for external in node.externals),
            shared=node.settings.shared,
            tags=tags,
        )
    return ImageDecisions(
        images=tuple(planned.values()), waves=_waves(graph, target, made, planned), findings=tuple(findings)
    )


def _state(
    node: ImageNode,
    made: Mapping[str, KeyInputs],
    answers: Mapping[str, TagState],
    observed: RegistryState,
    planned: Mapping[str, PlannedImage],
) -> tuple[str, Sequence[str]]:
    if node.blocked:
        return BLOCKED, (node.blocked,)
    above = [planned[name] for name in node.parent_names]
    for state in (BLOCKED, DIFFERENT, UNKNOWN):
        if stuck := [parent.name for parent in above if parent.state == state]:
            return (UNKNOWN if state == UNKNOWN else BLOCKED), [f"parent image {name} is {state}" for name in stuck]
    for external in node.externals:
        answer = answers.get(external.name, NOT_ASKED)
        if answer.wrong or answer.absent:
            return BLOCKED, (f"base {external.name} exists nowhere" if answer.absent else answer.wrong,)
    silent = [(e.name, answers.get(e.name, NOT_ASKED).unknown) for e in node.externals]
    if told := [f"base {name}: {why}" for name, why in silent if why]:
        return UNKNOWN, told
    answer = observed.keys.get(node.name, NOT_ASKED)
    if answer.unknown or answer.wrong or node.name not in made:
        return UNKNOWN, (answer.unknown or answer.wrong,)
    return (PUBLISHED, ()) if answer.digest else (ABSENT, ())


def _tags(node: ImageNode, observed: RegistryState, wanted: DesiredTags) -> tuple[tuple[str, ...], str, str]:
    """Return the tags that do not name the image, what is never done, and what is not known."""
    digest = observed.keys[node.name].digest
    found = []
    for tag in (*wanted.moving, *filter(None, (wanted.version, wanted.latest))):
        answer = observed.tags.get((node.name, tag), NOT_ASKED)
        if answer.unknown:
            return (), "", f"the tag {tag}: {answer.unknown}"
        if tag == wanted.version and answer.digest and answer.digest != digest:
            text = f"version {tag} is published with another content and is never overwritten"
            return (), text, ""
        if tag == wanted.latest and answer.digest and not _is_lower(answer.notes.get(VERSION, ""), wanted.version):
            continue
        if answer.digest != digest or not digest:
            found.append(tag)
    if node.settings.version and observed.tags.get((node.name, node.settings.version), NOT_ASKED).absent:
        found.append(node.settings.version)
    return tuple(found), "", ""


def _is_lower(version: str, than: str) -> bool:
    one, other = parse_version(version.replace("_", "+")), parse_version(than.replace("_", "+"))
    return one is not None and other is not None and one < other


def _own_version(node: ImageNode, observed: RegistryState, line: int) -> Iterable[Finding]:
    """Find a version of an image's own that is published with another content: the new image does not get it."""
    version = node.settings.version
    there = observed.tags.get((node.name, version), NOT_ASKED) if version else NOT_ASKED
    key = observed.keys.get(node.name, NOT_ASKED)
    if there.digest and not key.unknown and there.digest != key.digest:
        yield Finding(
            path=shipway_yaml.NAME,
            line=line,
            level=WARNING,
            rule="version",
            text=f"version {version} of {node.name} is published with another content, which stays",
            todo="raise the version to publish what is declared now under one",
        )


def _waves(
    graph: Graph, target: BuildTarget, made: Mapping[str, KeyInputs], planned: Mapping[str, PlannedImage]
) -> tuple[tuple[ImageJob, ...], ...]:
    """Return the builds in as few waves as their order allows."""
    number: dict[str, int] = {}
    waves: list[list[ImageJob]] = []
    for name, node in graph.nodes.items():
        if planned[name].action != BUILD:
            continue
        on = tuple(name for name in node.parent_names if name in number)
        number[name] = max((number[parent] + 1 for parent in on), default=0)
        if number[name] == len(waves):
            waves.append([])
        waves[number[name]].append(_job(node, target, made[name], on))
    return tuple(map(tuple, waves))


def _job(node: ImageNode, target: BuildTarget, made: KeyInputs, on: tuple[str, ...]) -> ImageJob:
    assert node.context is not None
    pins = [f"{name}={digest}" for name, digest in made.images.items()]
    pins += [f"{edge.written}={key_tag(made.parents[edge.name])}" for edge in node.parents]
    return ImageJob(
        name=node.name,
        path=node.image.path,
        dockerfile=node.image.dockerfile,
        target=node.settings.target,
        build_args=node.build_args,
        secret_ids=node.settings.secrets,
        shared=node.settings.shared,
        exclude=node.context.excluded,
        version=node.settings.version,
        platform=target.platform,
        key=made.key,
        renews=made.lasting_key if made.moment else "",
        moment=made.moment,
        pins=tuple(pins),
        parents=on,
    )


_NAMED_FILES = 3
"""Of those that changed."""


def why(
    node: ImageNode,
    made: KeyInputs,
    planned: Mapping[str, PlannedImage],
    observed: RegistryState,
    changes: SourceChanges | None,
) -> tuple[str, ...]:
    """Return why an image is built, as far as what was published before tells."""
    previous = observed.previous.get(node.name)
    if previous is None:
        return (f"it was never published as {' or '.join(observed.candidates)}",)
    found = [f"parent image {name} is rebuilt" for name in node.parent_names if planned[name].action == BUILD]
    found += _moved(made.images, previous)
    found += [
        f"parent image {edge.name} is another one"
        for edge in node.parents
        if edge.written == previous.base_name and planned[edge.name].digest not in {"", previous.base_digest}
    ]
    since = f"changed since {previous.revision[:12]}"
    if changes and changes.files:
        more = len(changes.files) - _NAMED_FILES
        shown = ", ".join(changes.files[:_NAMED_FILES])
        found.append(f"{shown} and {more} more files {since}" if more > 0 else f"{shown} {since}")
    if changes and changes.settings and "rebuild" in made.salt:
        found.append(f"{shipway_yaml.NAME} asks for it: {made.salt['rebuild']}")
    what = "its files, its Dockerfile" if changes is None else "what it copies from other images"
    what = shipway_yaml.NAME if changes and changes.settings else what
    return tuple(found) or (f"{what}, its arguments or the builder {since}",)


def _moved(images: Mapping[str, str], previous: PreviousImage) -> Iterable[str]:
    for name, digest in images.items():
        if previous.base_digest and previous.base_digest != digest and previous.base_name == _full(name):
            yield f"base {name} moved {previous.base_digest[:19]}… → {digest[:19]}…"


def _full(name: str) -> str:
    """Return the reference that an image's labels give for what a Dockerfile writes."""
    try:
        reference = Reference.parse(name)
    except ShipwayError:
        return name
    return str(reference if reference.tag or reference.digest else reference.with_tag("latest"))
