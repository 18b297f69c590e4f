"""The chart `environments`: what it makes of values, and what it refuses."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.environments import config_yaml
from pipelines.environments.model import STAGES
from pipelines.tools.git.tree import File, GitTree
from tests.chart.reference import ENVIRONMENTS, page
from tests.chart.rendering import Document, documents_in, helm, of_kind
from tests.chart.test_values import described

TOP = Path(__file__).parents[2]
CHART = TOP / "charts" / "environments"
EXAMPLE = TOP / "examples" / "environments"
GIT = "https://git.example.com/team/environments.git"
EVERYTHING: dict[str, Any] = {
    "repository": GIT,
    "charts": {"registry": "registry.example.com/charts", "plainHttp": True},
    "defaults": {"sync": {"share": {"database": 1}}},
    "environments": [
        {"name": "dev", "namespaces": ["shop-dev"], "repositories": ["https://git.example.com/team/shop.git"]},
        {
            "name": "prod",
            "namespaces": ["shop", "shop-*"],
            "clusterName": "production",
            "revision": "released",
            "sync": {"selfHeal": True, "stages": False, "createNamespaces": False},
            "kinds": {"cluster": [{"group": "apiextensions.k8s.io", "kind": "CustomResourceDefinition"}]},
        },
        {"name": "by-hand", "namespaces": ["x"], "sync": {"automated": False}},
    ],
    "observers": [{"namespace": "ci", "name": "shipway-await-healthy"}],
    "rolling": [
        {
            "name": "edge",
            "environment": "dev",
            "repository": "https://git.example.com/team/edge.git",
            "path": "charts/edge",
            "namespace": "shop-dev",
            "valueFiles": ["values-dev.yaml"],
            "parameters": {"image.tag": "main", "podAnnotations.commit": "$ARGOCD_APP_REVISION"},
        }
    ],
}
REFUSED: dict[str, dict[str, Any]] = {
    "repository is empty": {"environments": [{"name": "dev", "namespaces": ["a"]}]},
    "environment dev: namespaces is empty": {"repository": GIT, "environments": [{"name": "dev"}]},
    "sync.stages and sync.selfHeal exclude each other": {
        "repository": GIT,
        "environments": [{"name": "dev", "namespaces": ["a"], "sync": {"selfHeal": True}}],
    },
    "rolling edge: there is no environment dev": {**EVERYTHING, "environments": []},
    "environment dev is there 2 times": {**EVERYTHING, "environments": EVERYTHING["environments"][:1] * 2},
    "environment dev may not use namespace kube-system: its namespaces are shop-dev": {
        **EVERYTHING,
        "rolling": [EVERYTHING["rolling"][0] | {"namespace": "kube-system"}],
    },
    "rolling edge stands twice for environment dev": {**EVERYTHING, "rolling": EVERYTHING["rolling"] * 2},
    "rolling edge stands twice": {
        **EVERYTHING,
        "rolling": [EVERYTHING["rolling"][0], EVERYTHING["rolling"][0] | {"path": "other"}],
    },
    "/environments/0/name": {"repository": GIT, "environments": [{"name": "default", "namespaces": ["a"]}]},
    "/repository": {"repository": "https://me:secret@git.example.com/x.git"},
    "/defaults/sync/share/crd": {"repository": GIT, "defaults": {"sync": {"share": {"crd": "0%"}}}},
    "additional properties 'prune' not allowed": {"repository": GIT, "environments": [{"name": "a", "prune": True}]},
}


def render(values: object) -> list[Document]:
    """Return every document that values give."""
    done = helm(
        "template", "release", str(CHART), "--namespace", "argocd", "--values", "-", given=yaml.safe_dump(values)
    )
    assert done.returncode == 0, done.stderr
    return documents_in(done.stdout)


@pytest.mark.helm
@pytest.mark.parametrize(("told", "values"), REFUSED.items(), ids=list(REFUSED))
def test_wrong_values_are_refused(told: str, values: dict[str, Any]) -> None:
    """By name, before Argo CD sees anything."""
    done = helm("template", "release", str(CHART), "--values", "-", given=yaml.safe_dump(values))
    assert done.returncode != 0, done.stdout
    assert told in done.stderr


@pytest.mark.helm
def test_a_project_allows_what_its_environment_needs() -> None:
    """Sources, destinations and kinds of one environment, and of no other."""
    projects = of_kind(render(EVERYTHING), "AppProject")
    dev, prod = projects["dev"]["spec"], projects["prod"]["spec"]
    assert dev["sourceRepos"] == [
        GIT,
        "registry.example.com/charts",
        "https://git.example.com/team/shop.git",
        "https://git.example.com/team/edge.git",
    ]
    assert prod["sourceRepos"] == [GIT, "registry.example.com/charts"]
    assert dev["destinations"] == [{"namespace": "shop-dev", "server": "https://kubernetes.default.svc"}]
    assert prod["destinations"] == [{"namespace": name, "name": "production"} for name in ("shop", "shop-*")]
    assert dev["clusterResourceWhitelist"] == [{"group": "", "kind": "Namespace", "name": "shop-dev"}]
    assert [kind["kind"] for kind in prod["clusterResourceWhitelist"]] == ["CustomResourceDefinition"]
    kinds = {(kind["group"], kind["kind"]) for kind in dev["namespaceResourceWhitelist"]}
    assert ("", "Service") in kinds
    assert not kinds & {("", "*"), ("*", "*"), ("rbac.authorization.k8s.io", "Role")}
    nothing = {"name": "bare", "namespaces": ["x"], "kinds": {"namespaced": []}}
    bare = of_kind(render({"repository": GIT, "environments": [nothing]}), "AppProject")["bare"]["spec"]
    # Without a list Argo CD allows every kind (pkg/apis/application/v1alpha1/app_project_types.go).
    assert "namespaceResourceWhitelist" not in bare
    assert bare["namespaceResourceBlacklist"] == [{"group": "*", "kind": "*"}]


HOSTILE = [
    (
        "true\n    automated: {prune: true}\n  destination: {server: 'https://other.example.com'}\nmetadata:\n"
        "  finalizers: []"
    ),
    *(
        '"}, x: {',
        "'",
        "{{ .Values }}",
        "{{ end }}",
        "- a",
        "*alias",
        "&a b",
        "!!binary x",
        "a: b",
        "# c",
        "%",
        "\t",
        "\\n",
    ),
    *("\u2028x: y", "\u0085x: y", "\x07", "null", "1e3", "~", "|\n  x", "\ud7ff\ufffd", "x" * 5000),
]
WHOLE: dict[str, Any] = {
    "chart": {"chart": "web", "version": "1.2.3", "namespace": "shop-dev", "stage": "database"},
    "git": {"repo": "https://git.example.com/a.git", "path": "charts/web", "revision": "main", "namespace": "shop-dev"},
}


def applications(cases: list[dict[str, Any]], chart: Path) -> list[Document]:
    """Return what the ApplicationSet `dev` makes of config files:
    its templates run by Go's engine, read by Argo CD's parser.
    """
    (found,) = (d for d in render(EVERYTHING) if d["kind"] == "ApplicationSet" and d["metadata"]["name"] == "dev")
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: engine\nversion: 1.0.0\n")
    (chart / "templates" / "all.yaml").write_text(
        "{{- range $number, $case := .Values.cases }}\n---\nkind: ConfigMap\napiVersion: v1\n"
        'metadata: {name: "case-{{ $number }}"}\ndata:\n'
        '  {{- $with := merge (dict "Template" $.Template "file" $.Values.file) $case }}\n'
        "  patch: {{ tpl $.Values.patch $with | fromYaml | toJson | b64enc }}\n"
        "  texts:\n    {{- range $.Values.texts }}\n    - {{ tpl . $with | b64enc }}\n    {{- end }}\n{{- end }}\n"
    )
    template = found["spec"]["template"]
    texts = [template["spec"]["destination"]["namespace"], template["metadata"]["labels"]["shipway/stage"]]
    file = {"path": {"path": "dev/web", "basename": "web"}}
    given = {"cases": cases, "texts": texts, "patch": found["spec"]["templatePatch"], "file": file}
    done = helm("template", "engine", str(chart), "--values", "-", given=json.dumps(given))
    assert done.returncode == 0, done.stderr
    documents = of_kind(documents_in(done.stdout), "ConfigMap")
    return [
        {
            "patch": json.loads(base64.b64decode(data["patch"])),
            "texts": [base64.b64decode(text).decode() for text in data["texts"]],
        }
        for data in (documents[f"case-{number}"]["data"] for number in range(len(cases)))
    ]


def shape(value: Any, path: str = "") -> dict[str, Any]:
    """Return each leaf of a document by its path."""
    if isinstance(value, dict):
        return {key: leaf for name, item in value.items() for key, leaf in shape(item, f"{path}.{name}").items()}
    if isinstance(value, list):
        return {
            key: leaf for number, item in enumerate(value) for key, leaf in shape(item, f"{path}[{number}]").items()
        }
    return {path: value}


@pytest.mark.helm
def test_no_text_of_a_config_file_becomes_another_field(tmp_path: Path) -> None:
    """Each field of the schema with each hostile text: one leaf changes, to that very text, or to false."""
    schema = json.loads((TOP / "pipelines" / "schemas" / "environment.schema.json").read_text())
    cases = [
        (field, text, kind, {**WHOLE[kind], field: text})
        for field in schema["properties"]
        for kind in WHOLE
        for text in HOSTILE
        if field in WHOLE[kind] or field not in {name for whole in WHOLE.values() for name in whole} or field == "stage"
    ]
    made = applications([WHOLE["chart"], WHOLE["git"], *(case for *_, case in cases)], tmp_path / "engine")
    honest = {"chart": made[0], "git": made[1]}
    for (field, text, kind, _), document in zip(cases, made[2:], strict=True):
        before, after = shape(honest[kind]), shape(document)
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert before.keys() == after.keys(), (field, text)
        assert len(changed) <= 1, (field, text, changed)
        # JSON leaves NEL as it is, and YAML takes it for a line break inside a text, which is a space.
        assert all(after[path] in {text, text.replace("\x85", " ")} for path in changed), (field, text)
        assert changed or field in {"skipCrds", "serverSideApply"}, (field, text)


@pytest.mark.helm
def test_what_a_config_file_switches_on(tmp_path: Path) -> None:
    """True is true, whether the file says it as such or as a text."""
    cases = [
        {**WHOLE["chart"], "skipCrds": value, "serverSideApply": value} for value in (True, "true", False, 1, None)
    ]
    for value, document in zip(
        [True, True, False, False, False], applications(cases, tmp_path / "engine"), strict=True
    ):
        spec = document["patch"]["spec"]
        assert spec["sources"][0]["helm"]["skipCrds"] is value
        assert f"ServerSideApply={str(value).lower()}" in spec["syncPolicy"]["syncOptions"]


@pytest.mark.helm
def test_an_environment_is_synced_as_it_says() -> None:
    """In stages, a share at a time; all at once; or by people alone, and then nothing is ever taken away."""
    sets = of_kind(render(EVERYTHING), "ApplicationSet")
    steps = sets["dev"]["spec"]["strategy"]["rollingSync"]["steps"]
    assert [step["matchExpressions"][0]["values"][0] for step in steps] == list(STAGES)
    assert [step["maxUpdate"] for step in steps] == ["100%", "100%", 1, "100%"]
    assert "strategy" not in sets["prod"]["spec"]
    assert sets["prod"]["spec"]["template"]["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert sets["prod"]["spec"]["generators"][0]["git"]["revision"] == "released"
    assert "CreateNamespace=false" in sets["prod"]["spec"]["templatePatch"]
    by_hand = sets["by-hand"]["spec"]
    assert "automated" not in by_hand["template"]["spec"]["syncPolicy"]
    assert by_hand["syncPolicy"] == {"preserveResourcesOnDeletion": True, "applicationsSync": "create-update"}


@pytest.mark.helm
def test_uninstalling_takes_nothing_from_a_cluster() -> None:
    """What would take running applications with it stays, until somebody deletes it on purpose."""
    for document in render(EVERYTHING):
        kept = document["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
        assert kept == (document["kind"] not in {"Role", "RoleBinding"}), document["kind"]


@pytest.mark.helm
def test_observers_may_read_applications_and_nothing_else() -> None:
    """Of all that is in Argo CD's namespace; in those that a value names, the list of pods."""
    documents = render(EVERYTHING)
    (role,) = of_kind(documents, "Role").values()
    assert role["rules"] == [{"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["get", "list"]}]
    (binding,) = of_kind(documents, "RoleBinding").values()
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "shipway-await-healthy", "namespace": "ci"}]
    assert not of_kind(render({**EVERYTHING, "observers": []}), "Role")
    more = [one for one in render({**EVERYTHING, "observedNamespaces": ["shop-dev"]}) if one not in documents]
    assert [(one["kind"], one["metadata"]["namespace"]) for one in more] == [
        ("Role", "shop-dev"),
        ("RoleBinding", "shop-dev"),
    ]
    assert more[0]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    assert more[1]["subjects"] == binding["subjects"]


