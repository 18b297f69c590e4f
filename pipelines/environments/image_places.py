"""Values files at new digests and tags of images: only the scalars change, every other character stays.

A place that names an image is a mapping with `repository`, to which `registry` may belong, or one text such as
`registry.example/team/web:1.2@sha256:…`. Places that say it otherwise are named by a path.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import yaml

from pipelines.declared import yaml_edit, yaml_text
from pipelines.declared.yaml_edit import Edit, YamlDocument
from pipelines.declared.yaml_text import TAG
from pipelines.errors import Refused, ShipwayError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REFERENCE = re.compile(
    r"(?P<name>[^@\s]+?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_WITHIN = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
"""An image's name in a longer text: in an argument, a template, an address of another scheme."""
_NULL = f"{TAG}null"
_PARTS = {"tag": "imageTag", "digest": "imageDigest"}
"""Keys of a mapping beside an address, each with its other name."""
ADDRESSES = ("repository", "image", "name")
"""Keys of a mapping that may hold an image's address, with its tag or digest beside it."""


@dataclass(frozen=True, kw_only=True)
class DesiredImage:
    """The digest and tags that an image is to be named by."""

    digest: str
    tag: str
    """One that names the digest and moves no more; empty where none is known."""
    also: frozenset[str] = frozenset()
    """Other such tags."""
    beside: str = ""
    """The tag beside the digest at its source, whatever that tag names now; empty if unknown."""


@dataclass(frozen=True, kw_only=True)
class At:
    """A place that shipway.yaml names: keys and numbers, from a document's root."""

    path: tuple[str, ...]
    image: str
    """The image's address."""
    where: str
    """What names it, for messages."""


@dataclass(frozen=True, kw_only=True)
class ImagePlace:
    """One place that names an image, with the scalars in it."""

    image: str
    """The image's address, `registry.example/team/web`."""
    line: int
    tag: str
    digest: str
    """As they are written; empty where they are not."""
    document: int = field(repr=False)
    whole: yaml.ScalarNode | None = field(repr=False)
    """A text that holds the whole reference."""
    parts: Mapping[str, yaml.ScalarNode] = field(repr=False)
    """The scalars `tag` and `digest` of a mapping; without them and the whole text, nothing can be written there."""
    node: yaml.Node = field(repr=False)
    """What says the address."""

    def names(self, desired: DesiredImage) -> bool:
        """Whether it names the desired image: if there is a digest, that alone decides."""
        if self.digest:
            return self.digest == desired.digest
        tag = self.parts.get("tag")
        return self.tag in desired.also and (tag is None or yaml_text.is_text(tag))


@dataclass(frozen=True, kw_only=True)
class Change:
    """One place before and after the edit."""

    file: str
    line: int
    image: str
    old_tag: str
    old_digest: str
    tag: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class ValuesText:
    """A values file: its documents, and every place in them that names an image."""

    file: str
    data: bytes = field(repr=False)
    documents: tuple[YamlDocument, ...] = field(repr=False)
    places: tuple[ImagePlace, ...]
    bare: tuple[ImagePlace, ...] = ()
    """Addresses without a tag or a digest that could be written, each once."""

    def not_written(self, images: Collection[str]) -> dict[int, str]:
        """Return, by line, what keeps the addresses of some images from being followed."""
        why = "is named without a tag or a digest that could be written"
        return {place.line: f"{place.image} {why}" for place in self.bare if place.image in images}

    def not_followed(self, images: Collection[str]) -> list[str]:
        """Return the same as lines that name the file."""
        return [f"{self.file}:{line}: {why}" for line, why in self.not_written(images).items()]

    def edited(self, desired: Mapping[str, DesiredImage]) -> tuple[bytes, tuple[Change, ...]]:
        """Return the file with the places of some images at the desired digests and tags, and what changed.

        A place whose digest is the desired one stays as it is. Raises ShipwayError, and changes nothing, where a scalar
        stands in a block or is an alias, or is in one; Refused where a tag alone names the image, and none is known
        that names the digest.
        """
        edits: list[Edit] = []
        changes: list[Change] = []
        for place in self.places:
            if place.image not in desired or place.names(desired[place.image]):
                continue
            found = list(_edits(self.file, place, desired[place.image]))
            if found:
                edits += found
                changes.append(_change(self.file, place, desired[place.image]))
        return yaml_edit.applied(self.documents, edits, self.file) if edits else self.data, tuple(changes)


