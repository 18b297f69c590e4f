"""Which charts a tree has, where their dependencies come from, and in which order they are published."""

from __future__ import annotations

import pytest

from pipelines.charts import chart_lock, chart_yaml
from pipelines.charts import metadata as chart_metadata
from pipelines.charts import rules as chart_rules
from pipelines.charts.chart_yaml import Chart, ExternalDependency
from pipelines.declared import yaml_text
from pipelines.declared.finding import ERROR, REFUSED
from pipelines.errors import Refused

OWN = "registry.example.org/charts"


def chart(
    path: str, *dependencies: str, version: str = "1.0.0", name: str = "", locked: str = "", more: str = ""
) -> Chart:
    """Return a chart; a dependency is `name range repository`, a locked one the same, separated by commas."""
    text = f"apiVersion: v2\nname: {name or path.rpartition('/')[2]}\nversion: {version}\n{more}"
    text += _entries(dependencies)
    lock = None
    if locked:
        entries = _entries(locked.split(", "))
        read = yaml_text.read(text.encode(), "Chart.yaml").value
        pins = yaml_text.read(entries.encode(), "Chart.lock").value["dependencies"]
        digest = chart_lock.digest(read["dependencies"], pins)
        lock = chart_lock.read(yaml_text.read(f"{entries}digest: {digest}\n".encode(), f"{path}/Chart.lock"))
    return chart_yaml.read(path, yaml_text.read(text.encode(), f"{path}/Chart.yaml"), lock)


def _entries(items: tuple[str, ...] | list[str]) -> str:
    lines = ["- name: {}\n  version: '{}'\n  repository: {}\n".format(*item.split(" ")) for item in items]
    return "dependencies:\n" + "".join(lines) if lines else ""


def test_every_chart_outside_another_ones_charts_is_found() -> None:
    """A vendored subchart is part of its chart; a folder that is only called charts holds charts like any other."""
    paths = [
        "charts/web/Chart.yaml",
        "charts/web/charts/vendored/Chart.yaml",
        "charts/web/charts/vendored/charts/deep/Chart.yaml",
        "charts/web/examples/nested/Chart.yaml",
        "charts/web/files/skeleton/Chart.yaml",
        "charts/web/templates/skeleton/Chart.yaml",
        "Chart.yaml.md",
        "test/old/Chart.yaml",
        "test/web/Chart.yaml",
    ]
    assert chart_yaml.discover(paths, ignore=["test/o*", "*/examples"]) == ("charts/web", "test/web")
    assert chart_yaml.discover(["Chart.yaml", "charts/web/Chart.yaml"]) == (".",)


def test_dependencies_of_the_tree_are_taken_from_the_tree() -> None:
    """By path, or by the address charts are published to where the version fits; anything else is fetched as locked."""
    base = chart("libs/base")
    web = chart(
        "apps/web",
        "base ^1.0.0 file://../../libs/base",
        "redis ^2 https://example.org/charts",
        locked="base 1.0.0 file://../../libs/base, redis 2.1.0 https://example.org/charts/",
    )
    new = chart("apps/new", f"base 1.x oci://{OWN}", locked=f"base 1.0.0 oci://{OWN}")
    old = chart("apps/old", f"base 0.x oci://{OWN}", locked=f"base 0.9.0 oci://{OWN}")
    tree = {item.path: item for item in (base, web, new, old)}
    found, faults = chart_yaml.edges(web, tree, own=OWN)
    assert (found.parents, [(e.name, e.version) for e in found.externals], faults) == (
        ("libs/base",),
        [("redis", "2.1.0")],
        [],
    )
    assert chart_yaml.edges(new, tree, own=OWN)[0].parents == ("libs/base",)
    assert chart_yaml.edges(old, tree, own=OWN)[0].externals == (
        ExternalDependency(name="base", version="0.9.0", repository=f"oci://{OWN}", line=5),
    )


