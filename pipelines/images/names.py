"""The names of images: which images a tree declares, and which of them a line of a Dockerfile means.

By convention each file named Dockerfile is an image with the name of its folder. `FROM name` and
`FROM registry/project/name[:tag]`, with the deployment's own registry and project, mean the image of that name in the
same repository; `name:tag` without a registry never does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.declared import order
from pipelines.declared.shipway_yaml import Configuration
from pipelines.errors import Misuse
from pipelines.images.dockerfile import ExternalImage

_CONVENTIONS = Configuration()
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


def discover(paths: Iterable[str], *, root_name: str, configuration: Configuration = _CONVENTIONS) -> tuple[Image, ...]:
    """Return the images of a tree, sorted by name, without those that shipway.yaml excludes; `paths` are its files.

    The image at the root is called `root_name`. Raises Misuse if a folder's name cannot name an image, or if two
    folders declare one name.
    """
    found: dict[str, Image] = {}
    for text in sorted(paths):
        path = PurePosixPath(text)
        if path.name != "Dockerfile":
            continue
        folder = path.parent
        settings = configuration.image(str(folder))
        if configuration.is_ignored(str(folder)) or not settings.build:
            continue
        name = settings.name or folder.name or root_name
        if not _NAME.fullmatch(name):
            raise Misuse(
                f"the folder of {text} cannot name an image",
                seen=repr(name),
                todo="use lower-case letters, digits and . _ - between them",
            )
        if name in found:
            raise Misuse(
                f"two images are named {name}",
                seen=f"{found[name].dockerfile} and {text}",
                todo="rename one of the folders",
            )
        found[name] = Image(name=name, path=str(folder), dockerfile=text)
    return tuple(sorted(found.values()))


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


def waves(parents: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the names in waves, each sorted: a wave depends on the waves before it alone.

    `parents` maps every image to the siblings that it depends on. Raises Refused with the chain of a circle.
    """
    return order.waves(parents, what="images depend on each other in a circle", todo="take one of the FROM lines out")
