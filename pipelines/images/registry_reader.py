"""What the registries say about the images of a plan, asked side by side. No answer is an answer of its own: unknown.

Which build of the same ingredients counts: the newest one, whoever asked for it, unless a newer one is asked for now.

What an image's lasting key names is its first build, or leads to its last renewal and says for which moment that was made. An
image's own key holds the moment, and so do those of the images that stand on it: they are asked for in turn, parents first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.images import key as image_key
from pipelines.images import tag_names
from pipelines.images.decide import DesiredTags
from pipelines.images.key import Freshness, KeyInputs
from pipelines.images.node import BuildTarget, Graph
from pipelines.images.registry_state import NOT_ASKED, RENEWAL, PreviousImage, RegistryState, TagState
from pipelines.images.tag_moves import REVISION, VERSION, release_of
from pipelines.tools.registry import manifest as registry_manifest
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.connection import QUESTIONS, Unanswered
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Reference, key_tag
from pipelines.tools.registry.transfer import in_parallel

_USUAL = frozenset({"main", "master"})
"""Where an image of another branch was published before, most likely."""
_BASE = "org.opencontainers.image.base."


@dataclass(frozen=True, kw_only=True)
class RegistryReader:
    """Asks about images; a registry that once said nothing at all is not asked again."""

    client: Registry
    registry: str
    project: str
    _silent: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bases(self, graph: Graph, platform: str) -> dict[str, TagState]:
        """Return what each image from outside is for a platform, by the name that Dockerfiles write."""
        names = sorted({external.name for node in graph.nodes.values() for external in node.externals})
        return dict(
            zip(names, in_parallel(lambda name: self._base(name, platform), names, at_once=QUESTIONS), strict=True)
        )

    def keys(self, questions: Sequence[tuple[str, str]]) -> list[TagState]:
        """Return what keys of images name, each asked for by the image's name and the key; raises Misconfigured."""
        return in_parallel(self._tag, [(name, key_tag(key)) for name, key in questions], at_once=QUESTIONS)

    def state(
        self,
        graph: Graph,
        made: Mapping[str, KeyInputs],
        wanted: DesiredTags,
        keys: Mapping[str, TagState],
        behind: Mapping[str, str],
    ) -> RegistryState:
        """Return what there is under tags, and what was published before of what is not there; `keys` has what their keys name.

        Raises Misconfigured where the deployment's own registry lets nobody in.
        """
        questions: list[tuple[str, str]] = []
        for name in made:
            own = graph.nodes[name].settings.version
            questions += [(name, tag) for tag in (*wanted.moving, wanted.version, wanted.latest, own) if tag]
        found = dict(zip(questions, in_parallel(self._tag, questions, at_once=QUESTIONS), strict=True))
        others = [
            name for name in made if wanted.latest and found[name, wanted.latest].digest not in {"", keys[name].digest}
        ]
        at = in_parallel(lambda name: self._released(name, found[name, wanted.latest]), others, at_once=QUESTIONS)
        found |= {(name, wanted.latest): answer for name, answer in zip(others, at, strict=True)}
        absent = [name for name, answer in keys.items() if answer.absent]
        candidates = dict.fromkeys(
            (*wanted.moving, tag_names.LATEST, *(() if {*wanted.moving} & _USUAL else sorted(_USUAL)))
        )
        previous = in_parallel(lambda name: self._previous(name, (*candidates,), found), absent, at_once=QUESTIONS)
        return RegistryState(
            keys=keys,
            tags=found,
            previous={name: item for name, item in zip(absent, previous, strict=True) if item},
            candidates=tuple(candidates),
            behind=behind,
        )

    def _base(self, name: str, platform: str) -> TagState:
        try:
            reference = Reference.parse(name)
        except ShipwayError as error:
            return TagState(wrong=f"{error.what}: {error.seen}")
        if reference.digest:
            # Content does not move, so there is nothing to ask, and the key is the same without a network.
            return TagState(digest=str(reference.digest))
        reference = reference if reference.tag else reference.with_tag("latest")
        try:
            return self._ask(reference, lambda manifest, at: _of_platform(manifest, at, platform), mirrored=True)
        except Misconfigured as error:
            # Public registries say so of what does not exist, too.
            return TagState(wrong=f"{name} cannot be read: {error.what} ({error.seen})", todo=error.todo)
        except ShipwayError as error:
            return TagState(wrong=f"{error.what}: {error.seen}", todo=error.todo)

    def _tag(self, question: tuple[str, str]) -> TagState:
        name, tag = question
        return self._ask(self._reference(name, tag), _named)

    def _released(self, name: str, answer: TagState) -> TagState:
        """Return an answer with the version that the release tags of its image say, where there are any."""
        try:
            version = release_of(self.client, self._reference(name, tag_names.LATEST), answer.digest)
        except Transient as error:
            return TagState(unknown=f"{self.registry} did not answer ({error.seen or error.what})")
        return replace(answer, notes={**answer.notes, VERSION: str(version)}) if version else answer

    def _ask(
        self, reference: Reference, read: Callable[[Manifest, Reference], TagState], *, mirrored: bool = False
    ) -> TagState:
        if why := self._silent.get(reference.registry):
            return TagState(unknown=why)
        try:
            manifest = self.client.resolve(reference, mirrored=mirrored)
        except Transient as error:
            why = f"{reference.registry} did not answer ({error.seen or error.what})"
            if isinstance(error, Unanswered) and error.silent:
                with self._lock:
                    self._silent[reference.registry] = why
            return TagState(unknown=why)
        return TagState() if manifest is None else read(manifest, reference)

    def _previous(
        self, name: str, candidates: Sequence[str], known: Mapping[tuple[str, str], TagState]
    ) -> PreviousImage | None:
        """Return what a tag that people use names, for a reason; nothing where nobody says."""
        for tag in candidates:
            answer = known.get((name, tag)) or self._tag((name, tag))
            if answer.digest:
                return PreviousImage(
                    tag=tag,
                    revision=answer.notes.get(REVISION, ""),
                    base_name=answer.notes.get(f"{_BASE}name", ""),
                    base_digest=answer.notes.get(f"{_BASE}digest", ""),
                )
        return None

    def _reference(self, name: str, tag: str) -> Reference:
        return Reference.under(self.registry, self.project, name, tag=tag)


