"""What is done for each image follows from what a commit declares and what is published, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipelines.declared.shipway_yaml import ImageSettings
from pipelines.engines.local import expressions, items
from pipelines.engines.local.expressions import Dialect
from pipelines.images.context import Context
from pipelines.images.decide import DesiredTags, ImageDecisions, decide, known_bases
from pipelines.images.dockerfile import ExternalImage
from pipelines.images.key import Freshness, KeyInputs, key_inputs
from pipelines.images.names import Image
from pipelines.images.node import Edge, Graph, ImageNode
from pipelines.images.plan_model import PlannedImage
from pipelines.images.registry_state import (
    REVISION,
    VERSION,
    PreviousImage,
    RegistryState,
    SourceChanges,
    TagState,
)
from pipelines.tools.registry.reference import key_tag
from tests.trees import TARGET

[PLATFORM] = TARGET.platforms
DEBIAN, MOVED = "sha256:" + "d" * 64, "sha256:" + "e" * 64
BASE, WEB = "sha256:base", "sha256:web"
ABSENT, SILENT = TagState(), TagState(unknown="the registry did not answer")
NOW = 1_700_000_000
COMMIT = "c0ffee" * 7


def node(name: str, *parents: str, external: str = "", blocked: str = "", **settings: Any) -> ImageNode:
    """Return an image that copies its folder over images of the repository, and over one from outside."""
    return ImageNode(
        image=Image(name=name, path=name, dockerfile=f"{name}/Dockerfile"),
        settings=ImageSettings(**settings),
        platform=PLATFORM,
        build_args=("A=1",),
        context=Context(digest=name, files=1, excluded=(f"{name}/values.yaml",)),
        parents=tuple(Edge(name=parent, written=f"r.example/{parent}:1", line=1) for parent in parents),
        externals=(ExternalImage(name=external, line=1, instruction="FROM"),) if external else (),
        blocked=blocked,
    )


@dataclass(kw_only=True)
class Situation:
    """A commit with the images base and web, which depends on it, and what the registry says of them: all is done."""

    nodes: tuple[ImageNode, ...] = (node("base", external="debian:12"), node("web", "base"))
    bases: dict[str, TagState] = field(default_factory=lambda: {"debian:12": TagState(digest=DEBIAN)})
    """By name."""
    keys: dict[str, TagState] = field(
        default_factory=lambda: {n: TagState(digest=f"sha256:{n}") for n in ("base", "web")}
    )
    tags: dict[tuple[str, str], TagState] = field(default_factory=dict)
    previous: dict[str, PreviousImage] = field(default_factory=dict)
    changes: dict[str, SourceChanges] = field(default_factory=dict)
    desired: DesiredTags = field(default_factory=DesiredTags)
    behind: dict[str, str] = field(default_factory=dict)
    moments: dict[str, int] = field(default_factory=dict)
    required: Mapping[str, Freshness] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """The images, in the order in which they are listed."""
        return Graph(nodes={one.name: one for one in self.nodes}, off=(), findings=())

    @property
    def inputs(self) -> dict[str, KeyInputs]:
        """What is known of the images' keys."""
        return key_inputs(self.graph, TARGET, known_bases(self.graph, self.states)[0], self.moments)

    @property
    def states(self) -> dict[tuple[str, str], TagState]:
        """The states of bases, with the platform."""
        return {(name, PLATFORM): state for name, state in self.bases.items()}

    def decide(self) -> ImageDecisions:
        """Return what is to be done."""
        return decide(
            self.graph,
            inputs=self.inputs,
            required=self.required,
            bases=self.states,
            registry=RegistryState(
                keys=self.keys,
                tags=self.tags,
                previous=self.previous,
                candidates=("main", "latest"),
                behind=self.behind,
            ),
            changes=self.changes,
            desired=self.desired,
            versions=self.versions,
            foreign=self.foreign,
        )

    def image(self, name: str) -> PlannedImage:
        """Return what is to be done for one image."""
        [found] = [image for image in self.decide().images if image.name == name]
        return found

    def actions(self) -> dict[str, tuple[str, str]]:
        """Return the state and the action of each image."""
        return {image.name: (image.state, image.action) for image in self.decide().images}