def read(data: bytes, file: str, *, under: str = "", at: Sequence[At] = ()) -> ValuesText:
    """Return a values file with the places that name images under an address such as `registry.example/team/`.

    `at` are places that are named. Raises ShipwayError for what is not YAML, with its line, and for a path that leads
    nowhere or to two places; Refused for a file too large.
    """
    documents = yaml_edit.read(data, file)
    named = [_named(documents, file, item) for item in at]
    taken = {id(node) for place in named for node in (place.whole, *place.parts.values()) if node is not None}
    found: list[ImagePlace] = []
    for document in documents:
        seen: set[int] = set()
        if under:
            found += _places(document, document.root, under, seen)
    places = [p for p in found if not taken & {id(n) for n in (p.whole, *p.parts.values()) if n is not None}]
    whole = [*named, *(place for place in places if place.whole or place.parts)]
    known = {id(place.node) for place in whole} | {place.image for place in named}
    bare = {(id(p.node), p.image): p for p in found if not (p.whole or p.parts or known & {id(p.node), p.image})}
    return ValuesText(file=file, data=data, documents=documents, places=tuple(whole), bare=tuple(bare.values()))


def is_digest(text: str) -> bool:
    """Whether a text is a digest."""
    return _DIGEST.fullmatch(text) is not None


def path(text: str) -> tuple[str, ...]:
    r"""Return the keys of a dotted path; a dot that belongs to a key is written `\.`."""
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", text))


def _places(document: YamlDocument, node: yaml.Node, under: str, seen: set[int]) -> Iterator[ImagePlace]:
    if id(node) in seen:  # an alias names a place that was found already
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalar(document, item, under)
            yield from _places(document, item, under, seen)
    elif isinstance(node, yaml.MappingNode):
        keys = keys_of(node)
        own = {str(key.value): value for key, value in node.value}
        parts = _parts(keys)
        split = False
        for name in ADDRESSES if own.keys() & {*ADDRESSES, "registry", *_PARTS.values(), *_PARTS} else ():
            found = address(keys, name)
            if found.startswith(under) and ":" not in found.removeprefix(under) and "@" not in found:
                yield _mapping(document, found, keys[name], parts)
                split = split or bool(parts)
            if split:
                break
        for key, value in own.items():
            if not (split and key in {*ADDRESSES, "registry", *_PARTS.values(), *_PARTS}):
                yield from _scalar(document, value, under)
            yield from _places(document, value, under, seen)


