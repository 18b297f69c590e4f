"""Two repositories and one registry: the name of an image or a chart belongs to the repository that published it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.cli import plan as command
from pipelines.errors import Refused
from pipelines.images import tag_names
from pipelines.images.model import Checkout
from pipelines.images.node import BuildTarget
from pipelines.images.plan_model import RetagJob
from pipelines.images.push import NamedImage, publish
from pipelines.images.registry_state import REVISION, SOURCE
from pipelines.release import plan_commit
from pipelines.release.model import Plan, Planned
from pipelines.release.plan_commit import Destination, PlanRequest
from pipelines.release.retag import Retagged
from pipelines.step.groups import ChartSettings
from pipelines.tools.git.address import RepositoryUrl, Revision, public_address
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference, key_tag
from tests import chart_trees
from tests.git_repositories import Repository
from tests.git_server import GitServer
from tests.lying_registry import LyingRegistry, lying_registry
from tests.oci_images import image
from tests.steps import step

retag = step("retag", Retagged)

KEY = "1" * 64
CHANGES = {"PUT", "POST", "PATCH", "DELETE"}


@dataclass
class Team:
    """A repository, and what publishes its image `web` without building it."""

    repository: Repository
    url: str
    registry: LyingRegistry
    folder: Path

    @property
    def image(self) -> Reference:
        """The image, which every team calls the same."""
        return Reference(registry=self.registry.address, repository="team/web")

    @property
    def commit(self) -> str:
        """The head of main."""
        return self.repository.git("rev-parse", "main")

    def plan(self, revision: str = "main", *, shared_names: str = "") -> Plan:
        """Plan a revision."""
        address = self.registry.address
        settings = ChartSettings(registry=address, project="team", plain_http=address, shared_names=shared_names)
        url = RepositoryUrl(self.url)
        target = BuildTarget(platforms=("linux/amd64",), builder="buildkit", builder_version="0", compression="zstd")
        with Git(GitCredentials.read(self.folder / "none")) as git:
            request = PlanRequest(url=url, resolved=git.resolve(url, Revision(revision)), target=target)
            return plan_commit.plan(git, request, Destination.connect(settings, self.folder / "none"))

    def push(
        self, ref: str = "refs/heads/main", *, key: str = "", formerly: tuple[str, ...] = (), shared_names: str = ""
    ) -> NamedImage:
        """Publish the image of main's head under a ref's tags."""
        source = public_address(self.url)
        notes = {REVISION: self.commit} | ({SOURCE: source} if source else {})
        layout, descriptor = image(self.folder / f"{len(list(self.folder.iterdir()))}", self.url, annotations=notes)
        checkout = Checkout(
            repo=self.url, revision=ref, ref=ref, commit=self.commit, time=0, tree="", path="web", dockerfile="",
            target="", build_args=(), platform="linux/amd64", bases=(), formerly=formerly,
        )  # fmt: skip
        return publish(
            self.client, layout, descriptor, self.image, plan=tag_names.tag_plan(ref, self.commit), checkout=checkout,
            mounts={}, head=lambda _: self.commit, key=key, shared_names=shared_names,
        )  # fmt: skip

    @property
    def client(self) -> Registry:
        """A client that remembers nothing."""
        return Registry(Credentials(), plain_http=frozenset({self.registry.address}))

    def named(self, tag: str) -> str:
        """Return what a tag of the image names."""
        found = self.client.resolve(self.image.with_tag(tag))
        return str(found.descriptor.digest) if found else ""

    def changes(self) -> int:
        """Return how often anybody changed anything in the registry."""
        return sum(asked.method in CHANGES for asked in self.registry.asked)


@pytest.fixture
def registry() -> Iterator[LyingRegistry]:
    """A registry that says what it was asked."""
    with lying_registry() as found:
        yield found


@pytest.fixture
def teams(server: GitServer, registry: LyingRegistry, tmp_path: Path) -> tuple[Team, Team]:
    """Two repositories of a Git server, each with a folder `web` of its own content."""
    (tmp_path / "work").mkdir()
    made = []
    for name in ("first", "second"):
        repository = Repository(server.root / name)
        repository.write("web/Dockerfile", "FROM scratch\nCOPY page /\n").write("web/page", name).commit(name)
        made.append(Team(repository, f"{server.url}/{name}", registry, tmp_path / "work"))
    return made[0], made[1]


def test_another_repositorys_image_is_neither_moved_nor_released(teams: tuple[Team, Team]) -> None:
    """Its branch, a version and `latest` stay, and nothing is sent; the plan is blocked and names both."""
    first, second = teams
    first.push()
    first.repository.git("tag", "v1.0.0")
    first.push("refs/tags/v1.0.0")
    before = first.changes()
    plan = second.plan()
    [row] = plan.images
    [finding] = plan.findings
    why = f"web was published from {first.url}, not from {second.url}"
    assert (row.state, row.action, row.reasons) == ("blocked", "nothing", (why,))
    assert (finding.rule, finding.path, finding.text) == ("owner", "web/Dockerfile", why)
    assert "`formerly`" in finding.todo
    assert (plan.waves, command.exit_code(plan)) == ((), 3)
    second.repository.git("tag", "v3.0.0")
    assert [row.state for row in second.plan("refs/tags/v3.0.0").images] == ["blocked"]
    for ref in ("refs/heads/main", "refs/tags/v3.0.0", "refs/heads/new", "refs/pull/7/head", ""):
        with pytest.raises(Refused) as caught:
            second.push(ref, key=KEY)
        assert caught.value.exit_code == 3
        assert first.url in caught.value.seen
        assert second.url in caught.value.seen
    assert second.changes() == before
    assert first.plan().findings == ()
    first.push()


def test_an_image_under_a_key_is_not_adopted_from_another_repository(teams: tuple[Team, Team]) -> None:
    """The same inputs give the same key, and still the name is not theirs."""
    first, second = teams
    second.repository.write("web/page", "first").commit()
    [job] = first.plan().waves[0]
    first.push(ref="", key=job.key)
    [row] = second.plan().images
    assert (row.key, row.state, row.digest) == (job.key, "blocked", "")
    with pytest.raises(Refused, match="belongs to another repository") as caught:
        second.push(ref="", key=job.key)
    assert f"the tag {key_tag(job.key)} was published from {first.url}" in caught.value.seen


def test_retag_moves_no_tag_of_another_repository(teams: tuple[Team, Team]) -> None:
    """Nor the tags of other images of the plan."""
    first, second = teams
    digest = str(first.push().image.digest)
    job = RetagJob(name="web", digest=digest, tags=("main",), renews="", moment=0)
    free = RetagJob(name="free", digest=digest, tags=("main",), renews="", moment=0)
    address = first.registry.address
    settings = {"repo": second.url, "registry": address, "project": "team", "plain_http": address}
    before = first.changes()
    with pytest.raises(Refused, match="belongs to another repository"):
        retag(planned=Planned(commit=second.commit, ref="refs/heads/main", retag=(free, job)), **settings)
    assert first.changes() == before
    planned = Planned(commit=second.commit, ref="refs/heads/main", retag=(job,))
    retag(planned=planned, **settings, shared_names="web")
    assert first.named(f"git-{second.commit}") == digest
    adopted = Planned(commit=second.commit, ref="refs/heads/main", retag=(job,), formerly=(first.url,))
    assert retag(planned=adopted, **settings) == Retagged(images=1, tags=2)


def test_a_renamed_repository_adopts_what_it_published(teams: tuple[Team, Team]) -> None:
    """shipway.yaml lists the old address; from then on the name is the new one's, and no longer the old one's."""
    first, second = teams
    first.push()
    second.repository.write("shipway.yaml", f"formerly: [{first.url}.git]\n").commit()
    plan = second.plan()
    assert ([row.state for row in plan.images], plan.findings) == (["absent"], ())
    assert plan.formerly == (f"{first.url}.git",)
    named = second.push(formerly=plan.formerly)
    assert second.named("main") == str(named.image.digest)
    assert [row.state for row in first.plan().images] == ["blocked"]


def test_names_are_shared_on_purpose(teams: tuple[Team, Team]) -> None:
    """By name or all; a setting about other names changes nothing."""
    first, second = teams
    first.push()
    for shared in ("web", "api,web", "any"):
        assert [row.state for row in second.plan(shared_names=shared).images] == ["absent"]
    assert [row.state for row in second.plan(shared_names="api").images] == ["blocked"]
    with pytest.raises(Refused):
        second.push(shared_names="api")
    second.push(shared_names="web")
    assert "main" in first.push("refs/heads/main", shared_names="web").tags


def test_what_folders_of_a_machine_publish_is_nobodys(teams: tuple[Team, Team]) -> None:
    """They have no address: they may share a name with each other, a repository may take it, and they not its."""
    folders = [Team(team.repository, str(team.repository.path), team.registry, team.folder) for team in teams]
    for folder in (*folders, *folders):
        assert folder.plan().findings == ()
        folder.push()
    folders[0].registry.asked.clear()
    assert folders[1].plan().findings == ()
    assert folders[0].registry.count("GET|HEAD", "/v2/team/web/tags/list") == 0, "its image says what it is of"
    teams[0].push()
    for folder in folders:
        assert [row.state for row in folder.plan().images] == ["blocked"]
        with pytest.raises(Refused) as caught:
            folder.push()
        assert f"was published from {teams[0].url}, not from {folder.url}" in caught.value.seen


def test_an_image_that_says_nothing_of_its_repository_is_nobodys(teams: tuple[Team, Team]) -> None:
    """Somebody pushed it by hand; the next tag that says something counts."""
    first, second = teams
    layout, descriptor = image(first.folder / "hand", "by hand")
    by_hand = first.image.with_digest(descriptor.digest)
    first.client.push(layout, descriptor, first.image)
    first.client.tag(by_hand, "main")
    first.push()
    first.client.tag(by_hand, "dev")
    with pytest.raises(Refused, match="belongs to another repository"):
        second.push("refs/heads/dev")
    assert first.named("dev") == str(descriptor.digest)


@pytest.mark.parametrize("ref", ["refs/heads/trunk", "refs/pull/7/head", "refs/tags/v1.0.0-rc.1", ""])
def test_every_tag_of_a_name_says_whose_it_is(teams: tuple[Team, Team], ref: str) -> None:
    """Not only the usual ones: a repository may have no branch main, or publish versions alone."""
    first, second = teams
    first.push(ref)
    before = first.changes()
    for other in ("refs/heads/main", "refs/tags/v3.0.0", "refs/heads/new", ""):
        with pytest.raises(Refused, match="belongs to another repository"):
            second.push(other, key=KEY)
    assert [row.state for row in second.plan().images] == ["blocked"]
    job = RetagJob(name="web", digest=first.named(f"git-{first.commit}"), tags=("main",), renews="", moment=0)
    address = first.registry.address
    settings = {"repo": second.url, "registry": address, "project": "team", "plain_http": address}
    with pytest.raises(Refused, match="belongs to another repository"):
        retag(planned=Planned(commit=second.commit, ref="refs/heads/main", retag=(job,)), **settings)
    assert first.changes() == before


def test_a_push_by_another_tool_frees_no_name(teams: tuple[Team, Team]) -> None:
    """What it put over the usual tags says nothing; the others still do."""
    first, second = teams
    first.push()
    layout, descriptor = image(first.folder / "hand", "by hand")
    first.client.push(layout, descriptor, first.image)
    for tag in ("main", "latest", "9.0.0"):
        first.client.tag(first.image.with_digest(descriptor.digest), tag)
    assert [row.state for row in second.plan().images] == ["blocked"]
    for ref in ("refs/heads/main", "refs/heads/new", "refs/tags/v9.1.0"):
        with pytest.raises(Refused, match=f"the tag git-{first.commit} was published from {first.url}"):
            second.push(ref)
    assert "main" in first.push().tags


def test_the_highest_version_says_whose_a_name_is_before_older_ones(teams: tuple[Team, Team]) -> None:
    """Where no branch does: a name that changed hands is its last owner's."""
    first, second = teams
    first.push("refs/tags/v1.10.0-rc.9")
    second.push("refs/tags/v1.10.0-rc.10", shared_names="web")
    with pytest.raises(Refused, match=f"the tag 1.10.0-rc.10 was published from {second.url}"):
        first.push("refs/heads/new")