@pytest.fixture
def situation() -> Situation:
    """Everything is published and nothing is to be done."""
    return Situation()


DONE, TODO = ("published", "nothing"), ("absent", "build")
BLOCKED, UNKNOWN = ("blocked", "nothing"), ("unknown", "nothing")


def previous(base_name: str = "", base_digest: str = "") -> PreviousImage:
    """Return an image that was published under the same name."""
    return PreviousImage(tag="main", revision=COMMIT, base_name=base_name, base_digest=base_digest)


def test_what_is_published_is_left_alone(situation: Situation) -> None:
    """Its digest is what the registry has under the key."""
    decided = situation.decide()
    assert situation.actions() == {"base": DONE, "web": DONE}
    assert [image.digest for image in decided.images] == [BASE, WEB]
    assert [image.key for image in decided.images] == [inputs.key for inputs in situation.inputs.values()]
    assert (decided.waves, decided.findings) == ((), ())


def test_what_is_absent_is_built_after_what_it_depends_on() -> None:
    """In as few waves as the dependencies allow, with everything that a build has to know."""
    images = (
        node("base", external="debian:12"),
        node("web", "base", target="run", secrets=("npm",), shared=("core",), version="1.0"),
        node("tool"),
        node("shop", "web", "tool"),
    )
    situation = Situation(nodes=images, keys={image.name: ABSENT for image in images})
    decided = situation.decide()
    assert [[job.name for job in wave] for wave in decided.waves] == [["base", "tool"], ["web"], ["shop"]]
    assert [image.reasons for image in decided.images] == [("it was never published as main or latest",)] * 4
    base, web = decided.waves[0][0], decided.waves[1][0]
    inputs = situation.inputs
    assert (base.pins, base.parents) == ((f"debian:12={DEBIAN}",), ())
    assert (web.pins, web.parents) == ((f"r.example/base:1={key_tag(inputs['base'].key)}",), ("base",))
    assert (web.key, web.renews, web.moment) == (inputs["web"].key, "", 0)
    assert (web.path, web.dockerfile, web.target, web.platform) == ("web", "web/Dockerfile", "run", "linux/amd64")
    assert (web.build_args, web.secret_ids, web.shared) == (("A=1",), ("npm",), ("core",))
    assert (web.version, web.exclude) == ("1.0", ("web/values.yaml",))
    assert decided.waves[2][0].parents == ("tool", "web")


def test_a_build_starts_if_all_that_it_depends_on_was_built() -> None:
    """It says so as an expression over the names that each wave put out, whatever was built beside them."""
    images = (node("web"), node("a.b"), node("mid", "a.b"), node("top", "mid", "web", "a.b"))
    situation = Situation(nodes=images, keys={image.name: ABSENT for image in images})
    top = situation.decide().waves[2][0].requires
    for first, second, starts in (
        (["web", "a.b"], ["mid"], "true"),
        (["x", "web", "y", "a.b", "z"], ["a", "mid", "b"], "true"),
        (["web"], ["mid"], "false"),
        (["web", "a.b"], ["midi"], "false"),
        (["web", "a-b"], ["mid"], "false"),
    ):
        text = f"{items.to_json(first)} + {items.to_json(second)} =~ {top}"
        assert str(expressions.evaluate(expressions.parse(text, Dialect.WHEN), {})).lower() == starts, text


def test_a_build_waits_for_no_parent_that_is_published(situation: Situation) -> None:
    """It is in the first wave; its parent is named by its key all the same."""
    situation.keys["web"] = ABSENT
    [[job]] = situation.decide().waves
    assert (job.name, job.parents, job.pins) == (
        "web", (), (f"r.example/base:1={key_tag(situation.inputs['base'].key)}",),
    )  # fmt: skip