def desired_tags(ref: str, commit: str) -> DesiredTags:
    """Return the tags that images of a commit are to have, where it was asked for by a full ref; raises Refused."""
    plan = tag_names.tag_plan(ref, commit)
    return DesiredTags(
        moving=tuple(filter(None, (plan.branch, plan.pull_request))),
        version=plan.version,
        latest=tag_names.LATEST if plan.is_release else "",
    )


def _of_platform(manifest: Manifest, reference: Reference, platform: str) -> TagState:
    """Return the manifest of the platform: an index also moves when another platform's image does."""
    if manifest.is_index:
        return TagState(digest=str(registry_manifest.choose(manifest, platform, str(reference)).digest))
    return TagState(digest=str(manifest.descriptor.digest))


def _named(manifest: Manifest, _: Reference) -> TagState:
    notes = manifest.json.get("annotations") or {}
    return TagState(
        digest=str(manifest.descriptor.digest), notes={str(key): str(value) for key, value in notes.items()}
    )


@dataclass(frozen=True, kw_only=True)
class SettledKeys:
    """What decides each image, and what its key names."""

    made: Mapping[str, KeyInputs]
    keys: Mapping[str, TagState]
    behind: Mapping[str, str]
    """What lasting keys name of images that are wanted fresher, or an empty string."""


def settle_keys(
    graph: Graph, target: BuildTarget, bases: Mapping[str, str], asked: Mapping[str, Freshness], reader: RegistryReader
) -> SettledKeys:
    """Return each image's ingredients with the moment that it was, or is to be, renewed for; raises Misconfigured."""
    answers: dict[tuple[str, str], TagState] = {}
    moments: dict[str, int] = {}
    while True:
        made = image_key.key_inputs(graph, target, bases, moments)
        questions = [(name, item.lasting_key) for name, item in made.items()]
        new = [question for question in questions if question not in answers]
        answers |= dict(zip(new, reader.keys(new), strict=True))
        there = {name: answers[name, lasting] for name, lasting in questions}
        # A renewal changes the keys of what stands on it, so that these have to be asked for again.
        found = {name: max(there[name].moment, asked[name].at if name in asked else 0) for name in made}
        if found == {name: moments.get(name, 0) for name in made}:
            break
        moments = found
    wanted = [name for name, item in made.items() if item.moment > there[name].moment]
    fresh = dict(zip(wanted, reader.keys([(name, made[name].key) for name in wanted]), strict=True))
    return SettledKeys(
        made=made,
        keys={name: fresh.get(name) or _led(there.get(name, NOT_ASKED)) for name in made},
        behind={name: _led(there[name]).digest for name in wanted},
    )


def _led(answer: TagState) -> TagState:
    """Return what a lasting key's answer leads to."""
    return replace(answer, digest=answer.notes[RENEWAL]) if answer.moment else answer
