"""What YAML is refused before anything walks through it: by its size, its depth, its aliases, its numbers, its tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.bounds import DEEPEST, LARGEST, LONGEST_NUMBER
from pipelines.charts import rendered
from pipelines.declared import shipway_yaml, yaml_edit, yaml_text
from pipelines.declared.yaml_text import LOADER, KubernetesLoader
from pipelines.environments import config_yaml, hold
from pipelines.errors import Refused, ShipwayError
from pipelines.tools.git.tree import File, GitTree


def _bomb(size: int) -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, size)]
    return "\n".join(levels)


_DEEP = {
    "lists in flow": "a: " + "[" * DEEPEST + "]" * DEEPEST,
    "lists that are never closed": "[" * 120_000,
    "mappings in flow": "{a: " * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1),
    "lists on one line": "a:\n  " + "- " * DEEPEST + "x",
    "keys on one line": "? " * 120_000 + "a",
    "mappings by indentation": "\n".join(" " * n + "a:" for n in range(DEEPEST + 1)),
    "lists at the column of their keys": "\n".join(" " * n + "a:\n" + " " * n + "- " for n in range(DEEPEST)),
    "in a second document": "a: 1\n---\n" + "[" * 120_000,
}
_ODD = {
    "aliases of aliases": _bomb(9),
    "merged aliases": _bomb(9)
    .replace("[x, x, x, x, x, x, x, x, x, x]", "{x: 1}")
    .replace("[", "{<<: [")
    .replace("]", "]}"),
    "an alias of itself": "a: &a [*a]",
    "a number without end": "a: " + "9" * (LONGEST_NUMBER + 1),
    "a number of a million digits": "a: " + "9" * 1_000_000,
    "a hexadecimal one": "a: 0x" + "f" * 500_000,
    "one to the base of sixty": "a: !!int 1" + ":1" * 400_000,
    "no truth value": "a: !!bool maybe",
    "no integer": 'a: !!int ""',
    "no fraction": "a: !!float '['",
    "no time": "a: !!timestamp yesterday",
    "a tag of Python's": "a: !!python/object/apply:os.system [id]",
    "a list as a key": "? [a]\n: 1",
    "NUL": "a: \0",
    "half a character, escaped": 'a: "\\ud800"',
    "a circle of merges": "a: &a\n  <<: *a",
}
_READERS: dict[str, Callable[[str], Any]] = {
    "read": lambda text: yaml_text.read(text.encode(), "x.yaml"),
    "load": lambda text: yaml_text.load(text, "x.yaml", LOADER),
    "load for Kubernetes": lambda text: yaml_text.load(text, "x.yaml", KubernetesLoader),
    "load_all": lambda text: [*yaml_text.load_all(text, "x.yaml", KubernetesLoader)],
    "yaml_edit.read": lambda text: yaml_edit.read(text.encode(), "x.yaml"),
    "held.yaml": lambda text: hold.read(text.encode(), "x.yaml"),
}


@pytest.mark.parametrize("reader", _READERS.values(), ids=_READERS)
@pytest.mark.parametrize("text", _DEEP.values(), ids=_DEEP)
def test_every_reader_refuses_what_is_nested_too_deeply(reader: Callable[[str], Any], text: str) -> None:
    with pytest.raises(Refused, match=r"x\.yaml:\d+: nested too deeply"):
        reader(text)


@pytest.mark.parametrize("text", [*_DEEP.values(), *_ODD.values()], ids=[*_DEEP, *_ODD])
def test_each_file_that_people_declare_has_a_finding_for_it(text: str) -> None:
    data = text.encode()
    _, findings = shipway_yaml.read(data)
    assert [finding.path for finding in findings] == [shipway_yaml.NAME]
    path = "dev/web/config.yaml"
    found = config_yaml.read(GitTree(files={path: File("100644", "0" * 40)}, contents={path: data}))
    assert {finding.path for finding in found.findings} == {path}


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "NaN", '"\\ud800"'])
def test_a_config_in_json_has_a_finding_for_it(text: str) -> None:
    path = "dev/web/config.json"
    found = config_yaml.read(GitTree(files={path: File("100644", "0" * 40)}, contents={path: text.encode()}))
    assert [finding.path for finding in found.findings] == [path]


@pytest.mark.parametrize("text", [*_DEEP.values(), *_ODD.values()], ids=[*_DEEP, *_ODD])
@pytest.mark.parametrize("kind", [LOADER, KubernetesLoader], ids=["YAML 1.1", "Kubernetes"])
def test_no_text_raises_anything_but_an_error_of_shipway(text: str, kind: Any) -> None:
    with pytest.raises(ShipwayError, match=r"^x\.yaml"):
        yaml_text.load(text, "x.yaml", kind)


@pytest.mark.parametrize("text", [*_DEEP.values(), *_ODD.values()], ids=[*_DEEP, *_ODD])
def test_what_a_chart_renders_has_a_fault_for_it(text: str) -> None:
    fault = rendered.document("web/templates/x.yaml", text).fault
    assert fault


def test_a_rendered_document_that_is_too_deep_names_the_line() -> None:
    found = rendered.document("web/templates/x.yaml", "a: 1\nb: " + "[" * 1000)
    assert found.fault.startswith("nested too deeply")
    assert found.fault_line == 2


def test_as_deep_as_may_be_is_read() -> None:
    deepest = "a: " + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    assert yaml_text.read(deepest.encode(), "x.yaml").value["a"]
    _, findings = shipway_yaml.read(deepest.encode())
    assert [(finding.line, finding.text) for finding in findings] == [(1, "the file has no 'a'")]


def test_a_text_under_another_tag_is_not_parsed_again() -> None:
    text = "images:\n  web:\n    build: !!null '" + "[" * 100_000 + "'\n"
    _, findings = shipway_yaml.read(text.encode())
    assert [finding.line for finding in findings] == [3]


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("reader", [_READERS["read"], _READERS["yaml_edit.read"]], ids=["read", "yaml_edit.read"])
def test_size(reader: Callable[[str], Any], over: int) -> None:
    text = "a: 1\n#" + "x" * (LARGEST - 6 + over)
    if over:
        with pytest.raises(Refused, match="too large"):
            reader(text)
    else:
        assert reader(text)