def test_a_blocked_image_blocks_what_depends_on_it() -> None:
    """Whatever the registry says of them; what is beside them is built."""
    images = (node("base", blocked="its Dockerfile is empty"), node("web", "base"), node("tool"))
    situation = Situation(nodes=images, keys={"tool": ABSENT, "base": ABSENT, "web": ABSENT})
    assert situation.actions() == {"base": BLOCKED, "web": BLOCKED, "tool": TODO}
    assert situation.image("base").reasons == ("its Dockerfile is empty",)
    assert situation.image("web").reasons == ("parent image base is blocked",)
    assert (situation.image("base").key, situation.image("base").digest) == ("", "")


@pytest.mark.parametrize("key", [ABSENT, TagState(digest=BASE), SILENT], ids=["absent", "published", "unknown"])
def test_a_name_of_another_repository_is_blocked(key: TagState) -> None:
    """Whatever is published under it, whose digest and version are not reported: it is no content of this one."""
    situation = Situation(nodes=(node("base", version="1.0"), node("web", "base")), foreign={"base": "it is theirs"})
    situation.keys["base"] = key
    situation.tags = {("base", "1.0"): TagState(digest="sha256:theirs")}
    base = situation.image("base")
    assert situation.actions() == {"base": BLOCKED, "web": BLOCKED}
    assert (base.reasons, base.digest, base.tags) == (("it is theirs",), "", ())
    assert (situation.decide().findings, situation.decide().waves) == ((), ())


@pytest.mark.parametrize(
    ("state", "action", "reason", "findings"),
    [
        (
            ABSENT,
            BLOCKED,
            "base debian:12 exists nowhere",
            [
                (
                    "base/Dockerfile:1: error: there is no image debian:12, here or in its registry [base]; "
                    "correct its name or its tag"
                )
            ],
        ),
        (
            TagState(wrong="it is for another platform", todo="take another"),
            BLOCKED,
            "it is for another platform",
            ["base/Dockerfile:1: error: it is for another platform [base]; take another"],
        ),
        (SILENT, UNKNOWN, "base debian:12: the registry did not answer", []),
        (None, UNKNOWN, "base debian:12: it was not asked", []),
    ],
)
def test_a_base_without_a_digest_keeps_the_image_back(
    situation: Situation,
    state: TagState | None,
    action: tuple[str, str],
    reason: str,
    findings: list[str],
) -> None:
    """One that is known to be wrong is a finding with its line; no answer is never taken for an absence."""
    situation.bases = {"debian:12": state} if state else {}
    assert situation.actions() == {"base": action, "web": action}
    assert situation.image("base").reasons == (reason,)
    assert situation.image("web").reasons == (f"parent image base is {action[0]}",)
    known, found = known_bases(situation.graph, situation.states)
    assert (known, [str(finding) for finding in found]) == ({}, findings)


def test_known_bases_are_those_with_a_digest(situation: Situation) -> None:
    """By their names in Dockerfiles."""
    situation.bases["other"] = SILENT
    assert known_bases(situation.graph, situation.states) == ({("debian:12", PLATFORM): DEBIAN}, [])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (SILENT, "the registry did not answer"),
        (TagState(wrong="it is an index"), "it is an index"),
        (None, "it was not asked"),
    ],
)
def test_a_key_whose_state_is_unknown_builds_nothing(situation: Situation, state: TagState | None, reason: str) -> None:
    """Nor does anything that depends on the image; the key itself is known."""
    situation.keys = {"web": ABSENT} | ({"base": state} if state else {})
    assert situation.actions() == {"base": UNKNOWN, "web": UNKNOWN}
    assert situation.image("base").reasons == (reason,)
    assert situation.image("web").reasons == ("parent image base is unknown",)
    assert situation.image("base").key == situation.inputs["base"].key
    assert situation.decide().waves == ()


