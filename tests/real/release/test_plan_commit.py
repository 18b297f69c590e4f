"""Plans over real repositories and registries: what is to be done, why, and what is not known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from pipelines.cli import plan as command
from pipelines.errors import Misuse
from pipelines.images.plan_model import PlannedImage
from pipelines.release import plan_commit
from pipelines.release.model import Plan
from pipelines.tools.registry.reference import Reference, key_tag
from tests.lying_registry import SILENCE, errors
from tests.plan_world import DAY, NOW, OCI, PlanWorld, plan_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PlanWorld]:
    """Three images, one over the other, and one beside them."""
    with plan_world(tmp_path / "world") as found:
        yield found


def actions(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return state and action of each image."""
    return {item.name: (item.state, item.action) for item in plan.images}


def one(plan: Plan, name: str) -> PlannedImage:
    """Return one image of a plan."""
    return next(item for item in plan.images if item.name == name)


DONE, TODO = ("published", "nothing"), ("absent", "build")


def test_everything_is_built_once_in_waves(world: PlanWorld) -> None:
    """After what the plan says was done, there is nothing to do."""
    plan = world.plan()
    assert [[job.name for job in wave] for wave in plan.waves] == [["alone", "base"], ["web"], ["shop"]]
    assert plan.waves[1][0].pins[0] == f"base={key_tag(one(plan, 'base').key)}"
    assert one(plan, "alone").reasons == ("it was never published as main or latest",)
    world.build(plan)
    after = world.plan()
    assert (set(actions(after).values()), after.waves, after.to_do) == ({DONE}, (), 0)


def test_only_what_changed_and_what_stands_on_it_is_built_again(world: PlanWorld) -> None:
    """With a reason each; a file that is in no context builds nothing."""
    world.build(world.plan())
    first = world.plan().commit
    world.commit(docs__x="other")
    assert set(actions(world.plan()).values()) == {DONE}
    world.commit(web__page="2")
    plan = world.plan()
    assert actions(plan) == {"alone": DONE, "base": DONE, "web": TODO, "shop": TODO}
    assert one(plan, "shop").reasons == ("parent image web is rebuilt",)
    assert one(plan, "web").reasons == (f"web/page changed since {first[:12]}",)
    assert plan.waves[0][0].pins[0] == f"base={key_tag(one(plan, 'base').key)}"


@pytest.mark.parametrize(("old", "new"), [("caf\udce8", "caf\udce9"), ("a\rb", "a\nb")])
def test_names_are_bytes(world: PlanWorld, old: str, new: str) -> None:
    """Another name is another image, however alike the two look once they are text; every way to tell of it is open."""
    world.commit(**{f"web/{old}": "1"})
    world.build(world.plan())
    world.repository.git("mv", f"web/{old}", f"web/{new}")
    world.commit()
    plan = world.plan()
    assert actions(plan) == {"alone": DONE, "base": DONE, "web": TODO, "shop": TODO}
    assert f"web/{new}" in one(plan, "web").reasons[0]
    assert json.loads(json.dumps(asdict(plan)))["images"]


def test_a_chart_with_a_name_that_is_not_text_is_blocked(world: PlanWorld) -> None:
    """A release would refuse it, so the plan says so."""
    world.commit(**{"site/Chart.yaml": "apiVersion: v2\nname: site\nversion: 1.0.0\n", "site/caf\udce8": "x"})
    (chart,) = world.plan().charts
    assert (chart.state, chart.action) == ("blocked", "nothing")
    assert chart.reasons[0].startswith("site/caf\\xe8 has a name that is not UTF-8")


