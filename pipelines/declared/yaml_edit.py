"""Scalars of YAML files replaced in the text: comments, order, quotes, indentation, anchors and line ends stay.

The text changes at the scalars and nowhere else, which is proven before it is returned: the new text is read again, and
its tree must be the old one but for those scalars.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from pipelines.declared import yaml_text
from pipelines.declared.yaml_text import YamlText
from pipelines.errors import ShipwayError

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*(?:[&!]\S*$)?")
_PLAIN = re.compile(r"[A-Za-z0-9~^<=_./][A-Za-z0-9 ~^<>=*_./@+-]*(?::[A-Za-z0-9_./@+-]+)*")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"'\\]")


@dataclass(frozen=True, kw_only=True)
class YamlDocument:
    """One document of a file: its tree, with positions in the text of the whole file."""

    number: int
    root: yaml.Node = field(repr=False)
    text: str = field(repr=False)
    """Of the whole file, without the mark below."""
    mark: str = ""
    """The byte order mark that the file begins with, or nothing."""
    shared: frozenset[int] = field(default=frozenset(), repr=False)
    """Which nodes an alias names too, or are in one that an alias names."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A scalar and its new text."""

    document: int
    node: yaml.ScalarNode = field(repr=False)
    text: str


def read(data: bytes, file: str) -> tuple[YamlDocument, ...]:
    """Return every document of a file that says something.

    Raises Refused for a file that is too large, ShipwayError, with the line, for one that is not YAML in UTF-8.
    """
    mark, text = yaml_text.decoded(data, file)
    return tuple(
        YamlDocument(number=number, root=root, text=text, mark=mark, shared=_shared(root))
        for number, root in enumerate(yaml_text.roots(text, file))
        if root is not None
    )


def applied(documents: Sequence[YamlDocument], edits: Sequence[Edit], file: str) -> bytes:
    """Return a file with some scalars replaced; raises ShipwayError if one cannot be replaced alone."""
    text, mark = documents[0].text, documents[0].mark
    by_number = {document.number: document for document in documents}
    spans = sorted(((_span(by_number[edit.document], edit, file), edit) for edit in edits), key=lambda item: item[0][0])
    for (start, end), edit in reversed(spans):
        text = text[:start] + _written(text, start, end, edit, file) + text[end:]
    _prove(documents, edits, text, file)
    return (mark + text).encode()


def replaced(text: YamlText, changes: Mapping[tuple[str | int, ...], str]) -> str:
    """Return a mapping's text with the scalars under some paths changed and every other character as it was.

    Raises ShipwayError for a scalar that is not there, has an alias or is one, or is written over several lines.
    """
    document = YamlDocument(number=0, root=text.root, text=text.text, mark=text.mark, shared=_shared(text.root))
    edits: list[Edit] = []
    for path, new in changes.items():
        node = text.node(*path)
        what = f"{text.where}:{text.line(*path)}: {'.'.join(map(str, path))} cannot be changed in place"
        if not isinstance(node, yaml.ScalarNode) or node.style in {"|", ">"}:
            raise ShipwayError(what, seen="it is not there, or no plain or quoted text", todo="change it by hand")
        if id(node) in document.shared:
            raise ShipwayError(what, seen="it is an alias of another place", todo="write it out, or change it by hand")
        edits.append(Edit(document=0, node=node, text=new))
    return applied([document], edits, text.where).decode() if edits else text.mark + text.text


def differ_in_scalars(old: bytes, new: bytes, file: str) -> bool:
    """Whether two texts of a file have the same documents but for values of scalars; raises what `read` raises."""
    before, after = read(old, file), read(new, file)
    every = {id(node): None for document in before for node in _scalars(document.root)}
    return [document.number for document in before] == [document.number for document in after] and all(
        _same(one.root, two.root, every) for one, two in zip(before, after, strict=True)
    )


def _scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Give the values of a tree that are scalars, each once; keys are none."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield node
        elif isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        else:
            waiting += _children(node)


