"""Which images the values of a repository name, and what is told of those that cannot be followed."""

from __future__ import annotations

import pytest

from pipelines.declared import shipway_yaml
from pipelines.environments import image_uses
from pipelines.environments.image_uses import Values
from pipelines.tools.git.tree import File, GitTree

WEB = "registry.example/team/web"


def read(values: str, configuration: str = "deploy: {charts: commit}") -> Values:
    """Return what a repository of one chart says in its values."""
    files = {"web/Chart.yaml": "name: web\nversion: 1.0.0\n", "web/values.yaml": values}
    tree = GitTree(
        files={path: File("100644", "0") for path in files},
        contents={path: text.encode() for path, text in files.items()},
    )
    declared, findings = shipway_yaml.read(configuration.encode(), is_link=False)
    assert not findings
    return image_uses.read(tree, declared, charts=("web",), images={"web"}, registry="registry.example", project="team")


@pytest.mark.parametrize(
    "values",
    [
        f"image: {{registry: null, repository: {WEB}, tag: v1}}\n",
        "image: {registry: registry.example/, repository: team/web, tag: v1}\n",
        f"d: &d {{repository: {WEB}}}\nimage: {{<<: *d, tag: v1}}\n",
        f"image: {WEB}\nimageTag: v1\n",
    ],
)
def test_what_names_an_image_is_followed(values: str) -> None:
    """In the forms of public charts, without a word."""
    found = read(values)
    assert ({use.image for use in found.uses}, found.findings) == ({"web"}, ())


def test_an_address_that_cannot_be_followed_is_a_warning() -> None:
    """With its file and line, where deployments write to charts, and shipway.yaml names no place for it."""
    values = f"image:\n  repository: {WEB}\nversion: v1\n"
    [finding] = read(values).findings
    assert (finding.level, finding.path, finding.line) == ("warning", "web/values.yaml", 2)
    assert "name the place in `values`" in finding.todo
    assert read(values, "").findings == ()
    named = "{deploy: {charts: commit}, values: [{file: web/values.yaml, image: web, at: version}]}"
    assert read(values, named).findings == ()


@pytest.mark.parametrize(("values", "stale"), [(f"image: {WEB}\n", False), (f"image: {WEB}:v1\n", True)])
def test_what_cannot_be_written_awaits_nothing(values: str, stale: bool) -> None:
    """A release of it would have nothing to do, night after night."""
    assert image_uses.is_stale(values.encode(), "x", "registry.example/team/", {WEB: ""}) == stale
