"""Masks what is secret in an object of Kubernetes, by its structure: that of the object, and of the texts in it.

A text is read as JSON, YAML or XML, and each value in it is masked by its own name; `unreadable` masks the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import yaml

from pipelines.declared.yaml_text import roots
from pipelines.errors import ShipwayError
from pipelines.impact import unreadable
from pipelines.impact.markup import Text, elements
from pipelines.impact.secret_names import (
    BASE64,
    HARMLESS,
    LOGIN,
    describes,
    has_secret_word,
    is_secret,
    known_forms,
    takes_secrets,
)

_BEGIN, _END = "\ue000", "\ue001"
"""Around the hash of a masked value until it is shown: private characters, which no chart has a use for."""
_MARK = re.compile("\ue000[0-9a-f]{8}\ue001")
MASKED = re.compile(r"\(secret [0-9a-f]{8}\)")
"""A masked value as it is shown."""
_LABELS = ("name", "key", "variable", "field", "property", "parameter", "option", "setting", "id", "path")
_VALUES = frozenset({"value", "values", "val", "default", "content", "text", "string"})
_REFERENCE = frozenset(
    "name namespace key optional items defaultMode secretName kind apiVersion group property version path".split()
)
_EXAMPLES = frozenset({"default", "example", "examples", "enum", "const"})
_COMMANDS = frozenset({"args", "command", "cmd", "entrypoint"})
_KEY = re.compile(r"(?<![A-Za-z])key[\"']?\s*:", re.IGNORECASE)
"""May be the key of what is above it: `encryption: {key: …}`."""
_COMMENT = re.compile(r"#[^\n]*")
_WHOLE = re.compile(r"kind[\"']?\s*:\s*[\"']?Secret\b|<!ENTITY")
"""Of a text that cannot be read: it may hold secrets under any name."""
_SPLIT = re.compile(r"([\w.-]{1,80})\\\n[ \t]*([\w.-]{0,80})(?=\s*[=:])")
"""A name that goes on in the next line."""
_LETTER = re.compile(r"\\u00(3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|2[dDeE]|5[fF])")
"""A letter, a digit or a sign of a name, as properties may write it."""
_SHORTEST_BASE64 = 20
_SHORT = 200
_MOST_KNOWN = 1 << 14
_DEEPEST = 8
"""Texts inside texts that are read; the time grows with their number."""
_LONG = 200
"""Characters of Base64 that does not encode text and may hold anything."""


class Masker:
    """Masks under one key: equal values have equal hashes, and nobody without the key can try values."""

    def __init__(self, key: bytes, depth: int = 0) -> None:
        """Hash values with `key`; `depth` is how many texts those that it reads are in."""
        self._key = key
        self._depth = depth
        # Most texts of objects are short, and stand in many of them.
        self._short = lru_cache(maxsize=_MOST_KNOWN)(self._text)
        self._short_known = lru_cache(maxsize=_MOST_KNOWN)(self._known)

    @cached_property
    def _inner(self) -> Masker:
        """For texts in texts."""
        return Masker(self._key, self._depth + 1)

    def object(self, value: Any) -> Any:
        """Return a copy of an object in which marks stand for what is secret."""
        return self._walk(value)

    def message(self, text: str) -> str:
        """Return a message of a program as it may be shown: values after a name of a secret and `:` or `=` masked."""
        return shown(self._lines(self._known(text), prose=False))[0]

    def _walk(self, value: Any, name: str = "", *, secret: bool = False, kind: str = "") -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, name, secret=secret, kind=kind)
        if isinstance(value, list):
            return self._list(value, name, secret=secret, kind=kind)
        if secret or not isinstance(value, str):
            found = self._hidden(value) if secret else value
        elif len(value) > _SHORT:
            found = self._text(value)
        else:
            found = self._short(str(value), is_image=name == "image")
        if isinstance(value, Text):
            value.masked = value.masked if _MARK.fullmatch(value.masked) else str(found)
        return found

    def _mapping(self, value: Mapping[Any, Any], parent: str, *, secret: bool, kind: str) -> dict[Any, Any]:
        kind = str(value.get("kind") or kind).lower()
        # The items of a SecretList need not say what they are.
        kind = {"secretlist": "secret"}.get(kind, kind)
        fields = {str(key).lower(): key for key in value}
        labels = (value[fields[label]] for label in _LABELS if label in fields)
        named = any(isinstance(label, str) and is_secret(label) for label in labels) and "operator" not in fields
        target = value.get("target")
        patches_secret = isinstance(target, Mapping) and str(target.get("kind")).lower() == "secret"
        is_reference = describes(parent) or _is_reference(value)
        secret = secret and not is_reference
        found = {}
        for key, item in value.items():
            name = str(key)
            if name == "openAPIV3Schema":
                found[key] = self._schema(item)
            elif (kind == "secret" and name in {"data", "stringData"}) or name in {"stringData", "binaryData"}:
                found[key] = self._everything(item)
            else:
                hidden = is_secret(name) and not (name == "secretKey" and "remoteRef" in value)
                hidden = hidden or (name.lower() == "key" and not is_reference and is_secret(f"{parent}Key"))
                hidden = hidden or (patches_secret and name == "patch")
                hidden = hidden or (secret and not describes(name)) or (named and name.lower() in _VALUES)
                # What is below `auth` has names of its own, unless they are those of hosts.
                inherited = hidden and (
                    not isinstance(item, Mapping | list)
                    or not name.lower().endswith("auth")
                    or (isinstance(item, Mapping) and all("." in str(host) for host in item))
                )
                below = kind if name in {"items"} else ""
                if name == "args" and isinstance(item, list) and isinstance(value.get("command"), list):
                    # The words of one command.
                    both = self._list([*value["command"], *item], name, secret=inherited, kind=below)
                    found[key] = both[len(value["command"]) :]
                    continue
                found[self._walk(key)] = self._walk(item, name, secret=inherited, kind=below)
        return found

    def _everything(self, value: Any) -> Any:
        """Return a value with each field of it masked, whatever its name."""
        if isinstance(value, Mapping):
            return {name: self._everything(item) for name, item in value.items()}
        return [self._everything(item) for item in value] if isinstance(value, list) else self._walk(value, secret=True)

    def _list(self, value: list[Any], name: str, *, secret: bool, kind: str) -> list[Any]:
        found: list[Any] = []
        command = not name or name.lower() in _COMMANDS
        positional = command and all(isinstance(item, str) for item in value) and takes_secrets(value)
        client = command and bool(value) and re.search(r"redis-cli|ldap|openssl", str(value[0])) is not None
        before = ""
        for item in value:
            if not isinstance(item, str):
                found.append(self._walk(item, secret=secret, kind=kind))
                before = ""
                continue
            # Of `--password VALUE` the value is the next word.
            is_name = re.fullmatch(r"--?[\w.-]+|[\w.-]+=?" if command else r"--?[\w.-]+", before) is not None
            follows = is_name and is_secret(before)
            follows = follows or (positional and before != "" and not item.startswith(("-", "/")))
            if follows or (client and before in {"-a", "-w", "-k", "-K"}):
                found.append(self._walk(item, secret=True))
            elif re.fullmatch(r"-[pPuU]|--(?:proxy-)?user|--from-literal", before):
                found.append(
                    self._walk(item, secret=secret) if secret else self._known(f"{before} {item}")[len(before) + 1 :]
                )
            else:
                found.append(self._walk(item, name, secret=secret))
            before = item
        return found

    def _schema(self, value: Any, *, secret: bool = False) -> Any:
        """Return a schema, whose names are those of fields, not of values, but for its defaults and examples."""
        if isinstance(value, Mapping):
            return {
                key: self._walk(item, str(key), secret=secret)
                if key in _EXAMPLES and not (isinstance(item, Mapping) and "type" in item)
                else self._schema(item, secret=is_secret(str(key)))
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._schema(item) for item in value]
        return self._short_known(value) if isinstance(value, str) else value

    def _text(self, text: str, *, is_image: bool = False) -> str:
        """Return a text in which marks stand for what is secret."""
        text = self._known(_SPLIT.sub(_joined, text) if "\\\n" in text else text)
        if not (has_secret_word(text) or _KEY.search(text)) or (is_image and re.fullmatch(r"[\w./:@-]+", text)):
            return text
        if self._depth == _DEEPEST:
            return str(self._hidden(text))
        found = self._structure(text)
        if found is None:
            return str(self._hidden(text)) if _WHOLE.search(text) else self._lines(text)
        return found

    def _known(self, text: str) -> str:
        """Return a text without what is secret by its form."""
        text = LOGIN.sub(self._login, text) if "//" in text else text
        for pattern in known_forms(text):
            text = pattern.sub(lambda match: match[1] + self._hidden(match[2]), text)
        if len(text) < _SHORTEST_BASE64:
            return text
        if (
            "\n" in text
            and " " not in text
            and BASE64.fullmatch(whole := "".join(text.split()))
            and self._encoded(whole) != whole
        ):
            return str(self._hidden(text))
        return BASE64.sub(lambda match: self._encoded(match[0]), text)

    def _login(self, match: re.Match[str]) -> str:
        is_user = ":" not in match[0] and (match[0] == "git" or match.string.endswith("ssh://", 0, match.start()))
        return str(match[0] if is_user else self._hidden(match[0]))

    def _encoded(self, text: str) -> str:
        """Return Base64, or a mark for it if it holds a secret, or is long and cannot be read."""
        if re.fullmatch(r"[a-z/]+", text):
            return text
        try:
            if re.fullmatch(r"[0-9a-fA-F]+", text):
                data = bytes.fromhex(text)
            else:
                data = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
        except (binascii.Error, ValueError):
            return text
        try:
            is_secret_inside = self._text(inside := data.replace(b"\0", b"").decode()) != inside
        except UnicodeDecodeError:
            is_secret_inside = len(text) >= _LONG or data.startswith(b"\x1f\x8b")
        return str(self._hidden(text)) if is_secret_inside else text

    def _structure(self, text: str) -> str | None:
        """Return a text of JSON, YAML or XML with marks in it, or None if it is none of them."""
        head = text.lstrip()[:1]
        if head == "<":
            return elements(text, self._inner._walk)
        if ":" not in text and head not in {"[", "-"}:
            return None
        try:
            trees = roots(text.replace("\t", " ") if head in {"{", "["} else text, "a text")
        except ShipwayError:
            return None
        leaves: dict[tuple[int, int], Text] = {}
        try:
            values = [_value(tree, leaves) for tree in trees if tree is not None]
            if not values or not all(isinstance(value, dict | list) for value in values):
                return None
            for value in values:
                self._inner._walk(value)
        except (ValueError, RecursionError):
            return None
        parts, end = [], 0
        for leaf in sorted(leaves.values(), key=lambda item: (item.start, item.end)):
            parts += [self._comments(text[end : leaf.start]), leaf.written(text)]
            end = leaf.end
        return "".join([*parts, self._comments(text[end:])])

    def _comments(self, text: str) -> str:
        return _COMMENT.sub(lambda match: self._lines(match[0]), text) if "#" in text else text

    def _lines(self, text: str, *, prose: bool = True) -> str:
        text = _LETTER.sub(lambda match: chr(int(match[1], 16)), text) if "\\u00" in text else text
        return unreadable.mask(text, self._hidden, self._structure, prose=prose)

    def _hidden(self, value: Any) -> Any:
        """Return a mark for a value; what can be no secret stays: nothing, a truth value, a reference to a variable."""
        if value is None or isinstance(value, bool) or value == "":
            return value
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        if HARMLESS.fullmatch(text) or _MARK.fullmatch(text):
            return value
        return f"{_BEGIN}{hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:8]}{_END}"


def shown(text: str) -> tuple[str, int]:
    """Return a text with its marks as people read them, and how many there are."""
    return text.replace(_BEGIN, "(secret ").replace(_END, ")"), text.count(_BEGIN)


def _joined(split: re.Match[str]) -> str:
    """Return the name of a secret that goes on in the next line in one piece; others as they are."""
    return split[1] + split[2] if is_secret(split[1] + split[2]) else split[0]


def _is_reference(value: Mapping[Any, Any]) -> bool:
    return ("name" in value or "secretName" in value) and _REFERENCE.issuperset(value)


def _value(node: yaml.Node, leaves: dict[tuple[int, int], Text]) -> Any:
    """Return what a tree says, of texts that know their place; raises ValueError for a key that is twice or no text."""
    if isinstance(node, yaml.ScalarNode):
        place = (node.start_mark.index, node.end_mark.index)
        return leaves.setdefault(place, Text(node.value, *place, style=node.style or ""))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, leaves) for item in node.value]
    found: dict[str, Any] = {}
    for key, item in node.value:
        name = _value(key, leaves)
        if not isinstance(name, str) or name in found:
            raise ValueError("a key")
        found[name] = _value(item, leaves)
    return found