def test_the_files_that_changed_are_the_reason(world: PlanWorld) -> None:
    """Those that the builder gets, of each image since it was built itself.

    Git is asked for the commits of both builds.
    """
    said = "images:\n  web: {rebuild: then}\n  alone: {shared: [core]}\n"
    world.repository.write("shipway.yaml", said).write("core/x", "x")
    world.commit(web__Dockerfile="FROM base\nCOPY . /\n", web__ignored="1")
    world.build(world.plan())
    first = world.plan().commit[:12]
    world.commit(alone__x="y")
    world.build(world.plan())
    second = world.plan().commit[:12]
    world.repository.write("web/.dockerignore", "ignored\n").write("core/x", "y")
    for name in "abc":
        world.repository.write(f"web/{name}", "new")
    world.commit(web__ignored="2", docs__x="other")
    plan = world.plan()
    assert one(plan, "web").reasons == (f"web/.dockerignore, web/a, web/b and 1 more files changed since {first}",)
    assert one(plan, "alone").reasons == (f"core/x changed since {second}",)
    world.build(plan)
    third = world.plan().commit[:12]
    world.repository.write(
        "shipway.yaml", said.replace("then", "now").replace("}\n  alone", ", build-args: {A: b}}\n  alone")
    )
    world.commit()
    assert one(world.plan(), "web").reasons == ("shipway.yaml asks for it: now",)
    world.repository.write("shipway.yaml", said.replace("rebuild: then", "version: 1.0"))
    world.commit()
    assert one(world.plan(), "web").reasons == (f"shipway.yaml, its arguments or the builder changed since {third}",)


def test_a_file_that_a_link_leads_to_is_the_reason(world: PlanWorld) -> None:
    """Also where a Dockerfile or .dockerignore leads out of its image's folder."""
    for name, text in (("Dockerfile", "FROM scratch\nCOPY . /\n"), ("ignore", "x\n")):
        world.repository.write(f"common/{name}", text)
    world.repository.link("linked/Dockerfile", "../common/Dockerfile").link("linked/.dockerignore", "../common/ignore")
    world.commit(linked__x="1", linked__y="1")
    world.build(world.plan())
    first = world.plan().commit[:12]
    world.repository.write("common/ignore", "y\n")
    world.commit(common__Dockerfile="FROM scratch\nCOPY . /there\n", common__other="")
    assert one(world.plan(), "linked").reasons == (f"common/Dockerfile, common/ignore changed since {first}",)


def test_a_commit_that_is_gone_leaves_the_reason_vague(world: PlanWorld) -> None:
    """What an image says of itself may be a commit that the remote does not have, or none at all."""
    world.build(world.plan())
    image = Reference(registry=world.registry.address, repository="team/web").with_digest(
        one(world.plan(), "web").digest
    )
    world.commit(web__page="2")
    for revision in ("0" * 40, "--upload-pack=x", ""):
        world.client.annotate(image, "main", {f"{OCI}revision": revision})
        told = f"its files, its Dockerfile, its arguments or the builder changed since {revision[:12]}"
        assert one(world.plan(), "web").reasons == (told,)


def test_an_image_of_another_branch_is_not_called_unpublished(world: PlanWorld) -> None:
    """What main has is what a new branch is compared with."""
    world.build(world.plan())
    first = world.plan().commit[:12]
    world.repository.git("checkout", "-q", "-b", "next")
    world.commit(web__page="2")
    plan = world.plan("next")
    assert one(plan, "web").reasons == (f"web/page changed since {first}",)
    assert one(plan, "alone").reasons == ("next does not name it",)


def test_what_is_to_be_built_again_must_be_there(world: PlanWorld) -> None:
    """A typing error would look like a rebuild; a folder is as good as a name."""
    plan_commit.require_named(("web", "./web/", "web/Dockerfile", "*"), world.plan())
    with pytest.raises(Misuse, match=r"^there is no image wbe to build again\n  seen: images: alone, base, web, shop"):
        plan_commit.require_named(("web", "wbe"), world.plan())
    world.repository.write("shipway.yaml", "x")
    world.repository.commit()
    plan_commit.require_named(("wbe",), world.plan())


def test_a_base_that_moved_is_the_reason(world: PlanWorld) -> None:
    """Its digests stand in it; what does not depend on it is left alone."""
    world.build(world.plan())
    old = world.client.resolve(Reference(registry=world.registry.address, repository="public/debian", tag="12"))
    new = world.base("public/debian:12", "newer")
    plan = world.plan()
    assert actions(plan) == {"alone": DONE, "base": TODO, "web": TODO, "shop": TODO}
    assert old is not None
    name = f"{world.registry.address}/public/debian:12"
    assert one(plan, "base").reasons == (f"base {name} moved {old.descriptor.digest[:19]}… → {new[:19]}…",)


