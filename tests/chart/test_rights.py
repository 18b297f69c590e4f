"""Accounts may do what the golden file says, and nothing else."""

from __future__ import annotations

import pytest

from tests.chart.rendering import of_kind, render
from tests.chart.rights import Rights, golden, rights, with_events

pytestmark = pytest.mark.helm


def test_roles_are_those_of_the_golden_file() -> None:
    """Each account gets its rights by Roles of this namespace; people get those of shipway-submitter."""
    documents = with_events("ci")
    accounts: dict[str, Rights] = {name: {} for name in of_kind(documents, "ServiceAccount")}
    roles = of_kind(documents, "Role")
    unbound = roles.keys() - {"shipway-submitter"}
    for binding in of_kind(documents, "RoleBinding").values():
        assert binding["roleRef"]["kind"] == "Role"
        for subject in binding["subjects"]:
            name = subject["name"] if subject["name"] in accounts else binding["roleRef"]["name"]
            accounts.setdefault(name, {}).update(rights(roles[binding["roleRef"]["name"]]["rules"]))
        unbound -= {binding["roleRef"]["name"]}
    assert accounts == golden()
    assert unbound == set()


def test_nobody_is_a_submitter_unless_named() -> None:
    """The Role is there to be bound; the chart binds it to nobody of its own accord."""
    assert of_kind(render("smallest"), "RoleBinding").keys() == {
        "shipway-executor",
        "shipway-report",
        "shipway-supersede",
    }
