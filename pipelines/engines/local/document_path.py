"""A value of a YAML document together with where it stands, so that whatever is wrong can be named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.engines.local import fields
from pipelines.errors import Refused

_TODO = "run it on a cluster, or leave the field out; pipelines/engines/local/fields.py lists what runs here"


@dataclass(frozen=True)
class DocumentPath:
    """A value, the name of its document and its path in it."""

    value: Any
    document: str
    path: str

    def __str__(self) -> str:
        """Return the form that messages use."""
        return f"{self.document}: {self.path}"

    def refuse(self, why: str) -> Refused:
        """Return the error that names this place."""
        return Refused(f"{self} cannot run on this machine", seen=why, todo=_TODO)

    def map(self, kind: str) -> DocumentPath:
        """Return this place, a map whose fields are all known for that kind; raises Refused naming the first that is not."""
        if not isinstance(self.value, dict):
            raise self.refuse(f"a map expected, not {self.value!r:.100}")
        for name in fields.unknown(kind, frozenset(map(str, self.value))):
            raise self.at(name).refuse("the local engine does not know this field")
        return self

    def at(self, key: str) -> DocumentPath:
        """Return a field's place; its value is None when it is absent."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return DocumentPath(value, self.document, f"{self.path}.{key}" if self.path else key)

    def has(self, key: str) -> bool:
        """Whether a field is there and not null, which Kubernetes takes for absent."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def items(self, key: str = "") -> Iterator[DocumentPath]:
        """Give each item of a list, or of the list in a field; none when it is absent."""
        place = self.at(key) if key else self
        if place.value is None:
            return
        if not isinstance(place.value, list):
            raise place.refuse(f"a list expected, not {place.value!r:.100}")
        for index, value in enumerate(place.value):
            yield DocumentPath(value, place.document, f"{place.path}[{index}]")

    def tagged(self) -> str:
        """Return a text that may hold `{{…}}`; numbers and booleans become text as Argo's AnyString does."""
        match self.value:
            case str():
                return self.value
            case bool():
                return "true" if self.value else "false"
            case int():
                return str(self.value)
            case float():
                return str(int(self.value)) if self.value.is_integer() else repr(self.value)
            case _:
                raise self.refuse(f"a text expected, not {self.value!r:.100}")

    def text(self, default: str | None = None) -> str:
        """Return a text without `{{`, for fields that no parameter may choose."""
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, str):
            raise self.refuse(f"a text expected, not {self.value!r:.100}")
        if "{{" in self.value:
            raise self.refuse("a parameter may not choose this")
        return self.value

    def boolean(self, *, default: bool) -> bool:
        """Return a yes or no."""
        if self.value is None:
            return default
        if not isinstance(self.value, bool):
            raise self.refuse(f"true or false expected, not {self.value!r:.100}")
        return self.value

    def integer(self) -> int | None:
        """Return a whole number that is not negative, written as one or as text; None when it is absent."""
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not str(self.value).isdecimal():
            raise self.refuse(f"a whole number expected, not {self.value!r:.100}")
        return int(self.value)
