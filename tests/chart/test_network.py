"""Who may connect where, as the NetworkPolicies say it; whether it holds is the network's own affair."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.network import admits, reaches, selects
from tests.chart.rendering import Document, of_kind, render

pytestmark = pytest.mark.helm
API = ("10.96.0.1", 443)
METADATA = [
    *(("169.254.169.254", 80), ("100.100.100.200", 80), ("168.63.129.16", 80)),
    *(("fd00:ec2::254", 80), ("fd20:ce::254", 80)),
]
INTERNET = [("93.184.215.14", 443), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443)]
PLANNERS = {"start", "plan", "retag", "deploy", "verdict"}
PRIVATE = [API, ("10.0.0.7", 8080), ("172.16.3.4", 5432), ("192.168.1.1", 22), ("100.64.0.1", 80), ("fd12::1", 80)]


def labels(documents: list[Document], name: str) -> dict[str, str]:
    """Return the labels of a pod: a template's with Argo's own, the builder's, or the test's."""
    if name in (templates := of_kind(documents, "WorkflowTemplate")):
        own = templates[name]["spec"]["templates"][0]["metadata"]["labels"]
        return {**own, "workflows.argoproj.io/workflow": f"{name}-x"}
    if name == "shipway-test":
        return dict(of_kind(documents, "Pod")[name]["metadata"]["labels"])
    return dict(of_kind(documents, "StatefulSet")[name]["spec"]["template"]["metadata"]["labels"])


def policies_of(documents: list[Document], name: str) -> list[dict[str, Any]]:
    """Return the policies that take a pod."""
    pod = labels(documents, name)
    found = of_kind(documents, "NetworkPolicy").values()
    return [policy for policy in found if selects(policy["spec"]["podSelector"], pod)]


@pytest.mark.parametrize("name", ["clone-build-push", "chart-release", "shipway-test", "shipway-buildkit"])
def test_every_pod_is_under_one_policy(name: str) -> None:
    """In both directions; nobody connects to a run, and it does not reach where clouds keep credentials."""
    (policy,) = policies_of(render("standing-builder"), name)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert all(reaches(policy, *address) for address in INTERNET)
    assert reaches(policy, "10.96.0.10", 53)
    assert not any(reaches(policy, *address) for address in METADATA)
    if name != "shipway-buildkit":
        assert "ingress" not in policy["spec"]
        assert reaches(policy, *API)


def test_run_steps_in_the_standing_builder_reach_nothing_private() -> None:
    """Neither the cluster's API, nor its pods and services, nor the machines around it."""
    (policy,) = policies_of(render("standing-builder"), "shipway-buildkit")
    assert not any(reaches(policy, *address) for address in PRIVATE)


def test_builds_alone_use_the_standing_builder() -> None:
    """And pods that plan, which ask its version; no other pod of the namespace, and what else listens there is nobody's."""
    documents = render("standing-builder")
    (builder,) = policies_of(documents, "shipway-buildkit")
    target = labels(documents, "shipway-buildkit")
    for name, may in {"clone-build-push": True, "shipway-test": True, "chart-release": False}.items():
        assert admits(builder, labels(documents, name), 1234) is may
        (policy,) = policies_of(documents, name)
        assert reaches(policy, "10.0.0.9", 1234, target)
    steps = {
        template["name"]: template["metadata"]["labels"]
        for name in ("release", "work")
        for template in of_kind(documents, "WorkflowTemplate")[name]["spec"]["templates"]
        if "containerSet" in template
    }
    assert {name for name in steps if admits(builder, steps[name], 1234)} == {"clone-build-push", *PLANNERS}
    assert not admits(builder, {"app.kubernetes.io/component": "clone-build-push"}, 1234)
    assert not admits(builder, labels(documents, "clone-build-push"), 22)


def test_another_namespace_brings_its_builds_and_not_its_checks() -> None:
    """Whoever shares a builder names a namespace; what strangers' pull requests run there stays away as well."""
    (builder,) = policies_of(render("everything"), "shipway-buildkit")
    (peer,) = (p for rule in builder["spec"]["ingress"] for p in rule["from"] if "namespaceSelector" in p)
    component = "app.kubernetes.io/component"
    named = {"app.kubernetes.io/name": "shipway"}
    assert selects(peer["podSelector"], {**named, component: "clone-build-push"})
    assert not any(selects(peer["podSelector"], {**named, component: name}) for name in ("try-images", "try-charts"))
    assert not selects(peer["podSelector"], {})


def test_what_pull_requests_bring_has_a_way_of_its_own() -> None:
    """Not to the standing builder of the trusted, neither from there nor by it; and where else is a value of its own."""
    for values, may in {"standing-builder": True, "everything": False}.items():
        documents = render(values)
        (builder,) = policies_of(documents, "shipway-buildkit")
        for template in of_kind(documents, "WorkflowTemplate")["check"]["spec"]["templates"]:
            if template["name"] not in {"try-images", "try-charts"}:
                continue
            pod = {**template["metadata"]["labels"], "workflows.argoproj.io/workflow": "check-x"}
            found = of_kind(documents, "NetworkPolicy").values()
            (policy,) = (policy for policy in found if selects(policy["spec"]["podSelector"], pod))
            assert not admits(builder, pod, 1234)
            assert reaches(policy, "10.0.0.9", 1234) is may  # as an address of anybody, not as the builder's pod
            assert not any(peer.get("podSelector") for rule in policy["spec"]["egress"] for peer in rule.get("to", ()))
            assert reaches(policy, *INTERNET[0])
            assert reaches(policy, *API) is may


def test_values_decide() -> None:
    """An empty list leaves DNS alone; without policies there are none."""
    documents = render("everything")
    (builder,) = policies_of(documents, "shipway-buildkit")
    assert not any(reaches(builder, *address) for address in [*INTERNET, *PRIVATE])
    assert reaches(builder, "10.96.0.10", 53)
    (runs,) = policies_of(documents, "clone-build-push")
    assert reaches(runs, "10.1.2.3", 443)
    assert not reaches(runs, "10.2.2.3", 443)
    assert of_kind(render("open-network"), "NetworkPolicy") == {}
