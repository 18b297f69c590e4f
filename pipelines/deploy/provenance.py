"""The provenance of published images and charts, as their annotations say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.deploy.status import is_commit
from pipelines.errors import Misuse
from pipelines.images.registry_state import REVISION, SOURCE
from pipelines.tools.forge.forge import Forge
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Reference


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The commit that an image was built from; empty if its annotations do not say."""

    commit: str = ""
    repo: str = ""
    forge: Forge | None = None
    """The repository's forge, for links."""


def read(client: Registry, image: Reference) -> tuple[str, RepositoryUrl | None]:
    """Return the commit and repository of an image or a chart; empty or None if unknown. Raises Transient.

    Whoever pushed it wrote both; what is not of their form is unknown.
    """
    manifest = client.resolve(image)
    annotations = manifest.annotations if manifest else {}
    try:
        source = RepositoryUrl(annotations.get(SOURCE, ""))
    except Misuse:
        source = None
    commit = annotations.get(REVISION, "")
    return commit if is_commit(commit) else "", source


def by_digest(
    client: Registry, images: Mapping[str, str], forge: Callable[[RepositoryUrl], Forge | None]
) -> dict[str, Provenance]:
    """Return the provenance of images by digest; `images` maps digests to addresses. Raises Transient."""
    provenance: dict[str, Provenance] = {}
    for digest, address in images.items():
        try:
            image = Reference.parse(f"{address}@{digest}")
        except Misuse:  # an invalid digest that somebody wrote by hand
            continue
        commit, source = read(client, image)
        provenance[digest] = Provenance(commit=commit, repo=str(source or ""), forge=forge(source) if source else None)
    return provenance
