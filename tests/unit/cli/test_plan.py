"""`shipway plan`: what its words mean, and what its exit code says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.charts.model import PlannedChart
from pipelines.cli import plan as command
from pipelines.declared.finding import ERROR, Finding
from pipelines.environments.model import ImageFollower
from pipelines.errors import Misuse
from pipelines.images.plan_model import PlannedImage
from pipelines.release import mermaid
from pipelines.release.model import Plan


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("", "", "HEAD"),
        (".", ".", "HEAD"),
        (".@v1.2.0", ".", "v1.2.0"),
        ("/srv/shop.git@feature/x", "/srv/shop.git", "feature/x"),
        ("https://git.example.com/team/shop.git", "https://git.example.com/team/shop.git", "HEAD"),
        ("https://git.example.com/team/shop.git@main", "https://git.example.com/team/shop.git", "main"),
        ("https://ada@git.example.com/team/shop.git", "https://ada@git.example.com/team/shop.git", "HEAD"),
        ("https://ada@git.example.com/shop.git@main", "https://ada@git.example.com/shop.git", "main"),
        ("git@git.example.com:team/shop.git", "git@git.example.com:team/shop.git", "HEAD"),
        ("git@git.example.com:team/shop.git@feature/x", "git@git.example.com:team/shop.git", "feature/x"),
        ("ssh://git@git.example.com/team/shop", "ssh://git@git.example.com/team/shop", "HEAD"),
    ],
)
def test_an_address_may_bring_its_revision(text: str, repo: str, revision: str) -> None:
    """The @ of a user is never taken for it."""
    assert command.source(text, "HEAD") == (repo, revision)


def test_a_revision_is_given_once() -> None:
    """Two of them cannot both be meant."""
    with pytest.raises(Misuse, match="given twice"):
        command.source(".@main", "v1")


def planned(name: str, state: str, action: str, **more: tuple[str, ...]) -> PlannedImage:
    """Return an image of a plan."""
    lists = {"reasons": (), "parents": (), "externals": (), "shared": (), "tags": (), **more}
    return PlannedImage(
        name=name, path=name, state=state, action=action, key="", digest="", moment=0, dockerfile="", **lists
    )


def made(*images: PlannedImage, findings: tuple[Finding, ...] = ()) -> Plan:
    """Return a plan of some images."""
    return Plan(
        repo="r", commit="c", ref="", platform="p", builder="b", images=images, charts=(), waves=(), findings=findings
    )


DONE, BUILD = planned("a", "published", "nothing"), planned("b", "absent", "build")
STUCK, UNKNOWN = planned("c", "blocked", "nothing"), planned("d", "unknown", "nothing")


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (made(), 0),
        (made(DONE), 0),
        (made(DONE, BUILD), 10),
        (made(DONE, planned("t", "published", "tag")), 10),
        (made(DONE, BUILD, UNKNOWN), 75),
        (made(DONE, BUILD, UNKNOWN, STUCK), 3),
        (made(DONE, findings=(Finding(path="shipway.yaml", line=1, level=ERROR, rule="x", text="x"),)), 3),
        (made(DONE, findings=(Finding(path="shipway.yaml", line=1, level="warning", rule="x", text="x"),)), 0),
    ],
)
def test_the_exit_code_tells_what_it_comes_to(plan: Plan, code: int) -> None:
    """What keeps the whole from being done goes first; a warning keeps nothing."""
    assert command.exit_code(plan) == code


def test_what_is_said_of_many_places_is_printed_a_few_times() -> None:
    """A repository of charts has hundreds of dependencies on one host."""
    hosts = [
        Finding(path=f"{n}/Chart.yaml", line=n, level=ERROR, rule="dependency", text="not allowed") for n in range(9)
    ]
    other = Finding(path="z/Chart.yaml", line=1, level=ERROR, rule="dependency", text="another")
    assert list(command.finding_lines([*hosts, other])) == [
        *map(str, hosts[:3]),
        "… and 6 more places: not allowed [dependency]",
        str(other),
    ]


def test_the_graph_shows_what_stands_on_what() -> None:
    """Names are quoted, so none can be read as Mermaid's own."""
    web = planned("web", "absent", "build", parents=("base",), externals=('a"b',), shared=("core",))
    lines = mermaid.flowchart(made(planned("base", "published", "nothing"), web)).splitlines()
    assert lines[:7] == [
        "flowchart LR",
        '  n0("base")',
        '  n1("web<br/>build"):::todo',
        "  n0 --> n1",
        '  n2[("a#quot;b")]:::outside',
        "  n2 --> n1",
        '  n3[["core/"]]:::outside',
    ]


def test_the_graph_shows_the_values_that_follow_an_image() -> None:
    """A values file beside a chart's own stands between the image and the chart that it lies in."""
    chart = PlannedChart(
        name="gateway",
        version="1.0.0",
        path="charts/gateway",
        state="published",
        action="nothing",
        reasons=(),
        digest="",
        parents=(),
        images=(),
    )
    files = ("charts/gateway/ci/x.yaml", "production.yaml")
    plan = replace(made(DONE), charts=(chart,), followers=tuple(ImageFollower(file=file, image="a") for file in files))
    assert mermaid.flowchart(plan).splitlines()[1:8] == [
        '  n0("a")',
        '  n1[/"gateway 1.0.0"/]',
        '  n2>"charts/gateway/ci/x.yaml"]:::outside',
        "  n2 -.-> n1",
        "  n0 -.-> n2",
        '  n3>"production.yaml"]:::outside',
        "  n0 -.-> n3",
    ]
