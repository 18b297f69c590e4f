"""Who may connect where, as the NetworkPolicies say it; whether it holds is the network's own affair."""

from __future__ import annotations

import ipaddress
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
DNS: dict[str, Any] = {"labels": {"k8s-app": "kube-dns"}, "namespace": {"kubernetes.io/metadata.name": "kube-system"}}
INTERNET = [("93.184.215.14", 443), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443)]
PLANNERS = {"start", "plan", "retag", "deploy", "verdict"}
PRIVATE_V4 = ["10.0.0.7", "172.16.3.4", "192.168.1.1", "100.64.0.1", "127.0.0.1", "168.63.129.16", "169.254.169.254"]
PRIVATE = [API, ("fd12::1", 80), ("fe80::1", 80), ("::1", 80), *((address, 8080) for address in PRIVATE_V4)]


def disguised(address: str) -> list[tuple[str, int]]:
    """Return the forms that IPv6 has for an IPv4 address: behind NAT64, and as 6to4.

    A mapped one, ::ffff:…, leaves a machine as IPv4, and Kubernetes refuses it in a policy.
    """
    number = int(ipaddress.IPv4Address(address))
    forms = (0x64FF9B << 96 | number, 0x2002 << 112 | number << 80)
    return [(str(ipaddress.IPv6Address(form)), 80) for form in forms]


DISGUISED = [form for address in PRIVATE_V4 for form in disguised(address)]


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
    assert reaches(policy, "10.96.0.10", 53, **DNS)
    hidden = [form for address, _ in METADATA[:3] for form in disguised(address)]
    assert not any(reaches(policy, *address) for address in [*METADATA, *hidden])
    if name != "shipway-buildkit":
        assert "ingress" not in policy["spec"]
        assert reaches(policy, *API)


@pytest.mark.parametrize("name", ["clone-build-push", "try-images", "shipway-buildkit"])
def test_the_clusters_dns_alone_is_asked_for_names(name: str) -> None:
    """Another server of names could carry what a build reads anywhere, in the names that it asks for."""
    documents = render("standing-builder")
    policy = checks(documents)[name] if name == "try-images" else policies_of(documents, name)[0]
    rules = [rule for rule in policy["spec"]["egress"] if any(port["port"] == 53 for port in rule.get("ports", ()))]
    (rule,) = rules
    assert rule["to"] == [
        {"namespaceSelector": {"matchLabels": DNS["namespace"]}, "podSelector": {"matchLabels": DNS["labels"]}}
    ]


def test_run_steps_in_the_standing_builder_reach_nothing_private() -> None:
    """Neither the cluster's API, nor its pods and services, nor the machines around it."""
    (policy,) = policies_of(render("standing-builder"), "shipway-buildkit")
    assert not any(reaches(policy, *address) for address in [*PRIVATE, *DISGUISED])
    assert all(reaches(policy, *address) for address in disguised("93.184.215.14")[:1])


def test_builds_alone_use_the_standing_builder() -> None:
    """And pods that plan, which ask its version; no other pod
    of the namespace, and what else listens there is nobody's.
    """
    documents = render("standing-builder")
    (builder,) = policies_of(documents, "shipway-buildkit")
    target = labels(documents, "shipway-buildkit")
    for name, may in {"clone-build-push": True, "shipway-test": True, "chart-release": False}.items():
        assert admits(builder, labels(documents, name), 1234) is may
        (policy,) = policies_of(documents, name)
        assert reaches(policy, "10.0.0.9", 1234, target)
    steps = {
        template["name"]: template["metadata"]["labels"]
        for template in of_kind(documents, "WorkflowTemplate")["work"]["spec"]["templates"]
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


def checks(documents: list[Document]) -> dict[str, dict[str, Any]]:
    """Return the one policy of each pod that runs what strangers wrote."""
    found = {}
    for template in of_kind(documents, "WorkflowTemplate")["check"]["spec"]["templates"]:
        if template["name"] in {"try-images", "try-charts", "impact"}:
            pod = {**template["metadata"]["labels"], "workflows.argoproj.io/workflow": "check-x"}
            policies = of_kind(documents, "NetworkPolicy").values()
            (found[template["name"]],) = (p for p in policies if selects(p["spec"]["podSelector"], pod))
    return found


@pytest.mark.parametrize("name", ["try-images", "try-charts", "impact"])
def test_what_strangers_wrote_has_a_way_of_its_own(name: str) -> None:
    """The internet and what Argo's executor needs: not the network around, nor the standing builder, neither way."""
    documents = render("standing-builder")
    (builder,) = policies_of(documents, "shipway-buildkit")
    policy = checks(documents)[name]
    assert not admits(builder, {"app.kubernetes.io/name": "shipway", "app.kubernetes.io/component": name}, 1234)
    assert not any(reaches(policy, *address) for address in [*PRIVATE, *DISGUISED])
    assert not reaches(policy, "10.0.0.9", 1234, labels(documents, "shipway-buildkit"))
    assert all(reaches(policy, *address) for address in INTERNET)
    assert reaches(policy, "10.96.0.10", 53, **DNS)
    assert reaches(policy, "10.2.0.1", 6443)


def test_what_strangers_wrote_reaches_what_values_say() -> None:
    """A Git server and a registry with private addresses are named by whoever installs."""
    policy = checks(render("everything"))["impact"]
    assert reaches(policy, "192.168.1.1", 443)
    assert not reaches(policy, "10.0.0.7", 443)


def test_the_clusters_api_is_where_values_say() -> None:
    """Named, it is nowhere else: no other private address at its port."""
    for policy in [*checks(render("everything")).values(), *policies_of(render("everything"), "clone-build-push")]:
        assert reaches(policy, "10.7.0.1", 443)
        assert not reaches(policy, "10.8.0.1", 443)
        assert not reaches(policy, "10.8.0.1", 6443)


def test_values_decide() -> None:
    """An empty list leaves DNS alone; without policies there are none."""
    documents = render("everything")
    (builder,) = policies_of(documents, "shipway-buildkit")
    assert not any(reaches(builder, *address) for address in [*INTERNET, *PRIVATE])
    assert reaches(builder, "10.96.0.10", 53, **DNS)
    (runs,) = policies_of(documents, "clone-build-push")
    assert reaches(runs, "10.1.2.3", 443)
    assert not reaches(runs, "10.2.2.3", 443)
    assert of_kind(render("open-network"), "NetworkPolicy") == {}