@pytest.mark.parametrize(
    ("moving", "states", "tags", "reason"),
    [
        (("main",), {"main": ABSENT}, ("main",), "main does not name it"),
        (("main",), {"main": TagState(digest="sha256:old")}, ("main",), "main does not name it"),
        (("main",), {"main": TagState(digest=WEB)}, (), ""),
        (("main", "pr-1"), {"main": ABSENT, "pr-1": ABSENT}, ("main", "pr-1"), "main, pr-1 do not name it"),
    ],
)
def test_a_published_image_gets_the_tags_that_do_not_name_it(
    moving: tuple[str, ...], states: dict[str, TagState], tags: tuple[str, ...], reason: str
) -> None:
    """Without a build; where they all name it, there is nothing to do."""
    situation = Situation(nodes=(node("web"),), desired=DesiredTags(moving=moving))
    situation.tags = {("web", tag): state for tag, state in states.items()}
    web = situation.image("web")
    assert (web.state, web.action) == ("published", "tag" if tags else "nothing")
    assert (web.tags, web.reasons) == (tags, (reason,) if reason else ())


def test_a_tag_whose_state_is_unknown_keeps_its_image_back(situation: Situation) -> None:
    """Be it published or to be built; nothing is said of its tags."""
    situation.desired = DesiredTags(moving=("main",))
    situation.keys["web"] = ABSENT
    situation.tags = {("base", "main"): TagState(digest=BASE), ("web", "main"): SILENT}
    assert situation.actions() == {"base": DONE, "web": UNKNOWN}
    web = situation.image("web")
    assert (web.reasons, web.tags) == (("the tag main: the registry did not answer",), ())
    assert situation.decide().waves == ()


@pytest.mark.parametrize("key", [TagState(digest=BASE), ABSENT], ids=["published", "to build"])
def test_a_version_with_another_content_is_never_overwritten(situation: Situation, key: TagState) -> None:
    """The image is different, and what depends on it is blocked."""
    situation.desired = DesiredTags(version="1.0.0")
    situation.keys["base"] = key
    situation.tags = {("base", "1.0.0"): TagState(digest="sha256:old"), ("web", "1.0.0"): ABSENT}
    assert situation.actions() == {"base": ("different", "nothing"), "web": BLOCKED}
    assert situation.image("base").reasons == (
        "version 1.0.0 is published with different content and is never overwritten",
    )
    assert situation.image("web").reasons == ("parent image base is different",)


@pytest.mark.parametrize("key", [TagState(digest="sha256:renewed"), ABSENT, SILENT, None])
@pytest.mark.parametrize(
    "proof",
    [
        {"1.0.0": TagState(digest="sha256:old", annotations={REVISION: COMMIT})},
        {"1.0.0": TagState(digest="sha256:old"), f"git-{COMMIT}-1.0.0": TagState(digest="sha256:old")},
    ],
    ids=["built from it", "tagged for it"],
)
def test_what_a_version_was_published_as_for_its_commit_stays(
    situation: Situation, key: TagState | None, proof: dict[str, TagState]
) -> None:
    """Whatever was renewed since, whatever moved, and where nobody knows any more what it would be built on."""
    situation.desired = DesiredTags(version="1.0.0", commit=COMMIT, released=f"git-{COMMIT}-1.0.0", latest="latest")
    situation.keys = {"web": key, "base": key} if key else {}
    situation.bases = {} if key is None else situation.bases
    situation.tags = {(name, tag): state for name in ("base", "web") for tag, state in proof.items()}
    situation.tags |= {(name, "latest"): TagState(digest="sha256:old") for name in ("base", "web")}
    assert situation.actions() == {"base": DONE, "web": DONE}
    assert situation.image("web").digest == "sha256:old"
    situation.tags["web", "latest"] = ABSENT
    assert situation.image("web").tags == ("latest",)


def test_a_version_of_another_commit_or_to_be_built_again_is_different(situation: Situation) -> None:
    """The proof is of one commit, and of the digest that the version names; who asks for a rebuild is refused."""
    situation.desired = DesiredTags(version="1.0.0", commit=COMMIT, released=f"git-{COMMIT}-1.0.0")
    named = TagState(digest="sha256:old", annotations={REVISION: "another"})
    situation.tags = {
        ("base", "1.0.0"): named,
        ("base", f"git-{COMMIT}-1.0.0"): TagState(digest="sha256:other"),
        ("web", "1.0.0"): ABSENT,
    }
    assert situation.actions()["base"] == ("different", "nothing")
    situation.tags["base", f"git-{COMMIT}-1.0.0"] = named
    assert situation.actions()["base"] == DONE
    situation.behind = {"base": BASE}
    assert situation.actions()["base"] == ("different", "nothing")


