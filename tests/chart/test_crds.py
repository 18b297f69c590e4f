"""Each document of Argo's kinds, as both charts give it, is one that the CRDs know, field by field."""

from __future__ import annotations

import pytest

from tests.chart import crds
from tests.chart.rendering import CHART, VALUES, Document, documents_in, helm, render
from tests.chart.test_environments import EVERYTHING
from tests.chart.test_environments import render as environments
from tests.chart.test_events import ALL, rendered

pytestmark = [
    pytest.mark.helm,
    pytest.mark.skipif(
        bool(crds.LACKING),
        reason=f"no checkouts of Argo's projects: {crds.LACKING} not set; the e2e tests ask a server",
    ),
]


def faults(documents: list[Document]) -> list[str]:
    """Return what the CRDs find in documents; fails where there is none of Argo's."""
    ours = [document for document in documents if document["apiVersion"] == crds.GROUP]
    assert ours
    return [fault for document in ours for fault in crds.errors(document)]


@pytest.mark.parametrize("values", VALUES)
def test_workflow_templates(values: str) -> None:
    """With each set of values."""
    assert faults(render(values)) == []


@pytest.mark.parametrize("bus", [{}, {"url": "nats://nats.example.com:4222", "secret": "nats"}], ids=["own", "exotic"])
def test_events(bus: dict[str, str]) -> None:
    """Bus, sources, Sensor, and the runs that follow a change."""
    assert faults(rendered(**ALL, bus=bus)) == []


def test_environments() -> None:
    """Projects, ApplicationSets and applications."""
    assert faults(environments(EVERYTHING)) == []


def test_a_field_that_no_crd_knows_is_found() -> None:
    """Deep inside, where a document's kind leaves much open elsewhere."""
    done = helm("template", "shipway", str(CHART), "--values", str(VALUES["smallest"]))
    document = next(d for d in documents_in(done.stdout) if d["kind"] == "WorkflowTemplate")
    document["spec"]["templates"][0]["containerSet"]["containers"][0]["enviroment"] = []
    assert [fault for fault in crds.errors(document) if "enviroment" in fault]
