"""The chart in a namespace, and runs of its templates."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.place import Place, kubectl

CHART = Path(__file__).parents[2] / "charts" / "shipway"
PATIENCE_SECONDS = 300.0
FINAL = frozenset({"Succeeded", "Failed", "Error"})


@dataclass(frozen=True)
class Run:
    """A Workflow, as the cluster tells of it."""

    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])

    @property
    def phase(self) -> str:
        """How it stands."""
        return str(self.document.get("status", {}).get("phase", ""))

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Its nodes, in no order."""
        return list(self.document.get("status", {}).get("nodes", {}).values())

    def pods(self, template: str) -> list[dict[str, Any]]:
        """Return the nodes of pods of a template, whether it was called by its name or out of another document."""
        return [
            node
            for node in self.nodes
            if node["type"] == "Pod"
            and template in {node.get("templateName"), node.get("templateRef", {}).get("template")}
        ]

    @property
    def attempts(self) -> list[str]:
        """The messages of its pods, the first attempt first; an empty one for success."""
        pods = sorted((node for node in self.nodes if node["type"] == "Pod"), key=lambda node: str(node["name"]))
        return [str(node.get("message", "")) for node in pods]

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the pod that ended last."""
        pods = sorted((node for node in self.nodes if node["type"] == "Pod"), key=lambda node: str(node["name"]))
        found = pods[-1].get("outputs", {}).get("parameters", ())
        # What a pod that failed never wrote stands there without a value.
        return {parameter["name"]: parameter["value"] for parameter in found if "value" in parameter}


class Installation:
    """The chart `shipway`, installed in a namespace."""

    def __init__(self, where: Place, namespace: str, program: str = "helm") -> None:
        """Install nothing yet; `program` is the Helm to do it with."""
        self.where = where
        self.namespace = namespace
        self.program = program

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the deployment."""
        registry = self.where.registry
        return {
            "registry": registry,
            "project": self.namespace,
            "plain-http": registry,
            "builder": "buildah",
            "isolation": "chroot",  # which a pod's buildah has; the tests bring its RUN steps themselves
            "mirrors": f"shipway.local={registry}",
            "shared-names": "any",  # each test has repositories of its own, and all publish into one project
        }

    def configure(self, values: Mapping[str, Any] | None = None, **settings: str) -> None:
        """Install the chart, or bring it to other values and settings; names of settings are written with _ for -."""
        self.upgrade(values, "--wait", **settings)

    def upgrade(
        self, values: Mapping[str, Any] | None = None, *words: str, chart: str = str(CHART), **settings: str
    ) -> str:
        """Do the same with a chart and further words to Helm, and return what it wrote."""
        given = {**self.settings, **{name.replace("_", "-"): value for name, value in settings.items()}}
        whole = {"image": self.where.image, "imagePullPolicy": "Always", "settings": given, **(values or {})}
        return self.helm("upgrade", "--install", "shipway", chart, *words, "--values", "-", given=json.dumps(whole))

    def check(self) -> str:
        """Run `helm test` and return what it wrote; fails where it does."""
        return self.helm("test", "shipway", "--logs")

    def remove(self) -> None:
        """Uninstall the chart."""
        self.helm("uninstall", "shipway", "--wait")

    def helm(self, *words: str, given: str = "") -> str:
        """Run Helm in the namespace and return what it wrote; fails where it does."""
        done = subprocess.run(
            [self.program, *words, "-n", self.namespace], input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, template: str, **arguments: str) -> str:
        """Start a run of a template and return its name; names of arguments are written with _ for -."""
        parameters = [{"name": name.replace("_", "-"), "value": value} for name, value in arguments.items()]
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": f"{template}-"},
            "spec": {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": parameters}},
        }
        return kubectl(self.namespace, "create", "-f", "-", "-o", "name", given=workflow).strip().partition("/")[2]

    def look(self, name: str) -> Run:
        """Return a run as it stands now."""
        return Run(json.loads(kubectl(self.namespace, "get", "workflow", name, "-o", "json")))

    def until(self, name: str, seen: Callable[[Run], bool]) -> Run:
        """Wait until a run is as wanted, and return it; fails with what its pods wrote when it ends otherwise."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not seen(run := self.look(name)):
            if run.phase in FINAL or time.monotonic() > deadline:
                raise AssertionError(self.story(run))
            time.sleep(0.3)
        return run

    def finished(self, name: str) -> Run:
        """Wait until a run has ended, and return it."""
        return self.until(name, lambda run: run.phase in FINAL)

    def run(self, template: str, **arguments: str) -> Run:
        """Start a run and wait for its end."""
        return self.finished(self.start(template, **arguments))

    def pods(self, run: str) -> list[dict[str, Any]]:
        """Return the pods of a run."""
        asked = kubectl(self.namespace, "get", "pods", "-l", f"workflows.argoproj.io/workflow={run}", "-o", "json")
        return list(json.loads(asked)["items"])

    def log(self, pod: str, container: str) -> str:
        """Return what a container wrote."""
        return kubectl(self.namespace, "logs", pod, "-c", container)

    def story(self, run: Run) -> str:
        """Return a run's phase, its nodes' messages and the ends of its logs, for a failed test."""
        words = [f"{run.name} {run.phase}: {run.document.get('status', {}).get('message', '')}", *run.attempts]
        for pod in self.pods(run.name):
            for container in pod["spec"]["containers"]:
                asked = subprocess.run(
                    ["kubectl", "-n", self.namespace, "logs", pod["metadata"]["name"], "-c", container["name"]],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                words.append(f"--- {pod['metadata']['name']} {container['name']}\n{asked.stdout[-1500:]}")
        return "\n".join(words)
