"""Reads the state of the registries that a plan of images starts from, in parallel; without an answer it is unknown.

Of several builds of the same inputs the newest counts, whoever asked for it, unless a newer one is asked for now. The
lasting key of an image names its first build, or leads to its last renewal and has the moment of that. The moment is
part of the image's own key, and so of the keys of the images that depend on it: they are read in turn, parents first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.errors import Misconfigured, Refused, ShipwayError, Transient
from pipelines.images import key as image_key
from pipelines.images import ownership, tag_names
from pipelines.images.decide import DesiredTags
from pipelines.images.key import Freshness, KeyInputs
from pipelines.images.names import platform_of, published_as
from pipelines.images.node import BuildTarget, Graph
from pipelines.images.registry_state import (
    NOT_ASKED,
    RENEWAL,
    REVISION,
    VERSION,
    BuildTimes,
    PreviousImage,
    RegistryState,
    TagState,
)
from pipelines.images.tag_moves import release_of, state_of
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.connection import QUESTIONS, Unanswered, UnknownHost
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Reference, built_of, key_tag
from pipelines.tools.registry.transfer import in_parallel

_USUAL = frozenset({"main", "master"})
"""The tags that most likely name an earlier image of another branch."""
_BASE = "org.opencontainers.image.base."
_UNDATED = "nobody wrote down when it was last built"


@dataclass(frozen=True, kw_only=True)
class SettledKeys:
    """The inputs of each image's key, with the moment of its renewal, and the state of the key."""

    inputs: Mapping[str, KeyInputs]
    keys: Mapping[str, TagState]
    behind: Mapping[str, str]
    """For images that must be fresher: the digest that the lasting key still leads to, or an empty string."""
    required: Mapping[str, Freshness] = field(default_factory=dict)
    """How fresh images must be, with the reason that holds for those of which nobody knows when they were built."""