def _children(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _shared(root: yaml.Node | None) -> frozenset[int]:
    """Return the nodes that occur more than once in the tree, with all that is in them."""
    count: Counter[int] = Counter()
    waiting = [root] if root is not None else []
    twice: list[yaml.Node] = []
    while waiting:
        node = waiting.pop()
        count[id(node)] += 1
        if count[id(node)] == 1:
            waiting += _children(node)
        elif count[id(node)] == 2:
            twice.append(node)
    found: set[int] = set()
    while twice:
        node = twice.pop()
        if id(node) not in found:
            found.add(id(node))
            twice += _children(node)
    return frozenset(found)


def _span(document: YamlDocument, edit: Edit, file: str) -> tuple[int, int]:
    """Return the start and end of a scalar, without an anchor or a tag before it."""
    node = edit.node
    what = f"{file}:{node.start_mark.line + 1}: cannot be changed in its place alone"
    if id(node) in document.shared:
        raise ShipwayError(
            what, seen="an alias names it too, so that two places would change", todo="write it out twice"
        )
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in {"|", ">"} or "\n" in document.text[start:end]:
        raise ShipwayError(what, seen="the text is written over several lines", todo="write it on one line")
    properties = _PROPERTIES.match(document.text[start:end])
    return start + (properties.end() if properties else 0), end


def _written(text: str, start: int, end: int, edit: Edit, file: str) -> str:
    """Return a scalar's new text in the manner of the old one; quotes come only where YAML would read it otherwise."""
    new, old = edit.text, text[start:end]
    if not new or _UNSAFE.search(new) or not new.isprintable():
        line = text.count("\n", 0, start) + 1
        raise ShipwayError(
            f"{file}:{line}: no value can be written here", seen=repr(new[:100]), todo="change it by hand"
        )
    if old[:1] in {'"', "'"}:
        return f"{old[0]}{new}{old[0]}"
    gap = " " if start == end and text[start - 1 : start] not in {" ", "\t"} else ""
    plain = _PLAIN.fullmatch(new) and yaml_text.is_plain(new)
    is_flow = _is_flow(text, start, end)
    return gap + (new if plain and not (is_flow and ":" in new) else f'"{new}"')


def _is_flow(text: str, start: int, end: int) -> bool:
    """Whether a scalar may be between braces: what follows on its line says so, and wrongly at worst for a comment."""
    line = text[max(text.rfind(end, 0, start) for end in "\r\n") + 1 : start]
    return "{" in line or "[" in line or text[end : end + 1] in {",", "}", "]"}


def _prove(documents: Sequence[YamlDocument], edits: Sequence[Edit], text: str, file: str) -> None:
    """Raise ShipwayError unless the new text says what the old one did, but for the edited scalars."""
    new = {id(edit.node): edit.text for edit in edits}
    after = yaml_text.roots(text, file)
    if any(
        document.number >= len(after) or not _same(document.root, after[document.number], new) for document in documents
    ):
        lines = ", ".join(str(edit.node.start_mark.line + 1) for edit in edits)
        raise ShipwayError(
            f"{file} cannot be changed without a change of something else",
            seen=f"lines {lines}",
            todo="write these values on lines of their own, in quotes",
        )


def _same(old: yaml.Node, new: yaml.Node | None, edited: Mapping[int, str | None]) -> bool:
    """Whether two trees are the same but for the edited scalars, which are texts, or anything for None."""
    waiting: list[tuple[yaml.Node, yaml.Node | None]] = [(old, new)]
    seen: set[tuple[int, int]] = set()
    while waiting:
        one, other = waiting.pop()
        if other is None or type(one) is not type(other):
            return False
        if (id(one), id(other)) in seen:
            continue
        seen.add((id(one), id(other)))
        if isinstance(one, yaml.ScalarNode):
            if edited.get(id(one), "") is None:
                continue
            tag, value = (f"{yaml_text.TAG}str", edited[id(one)]) if id(one) in edited else (one.tag, one.value)
            if (other.tag, other.value) != (tag, value):
                return False
            continue
        mine, theirs = list(_children(one)), list(_children(other))
        if one.tag != other.tag or len(mine) != len(theirs):
            return False
        waiting += zip(mine, theirs, strict=True)
    return True
