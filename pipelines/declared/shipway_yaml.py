"""shipway.yaml: what a repository says beyond its tree. Optional, and so is everything in it.

The JSON Schema in `pipelines/schemas` is published for editors and is the one judge of the file; what is read here has
been judged, so nothing is checked twice.
"""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any

import yaml

from pipelines.declared import yaml_schema, yaml_text
from pipelines.declared.finding import Finding
from pipelines.declared.yaml_text import TAG, YamlText
from pipelines.errors import ShipwayError

NAME = "shipway.yaml"
DOCKERFILE = "Dockerfile"
"""The name of a file that is an image without a word in shipway.yaml."""
_WILD = frozenset("*?[")
_IGNORE_FILES = (".dockerignore", ".containerignore")
_NAMES_A_FILE = re.compile(r"(?i)(?:docker|container)file[^/]*$")
_UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}
_COMPUTED = (f"{TAG}bool", f"{TAG}int", f"{TAG}float")
"""Scalars that are not taken as they are written, as a date is, which is a fine text for `rebuild`."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """What the file says of one image; everything has the convention's value."""

    name: str = ""
    """Empty: by convention. {path}, {folder}, {parent} and {file} stand for parts of the Dockerfile's path."""
    build: bool = True
    version: str = ""
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    rebuild: str = ""
    max_age: str = ""
    platforms: tuple[str, ...] = ()
    """Empty: those of all images."""


@dataclass(frozen=True, kw_only=True)
class ValuesFile:
    """A place in a values file that follows an image."""

    file: str
    image: str
    at: str = "image"
    line: int = 0