@dataclass(frozen=True, kw_only=True)
class RegistryReader:
    """Asks registries about images; one that did not answer at all is not asked again."""

    client: Registry
    registry: str
    project: str
    _silent: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bases(self, graph: Graph) -> dict[tuple[str, str], TagState]:
        """Return the state of each image from outside, by its name in Dockerfiles and the platform."""
        nodes = graph.nodes.values()
        wanted = sorted({(one.name, one.platform or node.platform) for node in nodes for one in node.externals})
        return dict(zip(wanted, in_parallel(lambda one: self._base(*one), wanted, at_once=QUESTIONS), strict=True))

    def states(self, questions: Sequence[tuple[str, str]]) -> dict[tuple[str, str], TagState]:
        """Return the state of tags, each a pair of the image's name and the tag; raises Misconfigured."""
        return dict(zip(questions, in_parallel(self._tag, questions, at_once=QUESTIONS), strict=True))

    def times(self, names: Sequence[str]) -> dict[str, BuildTimes]:
        """Return when images were last built, by name; raises Misconfigured."""
        return dict(zip(names, in_parallel(self._times, names, at_once=QUESTIONS), strict=True))

    def state(
        self,
        graph: Graph,
        settled: SettledKeys,
        desired: DesiredTags,
    ) -> RegistryState:
        """Return the state of keys and tags, and the earlier images of those that are absent.

        Raises Misconfigured if the deployment's own registry refuses its login, or if there is no such host.
        """
        keys, latest = settled.keys, desired.latest
        questions: list[tuple[str, str]] = []
        # What is published under a version counts also where the key is unknown, as after a base was deleted.
        names = list(graph.nodes if desired.version else settled.inputs)
        for name in names:
            if graph.nodes[name].is_part:
                continue
            own = graph.nodes[name].settings.version
            wanted = (*desired.moving, desired.version, desired.released, latest, own)
            questions += [(name, tag) for tag in wanted if tag]
        tags = self.states(questions)
        whole = [name for name in names if not graph.nodes[name].is_part]
        others = [
            name for name in whole if latest and tags[name, latest].digest not in {"", keys.get(name, NOT_ASKED).digest}
        ]
        released = in_parallel(lambda name: self._released(name, tags[name, latest]), others, at_once=QUESTIONS)
        tags |= {(name, latest): state for name, state in zip(others, released, strict=True)}
        absent = [name for name, state in keys.items() if state.absent]
        usual = () if {*desired.moving} & _USUAL else sorted(_USUAL)
        candidates = tuple(dict.fromkeys((*desired.moving, tag_names.LATEST, *usual)))
        without = self._unheard_of(absent, tags) if not usual else frozenset()
        absent = [name for name in absent if published_as(name) not in without]
        previous = in_parallel(lambda name: self._previous(name, candidates, tags), absent, at_once=QUESTIONS)
        found = RegistryState(
            keys=keys,
            tags=tags,
            previous={name: image for name, image in zip(absent, previous, strict=True) if image},
            candidates=candidates,
            behind=settled.behind,
        )
        silent = [name for name in names if published_as(name) not in without and not found.says_whose(name)]
        owners = in_parallel(self._owner, silent, at_once=QUESTIONS)
        return replace(found, owners=dict(zip(silent, owners, strict=True)))

    def _unheard_of(self, names: Sequence[str], known: Mapping[tuple[str, str], TagState]) -> frozenset[str]:
        """Return the published names for which the registry has no tag at all: one question in place of one for each.

        Only names of which no tag is known are asked about, since the tags of an old image are many.
        """
        found = {name for (name, _), state in known.items() if state.digest}
        asked = sorted({*map(published_as, names)} - found)
        listed = in_parallel(self._lists, asked, at_once=QUESTIONS)
        return frozenset(name for name, tags in zip(asked, listed, strict=True) if tags is not None and not tags)

    def _lists(self, name: str) -> Collection[str] | None:
        if self.registry in self._silent:
            return None
        try:
            return self.client.tags(self._reference(name, ""))
        except Transient:
            return None

    def _owner(self, name: str) -> str:
        """Return the repository that the tags beside those that a plan reads say; empty if none does, or if unknown."""
        if self.registry in self._silent:
            return ""
        try:
            found = ownership.other_tag(self.client, self._reference(name, ""), ())
        except Transient:
            return ""  # Nothing is published without an answer.
        return found[1] if found else ""

    def _base(self, name: str, platform: str) -> TagState:
        try:
            reference = Reference.parse(name)
        except ShipwayError as error:
            return TagState(wrong=f"{error.what}: {error.seen}")
        if reference.digest:
            # A digest never moves, so nothing is asked, and the key is the same without a network.
            return TagState(digest=str(reference.digest))
        reference = reference if reference.tag else reference.with_tag("latest")
        try:
            return self._ask(reference, lambda manifest, at: self._of_platform(manifest, at, platform), mirrored=True)
        except Misconfigured as error:
            # Public registries answer this for images that do not exist, too.
            return TagState(wrong=f"{name} cannot be read: {error.what} ({error.seen})", todo=error.todo)
        except ShipwayError as error:
            return TagState(wrong=f"{error.what}: {error.seen}", todo=error.todo)

    def _tag(self, question: tuple[str, str]) -> TagState:
        name, tag = question
        platform = platform_of(name)
        try:
            return self._ask(self._reference(name, tag), lambda manifest, at: self._part(manifest, at, platform))
        except UnknownHost as error:
            raise Misconfigured(error.what, seen=error.seen, todo="correct the setting `registry`") from error

    def _part(self, manifest: Manifest, reference: Reference, platform: str) -> TagState:
        """Return the state of a tag; of a platform's part of an image, that of what an index lists for it."""
        if not (platform and manifest.is_index):
            return state_of(manifest)
        try:
            chosen = self.client.choose(reference, manifest, platform)
        except Refused:
            return TagState()
        found = self.client.resolve(reference.with_digest(chosen.digest))
        return state_of(found) if found else TagState()

    def _released(self, name: str, state: TagState) -> TagState:
        """Return a state with the version in the release tags of its image, if it has any."""
        try:
            version = release_of(self.client, self._reference(name, tag_names.LATEST), state.digest)
        except Transient as error:
            return TagState(unknown=f"{self.registry} did not answer ({error.seen or error.what})")
        return replace(state, annotations={**state.annotations, VERSION: str(version)}) if version else state

    def _ask(
        self, reference: Reference, read: Callable[[Manifest, Reference], TagState], *, mirrored: bool = False
    ) -> TagState:
        if why := self._silent.get(reference.registry):
            return TagState(unknown=why)
        try:
            manifest = self.client.resolve(reference, mirrored=mirrored)
            return TagState() if manifest is None else read(manifest, reference)
        except UnknownHost:
            raise
        except Transient as error:
            return TagState(unknown=self._no_answer(reference.registry, error))

    def _of_platform(self, manifest: Manifest, reference: Reference, platform: str) -> TagState:
        """Return the state of the platform's manifest: an index also moves when another platform's image does."""
        chosen = self.client.choose(reference, manifest, platform) if manifest.is_index else manifest.descriptor
        return TagState(digest=str(chosen.digest))

    def _no_answer(self, registry: str, error: Transient) -> str:
        """Return in words that a registry did not answer; one that said nothing at all is not asked again."""
        why = f"{registry} did not answer ({error.seen or error.what})"
        if isinstance(error, Unanswered) and error.silent:
            with self._lock:
                self._silent[registry] = why
        return why

    def _times(self, name: str) -> BuildTimes:
        if why := self._silent.get(self.registry):
            return BuildTimes(unknown=why)
        try:
            tags = self.client.tags(self._reference(name, tag_names.LATEST))
        except Transient as error:
            return BuildTimes(unknown=self._no_answer(self.registry, error))
        return BuildTimes(seconds=dict(sorted(filter(None, map(built_of, tags)))))

    def _previous(
        self, name: str, candidates: Sequence[str], known: Mapping[tuple[str, str], TagState]
    ) -> PreviousImage | None:
        """Return the image of the first of the candidate tags that exists, or None; it gives the reason of a build."""
        for tag in candidates:
            state = known.get((name, tag)) or self._tag((name, tag))
            if state.digest:
                return PreviousImage(
                    tag=tag,
                    revision=state.annotations.get(REVISION, ""),
                    base_name=state.annotations.get(f"{_BASE}name", ""),
                    base_digest=state.annotations.get(f"{_BASE}digest", ""),
                    source=state.source,
                )
        return None

    def _reference(self, name: str, tag: str) -> Reference:
        return Reference.under(self.registry, self.project, published_as(name), tag=tag)


