"""What Helm says about a chart, taken apart into files, lines and texts.

The forms are those of Helm 4.2: `helm lint` writes `[ERROR] path: text`, `helm template` one error of several lines;
both name a template by its chart's name and its path, and a line of it, or a line of what it rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_LINT = re.compile(r"^\[(?:ERROR|WARNING)\] ", re.MULTILINE)
_LINT_NOISE = re.compile(r"^(?:==> Linting .*|\d+ chart\(s\) linted.*)$", re.MULTILINE)
_AT = re.compile(
    r"(?:execution|parse) error (?:at|in) \((?P<file>[^()]+?)(?::(?P<line>\d+))?(?::\d+)?\): (?P<text>.*)", re.DOTALL
)
_PLACE = re.compile(r"^(?P<file>\S[^:\n]*):(?P<line>\d+)(?::\d+)?$", re.MULTILINE)
_GO = re.compile(r"template: (?P<file>[^\s:/]+/[^\s:]+):(?P<line>\d+):(?:\d+:)? ")
_RENDERED = re.compile(r"YAML parse error on (?P<file>\S+): (?P<text>.*)", re.DOTALL)
_LOADED = re.compile(r"cannot load (?P<file>\S+): (?P<text>.*)", re.DOTALL)
_VALUES = re.compile(r"failed to parse (?P<file>\S+): (?P<text>.*)", re.DOTALL)
_YAML = re.compile(r"yaml: (?:line (?P<line>\d+): )?(?P<text>.*)", re.DOTALL)
_SCHEMA = re.compile(r"^- at '(?P<pointer>[^'\n]*)': (?P<text>.*(?:\n +.*)*)", re.MULTILINE)
_SECTION = re.compile(r"^(?P<chart>[^\s:][^:\n]*):\n(?=- at )", re.MULTILINE)
_NO_MEMORY = re.compile(r"^(?:fatal error: |runtime: ).*(?:out of memory|cannot allocate)", re.MULTILINE)
_DEBUG_HINT = "Use --debug flag to render out invalid YAML"
_LONGEST = 500


@dataclass(frozen=True, kw_only=True)
class Message:
    """One thing that Helm says."""

    file: str
    """As Helm names it: `web/templates/x.yaml`, the charts' names first, or `values.yaml`; empty if it names none."""
    line: int
    """Of that file, from 1; 0 where it says none."""
    rendered_line: int = 0
    """Of what the template rendered, where that is not YAML."""
    pointer: str = ""
    """The value that a schema does not allow, `/image/tag`."""
    text: str
    rule: str
    wants_values: bool = False
    """Whether the chart asks for values that were not given: `required`, `fail`, a missing property."""


def lint(output: str) -> list[Message]:
    """Return what `helm lint` wrote on stdout, without its remarks."""
    parts = _LINT.split(_LINT_NOISE.sub("", output))
    found: list[Message] = []
    for part in parts[1:]:
        path, _, body = part.partition(": ")
        body = body.split("\n[INFO] ")[0].strip()
        found += _read(body, "" if path.startswith("/") else path.rstrip("/"), "lint")
    return found


def failure(stderr: str, rule: str = "template") -> list[Message]:
    """Return why Helm failed."""
    if _NO_MEMORY.search(stderr):
        return [Message(file="", line=0, text="Helm ran out of the memory that it may use", rule=rule)]
    _, _, body = ("\n" + stderr).rpartition("\nError: ")
    body = body.replace(_DEBUG_HINT, "").strip()
    return list(_read(body, "", rule)) if body else [Message(file="", line=0, text="helm failed", rule=rule)]


def _read(body: str, file: str, rule: str) -> Iterator[Message]:
    body = body.removeprefix("unable to load chart").strip()
    if _SCHEMA.search(body):
        yield from _schema(body)
    elif match := _AT.search(body):
        yield Message(
            file=match["file"],
            line=int(match["line"] or 0),
            text=_flat(match["text"]),
            rule="template",
            wants_values=match[0].startswith("execution error at"),
        )
    elif match := _RENDERED.search(body) or _LOADED.search(body) or _VALUES.search(body):
        yield _yaml(match["file"], match["text"], rendered=match.re is _RENDERED)
    elif body.startswith("unable to parse YAML: "):
        yield _yaml(file, body, rendered=file.startswith("templates/"))
    elif places := list(_PLACE.finditer(body)) or list(_GO.finditer(body)):
        yield _traced(body, places)
    else:
        yield Message(file=file, line=0, text=_flat(body), rule=rule)


def _schema(body: str) -> Iterator[Message]:
    """Take apart what does not fit values.schema.json: a list, or one for each chart under its name."""
    sections = [*_SECTION.finditer(body)]
    ends = [section.start() for section in sections[1:]]
    parts = [(s["chart"], body[s.end() : end]) for s, end in zip(sections, [*ends, None], strict=False)] or [("", body)]
    for chart, part in parts:
        for match in _SCHEMA.finditer(part):
            text = _flat(match["text"])
            yield Message(
                file=f"{chart}/values.yaml" if chart else "values.yaml",
                line=0,
                pointer=match["pointer"],
                text=f"{match['pointer'] or '/'}: {text}",
                rule="values",
                wants_values=text.startswith("missing propert"),
            )


def _yaml(file: str, text: str, *, rendered: bool) -> Message:
    match = _YAML.search(text)
    line = int(match["line"] or 0) if match else 0
    fault = "no object" if "json: cannot unmarshal" in text else _flat(match["text"] if match else text)
    message = Message(file=file, line=0 if rendered else line, text=f"not YAML: {fault}", rule="yaml")
    return replace(message, rendered_line=line, text=f"what it renders is not YAML: {fault}") if rendered else message


def _traced(body: str, places: list[re.Match[str]]) -> Message:
    """Read a chain of calls, the outermost first: the innermost is where it went wrong."""
    last = places[-1]
    text = _flat(body[last.end() :])
    callers = ", ".join(dict.fromkeys(f"{match['file']}:{match['line']}" for match in places[:-1]))
    return Message(
        file=last["file"],
        line=int(last["line"]),
        text=text + (f" (called from {callers})" if callers else ""),
        rule="template",
    )


def _flat(text: str) -> str:
    """Return a text on one line, cut to a readable length."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
