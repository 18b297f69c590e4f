"""YAML as everything here reads it: safely, in bounds, and with the place of everything in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipelines import bounds
from pipelines.bounds import DEEPEST, LONGEST_NUMBER
from pipelines.errors import Refused, ShipwayError

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads what people write for programs that read YAML 1.1; the C parser where PyYAML has it."""
TAG = "tag:yaml.org,2002:"
"""What the names of YAML's own types begin with."""
_MOST_NODES = 100_000
_NUMBERS = frozenset({f"{TAG}int", f"{TAG}float", f"{TAG}timestamp"})


class _NumberForm:
    """A form of numbers, between whose digits Go's YAML takes any underscores out."""

    def __init__(self, form: str) -> None:
        self._form = re.compile(rf"[-+]?(?:{form})")

    def match(self, text: str) -> re.Match[str] | None:
        return self._form.fullmatch(text.replace("_", ""))


class KubernetesLoader(LOADER):  # type: ignore[misc]
    """Reads scalars as Helm, kubectl and Argo do (sigs.k8s.io/yaml, which is go.yaml.in/yaml/v2 and JSON).

    It knows no times, no numbers to the base of sixty, no `=`, while `y` is true and `7e10` a number.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012 - PyYAML's own attribute
    bool_values = {**LOADER.bool_values, "y": True, "n": False}  # noqa: RUF012 - PyYAML's own attribute

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """Return an integer, to whichever base it is written."""
        text = node.value.replace("_", "").lower()
        return int(text, 8 if text.lstrip("+-")[1:2].isdigit() and text.lstrip("+-")[0] == "0" else 0)


KubernetesLoader.add_constructor(f"{TAG}int", KubernetesLoader.whole_number)
for _kind, _form, _first in (
    ("bool", re.compile(r"(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$"), "yYtToO"),
    ("bool", re.compile(r"(?:n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$"), "nNfFoO"),
    ("int", _NumberForm(r"0[bB][01]+|0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0|[1-9][0-9]*"), "-+0123456789"),
    ("float", _NumberForm(r"(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), "-+0123456789."),
    ("float", re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"), "-+."),
    ("merge", re.compile(r"<<$"), "<"),
    ("null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
):  # fmt: skip
    KubernetesLoader.add_implicit_resolver(TAG + _kind, _form, list(_first))


def is_text(node: yaml.Node | None) -> bool:
    """Whether a scalar is a text for everybody who reads it: by its quotes, by its tag, or as it stands."""
    if not isinstance(node, yaml.ScalarNode) or node.tag != f"{TAG}str":
        return False
    return bool(node.style) or is_plain(node.value) or not _is_plain(node.value, LOADER)


def is_plain(text: str) -> bool:
    """Whether Helm, kubectl and Argo, and readers of YAML 1.1 read a text without quotes as this very text."""
    return _is_plain(text, LOADER) and _is_plain(text, KubernetesLoader)


def _is_plain(text: str, kind: Any) -> bool:
    try:
        return bool(load(text, "it", kind) == text)
    except ShipwayError:
        return False


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
        if not isinstance(node, yaml.ScalarNode) or node.tag == f"{TAG}null":
            return ""
        return str(node.value)

    def is_text(self, *path: str | int) -> bool:
        """Whether a scalar is a text for everybody, not a number or a truth value for some."""
        return is_text(self.node(*path))


def decoded(data: bytes, where: str) -> tuple[str, str]:
    """Return a file's byte order mark, or nothing, and its text; raises Refused, or ShipwayError if it is not UTF-8."""
    text = bounds.text_of(data, where)
    return ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)


@contextlib.contextmanager
def _parser(text: str, where: str, kind: Any = LOADER) -> Iterator[Any]:
    """Give a loader for a text; what it raises becomes a ShipwayError with the line, Refused beyond the bounds."""
    try:
        _check_depth(text, where, kind)
        loader = kind(text)
        try:
            yield loader
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        place = f"{where}:{at.line + 1}" if at else where
        raise ShipwayError(
            f"{place}: not YAML", seen=str(error.problem or error)[:200], todo="correct that line"
        ) from error
    except _UNREADABLE as error:
        raise ShipwayError(f"{where}: not YAML", seen=str(error)[:200], todo="correct it") from error


_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError)
"""What PyYAML raises for a text: more than YAMLError, where a tag such as `!!bool` stands before another text."""


def _check_depth(text: str, where: str, kind: Any) -> None:
    """Refuse deep nesting by the flat stream of events: a tree of it, libyaml makes by recursion, until it crashes."""
    depth = 0
    for event in yaml.parse(text, Loader=kind):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise Refused(
                    f"{where}:{line}: nested too deeply",
                    seen=f"more than {DEEPEST} mappings and lists inside each other",
                    todo="make it flatter",
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def read(data: bytes, where: str) -> YamlText:
    """Return a mapping's text with its tree; raises Refused beyond the bounds, ShipwayError if it is not YAML."""
    mark, text = decoded(data, where)
    root, value = document(text, where, most_nodes=_MOST_NODES)
    if not isinstance(root, yaml.MappingNode) or not isinstance(value, dict):
        raise ShipwayError(f"{where} is not a mapping", seen=type(value).__name__, todo="write `key: value` lines")
    return YamlText(where=where, text=text, value=value, root=root, mark=mark)


def document(text: str, where: str, kind: Any = LOADER, *, most_nodes: int = 0) -> tuple[yaml.Node | None, Any]:
    """Return the tree and the value of the one document of a text, None and None if it is empty; raises as `read` does.

    `kind` is one of the two loaders. Without `most_nodes`, a text has as many values as it has signs, and no more.
    """
    with _parser(text, where, kind) as loader:
        root = loader.get_single_node()
        _bound(root, where, most_nodes or max(_MOST_NODES, len(text)))
        return root, loader.construct_document(root) if root is not None else None


def roots(text: str, where: str) -> list[yaml.Node | None]:
    """Return the tree of every document of a text, None for an empty one; raises as `read` does."""
    found: list[yaml.Node | None] = []
    with _parser(text, where) as loader:
        while loader.check_node():
            found.append(loader.get_node())
            _bound(found[-1], where, _MOST_NODES)
    return found


def load(text: str, where: str, kind: Any = LOADER) -> Any:
    """Return what the one document of a text says, None if it is empty; raises as `read` does."""
    return document(text, where, kind)[1]


def load_all(text: str, where: str, kind: Any = LOADER) -> Iterator[Any]:
    """Give what each document of a text says; raises as `read` does."""
    with _parser(text, where, kind) as loader:
        while loader.check_node():
            root = loader.get_node()
            _bound(root, where, max(_MOST_NODES, len(text)))
            yield loader.construct_document(root)


def says_something(data: bytes) -> bool:
    """Whether a file has more than blank lines and comments."""
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in data.splitlines())


def _bound(root: yaml.Node | None, where: str, most_nodes: int) -> None:
    """Refuse a document that aliases make large beyond reason, and numbers without end, before anything walks it."""
    nodes = [root]
    for node in nodes:  # level by level: the list grows as it is read
        if len(nodes) > most_nodes:
            raise Refused(f"{where} has too many values", seen="aliases of aliases", todo="write it out, without them")
        if isinstance(node, yaml.MappingNode):
            nodes += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif node is not None and node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise Refused(
                f"{where}:{node.start_mark.line + 1}: a number without end",
                seen=f"{len(node.value)} characters",
                todo="put it in quotes, if it is a text",
            )