def test_a_revert_reuses_what_was_built(world: PlanWorld) -> None:
    """The first content has its key still: nothing is built, and the branch's tag goes back."""
    world.build(world.plan())
    world.commit(web__page="2")
    world.build(world.plan())
    world.built.clear()
    world.commit(web__page="1")
    plan = world.plan()
    assert actions(plan) == {
        "alone": DONE, "base": DONE, "web": ("published", "tag"), "shop": ("published", "tag"),
    }  # fmt: skip
    assert one(plan, "web").reasons == ("main does not name it",)
    world.build(plan)
    assert (world.built, world.plan().to_do) == ([], 0)


def test_what_was_built_again_stays(world: PlanWorld) -> None:
    """What is asked for is built though nothing changed, with what depends on it.

    A run that asks for nothing takes none of it back.
    """
    world.build(world.plan())
    first = {item.name: item.digest for item in world.plan().images}
    plan = world.plan(rebuild="web", now=NOW)
    assert actions(plan) == {"alone": DONE, "base": DONE, "web": TODO, "shop": TODO}
    assert (one(plan, "web").reasons, one(plan, "shop").reasons) == (
        ("it was asked for",),
        ("parent image web is rebuilt",),
    )
    world.build(plan)
    again = world.plan()
    assert again.to_do == 0
    assert {item.name for item in again.images if item.digest != first[item.name]} == {"web", "shop"}
    world.repository.git("branch", "next", "main")
    elsewhere = world.plan("next")
    assert {item.name: item.digest for item in elsewhere.images} == {item.name: item.digest for item in again.images}
    assert {item.action for item in elsewhere.images} == {"tag"}

    assert world.plan(max_age="7d", now=NOW + 7 * DAY - 1).to_do == 0
    later = world.plan(max_age="7d", now=NOW + 7 * DAY)
    assert set(actions(later).values()) == {TODO}
    assert one(later, "alone").reasons == ("it is older than 7d",)


def test_an_age_counts_from_the_last_build_of_whichever_run(world: PlanWorld) -> None:
    """What was just built is not too old, on another branch neither.

    After a night that was late, the age counts from then.
    """
    world.build(world.plan(), at=NOW)
    world.repository.git("branch", "next", "main")
    for ref in ("main", "next"):
        assert not world.plan(ref, max_age="7d", now=NOW).waves
        assert not world.plan(ref, max_age="7d", now=NOW + 7 * DAY - 1).waves
    late = NOW + 13 * DAY
    plan = world.plan(max_age="7d", now=late)
    assert plan.waves[0][0].moment == NOW + 7 * DAY
    world.build(plan, at=late + 60)
    assert world.plan(max_age="7d", now=late).to_do == 0
    assert world.plan(max_age="7d", now=late + 7 * DAY).to_do == 0
    assert world.plan(max_age="7d", now=late + 60 + 7 * DAY).to_do == 4


def test_a_record_that_is_not_there_or_not_answered(world: PlanWorld) -> None:
    """Without one an image may be of any age, so it is built, and the reason says so; without an answer nothing is."""
    world.build(world.plan())
    world.registry.lie("GET", "/tags/list", errors(503, "UNAVAILABLE", "later"))
    plan = world.plan(max_age="7d", now=NOW)
    assert {state for state, _ in actions(plan).values()} == {"unknown"}
    world.registry.honest()
    world.registry.manifests = {
        key: value for key, value in world.registry.manifests.items() if not key[1].startswith("built-")
    }
    assert one(world.plan(max_age="7d", now=NOW), "alone").reasons == ("nobody wrote down when it was last built",)
    world.build(world.plan(max_age="7d", now=NOW))
    assert world.plan(max_age="7d", now=NOW + 7 * DAY - 1).to_do == 0