@pytest.mark.parametrize(
    ("dependency", "text", "refused"),
    [
        ("base 1.0.0 file://../../../libs/base", "leads out of the repository", True),
        ("base 1.0.0 file:///libs/base", "leads out of the repository", True),
        ("base 1.0.0 file://../web", "leads to no chart", False),
        ("base 1.0.0 file://../../libs", "leads to no chart", False),
        ("other 1.0.0 file://../../libs/base", "holds the chart base", False),
        ("base ^2.0.0 file://../../libs/base", "which '^2.0.0' does not allow", False),
    ],
)
def test_a_dependency_from_nowhere_is_told_with_its_line(dependency: str, text: str, refused: bool) -> None:
    """A mistake is an error; what reaches out of the repository is refused."""
    tree = {"libs/base": chart("libs/base"), "apps/web": chart("apps/web", dependency)}
    _, [fault] = chart_yaml.edges(tree["apps/web"], tree, own=OWN)
    assert text in fault.text
    assert (fault.refused, fault.line) == (refused, 5)


def test_a_dependency_may_be_there_twice() -> None:
    """Under two aliases, each at a version of its own."""
    web = chart(
        "web",
        "redis ^1 https://example.org",
        "redis ^2 https://example.org",
        locked="redis 1.5.0 https://example.org, redis 2.5.0 https://example.org",
    )
    found, faults = chart_yaml.edges(web, {"web": web}, own=OWN)
    assert ([item.version for item in found.externals], faults) == (["1.5.0", "2.5.0"], [])
    assert web.lock is not None
    assert chart_lock.misfits(web.text, web.lock) == []


def test_a_lock_that_lies_is_told() -> None:
    """Its digest says that it fits, and there is nothing in it."""
    web = chart("apps/web", "redis ^2 https://example.org", locked="other 1.0.0 https://example.org")
    assert chart_rules.check(web) == []
    _, [fault] = chart_yaml.edges(web, {web.path: web}, own=OWN)
    assert fault.text == "no version of redis is locked"


def test_parents_come_first_and_circles_are_named() -> None:
    """A wave depends on earlier ones; a chart that merely hangs on a circle is not named as a part of it."""
    assert chart_yaml.waves({"c": ["a", "b"], "b": ["a"], "a": [], "d": ["elsewhere"]}) == {
        "a": 0,
        "d": 0,
        "b": 1,
        "c": 2,
    }
    with pytest.raises(Refused, match="in a circle") as caught:
        chart_yaml.waves({"a": ["b"], "b": ["c"], "c": ["b"], "d": []})
    assert caught.value.seen == "b → c → b"


@pytest.mark.parametrize("name", [".", "..", "a/b", "../x", "Web", "a b", "-web", "web-", "", "a" * 251])
def test_a_chart_that_cannot_be_named_so_is_found(name: str) -> None:
    """Names that would leave a folder, or that no registry has, are errors before anything is written."""
    odd = chart_yaml.read("x", yaml_text.read(f'apiVersion: v2\nname: "{name}"\nversion: 1.0.0\n'.encode(), "x"), None)
    [finding] = chart_rules.check(odd)
    assert (finding.rule, finding.line) == ("name", 2)
    assert finding.level == (REFUSED if name in {".", "..", "a/b", "../x"} else ERROR)


