"""Argo's flat map of nodes becomes the tree that the local engine has."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from pipelines.engines.cluster.status import RunTree
from pipelines.engines.local.nodes import Node, Phase
from tests.workflow_status import compiled, node, status

RUN = "run"
NODES = (
    node("run", "DAG", "Failed", children=("run.plan",)),
    node("run.plan", "Pod", "Succeeded", bound="run", displayName="plan", children=("run.images", "run.none")),
    # An empty fan-out has the tasks behind it as its children.
    node("run.none", "TaskGroup", "Skipped", bound="run", displayName="none", children=("run.after",)),
    node("run.after", "Skipped", "Omitted", bound="run", displayName="after"),
    node("run.images", "TaskGroup", "Failed", bound="run", displayName="images", children=("run.images(0:a)",)),
    node(
        "run.images(0:a)", "Retry", "Failed", bound="run", displayName="images(0:a)", children=("run.images(0:a)(0)",)
    ),
    node("run.images(0:a)(0)", "Pod", "Failed", bound="run", children=("run.images(0:a)(0).main",)),
    node(
        "run.images(0:a)(0).main", "Container", "Failed", bound="run.images(0:a)(0)", message="Error (exit code 3): no"
    ),
    node("run.onExit", "Pod", "Succeeded"),
)  # fmt: skip


def shape(top: Node | None) -> Any:
    """Return a node and those below as nested names."""
    return top and {top.display_name: [shape(child) for child in top.children]}


def test_parents_are_what_the_local_engine_has() -> None:
    """Items stand under their fan-out, attempts under their
    retry, containers under their pod, the rest under the DAG.
    """
    tree = RunTree(RUN)
    tree.update({"status": status(RUN, "Failed", *NODES)})
    assert shape(tree.root) == {
        "run": [
            {"plan": []},
            {"images": [{"images(0:a)": [{"run.images(0:a)(0)": [{"main": []}]}]}]},
            {"none": []},
            {"after": []},
        ]
    }
    assert shape(tree.on_exit) == {"run.onExit": []}
    found = {n.name: n for n in tree.walk()}
    assert found["run.images(0:a)(0).main"].exit_code == 3
    assert found["run.after"].phase is Phase.OMITTED


def test_an_item_that_argo_shows_by_another_name_is_shown_by_its_own() -> None:
    """As the local engine shows it, whatever the template's annotation says."""
    tree = RunTree(RUN)
    shown = [{**one, "displayName": "web"} if one["name"] == "run.images(0:a)" else one for one in NODES]
    tree.update({"status": status(RUN, "Failed", *shown)})
    [item] = [node for node in tree.walk() if node.name == "run.images(0:a)"]
    assert (item.display_name, item.label, item.short_name) == ("web", "images(0:a)", "images(0:a)")


def test_a_container_of_the_name_main_is_shown_as_the_step_that_it_runs() -> None:
    """By the template that the run keeps: of two with one name in different WorkflowTemplates, each node's own."""
    verdicts: dict[str, Any] = {
        name: {"templateRef": {"name": name, "template": "verdict"}} for name in ("check", "work")
    }
    nodes = [
        node("run", "DAG", "Failed"),
        *(node(f"run.{name}", "Pod", "Failed", bound="run", message="main: Error (exit code 1)") for name in verdicts),
        *(
            node(f"run.{name}.main", "Container", "Failed", bound=f"run.{name}", message="Error (exit code 1)", **of)
            for name, of in verdicts.items()
        ),
        node("run.work.again", "Container", "Succeeded", bound="run.work", **verdicts["work"]),
    ]
    stored = {
        f"namespaced/{name}/{template['name']}": template
        for name in verdicts
        for template in compiled(name)["spec"]["templates"]
    }
    tree = RunTree(RUN)
    tree.update({"status": status(RUN, "Failed", *nodes) | {"storedTemplates": stored}})
    found = {n.name: n for n in tree.walk()}
    assert [found[f"run.{name}.main"].short_name for name in verdicts] == ["check.check-verdict", "work.verdict"]
    assert not [n.name for n in tree.walk() if "main" in n.reason]
    assert (found["run.work.again"].label, found["run.work.main"].display_name) == ("again", "main")


def test_nodes_that_come_in_any_order_keep_their_identity() -> None:
    """A state that tells more changes nodes and makes no second
    one; a child may be told before its parent's list of it.
    """
    tree = RunTree(RUN)
    for count in range(1, len(NODES) + 1):
        tree.update({"status": status(RUN, "Running", *reversed(NODES[:count]))})
    names = [n.name for n in tree.walk()]
    assert sorted(names) == sorted(str(n["name"]) for n in NODES)


def test_compressed_nodes_are_read() -> None:
    """Argo compresses the nodes of large runs."""
    told = status(RUN, "Failed", *NODES)
    packed = base64.b64encode(gzip.compress(json.dumps(told.pop("nodes")).encode())).decode()
    tree = RunTree(RUN)
    tree.update({"status": {**told, "compressedNodes": packed}})
    assert len(list(tree.walk())) == len(NODES)


def test_what_argo_has_not_dated_yet_takes_no_negative_time() -> None:
    """A stopped pod is Failed before Argo writes when it ended: it ended with what is in it, or as it began."""
    tree = RunTree(RUN)
    nodes = (
        node("run", "Retry", "Failed", children=("run(0)",), finishedAt=None),
        node("run(0)", "Pod", "Failed", children=("run(0).main",), finishedAt=None),
        node("run(0).main", "Container", "Failed", bound="run(0)", finishedAt="2026-11-23T10:00:07Z"),
        node("run.onExit", "Pod", "Failed", finishedAt=None),
    )
    tree.update({"status": status(RUN, "Running", *nodes)})
    assert {n.name: n.finished - n.started for n in tree.walk()} == {
        "run": 6.0,
        "run(0)": 6.0,
        "run(0).main": 6.0,
        "run.onExit": 0.0,
    }