@pytest.mark.helm
def test_what_rolls_at_a_branch_is_one_application() -> None:
    """In its environment's project and policy, with the commit among its values."""
    spec = of_kind(render(EVERYTHING), "Application")["dev-edge"]["spec"]
    assert (spec["project"], spec["source"]["targetRevision"]) == ("dev", "HEAD")
    assert {p["name"]: p["value"] for p in spec["source"]["helm"]["parameters"]} == {
        "image.tag": "main",
        "podAnnotations.commit": "$ARGOCD_APP_REVISION",
    }


@pytest.mark.helm
def test_the_chart_is_without_findings() -> None:
    """Of helm lint, strictly, with everything and with the example's values."""
    for given in (yaml.safe_dump(EVERYTHING), EXAMPLE.joinpath("values.yaml").read_text()):
        done = helm("lint", str(CHART), "--strict", "--values", "-", given=given)
        assert done.returncode == 0, done.stdout


def test_the_example_is_sound() -> None:
    """The example repository declares two environments, whose namespaces and sources its values allow."""
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    contents = {path.relative_to(EXAMPLE).as_posix(): path.read_bytes() for path in files}
    found = config_yaml.read(GitTree(files={path: File("100644", "") for path in contents}, contents=contents))
    assert found.findings == ()
    assert found.names == ("dev", "prod")
    values = yaml.safe_load(contents["values.yaml"])
    allowed = {item["name"]: item for item in values["environments"]}
    for item in found.applications:
        assert item.namespace in allowed[item.environment]["namespaces"]
        assert not item.repo or item.repo in allowed[item.environment]["repositories"]
        assert item.values


def test_every_value_is_described_and_has_a_default() -> None:
    """The schema knows each key of values.yaml, and docs/environments-values.md says what it says."""
    schema = json.loads(CHART.joinpath("values.schema.json").read_text())
    defaults = yaml.safe_load(CHART.joinpath("values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == defaults.keys()
    assert schema["properties"]["defaults"]["properties"].keys() == defaults["defaults"].keys()
    assert [path for path, inner in described("", schema) if not inner.get("description")] == [""]
    assert ENVIRONMENTS.page.read_text() == page(ENVIRONMENTS)