def test_a_released_version_is_left_alone(world: PlanWorld) -> None:
    """Whatever the branch that it is on does, and whatever became of its bases: nothing to do, and nothing is blocked.

    Here two images are older than the tagged commit.
    """
    world.build(world.plan())
    world.commit(web__page="2")
    world.build(world.plan())
    world.repository.git("tag", "v3.0.0")
    world.build(world.plan("v3.0.0"))
    first = {item.name: item.digest for item in world.plan("v3.0.0").images}
    for now in (NOW, NOW + 8 * DAY):
        plan = world.plan("v3.0.0", max_age="7d", now=now)
        assert (plan.to_do, plan.blocked) == (0, 0), plan
    world.build(world.plan(max_age="7d", now=NOW + 8 * DAY), at=NOW + 8 * DAY)
    world.base("public/debian:12", "newer")
    world.build(world.plan())
    del world.registry.manifests["public/debian", "12"]
    plan = world.plan("v3.0.0", max_age="7d", now=NOW + 9 * DAY)
    assert (plan.to_do, plan.blocked) == (0, 0), plan
    assert {item.name: item.digest for item in plan.images} == first
    assert one(world.plan("v3.0.0", rebuild="alone", now=NOW + 9 * DAY), "alone").state == "different"


def test_a_renewal_that_was_cut_short_is_taken_up(world: PlanWorld) -> None:
    """A build that was killed before its lasting key was set is not lost: the same run sets it, and builds nothing."""
    world.build(world.plan())
    plan = world.plan(rebuild="alone", now=NOW)
    (job,) = plan.waves[0]
    world._push("team/alone", "again", {}, [key_tag(job.key)])
    assert world.plan().to_do == 0
    cut = world.plan(rebuild="alone", now=NOW)
    assert actions(cut)["alone"] == ("published", "tag")
    assert set(one(cut, "alone").tags) == {"main", key_tag(job.renews)}
    world.built.clear()
    world.build(cut)
    assert (world.built, world.plan().to_do) == ([], 0)
    assert one(world.plan(), "alone").digest == one(cut, "alone").digest


def test_a_version_is_published_once(world: PlanWorld) -> None:
    """A Git tag's version with other content is never overwritten, and the plan says so beforehand."""
    world.repository.git("tag", "v1.0.0")
    world.build(world.plan("v1.0.0"))
    assert world.plan("v1.0.0").to_do == 0
    world.commit(web__page="2")
    world.repository.git("tag", "--force", "v1.0.0")
    plan = world.plan("v1.0.0")
    assert actions(plan)["web"] == ("different", "nothing")
    assert actions(plan)["shop"] == ("blocked", "nothing")
    assert plan.blocked
    assert plan.waves == ()


def test_an_image_s_own_version_stays_with_its_first_content(world: PlanWorld) -> None:
    """It is told as a warning: the new image is built and has the branch's tag alone."""
    world.commit(**{"shipway.yaml": "images:\n  alone:\n    version: 1.0-1\n"})
    plan = world.plan()
    assert one(plan, "alone").tags == ("main", "1.0-1")
    world.build(plan)
    assert world.plan().to_do == 0
    world.commit(alone__x="other")
    plan = world.plan()
    assert actions(plan)["alone"] == TODO
    assert [str(finding).partition(";")[0] for finding in plan.findings] == [
        "shipway.yaml:3: warning: version 1.0-1 of alone is published with different content, which stays [version]"
    ]


def test_a_base_that_exists_nowhere(world: PlanWorld) -> None:
    """It is a finding with its line; what depends on it is blocked, the rest is built."""
    world.commit(web__Dockerfile="# ours\nFROM REGISTRY/public/nothing:1\n")
    plan = world.plan()
    blocked = ("blocked", "nothing")
    assert actions(plan) == {"alone": TODO, "base": TODO, "web": blocked, "shop": blocked}
    finding = next(iter(plan.findings))
    assert (finding.path, finding.line, finding.rule) == ("web/Dockerfile", 2, "base")
    assert plan.blocked


