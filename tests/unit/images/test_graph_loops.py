"""No deployment may be a reason for the next one."""

from __future__ import annotations

import pytest

from pipelines.declared.shipway_yaml import Configuration
from pipelines.environments import image_uses
from pipelines.images import graph as image_graph
from pipelines.tools.git.tree import File, GitTree
from tests.trees import read

VALUES = "image: {repository: registry.example/team/web, digest: ''}\n"
FILES = {
    "charts/web/Chart.yaml": "name: web\nversion: 1.0.0\n",
    "charts/web/values.yaml": VALUES,
    "charts/all/Chart.yaml": "name: all\nversion: 1.0.0\ndependencies: [{name: web, version: 1.x}]\n",
    "charts/other/Chart.yaml": "name: other\nversion: 1.0.0\n",
}


def written(files: dict[str, str]) -> tuple[str, ...]:
    """Return what deployments of a tree write."""
    tree = GitTree(
        files={path: File("100644", "0") for path in files},
        contents={path: text.encode() for path, text in files.items()},
    )
    charts = ("charts/all", "charts/other", "charts/web")
    where = {"registry": "registry.example", "project": "team"}
    return image_uses.read(tree, Configuration(), charts=charts, images={"web"}, **where).written


def test_a_moved_chart_moves_those_that_stand_on_it() -> None:
    """Charts with dependencies may move with what they stand
    on; a chart that has none and names no image never moves.
    """
    assert written(FILES) == (
        "charts/all/Chart.lock", "charts/all/Chart.yaml",
        "charts/web/Chart.lock", "charts/web/Chart.yaml", "charts/web/values.yaml",
    )  # fmt: skip
    assert written({**FILES, "charts/web/values.yaml": f"text: hello\n---\n{VALUES}"}) == written(FILES)
    assert written({**FILES, "charts/web/values.yaml": "text: hello\n"}) == ()


@pytest.mark.parametrize(
    ("dockerfile", "path", "counts"),
    [
        ("FROM scratch\nCOPY . /\n", "Dockerfile", False),
        ("FROM scratch\nCOPY charts /charts\n", "Dockerfile", True),
        ("FROM scratch\nCOPY charts/other /charts\n", "Dockerfile", False),
        ("FROM scratch\nCOPY charts/web/values.yaml /\n", "Dockerfile", True),
        ("FROM scratch\nCOPY . /\n", "apps/web/Dockerfile", False),
    ],
)
def test_an_image_that_copies_its_own_values_is_told(dockerfile: str, path: str, counts: bool) -> None:
    """`COPY . .` leaves out what deployments write; naming it would build the image for its own deployment."""
    files = {**FILES, path: dockerfile}
    found = read(files, written=written(FILES))
    image = next(iter(found.nodes))
    findings = [str(finding) for finding in image_graph.deployment_loops(found.nodes, {image}, written(FILES))]
    assert bool(findings) == counts
    assert all(finding.startswith(f"{path}: error: it names charts/") for finding in findings)
    assert list(image_graph.deployment_loops(found.nodes, {"another"}, written(FILES))) == []


def test_a_base_of_what_is_deployed_counts_too() -> None:
    """A parent that is built again builds its children again."""
    files = {
        **FILES,
        "base/Dockerfile": "FROM scratch\nCOPY charts /\n",
        "web/Dockerfile": "FROM base\n",
        "shipway.yaml": "images: {base: {shared: [charts]}}\n",
    }
    found = read(files, written=written(FILES))
    assert [finding.path for finding in image_graph.deployment_loops(found.nodes, {"web"}, written(FILES))] == [
        "base/Dockerfile"
    ]