def keys_of(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    """Return what a mapping has, and takes over by merge keys; of several equal keys the last one counts."""
    taken: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.tag == f"{TAG}merge":
            for part in reversed(value.value if isinstance(value, yaml.SequenceNode) else [value]):
                taken |= keys_of(part) if isinstance(part, yaml.MappingNode) else {}
    return taken | {str(key.value): value for key, value in node.value}


def address(keys: Mapping[str, yaml.Node], name: str) -> str:
    """Return the address that a mapping's keys make together, or an empty text."""
    rest, host = (_text(keys.get(key)).rstrip("/") for key in (name, "registry"))
    return f"{host}/{rest}" if host and rest else rest


def _parts(keys: Mapping[str, yaml.Node]) -> dict[str, yaml.ScalarNode]:
    found = {name: keys.get(name, keys.get(other)) for name, other in _PARTS.items()}
    return {name: node for name, node in found.items() if isinstance(node, yaml.ScalarNode)}


def _mapping(document: YamlDocument, image: str, node: yaml.Node, parts: Mapping[str, yaml.ScalarNode]) -> ImagePlace:
    tag, digest = (_text(parts.get(name)) for name in _PARTS)
    if "@" in tag and not digest:  # a tag that brings its digest with it
        digest = tag.partition("@")[2]
    return ImagePlace(
        image=image,
        line=node.start_mark.line + 1,
        tag=tag.partition("@")[0],
        digest=digest,
        document=document.number,
        whole=None,
        parts=parts,
        node=node,
    )


def _scalar(document: YamlDocument, node: yaml.Node, under: str) -> Iterator[ImagePlace]:
    """Give the place that one text is, where it is a reference, or those in it.

    In a name alone, and in a longer text, nothing can be written.
    """
    text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    if not isinstance(node, yaml.ScalarNode) or under not in text:
        return
    line = node.start_mark.line + 1
    place = ImagePlace(
        image="", line=line, tag="", digest="", document=document.number, whole=None, parts={}, node=node
    )
    match = _REFERENCE.fullmatch(text) if text.startswith(under) else None
    if match and ":" not in match["name"].removeprefix(under):
        tag, digest = match["tag"] or "", match["digest"] or ""
        yield replace(place, image=match["name"], tag=tag, digest=digest, whole=node if tag or digest else None)
        return
    for found in re.finditer(rf"(?<![\w.-]){re.escape(under)}{_WITHIN}(?=[:@])", text):
        above = text.count("\n", 0, found.start()) + 1 if node.style == "|" else 0
        yield replace(place, image=found[0], line=line + above)


def _named(documents: Sequence[YamlDocument], file: str, at: At) -> ImagePlace:
    """Return the place that a path leads to; raises ShipwayError where it leads to none, or to two."""
    shown = ".".join(at.path)
    found = [(document, node) for document in documents for node in _reached(document.root, at.path)]
    if not found:
        raise ShipwayError(f"{file} has no {shown}", seen=at.where, todo="correct the path, or add the key")
    if len(found) > 1:
        lines = " and ".join(str(node.start_mark.line + 1) for _, node in found)
        raise ShipwayError(
            f"{file} has {shown} twice", seen=f"lines {lines}; {at.where}", todo="name a place that is there once"
        )
    document, node = found[0]
    if isinstance(node, yaml.MappingNode) and (parts := _parts(keys_of(node))):
        return _mapping(document, at.image, node, parts)
    if not isinstance(node, yaml.ScalarNode):
        raise ShipwayError(
            f"{file}:{node.start_mark.line + 1}: {shown} is neither a text nor a mapping with a tag or a digest",
            seen=at.where,
            todo="name the text that is to follow the image",
        )
    line, text = node.start_mark.line + 1, _text(node)
    match = _REFERENCE.fullmatch(text)
    if is_digest(text) or at.path[-1] == "digest":
        parts = {"digest": node}
    elif match and ("/" in text or match["tag"] or match["digest"]):
        tag, digest = match["tag"] or "", match["digest"] or ""
        return ImagePlace(
            image=at.image, line=line, tag=tag, digest=digest, document=document.number, whole=node, parts={}, node=node
        )
    else:
        parts = {"tag": node}
    return _mapping(document, at.image, node, parts)


def _reached(node: yaml.Node, keys: tuple[str, ...]) -> Iterator[yaml.Node]:
    """Give every node that a path leads to: more than one where a mapping has a key twice."""
    if not keys:
        yield node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value) == keys[0]:
                yield from _reached(value, keys[1:])
    elif isinstance(node, yaml.SequenceNode) and keys[0].isdigit() and int(keys[0]) < len(node.value):
        yield from _reached(node.value[int(keys[0])], keys[1:])


def _edits(file: str, place: ImagePlace, desired: DesiredImage) -> Iterator[Edit]:
    if place.whole is not None:
        name = str(place.whole.value).partition("@")[0]
        name = name.removesuffix(f":{place.tag}") if place.tag else name
        tag = f":{desired.tag}" if place.tag and desired.tag else ""
        yield Edit(document=place.document, node=place.whole, text=f"{name}{tag}@{desired.digest}")
        return
    if node := place.parts.get("digest"):
        yield Edit(document=place.document, node=node, text=desired.digest)
    node = place.parts.get("tag")
    # An empty tag beside a digest was left empty on purpose: many charts would write both.
    if node is None or ("digest" in place.parts and not _text(node)):
        return
    both = "@" in _text(node)
    tag = desired.tag
    if not tag and (both or "digest" in place.parts):  # the digest is pulled, the tag beside it is for people
        tag = desired.beside or place.tag
    if not tag:
        raise Refused(
            f"{file}:{place.line}: no tag is known that names {place.image}@{desired.digest} any more",
            seen=f"tag: {_text(node)}",
            todo="write `digest:` beside the tag, for a chart that reads it, "
            "or release the commit it is from again and deploy that",
        )
    text = f"{tag}@{desired.digest}" if both else tag
    if _text(node) != text or not yaml_text.is_text(node):
        yield Edit(document=place.document, node=node, text=text)


def _change(file: str, place: ImagePlace, desired: DesiredImage) -> Change:
    return Change(
        file=file,
        line=place.line,
        image=place.image,
        old_tag=place.tag,
        old_digest=place.digest,
        tag=desired.tag,
        digest=desired.digest,
    )


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) and node.tag != _NULL else ""