COMMIT = "commit"
PULL_REQUEST = "pull-request"
"""Ways of a deployment: onto the branch itself, or proposed to people."""


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """What follows the images of a branch's head, each by COMMIT or PULL_REQUEST."""

    branch: str = ""
    """Empty: the default branch."""
    charts: str = ""
    """Empty: the repository's own charts stay as they are."""
    environments: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything follows."""
        return bool(self.charts or self.environments)

    def follows(self, ref: str) -> bool:
        """Whether a run of a full ref may be one that deploys; where no branch is named, Git knows the default one."""
        return bool(self) and ref.startswith("refs/heads/") and ref == f"refs/heads/{self.branch or ref[11:]}"


@dataclass(frozen=True, kw_only=True)
class ImageEntry:
    """One key of `images`: a folder, a Dockerfile or a pattern, what it says, and where."""

    pattern: str
    line: int
    settings: Mapping[str, Any]
    lines: Mapping[str, int]
    """The line of each thing it says."""

    def fits(self, dockerfile: str) -> bool:
        """Whether it applies to the image of a Dockerfile: it names the folder, or a pattern of files the file."""
        paths = (folder_of(dockerfile), *((dockerfile,) if _NAMES_A_FILE.search(self.pattern) else ()))
        return any(fnmatch.fnmatchcase(path, self.pattern) for path in paths)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A whole shipway.yaml, or the conventions where there is none."""

    ignore: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    """Of all images that say nothing else; empty: as the deployment's settings say."""
    entries: tuple[ImageEntry, ...] = ()
    dockerfiles: tuple[str, ...] | None = None
    """Patterns of further Dockerfiles; None where the file says nothing of them."""
    dockerfile_lines: tuple[int, ...] = ()
    chart_ignore: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    values: tuple[ValuesFile, ...] = ()
    deploy: Deploy = field(default_factory=Deploy)
    formerly: tuple[str, ...] = ()
    """Earlier addresses of the repository: what was published from there is its own."""
    ignored_lines: tuple[int, ...] = ()
    """Those of `ignore` and `chart_ignore`, one after the other."""

    @property
    def no_charts(self) -> tuple[str, ...]:
        """Patterns of folders whose charts count for nothing."""
        return (*self.ignore, *self.chart_ignore)

    def is_dockerfile(self, path: str) -> bool:
        """Whether a file is the Dockerfile of an image."""
        name = posixpath.basename(path)
        return (name == DOCKERFILE or self._lists(path, name)) and not self.is_ignored(path)

    def _lists(self, path: str, name: str) -> bool:
        return any(_matches(pattern, path, name) for pattern in self.dockerfiles or ())

    def lists_nothing(self, paths: Sequence[str]) -> list[tuple[int, str]]:
        """Return the patterns of Dockerfiles that name none of some files, each with its line."""
        named = [(path, posixpath.basename(path)) for path in paths]
        lines = zip(self.dockerfile_lines, self.dockerfiles or (), strict=True)
        return [(line, one) for line, one in lines if not any(_matches(one, path, name) for path, name in named)]

    def is_ignored(self, path: str) -> bool:
        """Whether a Dockerfile counts for nothing, as those in hidden folders do that no entry names."""
        folder = folder_of(path)
        hidden = any(part.startswith(".") for part in folder.split("/") if part != ".")
        named = hidden and any("/." in f"/{entry.pattern}" for entry in self.entries_of(path))
        return (hidden and not named) or _is_ignored(folder, self.ignore)

    def image(self, dockerfile: str) -> ImageSettings:
        """Return what the file says of the image of a Dockerfile; later entries win, build arguments add up."""
        found = ImageSettings(platforms=self.platforms)
        for entry in self.entries_of(dockerfile):
            arguments = {**found.build_args, **entry.settings.get("build_args", {})}
            found = replace(found, **{**entry.settings, "build_args": arguments})
        return found

    def entries_of(self, dockerfile: str) -> list[ImageEntry]:
        """Return the entries about the image of a Dockerfile, in the file's order."""
        literal, patterns = self._entries
        numbers = [number for path in (folder_of(dockerfile), dockerfile) for number in literal.get(path, ())]
        numbers += [number for number in patterns if self.entries[number].fits(dockerfile)]
        return [self.entries[number] for number in sorted(numbers)]

    @cached_property
    def _entries(self) -> tuple[dict[str, list[int]], list[int]]:
        """The numbers of the entries that name one folder or file, by it, and of those that are patterns.

        A file with an entry for each of many images is asked about each of them.
        """
        literal: dict[str, list[int]] = {}
        patterns: list[int] = []
        for number, entry in enumerate(self.entries):
            (patterns if _WILD & {*entry.pattern} else literal.setdefault(entry.pattern, [])).append(number)
        return literal, patterns

    def line(self, dockerfile: str, what: str) -> int:
        """Return the line that says something of an image, 0 where none does."""
        lines = [entry.lines[what] for entry in self.entries_of(dockerfile) if what in entry.lines]
        return lines[-1] if lines else 0


def _matches(pattern: str, path: str, name: str) -> bool:
    """Whether a pattern of Dockerfiles names a file: by its path if it has a slash, else by its name."""
    return not name.endswith(_IGNORE_FILES) and fnmatch.fnmatchcase(path if "/" in pattern else name, pattern)


def folder_of(dockerfile: str) -> str:
    """Return the folder of a Dockerfile, `.` for the root."""
    return posixpath.dirname(dockerfile) or "."


def seconds(age: str) -> int:
    """Return the seconds of a `max-age`, 0 for an empty one."""
    return int(age[:-1]) * _UNITS[age[-1]] if age else 0


def read(data: bytes, *, is_link: bool = False) -> tuple[Configuration, tuple[Finding, ...]]:
    """Return what a file says, and what is wrong with it; where anything is, the conventions are returned.

    One that `is_link` says nothing, whatever it leads to.
    """
    if is_link:
        return Configuration(), (yaml_schema.finding(NAME, 0, "it is a link", "commit the file itself", rule=NAME),)
    try:
        text = yaml_text.read(data, NAME) if yaml_text.says_something(data) else None
    except ShipwayError as error:
        return Configuration(), (yaml_schema.unreadable(NAME, error, rule=NAME),)
    if text is None or not text.value:
        return Configuration(), ()
    repeated = yaml_schema.repeated(NAME, text.root, rule=NAME)
    findings = tuple(sorted({*repeated, *yaml_schema.violations(text, _plain(text.root), schema(), rule=NAME)}))
    return (Configuration(), findings) if findings else (_configuration(text), ())


