"""Environments repositories: what they declare, what is wrong with them and where."""

from __future__ import annotations

from collections.abc import Mapping

import jsonschema
import pytest

from pipelines.environments import config_yaml
from pipelines.environments.model import Environments
from pipelines.tools.git.tree import LINK, File, GitTree

CHART = "chart: web\nversion: 0.1.0\nnamespace: shop\n"


def read(files: Mapping[str, str], *, links: tuple[str, ...] = ()) -> Environments:
    """Return what a tree of texts declares."""
    tree = GitTree(
        files={path: File(LINK if path in links else "100644", "0" * 40) for path in files},
        contents={path: text.encode() for path, text in files.items()},
    )
    return config_yaml.read(tree)


def faults(text: str, *, name: str = "config.yaml") -> list[str]:
    """Return what is wrong with one file, with its line."""
    return [f"{f.line}: {f.text}" for f in read({f"dev/web/{name}": text}).findings]


def test_each_folder_with_a_config_is_an_application() -> None:
    """YAML or JSON, from a registry or from Git, with values beside it or none; other files are none of it."""
    git = (
        '{\n\t"repo": "https://git.example.com/shop.git", "path": "charts/db", "revision": "v1",\n'
        '\t"namespace": "db", "stage": "database", "serverSideApply": true, "skipCrds": true}'
    )
    found = read(
        {
            "dev/web/config.yaml": CHART,
            "dev/web/values.yaml": "replicas: 1\n",
            "prod/db/config.json": git,
            "README.md": "",
            "dev/web/deep/config.yaml": "no: config",
            "config.yaml": "no: config",
        }
    )
    assert found.findings == ()
    assert found.names == ("dev", "prod")
    web, db = found.applications
    assert (web.full_name, web.chart, web.version, web.values) == ("dev-web", "web", "0.1.0", "dev/web/values.yaml")
    assert (web.stage, web.server_side_apply, web.skip_crds, web.repo) == ("application", False, False, "")
    assert (db.repo, db.path, db.revision) == ("https://git.example.com/shop.git", "charts/db", "v1")
    assert (db.stage, db.server_side_apply, db.skip_crds, db.values) == ("database", True, True, "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chart: web\nversion: 1.2\nnamespace: shop\n", "2: version: 1.2 is not of type 'string'"),
        ("chart: web\nversion: ^1.2.0\nnamespace: shop\n", "2: version: '^1.2.0' is not what is wanted here"),
        ("chart: web\nversion: 1.2.0\nnamespace: on\n", "3: namespace: True is not of type 'string'"),
        ("namespace: shop\nchart: web\n", "2: chart does not say which chart it is"),
        ("namespace: shop\n", "1: nothing does not say which chart it is"),
        (f"{CHART}repo: https://git.example.com/x\n", "1: chart, version, repo does not say which chart it is"),
        (f"{CHART}stage: later\n", "4: stage: 'later' is not one of"),
        (f"{CHART}skip-crds: true\n", "4: the file has no 'skip-crds'"),
        (f"{CHART}chart: api\n", "4: 'chart' stands here and in line 1"),
        ("chart: web\nversion: 1.0.0\n", "1: the file: 'namespace' is a required property"),
        ("chart: 'web\n", "2: not YAML: found unexpected end of stream"),
        ("- chart: web\n", "1: dev/web/config.yaml is not a mapping: list"),
        ("chart: '{{ .x }}'\nversion: 1.0.0\nnamespace: shop\n", "1: chart: '{{ .x }}' is not what is wanted here"),
        ("repo: https://me:pw@git.example.com/x\npath: .\nrevision: main\nnamespace: x\n", "1: repo: "),
        ("repo: https://git.example.com/x\npath: a/../../b\nrevision: main\nnamespace: x\n", "2: path: "),
        ("repo: https://git.example.com/x\npath: a\nrevision: 1234567\nnamespace: x\n", "3: revision: 1234567"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    """One message for each mistake, at the line that has it."""
    found = faults(text)
    assert len(found) == 1, found
    assert found[0].startswith(told), found


def test_broken_json_is_told_with_its_line() -> None:
    """JSON is read as JSON, also where YAML would let it pass."""
    assert faults('{"chart": "web",\n version: 1}', name="config.json")[0].startswith("2: not JSON")


def test_names_that_argo_cannot_take_are_told() -> None:
    """Names become those of Applications, labels, releases; two files for one application, and links, are refused."""
    found = read({f"Dev/{'w' * 54}/config.yaml": CHART, "dev/w_b/config.yaml": CHART})
    assert [f.text for f in found.findings] == [
        "'Dev' cannot name an environment",
        f"Dev-{'w' * 54} is too long",
        "'w_b' cannot name an application",
    ]
    both = read({"dev/web/config.yaml": CHART, "dev/web/config.json": "{}"})
    assert both.applications == ()
    assert "stands beside it" in str(both.findings)
    assert "is a link" in read({"dev/web/config.yaml": "x"}, links=("dev/web/config.yaml",)).findings[0].text
    same = read({"a/b-c/config.yaml": CHART, "a-b/c/config.yaml": CHART})
    assert [f.text for f in same.findings] == ["a/b-c and a-b/c are both a-b-c in Argo CD"]


def test_the_schema_is_one() -> None:
    """Editors can use it."""
    jsonschema.Draft202012Validator.check_schema(config_yaml.schema())