def test_a_publish_reads_the_tag_that_is_to_move_once_more(teams: tuple[Team, Team]) -> None:
    """It says whose the name is, so no other tag is read for that."""
    first, _ = teams
    first.push()
    first.registry.asked.clear()
    first.push()
    assert first.registry.count("GET", "/manifests/main") == 2
    assert first.registry.count("GET", "/manifests/(latest|master)") == 0


def test_a_name_that_the_registry_has_never_heard_of_costs_three_questions(teams: tuple[Team, Team]) -> None:
    """Its key, its branch, and whether there is any tag; a plan of a thousand new images asks four thousand else."""
    first, second = teams
    assert [row.state for row in first.plan().images] == ["absent"]
    assert first.registry.count("GET|HEAD", "/v2/team/web/") == 3
    first.push("refs/heads/trunk")
    assert [row.state for row in second.plan().images] == ["blocked"]


def chart(team: Team, version: str, more: str = "") -> None:
    """Commit a chart `web` of a version, with content of the team's own."""
    chart_trees.add(team.repository, "chart", name="web", version=version, more=more)
    team.repository.write("chart/values.yaml", f"text: {team.url}\n").commit()


@pytest.fixture
def charts(teams: tuple[Team, Team], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where charts are published, with version 1.0.0 of the first repository's chart `web`."""
    monkeypatch.chdir(tmp_path / "work")
    first, _ = teams
    place = f"{first.registry.address}/team/charts"
    chart(first, "1.0.0")
    chart_trees.publish(chart_trees.clone(first.repository, place, repo=first.url), place)
    return place


def test_another_repositorys_chart_is_not_released(teams: tuple[Team, Team], charts: str) -> None:
    """A version that nobody published is no way in: the highest that there is says whose name it is."""
    first, second = teams
    chart(second, "3.0.0")
    before = first.changes()
    checkout = chart_trees.clone(second.repository, charts, repo=second.url)
    assert chart_trees.states(checkout) == {"web": "broken"}
    [finding] = checkout.findings
    why = f"web was published from {first.url}, not from {second.url}"
    assert (finding.rule, finding.path, finding.line, finding.text) == ("owner", "chart/Chart.yaml", 3, why)
    with pytest.raises(Refused) as caught:
        chart_trees.publish(checkout, charts)
    assert caught.value.exit_code == 3
    assert why in caught.value.seen
    shared = chart_trees.clone(second.repository, charts, repo=second.url, shared_names="web")
    assert chart_trees.states(shared) == {"web": "absent"}
    with pytest.raises(Refused, match="belongs to another repository") as caught:
        chart_trees.publish(shared, charts)  # Whatever the checkout says, the step asks again.
    assert "the tag 1.0.0 was published from" in caught.value.seen
    assert first.changes() == before
    assert chart_trees.publish(shared, charts, shared_names="web").pushed == 1


def test_a_chart_by_another_tool_frees_no_name(teams: tuple[Team, Team], charts: str) -> None:
    """`helm push` says no repository; the next lower version does."""
    first, second = teams
    by_hand = Reference.parse(f"{charts}/web")
    layout, descriptor = image(first.folder / "hand", "by hand")
    first.client.push(layout, descriptor, by_hand)
    first.client.tag(by_hand.with_digest(descriptor.digest), "9.0.0")
    chart(second, "9.1.0")
    assert chart_trees.states(chart_trees.clone(second.repository, charts, repo=second.url)) == {"web": "broken"}


def test_the_same_chart_of_another_repository_is_not_adopted(teams: tuple[Team, Team], charts: str) -> None:
    """As an image under a key is not."""
    first, second = teams
    chart(second, "1.0.0")
    second.repository.write("chart/values.yaml", f"text: {first.url}\n").commit()
    assert chart_trees.states(chart_trees.clone(second.repository, charts, repo=second.url)) == {"web": "broken"}


def test_a_renamed_repository_adopts_its_charts(teams: tuple[Team, Team], charts: str) -> None:
    """As its images."""
    first, second = teams
    second.repository.write("shipway.yaml", f"formerly: [{first.url}]\n")
    chart(second, "1.1.0")
    checkout = chart_trees.clone(second.repository, charts, repo=second.url)
    assert chart_trees.publish(checkout, charts).pushed == 1
    chart(first, "1.2.0")
    assert chart_trees.states(chart_trees.clone(first.repository, charts, repo=first.url)) == {"web": "broken"}


@pytest.mark.usefixtures("charts")
def test_a_plan_blocks_another_repositorys_chart(teams: tuple[Team, Team]) -> None:
    """The row is blocked, and the finding names both."""
    first, second = teams
    chart(second, "3.0.0")
    plan = second.plan()
    why = f"web was published from {first.url}, not from {second.url}"
    assert [(row.state, row.reasons) for row in plan.charts] == [("blocked", (why,))]
    assert [(finding.rule, finding.text) for finding in plan.findings] == [("owner", why)]
    assert [row.state for row in second.plan(shared_names="web").charts] == ["absent"]


def test_a_chart_cannot_say_whose_it_is(teams: tuple[Team, Team], charts: str) -> None:
    """The first of its own `sources` names its upstream, also where it is published from a folder."""
    first, second = teams
    place = f"{charts}/folders"
    chart(first, "1.0.0", more="sources: [https://upstream.example/web]\n")
    chart_trees.publish(chart_trees.clone(first.repository, place), place)
    chart(second, "1.1.0")
    assert chart_trees.states(chart_trees.clone(second.repository, place, repo=second.url)) == {"web": "absent"}