def require(data: bytes, *, is_link: bool = False) -> Configuration:
    """Return what a file says; raises ShipwayError with the first line that it must not say."""
    found, findings = read(data, is_link=is_link)
    for finding in findings:
        raise finding.error(data)
    return found


def inputs(settings: ImageSettings, build_args: Sequence[str] = ()) -> dict[str, str]:
    """Return what the file says of an image as inputs of clone-build-push; `build_args` win over the file's."""
    arguments = {**settings.build_args, **dict(argument.partition("=")[::2] for argument in build_args)}
    lists = {
        "build-args": [f"{name}={value}" for name, value in arguments.items()],
        "secret-ids": list(settings.secrets),
        "shared": list(settings.shared),
    }
    found = {"target": settings.target, "version": settings.version, "version-tag": settings.version}
    found |= {name: json.dumps(items) for name, items in lists.items() if items}
    return {name: text for name, text in found.items() if text}


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of the file."""
    path = resources.files("pipelines") / "schemas" / "shipway.schema.json"
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _configuration(text: YamlText) -> Configuration:
    value = _plain(text.root)
    charts = value.get("charts") or {}
    deploy = value.get("deploy") or {}
    return Configuration(
        ignore=_folders(value.get("ignore", ())),
        platforms=tuple(value.get("platforms", ())),
        entries=tuple(_entry(text, str(key)) for key in value.get("images") or {}),
        dockerfiles=tuple(value["dockerfiles"]) if "dockerfiles" in value else None,
        dockerfile_lines=tuple(text.line("dockerfiles", n) for n in range(len(value.get("dockerfiles", ())))),
        chart_ignore=_folders(charts.get("ignore", ())),
        libraries=tuple(charts.get("libraries", ())),
        values=tuple(
            ValuesFile(**item, line=text.line("values", number)) for number, item in enumerate(value.get("values", ()))
        ),
        deploy=Deploy(
            branch=deploy.get("branch", ""),
            charts=deploy.get("charts", ""),
            environments=deploy.get("environments", {}),
        ),
        formerly=tuple(value.get("formerly", ())),
        ignored_lines=tuple(
            text.line(*path, number)
            for path, patterns in (
                (("ignore",), value.get("ignore", ())),
                (("charts", "ignore"), charts.get("ignore", ())),
            )
            for number in range(len(patterns))
        ),
    )


def _entry(text: YamlText, pattern: str) -> ImageEntry:
    node = text.node("images", pattern)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    settings: dict[str, Any] = {}
    for key, value in pairs:
        if isinstance(value, yaml.ScalarNode):
            settings[_field(key.value)] = _plain(value) if key.value == "build" else value.value
        elif isinstance(value, yaml.SequenceNode):
            settings[_field(key.value)] = tuple(item.value for item in value.value)
        else:
            settings[_field(key.value)] = {name.value: item.value for name, item in value.value}
    return ImageEntry(
        pattern=pattern,
        line=text.key_line("images", pattern),
        settings=settings,
        lines={_field(key.value): key.start_mark.line + 1 for key, _ in pairs},
    )


def _field(key: str) -> str:
    return key.replace("-", "_")


def _folders(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return patterns as folders: each stands for all below it anyway."""
    return tuple(pattern.removesuffix("/**").removesuffix("/*") for pattern in patterns)


def _is_ignored(folder: str, patterns: Sequence[str]) -> bool:
    parts = folder.split("/")
    ancestors = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(fnmatch.fnmatchcase(part, pattern) for pattern in patterns for part in ancestors)


def _plain(node: yaml.Node | None) -> Any:
    """Return what a tree says in the types of JSON, with texts and dates as they are written."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    if node is None or node.tag == f"{TAG}null":
        return None
    return yaml_text.load(node.value, NAME) if node.tag in _COMPUTED else node.value
