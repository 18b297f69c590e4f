"""What a rollback left behind: the file `held.yaml` beside an application's values.

It says in the tree, where people see it and where no squashed merge loses it, what deployments do not bring back by
themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from pipelines.declared import yaml_text
from pipelines.errors import ShipwayError

NAME = "held.yaml"
_HEAD = "# Left by a rollback: deployments do not bring these back. Take a line out to allow it again.\n"
_MOST = 20
"""Older ones are forgotten: others replaced them long ago."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Digests of images, and versions of charts as NAME@VERSION, oldest first."""

    images: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()

    def with_more(self, images: Iterable[str], charts: Iterable[str]) -> Held:
        """Return the same with more at the end, each once."""
        return Held(
            images=tuple(dict.fromkeys((*self.images, *images)))[-_MOST:],
            charts=tuple(dict.fromkeys((*self.charts, *charts)))[-_MOST:],
        )

    def without(self, images: Iterable[str], charts: Iterable[str]) -> Held:
        """Return the same without what somebody asked for again."""
        gone = {*images, *charts}
        return Held(
            images=tuple(item for item in self.images if item not in gone),
            charts=tuple(item for item in self.charts if item not in gone),
        )

    def text(self) -> bytes:
        """Return the file's content."""
        value = {"images": list(self.images), "charts": list(self.charts)}
        return (_HEAD + yaml.safe_dump(value, sort_keys=False)).encode()


def read(data: bytes | None, file: str) -> Held:
    """Return what a file says, nothing if there is none or it is empty; raises ShipwayError for any other content."""
    if data is None or not yaml_text.says_something(data):
        return Held()
    value: Any = yaml_text.read(data, file).value
    lists = [value.get(name) or [] for name in ("images", "charts")]
    if value.keys() - {"images", "charts"} or not all(
        isinstance(items, list) and all(isinstance(item, str) for item in items) for items in lists
    ):
        seen = f"it has {', '.join(map(str, value)) or 'nothing'}"
        raise ShipwayError(
            f"{file} is not a list of images and charts", seen=seen, todo="write `images: []` and `charts: []`"
        )
    return Held(images=tuple(lists[0]), charts=tuple(lists[1]))
