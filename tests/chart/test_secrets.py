"""Which containers see which Secret: what docs/operating.md says is what the compiled templates mount."""

from __future__ import annotations

import re
from collections import defaultdict

import yaml

from tests.chart.reference import SHIPWAY, TOP

ACCOUNTS = frozenset({"shipway-supersede", "shipway-report", "shipway-reconcile", "shipway-await-healthy"})
"""Of steps that speak to the cluster's API; the chart makes them itself."""
Mounts = dict[str, dict[str, set[str]]]


def mounted() -> Mounts:
    """Return for each Secret the templates that mount it, and in which of their containers."""
    found: Mounts = defaultdict(lambda: defaultdict(set))
    for path in SHIPWAY.chart.glob("files/*.yaml"):
        for template in yaml.safe_load(path.read_text())["spec"]["templates"]:
            names = {v["name"]: v["secret"]["secretName"] for v in template.get("volumes", []) if "secret" in v}
            for container in template.get("containerSet", {}).get("containers", []):
                for mount in container.get("volumeMounts", []):
                    if mount["name"] in names:
                        found[names[mount["name"]]][template["name"]].add(container["name"])
    return found


def told() -> Mounts:
    """Return the same as the table of the page says it."""
    rows = re.findall(
        r"^\| `(shipway-[a-z-]+)` \|.*\| ([^|]+) \|$", (TOP / "docs" / "operating.md").read_text(), re.MULTILINE
    )
    return {
        name: {template: set(names.split(", ")) for template, names in re.findall(r"`([a-z-]+)` \(([a-z, -]+)\)", cell)}
        for name, cell in rows
    }


def test_the_page_names_each_container_that_sees_a_secret() -> None:
    """Nobody has to read templates to know how far a login reaches."""
    expected = {name: dict(where) for name, where in mounted().items() if name not in ACCOUNTS}
    assert {name: where for name, where in told().items() if name in expected} == expected
