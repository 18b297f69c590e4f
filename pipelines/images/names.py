"""The names of images: what an image is called, and which one a line of a Dockerfile means.

By convention an image has the name of its folder, see `name_of`. `FROM name` and
`FROM registry/project/name[:tag]`, with the deployment's own registry and project, mean the image of that name in the
same repository; `name:tag` without a registry never does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipelines.images.dockerfile import ExternalImage

if TYPE_CHECKING:  # it loads a reader of YAML, which no build needs
    from pipelines.declared.shipway_yaml import Configuration

_ILLEGAL = re.compile(r"[^a-z0-9._]+|[._]{2,}")
_HYPHENS = re.compile(r"[._-]*-[._-]*")
_LONGEST_TITLE = 63
_KIND = re.compile(r"(?:docker|container)file")
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")

PUBLIC = frozenset(
    "almalinux alpine amazonlinux archlinux bash busybox caddy cassandra clojure composer consul debian docker drupal"
    " eclipse-temurin elasticsearch elixir erlang fedora gcc ghost golang gradle groovy haproxy haskell httpd influxdb"
    " java jenkins jruby julia kibana kong logstash mariadb maven memcached mongo mysql nats neo4j nextcloud nginx node"
    " openjdk oraclelinux perl php postgres python pypy rabbitmq r-base redis registry rockylinux ros ruby rust scratch"
    " solr sonarqube swift telegraf tomcat traefik ubuntu varnish vault wordpress zookeeper".split()
)
"""Names under docker.io/library that people write without a registry; an image of that name may surprise them."""


@dataclass(frozen=True, kw_only=True, order=True)
class Image:
    """One image that the tree declares."""

    name: str
    path: str
    """Its folder, relative to the root; `.` for the root itself."""
    dockerfile: str


def name_of(dockerfile: str, configuration: Configuration, root_name: str) -> str:
    """Return the name of a Dockerfile's image, which may be none that an image can have.

    It is what shipway.yaml says, else the folder's name, `root_name` for the root; a Dockerfile of another name adds
    what it is called beside that: `web/Dockerfile.prod` is web-prod.
    """
    rule = configuration.image(dockerfile).name
    if "{" in rule:
        return by_rule(rule, dockerfile, root_name)
    folder, file = PurePosixPath(dockerfile).parent.name or root_name, _file(dockerfile)
    return rule or f"{folder}-{file}".removesuffix("-")


def of_platform(name: str, platform: str) -> str:
    """Return the name of one platform's part of an image that has several: `web linux/arm64`."""
    return f"{name} {platform}"


def published_as(name: str) -> str:
    """Return the name that an image, or one platform's part of it, has in the registry."""
    return name.partition(" ")[0]


def platform_of(name: str) -> str:
    """Return the platform of a part of an image; empty for an image as a whole."""
    return name.partition(" ")[2]


def title(name: str) -> str:
    """Return what Argo shows the node of an image as: 2 to 63 letters, digits, dots and hyphens.

    A node of any other display name would fail (argo-workflows: workflow/controller/operator.go, displayNameRegex).
    """
    legal = re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:_LONGEST_TITLE].strip("-.")
    return legal if len(legal) > 1 else f"image-{legal or 'x'}"


def by_rule(rule: str, dockerfile: str, root_name: str) -> str:
    """Return the name that a rule makes of a Dockerfile's path.

    {path}, {folder}, {parent} and {file} stand for parts of it; whatever cannot be in a name becomes a hyphen.
    """
    path = PurePosixPath(dockerfile).parent
    text = rule.format(
        path=path if path.name else root_name,
        folder=path.name or root_name,
        parent=path.parent.name,
        file=_file(dockerfile),
    )
    return _HYPHENS.sub("-", _ILLEGAL.sub("-", text.lower())).strip("._-")


def _file(dockerfile: str) -> str:
    """Return what a Dockerfile is called beside that it is one: `prod` for Dockerfile.prod and prod.dockerfile."""
    name = PurePosixPath(dockerfile.lower()).name
    return _KIND.sub("", name).strip("._-") if _KIND.search(name) else PurePosixPath(name).stem


def is_name(name: str) -> bool:
    """Whether an image can have this name: lower-case letters, digits, and single signs between them."""
    return _NAME.fullmatch(name) is not None


def bare_name(name: str, *, registry: str, project: str) -> str:
    """Return the name that an image of the same repository would need for a Dockerfile's `name` to mean it."""
    own = "/".join(filter(None, (registry, project))) + "/"
    if not registry or not name.startswith(own):
        return name
    rest = name.removeprefix(own).partition("@")[0]
    return rest.rpartition(":")[0] or rest


def sibling(name: str, images: Sequence[Image], *, registry: str, project: str, user: str = "") -> Image | None:
    """Return the image of the same repository that a Dockerfile's `name` means, or None for one from outside.

    An image's own name, `user`, is never itself: `FROM nginx` in a folder nginx means the public image.
    """
    bare = bare_name(name, registry=registry, project=project)
    return next((image for image in images if image.name == bare and image.name != user), None)


def shadowed(user: Image, externals: Iterable[ExternalImage], images: Sequence[Image]) -> tuple[str, ...]:
    """Return a warning for each name that means a sibling here and a well-known public image elsewhere."""
    named = {image.name: image for image in images}
    return tuple(
        f"{user.dockerfile}:{external.line}: {external.name} is this repository's image in {named[external.name].path},"
        f" not the public image docker.io/library/{external.name}"
        for external in externals
        if external.name in named and external.name in PUBLIC and external.name != user.name
    )
