"""Why an image is built, in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipelines.declared import shipway_yaml
from pipelines.errors import ShipwayError
from pipelines.model.plan import BUILD, PlannedImage
from pipelines.plan.key import Ingredients
from pipelines.plan.node import Node
from pipelines.plan.observed import Changes, Observed, Previous
from pipelines.tools.registry.reference import Reference

_NAMED_FILES = 3
"""Of those that changed."""


def why(
    node: Node,
    made: Ingredients,
    planned: Mapping[str, PlannedImage],
    observed: Observed,
    changes: Changes | None,
) -> tuple[str, ...]:
    """Return why an image is built, as far as what was published before tells."""
    previous = observed.previous.get(node.name)
    if previous is None:
        return (f"it was never published as {' or '.join(observed.candidates)}",)
    found = [f"parent image {name} is rebuilt" for name in node.parent_names if planned[name].action == BUILD]
    found += _moved(made.images, previous)
    found += [
        f"parent image {edge.name} is another one"
        for edge in node.parents
        if edge.written == previous.base_name and planned[edge.name].digest not in {"", previous.base_digest}
    ]
    since = f"changed since {previous.revision[:12]}"
    if changes and changes.files:
        more = len(changes.files) - _NAMED_FILES
        shown = ", ".join(changes.files[:_NAMED_FILES])
        found.append(f"{shown} and {more} more files {since}" if more > 0 else f"{shown} {since}")
    if changes and changes.settings and "rebuild" in made.salt:
        found.append(f"{shipway_yaml.NAME} asks for it: {made.salt['rebuild']}")
    what = "its files, its Dockerfile" if changes is None else "what it copies from other images"
    what = shipway_yaml.NAME if changes and changes.settings else what
    return tuple(found) or (f"{what}, its arguments or the builder {since}",)


def _moved(images: Mapping[str, str], previous: Previous) -> Iterable[str]:
    for name, digest in images.items():
        if previous.base_digest and previous.base_digest != digest and previous.base_name == _full(name):
            yield f"base {name} moved {previous.base_digest[:19]}… → {digest[:19]}…"


def _full(name: str) -> str:
    """Return the reference that an image's labels give for what a Dockerfile writes."""
    try:
        reference = Reference.parse(name)
    except ShipwayError:
        return name
    return str(reference if reference.tag or reference.digest else reference.with_tag("latest"))
