"""What an environments repository declares: `<environment>/<application>/config.yaml`, with values.yaml beside it.

The files are read as Argo CD's ApplicationSet of charts/environments reads them. The JSON Schema in `pipelines/schemas`
is published for editors and judges them; nothing that it lets pass can change the meaning of a template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from pipelines.bounds import LARGEST, NotJson, read_json
from pipelines.declared import yaml_schema, yaml_text
from pipelines.declared.finding import Finding
from pipelines.declared.yaml_text import YamlText
from pipelines.environments.model import STAGES, Application, Environments
from pipelines.errors import ShipwayError
from pipelines.tools.git.tree import LINK, GitTree

CONFIGS = ("config.yaml", "config.json")
VALUES = "values.yaml"
_RULE = "environment"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LONGEST_APPLICATION = 53
"""Of a Helm release: helm.sh/helm/v4 pkg/chart/common/util, ValidateReleaseName."""
_LONGEST_FULL_NAME = 63
"""Argo CD puts an Application's name into labels."""
_EMPTY = {"chart": "", "version": "", "repo": "", "path": "", "revision": ""}
_SOURCES = (
    "a chart of the registry by `chart` and `version`, or one of a Git repository by `repo`, `path` and `revision`"
)


def config_files(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths of config files."""
    for path in paths:
        parts = path.split("/")
        if len(parts) == 3 and parts[2] in CONFIGS:
            yield path


def read(tree: GitTree) -> Environments:
    """Return what a commit declares; `tree` holds its `config_files`. Nothing is raised: findings say what is wrong."""
    applications: list[Application] = []
    findings: list[Finding] = []
    seen: dict[str, str] = {}
    paths = sorted(config_files(tree.paths))
    for path in paths:
        folder = path.rpartition("/")[0]
        if folder in seen:
            text = f"{seen[folder]} stands beside it, and both would be the application"
            findings.append(_finding(path, 0, text, "keep one of them"))
            applications = [item for item in applications if item.folder != folder]
            continue
        seen[folder] = path
        found, faults = _application(tree, path)
        findings += faults
        applications += [found] if found else []
    findings += _ambiguous(applications)
    return Environments(
        names=tuple(sorted({path.split("/")[0] for path in paths})),
        applications=tuple(sorted(applications, key=lambda item: (item.environment, item.name))),
        findings=tuple(sorted(findings)),
    )


def own_files(paths: Iterable[str], names: Collection[str]) -> tuple[str, ...]:
    """Return the paths that `own` needs the content of."""
    found = [*config_files(paths)]
    if not any(path.split("/")[0] in names for path in found):
        return ()
    return tuple(dict.fromkeys(file for path in found for file in (path, f"{path.rpartition('/')[0]}/{VALUES}")))


def own(tree: GitTree, names: Collection[str]) -> tuple[Application, ...]:
    """Return a repository's own applications, if it has an environment of one of these names; else none."""
    found = read(tree).applications if own_files(tree.paths, names) else ()
    return found if any(item.environment in names for item in found) else ()


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of a config file."""
    path = resources.files("pipelines") / "schemas" / "environment.schema.json"
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _application(tree: GitTree, path: str) -> tuple[Application | None, list[Finding]]:
    environment, name, _ = path.split("/")
    findings = _names(path, environment, name)
    values = f"{environment}/{name}/{VALUES}"
    for file in (path, values):
        if file in tree.files and tree.files[file].mode == LINK:
            findings.append(_finding(file, 0, "it is a link, which Argo CD does not follow", "commit the file itself"))
        elif len(tree.contents.get(file, b"")) > LARGEST:
            findings.append(_finding(file, 0, "it is too large", f"keep it below {LARGEST} bytes"))
    if findings:
        return None, findings
    try:
        text = _text(tree.contents.get(path, b""), path)
    except ShipwayError as error:
        return None, [yaml_schema.unreadable(path, error, rule=_RULE)]
    findings = sorted(
        {
            *yaml_schema.repeated(path, text.root, rule=_RULE),
            *yaml_schema.violations(text, text.value, schema(), rule=_RULE, skip=("oneOf",)),
            *_source(text),
        }
    )
    if findings:
        return None, findings
    config = {**_EMPTY, **text.value}
    return Application(
        environment=environment,
        name=name,
        config=path,
        values=values if values in tree.files else "",
        namespace=config["namespace"],
        stage=config.get("stage", STAGES[-1]),
        server_side_apply=config.get("serverSideApply", False),
        skip_crds=config.get("skipCrds", False),
        **{key: config[key] for key in _EMPTY},
    ), []


def _text(data: bytes, path: str) -> YamlText:
    """Return a config file with its lines. JSON may be indented by tabs, which YAML forbids; its texts hold none."""
    if path.endswith(".json"):
        try:
            read_json(data, path)
        except NotJson as error:
            what = f"{path}:{error.line}: not JSON"
            raise ShipwayError(what, seen=error.seen, todo="correct that line") from error
        data = data.replace(b"\t", b" ")
    return yaml_text.read(data, path)


def _names(path: str, environment: str, name: str) -> list[Finding]:
    findings = [
        _finding(path, 0, f"{part!r} cannot name {what}", "use lower-case letters, digits and dashes")
        for part, what in ((environment, "an environment"), (name, "an application"))
        if not _NAME.fullmatch(part)
    ]
    if len(name) > _LONGEST_APPLICATION or len(f"{environment}-{name}") > _LONGEST_FULL_NAME:
        text = f"{environment}-{name} is too long"
        most = f"{_LONGEST_APPLICATION} characters, with its environment {_LONGEST_FULL_NAME}"
        todo = f"an application's name has at most {most}"
        findings.append(_finding(path, 0, text, todo))
    return findings


def _source(text: YamlText) -> Iterator[Finding]:
    keys = [key for key in _EMPTY if key in text.value]
    if set(keys) in ({"chart", "version"}, {"repo", "path", "revision"}):
        return
    line = text.key_line(keys[0]) if keys else 1
    yield _finding(
        text.where, line, f"{', '.join(keys) or 'nothing'} does not say which chart it is", f"name {_SOURCES}"
    )


def _ambiguous(applications: Iterable[Application]) -> Iterator[Finding]:
    """Find applications that Argo CD would give one name: a-b of c, and b-c of a."""
    first: dict[str, Application] = {}
    for item in applications:
        other = first.setdefault(item.full_name, item)
        if other is not item:
            text = f"{item.folder} and {other.folder} are both {item.full_name} in Argo CD"
            yield _finding(item.config, 0, text, "rename one of them")


def _finding(path: str, line: int, text: str, todo: str) -> Finding:
    return yaml_schema.finding(path, line, text, todo, rule=_RULE)