@pytest.mark.parametrize(
    ("latest", "moves"),
    [
        ("1.9.0", True),
        ("1.10.0", False),
        ("2.0.0", False),
        ("main", False),
        ("", False),
    ],
)
def test_latest_moves_to_a_higher_version_alone(latest: str, moves: bool) -> None:
    """It stays where what it names is of a version as high, or of none that is known."""
    situation = Situation(nodes=(node("web"),), desired=DesiredTags(version="1.10.0", latest="latest"))
    named = TagState(digest="sha256:old", annotations={VERSION: latest} if latest else {})
    situation.tags = {("web", "1.10.0"): TagState(digest=WEB), ("web", "latest"): named}
    assert situation.image("web").tags == (("latest",) if moves else ())
    situation.tags["web", "latest"] = ABSENT
    assert situation.image("web").tags == ("latest",)


@pytest.mark.parametrize(
    ("key", "named", "tags", "warned"),
    [
        (TagState(digest=WEB), ABSENT, ("1.0-1",), False),
        (ABSENT, ABSENT, ("1.0-1",), False),
        (TagState(digest=WEB), TagState(digest=WEB), (), False),
        (TagState(digest=WEB), TagState(digest="sha256:old"), (), True),
        (ABSENT, TagState(digest="sha256:old"), (), True),
        (SILENT, TagState(digest="sha256:old"), (), False),
        (TagState(digest=WEB), SILENT, (), False),
    ],
)
def test_an_image_s_own_version_stays_with_its_first_content(
    key: TagState, named: TagState, tags: tuple[str, ...], warned: bool
) -> None:
    """Other content is built without it, and a warning names its line; nothing is said as long as it is unknown."""
    situation = Situation(nodes=(node("web", version="1.0-1"),), keys={"web": key}, versions={"web": 3})
    situation.tags = {("web", "1.0-1"): named}
    decided = situation.decide()
    assert decided.images[0].tags == tags
    assert decided.images[0].state == ("unknown" if key is SILENT else "absent" if key is ABSENT else "published")
    told = (
        "shipway.yaml:3: warning: version 1.0-1 of web is published with different content, which stays [version]; "
        "raise the version to publish what is declared now under one"
    )
    assert [str(finding) for finding in decided.findings] == ([told] if warned else [])


def test_a_renewal_is_built_for_the_reason_it_is_asked_for(situation: Situation) -> None:
    """Its job has the lasting key, which will lead to it, and the moment."""
    situation.moments, situation.behind = {"web": NOW}, {"web": "sha256:first"}
    situation.required = {"web": Freshness(at=NOW, why="it was asked for")}
    situation.keys["web"] = ABSENT
    web, inputs = situation.image("web"), situation.inputs["web"]
    assert (web.action, web.reasons, web.moment) == ("build", ("it was asked for",), NOW)
    [[job]] = situation.decide().waves
    assert (job.key, job.renews, job.moment) == (inputs.key, inputs.lasting_key, NOW)
    assert job.key != job.renews


def test_a_renewal_of_what_was_never_built_has_the_ordinary_reason(situation: Situation) -> None:
    """The lasting key leads nowhere yet."""
    situation.moments, situation.behind = {"web": NOW}, {"web": ""}
    situation.required = {"web": Freshness(at=NOW, why="it was asked for")}
    situation.keys["web"] = ABSENT
    assert situation.image("web").reasons == ("it was never published as main or latest",)


def test_a_renewal_that_lacks_its_lasting_key_is_only_tagged(situation: Situation) -> None:
    """It was built and then cut short."""
    situation.moments, situation.behind = {"web": NOW}, {"web": "sha256:first"}
    situation.required = {"web": Freshness(at=NOW, why="it was asked for")}
    tag = key_tag(situation.inputs["web"].lasting_key)
    web = situation.image("web")
    assert (web.state, web.action, web.tags) == ("published", "tag", (tag,))
    assert web.reasons == (f"{tag} does not name it",)


