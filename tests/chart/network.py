"""What a NetworkPolicy lets through, by the rules of networking.k8s.io/v1."""

from __future__ import annotations

import ipaddress
from typing import Any


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector takes a pod."""
    for wanted in selector.get("matchExpressions", ()):
        key, operator = wanted["key"], wanted["operator"]
        if operator == "Exists" and key not in labels:
            return False
        if operator == "In" and labels.get(key) not in wanted["values"]:
            return False
        if operator == "NotIn" and labels.get(key) in wanted["values"]:
            return False
        assert operator in {"Exists", "In", "NotIn"}
    return set(selector.get("matchLabels", {}).items()) <= set(labels.items())


def reaches(
    policy: dict[str, Any],
    target: str,
    port: int,
    labels: dict[str, str] | None = None,
    namespace: dict[str, str] | None = None,
) -> bool:
    """Whether the policy's pods may connect to an address.

    `labels` are those of the pod that has it, `namespace` those of its namespace where that is another one.
    """
    return any(_passes(rule, "to", target, port, labels, namespace) for rule in policy["spec"].get("egress", ()))


def admits(policy: dict[str, Any], labels: dict[str, str], port: int) -> bool:
    """Whether a pod of the same namespace may connect to the policy's pods."""
    return any(_passes(rule, "from", "10.0.0.7", port, labels) for rule in policy["spec"].get("ingress", ()))


def _passes(
    rule: dict[str, Any],
    peers: str,
    target: str,
    port: int,
    labels: dict[str, str] | None,
    namespace: dict[str, str] | None = None,
) -> bool:
    if "ports" in rule and port not in {item["port"] for item in rule["ports"]}:
        return False
    return peers not in rule or any(_is(peer, target, labels, namespace) for peer in rule[peers])


def _is(peer: dict[str, Any], target: str, labels: dict[str, str] | None, namespace: dict[str, str] | None) -> bool:
    if "ipBlock" not in peer:
        if ("namespaceSelector" in peer) is not (namespace is not None):
            return False
        is_there = namespace is None or selects(peer["namespaceSelector"], namespace)
        return is_there and labels is not None and selects(peer.get("podSelector", {}), labels)
    address, block = ipaddress.ip_address(target), peer["ipBlock"]
    return address in ipaddress.ip_network(block["cidr"]) and not any(
        address in ipaddress.ip_network(left_out) for left_out in block.get("except", ())
    )
