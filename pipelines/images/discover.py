"""Which images a tree declares: its Dockerfiles, the name of each, and what is wrong with either."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.declared import shipway_yaml
from pipelines.declared.finding import ERROR, WARNING, Finding
from pipelines.declared.shipway_yaml import DOCKERFILE, Configuration
from pipelines.images import names
from pipelines.images.names import Image

CLASH = "another image has the same name"
_MOST = 40
"""How many names or files one finding lists."""
_FEW = 3
_LIKELY = re.compile(r"(?:[Dd]ocker|[Cc]ontainer)file(?:[._-].+)?|.+\.(?:[Dd]ocker|[Cc]ontainer)file")
_ABOUT = re.compile(
    r".*[.](?:dockerignore|containerignore|md|rst|txt|html?|template|te?mpl|tpl|j2|jinja2?|erb|in|m4|mustache|orig|bak|"
    r"json|ya?ml|toml|sh|py|go|rs|js|ts|java|cs|php|rb|c|h)"
)
"""Notes, templates and programs about Dockerfiles."""


@dataclass(frozen=True, kw_only=True)
class TreeImages:
    """The images of a tree, sorted by the path of their Dockerfiles."""

    images: tuple[Image, ...]
    clashing: Mapping[str, tuple[Image, ...]]
    """Images that have the same name, by it; they are not among the others."""
    off: tuple[Image, ...]
    """Those that shipway.yaml switches off."""
    findings: tuple[Finding, ...]


def dockerfiles(paths: Iterable[str], configuration: Configuration) -> list[str]:
    """Return the files that are Dockerfiles of images."""
    likely = paths if configuration.dockerfiles else (path for path in paths if path.endswith(DOCKERFILE))
    return [path for path in likely if configuration.is_dockerfile(path)]


def discover(paths: Sequence[str], configuration: Configuration, root_name: str) -> TreeImages:
    """Return the images of a tree, whose files are `paths`, sorted; the one at the root is named `root_name`."""
    found: dict[str, list[Image]] = {}
    off: list[Image] = []
    findings: list[Finding] = []
    for path in dockerfiles(paths, configuration):
        name = names.name_of(path, configuration, root_name)
        image = Image(name=name, path=shipway_yaml.folder_of(path), dockerfile=path)
        if not configuration.image(path).build:
            off.append(image)
        elif names.is_name(name):
            found.setdefault(name, []).append(image)
        else:
            todo = f'give it a name in {shipway_yaml.NAME}, such as "{{path}}", or ignore its folder there'
            what = "the folder's name" if posixpath.basename(path) == DOCKERFILE else "the name"
            text = f"{what} {name!r} cannot name an image"
            findings.append(Finding(path=path, line=1, level=ERROR, rule="name", text=text, todo=todo))
    clashing = {name: tuple(images) for name, images in found.items() if len(images) > 1}
    return TreeImages(
        images=tuple(images[0] for images in found.values() if len(images) == 1),
        clashing=clashing,
        off=tuple(off),
        findings=(*findings, *_clashes(clashing, configuration, root_name), *_undeclared(paths, configuration)),
    )


def _clashes(
    clashing: Mapping[str, Sequence[Image]], configuration: Configuration, root_name: str
) -> Iterator[Finding]:
    """Yield one finding of all names that are taken more than once, with the rule that makes them differ."""
    if not clashing:
        return
    first, second, *more = next(iter(clashing.values()))
    images = [image for each in clashing.values() for image in each]
    if len(clashing) == 1 and not more:
        text = f"{first.dockerfile} is an image of the name {first.name}, too"
    else:
        each = [f"{name} ({', '.join(image.dockerfile for image in found)})" for name, found in clashing.items()]
        text = f"images have the same names: {_list(each, _MOST)}"
    folders = {posixpath.basename(image.path) for image in images}
    pattern = f"*/{folders.pop()}" if len(folders) == 1 else "*"
    rule = "{path}-{file}" if configuration.dockerfiles else "{path}"
    todo = (
        f'name them by their paths in {shipway_yaml.NAME}, images: {{"{pattern}": {{name: "{rule}"}}}}, or one by one'
    )
    if len({names.by_rule(rule, image.dockerfile, root_name) for image in images}) < len(images):
        todo = f'name one of them in {shipway_yaml.NAME}, images: {{"{second.dockerfile}": {{name: …}}}}'
    line = next(filter(None, (configuration.line(image.dockerfile, "name") for image in images)), 0)
    path = shipway_yaml.NAME if line else second.dockerfile
    yield Finding(path=path, line=line or 1, level=ERROR, rule="name", text=text, todo=todo)


def _undeclared(paths: Iterable[str], configuration: Configuration) -> Iterator[Finding]:
    """Yield one warning of all files that look like Dockerfiles, unless shipway.yaml says which other ones are."""
    if configuration.dockerfiles is not None:
        return
    likely = [path for path in paths if "ockerfile" in path or "ontainerfile" in path]
    bare = {path: posixpath.basename(path) for path in likely if not configuration.is_ignored(path)}
    found = [
        path
        for path, name in bare.items()
        if name != DOCKERFILE and _LIKELY.fullmatch(name) and not _ABOUT.fullmatch(name)
    ]
    if not found:
        return
    text = f"named like Dockerfiles, and no images: {_list(found, _FEW)}"
    kinds = _list(sorted({bare[path] for path in found}), _FEW)
    todo = f"list their names in {shipway_yaml.NAME}, dockerfiles: [{kinds}], or none: []"
    yield Finding(path=found[0], line=0, level=WARNING, rule="undeclared", text=text, todo=todo)


def _list(texts: Sequence[str], most: int) -> str:
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])
