"""What images are called, and which one a line of a Dockerfile means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.declared import shipway_yaml
from pipelines.images import names as image_names
from pipelines.images.dockerfile import ExternalImage
from pipelines.images.names import Image

IMAGES = [
    Image(name=name, path=path, dockerfile=f"{path}/Dockerfile")
    for name, path in [("base", "base"), ("shop", "."), ("web", "apps/web"), ("python", "python")]
]


@pytest.mark.parametrize(
    ("dockerfile", "rule", "name"),
    [
        ("apps/web/Dockerfile", "", "web"),
        ("apps/web/Containerfile", "", "web"),
        ("apps/web/Dockerfile.prod", "", "web-prod"),
        ("apps/web/Dockerfile-prod", "", "web-prod"),
        ("apps/web/prod.dockerfile", "", "web-prod"),
        ("apps/web/prod.Dockerfile", "", "web-prod"),
        ("apps/web/image.txt", "", "web-image"),
        ("Dockerfile", "", "shop"),
        ("Dockerfile.prod", "", "shop-prod"),
        ("Web/Dockerfile", "", "Web"),
        ("apps/web/Dockerfile", "other", "other"),
        ("22/bookworm/Dockerfile", "{path}", "22-bookworm"),
        ("22/bookworm-slim/Dockerfile", "node-{path}", "node-22-bookworm-slim"),
        ("images/3.13/alpine3.21/Dockerfile", "{parent}-{folder}", "3.13-alpine3.21"),
        ("Dockerfile", "{path}", "shop"),
        ("Dockerfile", "{parent}.{folder}", "shop"),
        ("Apps/My Web__ü/Dockerfile", "{path}", "apps-my-web"),
        ("docker/lint.dockerfile", "{file}", "lint"),
        ("docker/Dockerfile", "{path}-{file}", "docker"),
        ("docker/Dockerfile.prod", "{path}-{file}", "docker-prod"),
    ],
)
def test_a_name_comes_from_the_path(dockerfile: str, rule: str, name: str) -> None:
    """By convention from the folder and the file, or as a rule of shipway.yaml says."""
    text = f"images: {{'*': {{name: '{rule}'}}}}" if rule else ""
    configuration, findings = shipway_yaml.read(text.encode())
    assert findings == ()
    assert image_names.name_of(dockerfile, configuration, "shop") == name


@pytest.mark.parametrize("rule", ["{path", "{}", "{other}", "{path.parts}", "{path!r}", "{{path}}", "a/{path}", "{0}"])
def test_what_is_no_rule(rule: str) -> None:
    """Four words stand for parts of a path, and nothing else does."""
    assert shipway_yaml.read(f"images: {{'*': {{name: '{rule}'}}}}".encode())[1]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("base", "base"),
        ("base:1", None),
        ("reg:5000/team/base", "base"),
        ("reg:5000/team/base:1", "base"),
        ("reg:5000/team/base@sha256:" + "0" * 64, "base"),
        ("reg:5000/other/base", None),
        ("team/base", None),
        ("debian", None),
        ("web", None),
    ],
)
def test_forms_that_mean_a_sibling(name: str, meant: str | None) -> None:
    """The bare name and the full name mean the sibling; a tag without a registry, and an image's own name, do not."""
    found = image_names.sibling(name, IMAGES, registry="reg:5000", project="team", user="web")
    assert (found.name if found else None) == meant


def test_a_name_that_shadows_a_public_image_is_reported() -> None:
    """FROM python in a repository with a folder python is told, with its line."""
    [told] = image_names.shadowed(IMAGES[2], [ExternalImage(name="python", line=3, instruction="FROM")], IMAGES)
    assert "apps/web/Dockerfile:3" in told
    assert "docker.io/library/python" in told


@pytest.mark.parametrize(
    ("name", "title"),
    [("web", "web"), ("web_app.x", "web-app.x"), ("team/web", "team-web"), ("a", "image-a"), ("x" * 70, "x" * 63)],
)
def test_a_node_is_shown_by_its_image(name: str, title: str) -> None:
    """As far as Argo shows names."""
    assert image_names.title(name) == title


@given(st.one_of(st.text(), st.text("aZ0-._/", max_size=80)))
def test_argo_takes_the_title_of_any_image(name: str) -> None:
    """A node with another display name would fail (argo-workflows: operator.go, displayNameRegex)."""
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9-.]{0,61}[a-zA-Z0-9]", image_names.title(name))
