"""YAML read with the place of everything in it, and changed without touching anything else.

Only Chart.yaml, Chart.lock and their like are read so: small files whose layout and comments belong to people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipelines.errors import Refused, ShipwayError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LARGEST = 1 << 20
_MOST_NODES = 100_000
_PLAIN = re.compile(r"[A-Za-z0-9~^<>=.+*/_-]?[A-Za-z0-9 ~^<>=.+*/_:-]*")


@dataclass(frozen=True, kw_only=True)
class YamlText:
    """A document: its text, its value, and its tree with positions."""

    where: str
    text: str = field(repr=False)
    value: Any = field(repr=False)
    root: yaml.Node = field(repr=False)
    mark: str = ""
    """The byte order mark that the file begins with, or nothing."""

    def node(self, *path: str | int) -> yaml.Node | None:
        """Return what stands under a path of keys and indexes, or None."""
        node: yaml.Node | None = self.root
        for step in path:
            if isinstance(node, yaml.MappingNode):
                # The last of several equal keys is the one that counts.
                node = next((value for key, value in reversed(node.value) if key.value == step), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            else:
                return None
        return node

    def line(self, *path: str | int) -> int:
        """Return the line, from 1, of what stands under a path, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            node = self.node(*path[:length])
            if node is not None and length:
                return int(node.start_mark.line) + 1
        return 1

    def key_line(self, *path: str | int) -> int:
        """Return the line, from 1, of the key that a path ends with, or of what stands around it."""
        parent = self.node(*path[:-1])
        if isinstance(parent, yaml.MappingNode):
            for key, _ in reversed(parent.value):
                if key.value == path[-1]:
                    return int(key.start_mark.line) + 1
        return self.line(*path)

    def scalar(self, *path: str | int) -> str:
        """Return a scalar as it is written, without its quotes: 1.10 stays 1.10; an empty text where there is none."""
        node = self.node(*path)
        if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
            return ""
        return str(node.value)

    def is_text(self, *path: str | int) -> bool:
        """Whether a scalar is a string for YAML, not a number or a truth value that only looks like one."""
        node = self.node(*path)
        return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str"

    def replaced(self, changes: Mapping[tuple[str | int, ...], str]) -> str:
        """Return the text with some scalars changed and every other character as it was.

        Raises ShipwayError for a scalar that is not there, is an alias of another, or is written in a block.
        """
        spans = sorted(((*self._span(path), path, new) for path, new in changes.items()), reverse=True)
        text = self.text
        for start, end, path, new in spans:
            old = text[start:end]
            text = text[:start] + self._written(old, new, path) + text[end:]
        return self.mark + text

    def _span(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        """Return where the scalar stands, without an anchor or a tag before it."""
        node, parent = self.node(*path), self.node(*path[:-1])
        what = f"{self.where}:{self.line(*path)}: {'.'.join(map(str, path))} cannot be changed in place"
        if not isinstance(node, yaml.ScalarNode) or node.style in {"|", ">"} or parent is None:
            raise ShipwayError(what, seen="it is not there, or no plain or quoted text", todo="change it by hand")
        start, end = node.start_mark.index, node.end_mark.index
        if not parent.start_mark.index <= start < parent.end_mark.index or self._follows_alias(node, path):
            raise ShipwayError(what, seen="it is an alias of another place", todo="write it out, or change it by hand")
        raw = self.text[start:end]
        match = re.match(r"(?:[&!]\S*\s+)+", raw)
        return start + (match.end() if match else 0), end

    def _follows_alias(self, node: yaml.Node, path: tuple[str | int, ...]) -> bool:
        parent = self.node(*path[:-1])
        if isinstance(parent, yaml.MappingNode):
            key = next((key for key, value in reversed(parent.value) if value is node), None)
            same = [key for key, value in parent.value if value is node]
            return len(same) > 1 or key is None or key.start_mark.index > node.start_mark.index
        return False

    def _written(self, old: str, new: str, path: tuple[str | int, ...]) -> str:
        if old[:1] in {'"', "'"}:
            if old[0] in new or "\\" in new:
                raise ShipwayError(f"{self.where}: {path} cannot hold {new!r}", todo="change it by hand")
            return f"{old[0]}{new}{old[0]}"
        plain = yaml.load(new, Loader=_LOADER) if _PLAIN.fullmatch(new) else None  # noqa: S506 - a safe loader
        return new if isinstance(plain, str) and plain == new else f'"{new}"'


def read(data: bytes, where: str) -> YamlText:
    """Return a mapping's text with its tree; raises Refused for what is too large, ShipwayError for what is no YAML."""
    if len(data) > _LARGEST:
        raise Refused(f"{where} is too large", seen=f"{len(data)} bytes", todo=f"keep it below {_LARGEST} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ShipwayError(f"{where} is not UTF-8 text", seen=str(error)[:200], todo="save it as UTF-8") from None
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    try:
        loader = _LOADER(text)
        try:
            root = loader.get_single_node()
            bound(root, where)
            value = loader.construct_document(root) if root is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        place = f"{where}:{at.line + 1}" if at else where
        raise ShipwayError(
            f"{place}: not YAML", seen=str(error.problem or error)[:200], todo="correct that line"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ShipwayError(f"{where}: not YAML", seen=str(error)[:200], todo="correct it") from error
    if not isinstance(root, yaml.MappingNode) or not isinstance(value, dict):
        raise ShipwayError(f"{where} is no mapping", seen=type(value).__name__, todo="write `key: value` lines")
    return YamlText(where=where, text=text, value=value, root=root, mark=mark)


def says_something(data: bytes) -> bool:
    """Whether a file has more than blank lines and comments."""
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in data.splitlines())


def bound(root: yaml.Node | None, where: str) -> None:
    """Refuse a document that its aliases make large beyond reason, before anything walks through it."""
    count, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        count += 1
        if count > _MOST_NODES:
            raise Refused(f"{where} has too many values", seen="aliases of aliases", todo="write it out, without them")
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