def desired_tags(ref: str, commit: str) -> DesiredTags:
    """Return the tags that the images of a commit should have, asked for by a full ref; raises Refused."""
    plan = tag_names.tag_plan(ref, commit)
    return DesiredTags(
        moving=plan.moving,
        version=plan.version,
        commit=commit,
        released=plan.released,
        latest=tag_names.LATEST if plan.is_release else "",
    )


def settle_keys(
    graph: Graph,
    target: BuildTarget,
    bases: Mapping[tuple[str, str], str],
    required: Mapping[str, Freshness],
    reader: RegistryReader,
) -> SettledKeys:
    """Return each image's key with the moment of its last renewal, or of the one to make; raises Misconfigured.

    When an image was last built is asked only where it may not be older than some age.
    """
    states: dict[tuple[str, str], TagState] = {}
    times: dict[str, BuildTimes] = {}
    moments: dict[str, int] = {}
    while True:
        inputs = image_key.key_inputs(graph, target, bases, moments)
        questions = {name: (name, key_tag(item.lasting_key)) for name, item in inputs.items()}
        states |= reader.states([question for question in questions.values() if question not in states])
        lasting = {name: _led(states[question]) for name, question in questions.items()}
        # What was never built is built anyway, so it has no age.
        wanted = {n: one for n, one in required.items() if not one.age or lasting.get(n, NOT_ASKED).digest}
        aging = [name for name, item in wanted.items() if item.age]
        times |= reader.times([name for name in aging if name not in times])
        # A renewal changes the keys of the images that depend on it, so these have to be asked for again.
        settled = {name: lasting[name].moment for name in inputs}
        for name in wanted.keys() & inputs:
            built = times.get(name, BuildTimes()).seconds.get(inputs[name].lasting_key, 0)
            settled[name] = wanted[name].moment(settled[name], built)
        if settled == {name: moments.get(name, 0) for name in inputs}:
            break
        moments = settled
    stale = [name for name, item in inputs.items() if item.moment > lasting[name].moment]
    fresh = reader.states([(name, key_tag(inputs[name].key)) for name in stale])
    keys = {name: fresh.get((name, key_tag(item.key))) or lasting[name] for name, item in inputs.items()}
    keys |= {name: TagState(unknown=times[name].unknown) for name in aging if times[name].unknown}
    undated = [n for n in aging if inputs[n].lasting_key not in times[n].seconds and not lasting[n].moment]
    return SettledKeys(
        inputs=inputs,
        keys=keys,
        behind={name: lasting[name].digest for name in stale},
        required={**required, **{name: replace(required[name], why=_UNDATED) for name in undated}},
    )


def _led(state: TagState) -> TagState:
    """Return the state of the image that a lasting key leads to."""
    return replace(state, digest=state.annotations[RENEWAL]) if state.moment else state
