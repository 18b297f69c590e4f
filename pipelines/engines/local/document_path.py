"""A value of a YAML document with its path, so that a message can name it."""

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
        """Return the error that names this path."""
        return Refused(f"{self} cannot run on this machine", seen=why, todo=_TODO)

    def map(self, kind: str) -> DocumentPath:
        """Return this path to a map of that kind; raises Refused with the first unknown field."""
        if not isinstance(self.value, dict):
            raise self.refuse(f"a map expected, not {self.value!r:.100}")
        for name in fields.unknown(kind, frozenset(map(str, self.value))):
            raise self.at(name).refuse("the local engine does not know this field")
        return self

    def at(self, key: str) -> DocumentPath:
        """Return the path of a field; its value is None if the field is absent."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return DocumentPath(value, self.document, f"{self.path}.{key}" if self.path else key)

    def has(self, key: str) -> bool:
        """Whether a field is present and not null; Kubernetes treats null as absent."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def items(self, key: str = "") -> Iterator[DocumentPath]:
        """Yield each item of a list, or of the list in a field; nothing if it is absent."""
        items = self.at(key) if key else self
        if items.value is None:
            return
        if not isinstance(items.value, list):
            raise items.refuse(f"a list expected, not {items.value!r:.100}")
        for index, value in enumerate(items.value):
            yield DocumentPath(value, items.document, f"{items.path}[{index}]")

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
        """Return a whole number that is not negative, also one written as text; None if it is absent."""
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not str(self.value).isdecimal():
            raise self.refuse(f"a whole number expected, not {self.value!r:.100}")
        return int(self.value)