def test_a_base_that_cannot_be_read_says_what_to_do(world: PlanWorld) -> None:
    """Another name would not help where a setting is missing."""
    other = world.registry.address.replace("127.0.0.1", "localhost")
    world.commit(alone__Dockerfile=f"FROM {other}/public/debian:12\n")
    finding = next(iter(world.plan().findings))
    assert (finding.path, finding.line, finding.rule) == ("alone/Dockerfile", 1, "base")
    assert finding.todo == f"add {other} to the setting plain-http, if that is meant"


def test_no_answer_is_unknown_and_never_absent(world: PlanWorld) -> None:
    """About a base, about a key, about a tag: nothing is built on a guess, and what is known goes on."""
    world.build(world.plan())
    world.commit(web__page="2")
    unknown = ("unknown", "nothing")
    world.registry.lie("GET", "/public/debian/", errors(503, "UNAVAILABLE", "later"))
    assert actions(world.plan()) == {"alone": DONE, "base": unknown, "web": unknown, "shop": unknown}
    world.registry.honest()
    world.registry.lie("GET", "/team/web/manifests/key-", errors(503, "UNAVAILABLE", "later"))
    assert actions(world.plan()) == {"alone": DONE, "base": DONE, "web": unknown, "shop": unknown}
    world.registry.honest()
    world.registry.lie("GET", "/team/alone/manifests/main", errors(503, "UNAVAILABLE", "later"))
    plan = world.plan()
    assert actions(plan) == {"alone": unknown, "base": DONE, "web": TODO, "shop": TODO}
    assert plan.unknown
    assert "did not answer" in one(plan, "alone").reasons[0]


def test_a_registry_that_says_nothing_is_asked_once(world: PlanWorld) -> None:
    """A thousand images would wait for a thousand silences."""
    world.registry.lie("GET", "/team/|/public/", SILENCE)
    plan = world.plan()
    assert {state for state, _ in actions(plan).values()} == {"unknown"}
    assert world.registry.count("GET", "/manifests/") <= 2 * (1 + 4)  # two attempts, for what was under way at once


def test_charts_stand_in_the_same_plan(world: PlanWorld) -> None:
    """With their states, what they depend on, and the images that their values name."""
    world.commit(
        **{
            "charts/site/Chart.yaml": "apiVersion: v2\nname: site\nversion: 1.0.0\n",
            "charts/site/values.yaml": (
                "image:\n  repository: REGISTRY/team/web\n  tag: x\nother: REGISTRY/team/base:1\n"
            ),
            "charts/broken/Chart.yaml": "apiVersion: v2\nname: broken\nversion: one\n",
            "tests/x/Chart.yaml": "apiVersion: v2\nname: x\nversion: 1.0.0\n",
            "shipway.yaml": "ignore: [tests]\n",
        }
    )
    plan = world.plan()
    found = {item.name: (item.state, item.action, item.images) for item in plan.charts}
    assert found == {
        "site": ("absent", "release", ("base", "web")),
        "broken": ("blocked", "nothing", ()),
    }
    assert [(finding.path, finding.line) for finding in plan.findings] == [("charts/broken/Chart.yaml", 3)]
    world.registry.lie("GET", "/team/charts/", errors(503, "UNAVAILABLE", "later"))
    assert {item.state for item in world.plan().charts} == {"unknown"}


def test_files_that_deployments_write_are_no_part_of_an_image(world: PlanWorld) -> None:
    """Else each deployment would build the image that it deploys.

    A Dockerfile that names them gets them all the same.
    """
    chart = "apiVersion: v2\nname: site\nversion: 1.0.0\n"
    files = {
        "Dockerfile": "FROM scratch\nCOPY . /\n",
        "chart/Chart.yaml": chart,
        "chart/values.yaml": "image: REGISTRY/team/web:1\n",
    }
    world.commit(**files)
    before = world.plan()
    world.commit(**{"chart/values.yaml": "image: REGISTRY/team/web:2\n"})
    after = world.plan()
    name = before.images[-1].name
    assert next(job for wave in after.waves for job in wave if job.path == ".").exclude == (
        "chart/Chart.yaml", "chart/values.yaml",
    )  # fmt: skip
    assert one(before, "repository").key == one(after, "repository").key, name
    world.commit(Dockerfile="FROM scratch\nCOPY chart /chart\n")
    named = world.plan()
    world.commit(**{"chart/values.yaml": "image: REGISTRY/team/web:3\n"})
    assert one(world.plan(), "repository").key != one(named, "repository").key