@pytest.mark.parametrize(
    ("changes", "rebuild", "reason"),
    [
        (None, "", "its files, its Dockerfile, its arguments or the builder changed since c0ffeec0ffee"),
        (SourceChanges(files=("a",), settings=False), "", "a changed since c0ffeec0ffee"),
        (SourceChanges(files=("a", "b", "c"), settings=False), "", "a, b, c changed since c0ffeec0ffee"),
        (
            SourceChanges(files=("a", "b", "c", "d", "e"), settings=False),
            "",
            "a, b, c and 2 more files changed since c0ffeec0ffee",
        ),
        (
            SourceChanges(files=(), settings=False),
            "again",
            "what it copies from other images, its arguments or the builder changed since c0ffeec0ffee",
        ),
        (SourceChanges(files=(), settings=True), "again", "shipway.yaml asks for it: again"),
        (
            SourceChanges(files=(), settings=True),
            "",
            "shipway.yaml, its arguments or the builder changed since c0ffeec0ffee",
        ),
    ],
)
def test_the_reason_is_what_changed_since_the_earlier_image(
    changes: SourceChanges | None, rebuild: str, reason: str
) -> None:
    """As exactly as it is known; three files are named at most."""
    situation = Situation(nodes=(node("web", rebuild=rebuild),), keys={"web": ABSENT}, previous={"web": previous()})
    situation.changes = {"web": changes} if changes else {}
    assert situation.image("web").reasons == (reason,)


def test_an_image_of_this_commit_without_a_key(situation: Situation) -> None:
    """Nothing changed since: the image that is there was built otherwise, or published without a key."""
    situation.keys = {"base": ABSENT, "web": ABSENT}
    situation.previous = {"base": previous(), "web": previous()}
    situation.desired = DesiredTags(commit=COMMIT)
    reason = "main is of this commit, but of other images, arguments or builder, or without a key"
    assert situation.image("base").reasons == (reason,)
    assert situation.image("web").reasons == ("parent image base is rebuilt",)


def test_reasons_are_given_together(situation: Situation) -> None:
    """What was rebuilt below it and what changed in its own files."""
    situation.keys = {"base": ABSENT, "web": ABSENT}
    situation.previous = {"base": previous(), "web": previous()}
    situation.changes = {"web": SourceChanges(files=("web/page",), settings=False)}
    assert situation.image("web").reasons == (
        "parent image base is rebuilt",
        "web/page changed since c0ffeec0ffee",
    )


@pytest.mark.parametrize(
    ("written", "labelled", "digest", "moved"),
    [
        ("debian:12", "docker.io/library/debian:12", MOVED, True),
        ("debian", "docker.io/library/debian:latest", MOVED, True),
        ("r.example/debian:12", "r.example/debian:12", MOVED, True),
        ("debian:12", "docker.io/library/debian:12", DEBIAN, False),
        ("debian:12", "docker.io/library/debian:11", MOVED, False),
        ("debian:12", "docker.io/library/debian:12", "", False),
        ("Not An Image", "Not An Image", MOVED, True),
    ],
)
def test_a_base_that_moved_is_the_reason(written: str, labelled: str, digest: str, moved: bool) -> None:
    """If the earlier image was based on the same name and another digest."""
    situation = Situation(nodes=(node("base", external=written),), keys={"base": ABSENT})
    situation.bases = {written: TagState(digest=DEBIAN)}
    situation.previous = {"base": previous(labelled, digest)}
    told = f"base {written} moved sha256:eeeeeeeeeeee… → sha256:dddddddddddd…"
    vague = "its files, its Dockerfile, its arguments or the builder changed since c0ffeec0ffee"
    assert situation.image("base").reasons == ((told if moved else vague),)


@pytest.mark.parametrize(("digest", "other"), [("sha256:older", True), (BASE, False)])
def test_another_parent_than_before_is_the_reason(situation: Situation, digest: str, other: bool) -> None:
    """It is published already, as after a revert, and the earlier image was based on another one."""
    situation.keys["web"] = ABSENT
    situation.previous = {"web": previous("r.example/base:1", digest)}
    assert (situation.image("web").reasons == ("parent image base is another one",)) is other
