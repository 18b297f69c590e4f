"""Where published images and charts come from, as their annotations say, and the pages that show it."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.errors import Misuse
from pipelines.images.tagging import REVISION
from pipelines.plan.deploy_message import Origin
from pipelines.steps.proposing import Proposing
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Reference

_SOURCE = "org.opencontainers.image.source"


def read(client: Registry, image: Reference) -> tuple[str, RepositoryUrl | None]:
    """Return commit and repository of an image or a chart; empty, or None, where nobody says. Raises Transient."""
    manifest = client.resolve(image)
    notes = (manifest.json.get("annotations") or {}) if manifest else {}
    try:
        source = RepositoryUrl(str(notes.get(_SOURCE, "")))
    except Misuse:
        source = None
    return str(notes.get(REVISION, "")), source


def of(client: Registry, images: Mapping[str, str], proposing: Proposing) -> dict[str, Origin]:
    """Return where images come from, by digest; `images` are addresses by digest. Raises Transient."""
    found: dict[str, Origin] = {}
    for digest, address in images.items():
        try:
            image = Reference.parse(f"{address}@{digest}")
        except Misuse:  # what somebody wrote there by hand
            continue
        commit, source = read(client, image)
        found[digest] = Origin(commit=commit, repo=str(source or ""), links=proposing.known(source) if source else None)
    return found