def test_a_file_that_cannot_be_believed_keeps_everything_back(world: PlanWorld) -> None:
    """By the conventions, what it switches off would be built, and what it ignores released."""
    broken = "images:\n  alone: {build: false, bild: true}\ncharts:\n  ignore: [charts/draft]\n"
    world.repository.write("shipway.yaml", broken)
    world.repository.write("charts/draft/Chart.yaml", "apiVersion: v2\nname: draft\nversion: 0.1.0\n")
    world.repository.commit()
    plan = world.plan()
    assert (plan.images, plan.charts, plan.waves) == ((), (), ())
    assert [finding.location for finding in plan.findings] == ["shipway.yaml:2"]
    assert command.exit_code(plan) == 3


def test_the_documented_repository_of_many_applications(world: PlanWorld) -> None:
    """The documentation's example does what its text says: shared folders, versions, names, and what is off."""
    example = Path(__file__).parents[3] / "docs" / "images-repository.shipway.yaml"
    for folder in ("apps/jupyter", "apps/rstudio", "apps/retired", "apps/other", "app-init", "server"):
        world.repository.write(f"{folder}/Dockerfile", "FROM scratch\nARG APP_VERSION\nCOPY . /\n")
    for name in ("gateway", "drafts/new"):
        world.repository.write(
            f"services/{name}/Chart.yaml", f"apiVersion: v2\nname: {Path(name).name}\nversion: 1.0.0\n"
        )
    reference = f"{world.registry.address}/team/xpra-server:main"
    world.repository.write("services/gateway/ci/server.yaml", f"server:\n  image: {reference}\n")
    world.repository.write("core/init/start", "1").write("core/app/run", "1").write("core/README", "1")
    world.repository.write("shipway.yaml", example.read_text(encoding="utf-8"))
    world.repository.commit()
    world.build(plan := world.plan(now=NOW))
    ours = {"app-init", "jupyter", "other", "rstudio", "xpra-server"}
    assert {job.name for job in plan.waves[0]} - {"alone", "base"} == ours
    assert plan.findings == ()
    assert [(chart.name, chart.action) for chart in plan.charts] == [("gateway", "release")]
    assert [(follower.file, follower.image) for follower in plan.followers] == [
        ("services/gateway/ci/server.yaml", "xpra-server")
    ]
    jobs = {job.name: job for job in plan.waves[0]}
    assert (jobs["jupyter"].version, jobs["jupyter"].build_args) == ("4.2.1-2", ("APP_VERSION=4.2.1",))
    assert {name: jobs[name].shared for name in ("rstudio", "app-init", "xpra-server")} == {
        "rstudio": ("core/init", "core/app"), "app-init": ("core/init",), "xpra-server": ()
    }  # fmt: skip
    assert {name: one(world.plan(now=NOW), name).action for name in ours} == dict.fromkeys(ours, "nothing")
    for change, built in {
        "core/app/run": {"jupyter", "rstudio", "other"},
        "core/init/start": {"jupyter", "rstudio", "other", "app-init"},
        "core/README": set(),
        "server/x": {"xpra-server"},
        "services/gateway/ci/server.yaml": set(),
    }.items():
        world.repository.write(change, "2")
        world.repository.commit()
        world.build(plan := world.plan(now=NOW))
        assert {job.name for wave in plan.waves for job in wave} == built, change
    later = world.plan(now=NOW + 28 * DAY)
    assert {job.name for wave in later.waves for job in wave} == {"jupyter", "rstudio", "other"}


def test_plans_are_json(world: PlanWorld) -> None:
    """Every type of it survives."""

    assert json.loads(json.dumps(asdict(world.plan())))["waves"][0][0]["name"] == "alone"
