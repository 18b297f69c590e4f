"""What images are called, and which one a line of a Dockerfile means."""

from __future__ import annotations

import pytest

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