@pytest.mark.parametrize(
    ("item", "rule", "line"),
    [
        (chart("x", version="1.0"), "version", 3),
        (chart("x", version="v1.0.0"), "version", 3),
        (chart("x", version="'01.0.0'"), "version", 3),
        (chart("x", more="appVersion: 1.10\n"), "app-version", 4),
        (chart("x", more="appVersion: 7e10\n"), "app-version", 4),
        (chart("x", more="appVersion: '7e10'\n"), "", 0),
        *(
            (chart("x", more=f"appVersion: {text}\n"), "", 0)
            for text in ("26.0.0.Final", "1.2.3.4", "latest", "main-0a1b2c3", "1.1.1w", "RELEASE.2024-12-18T13-15-44Z")
        ),
        (chart("x", more="type: job\n"), "type", 4),
        (chart("x", "redis ^2 https://example.org"), "lock", 5),
        (chart("x", "redis ^2 https://e.org", locked="redis 1.0.0 https://e.org"), "", 0),
    ],
)
def test_faults_of_chart_yaml_have_their_line(item: Chart, rule: str, line: int) -> None:
    """Every rule names the line; a lock whose digest fits is Helm's own word and not doubted."""
    assert [(f.rule, f.line) for f in chart_rules.check(item)] == ([(rule, line)] if rule else [])


def test_a_lock_out_of_step_says_which_dependency() -> None:
    """Helm only says that something differs; here the dependency is named, in the lock's own line."""
    locked = chart(
        "x",
        "redis ^2 https://e.org",
        "old 1.x https://e.org",
        locked="redis 2.0.0 https://e.org, old 1.0.0 https://e.org",
    ).lock
    assert locked is not None

    def faults(*dependencies: str) -> list[tuple[int, str]]:
        return chart_lock.faults(chart("x", *dependencies).text, locked)

    assert faults("redis ^2 https://e.org", "old 1.x https://e.org") == []
    assert faults("redis ^2 https://e.org") == [(5, "old is locked and no dependency any more")]
    assert faults("redis ^3 https://e.org", "old 1.x https://e.org") == [
        (2, "redis is locked at 2.0.0, which '^3' does not allow")
    ]
    assert faults("redis ^2 https://f.org", "old 1.x https://e.org")[0] == (
        2,
        "redis is locked from https://e.org, not https://f.org",
    )
    assert "changed since it was written" in faults("redis ^2.0 https://e.org", "old 1.x https://e.org")[0][1]


def test_the_locks_digest_is_helms() -> None:
    """One that Helm's own tests have written down; a difference would refuse every lock there is."""
    wanted = [{"name": "alpine", "version": "0.1.0", "repository": "http://localhost:8879/charts"}]
    # helm.sh/helm: internal/resolver/resolver_test.go, TestHashReq
    assert chart_lock.digest(wanted, wanted) == (
        "sha256:fb239e836325c5fa14b29d1540a13b7d3ba13151b67fe719f820e0ef6d66aaaf"
    )


def test_configuration_and_annotations_are_those_of_helm_push() -> None:
    """In Helm's order and Go's spelling, without empty fields; an annotation cannot pass for a fact of the commit."""
    text = yaml_text.read(
        b"""version: 1.0.0
name: web
apiVersion: v2
description: >
  a <

  b
appVersion: 1.10
deprecated: false
home: https://example.org
maintainers:
- {name: Ada, email: ada@example.org}
annotations:
  org.opencontainers.image.revision: forged
  size: 10
dependencies:
- {name: base, version: 1.x, repository: "", import-values: [data]}
""",
        "Chart.yaml",
    )
    assert chart_metadata.config(text) == (
        b'{"name":"web","home":"https://example.org","version":"1.0.0","description":"a \\u003c b ","maintainers":'
        b'[{"name":"Ada","email":"ada@example.org"}],"apiVersion":"v2","appVersion":"1.10",'
        b'"annotations":{"org.opencontainers.image.revision":"forged","size":"10"},'
        b'"dependencies":[{"name":"base","version":"1.x","repository":"","import-values":["data"]}]}'
    )
    found = chart_metadata.manifest_annotations(text, revision="abc", source="", time=0, dependencies={})
    assert found == {
        "org.opencontainers.image.authors": "Ada (ada@example.org)",
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
        "org.opencontainers.image.description": "a < b ",
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.title": "web",
        "org.opencontainers.image.url": "https://example.org",
        "org.opencontainers.image.version": "1.0.0",
        "size": "10",
    }
