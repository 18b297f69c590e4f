"""An environments repository and the chart `environments`, on the Argo CD of the cluster."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.place import Place, kubectl
from tests.git_repositories import Repository
from tests.git_server import GitServer

CHART = Path(__file__).parents[2] / "charts" / "environments"
NAMESPACE = os.environ.get("SHIPWAY_E2E_ARGO_CD", "argocd")
PATIENCE_SECONDS = 240.0
LOOK_SECONDS = 1.0
RUNS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 1
  progressDeadlineSeconds: 15
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: app
          image: {{ .Values.image | quote }}
          command: [sleep, "100000"]
          env: [{name: TEXT, value: {{ .Values.text }}}]
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-extra}
{{- end }}
"""


def lacking() -> str:
    """Return why there is no Argo CD to speak to, or an empty text."""
    asked = subprocess.run(
        ["kubectl", "-n", NAMESPACE, "get", "applicationsets.argoproj.io"], capture_output=True, text=True, check=False
    )
    return f"no Argo CD in namespace {NAMESPACE}: {asked.stderr.strip()[:200]}" if asked.returncode else ""


class ArgoCd:
    """One environment, of a name of its own, with its repository and its namespace."""

    def __init__(self, where: Place, namespace: str, git: GitServer, name: str) -> None:
        """Make the repository and the chart `app`, in the registry and in a Git repository."""
        self.where, self.namespace, self.name = where, namespace, name
        self.registry = f"{where.registry}/{namespace}/charts"
        self.repository = Repository(git.root / "environments")
        self.address = f"{git.url}/environments"
        self.charts = Repository(git.root / "charts")
        self.charts_address = f"{git.url}/charts"
        self.charts.write("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
        self.charts.write("app/values.yaml", "image: none\ntext: none\nextra: false\n").write(
            "app/templates/app.yaml", RUNS
        )
        self.charts.commit()
        archive = self.charts.path.parent / "app-1.0.0.tgz"
        _run("helm", "package", str(self.charts.path / "app"), "--destination", str(archive.parent))
        _run("helm", "push", str(archive), f"oci://{self.registry}", "--plain-http")

    def write(self, application: str, config: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Stage an application's files; a key of the configuration that is None is left out."""
        folder = f"{self.name}/{application}"
        whole = {"chart": "app", "version": "1.0.0", "namespace": self.namespace, **config}
        if "repo" in config:
            del whole["chart"], whole["version"]
        whole = {key: value for key, value in whole.items() if value is not None}
        self.repository.write(f"{folder}/config.json", json.dumps(whole))
        self.repository.write(f"{folder}/values.yaml", json.dumps(values))

    def commit(self) -> str:
        """Commit what is staged, tell Argo CD of it as a webhook would, and return the commit."""
        commit = self.repository.commit()
        if self.applications():
            self.refresh()
        return commit

    def refresh(self) -> None:
        """Tell Argo CD of a push as a webhook would."""
        words = ("-l", f"shipway/environment={self.name}", "--overwrite", "argocd.argoproj.io/refresh=normal")
        kubectl(NAMESPACE, "annotate", "applications", *words)

    def install(self, observers: Sequence[Mapping[str, str]] = (), **environment: Any) -> None:
        """Install the chart with this one environment."""
        given = {
            "repository": self.address,
            "charts": {"registry": self.registry, "plainHttp": True},
            "requeueSeconds": 5,
            "observers": list(observers),
            "environments": [
                {
                    "name": self.name,
                    "namespaces": [self.namespace],
                    "repositories": [self.charts_address],
                    **environment,
                }
            ],
        }
        words = ["upgrade", "--install", self.name, str(CHART), "-n", NAMESPACE, "--values", "-"]
        _run("helm", *words, given=json.dumps(given))

    def remove(self) -> None:
        """Take everything away; the chart itself would leave what runs."""
        _run("helm", "uninstall", self.name, "-n", NAMESPACE)
        kubectl(NAMESPACE, "delete", "applicationset", self.name, "--ignore-not-found")
        kubectl(NAMESPACE, "delete", "applications", "-l", f"shipway/environment={self.name}", "--wait=false")
        deadline = time.monotonic() + 60
        while self.applications() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        for item in self.applications().values():
            # Argo CD keeps one whose destination its project refuses: it cannot look for what it made there.
            words = ("--type=merge", "-p", '{"metadata": {"finalizers": null}}')
            kubectl(NAMESPACE, "patch", "application", item["metadata"]["name"], *words)
        kubectl(NAMESPACE, "delete", "appproject", self.name, "--ignore-not-found", "--wait=false")

    def applications(self) -> dict[str, dict[str, Any]]:
        """Return the environment's Applications by name."""
        asked = kubectl(NAMESPACE, "get", "applications", "-l", f"shipway/environment={self.name}", "-o", "json")
        return {item["metadata"]["labels"]["shipway/application"]: item for item in json.loads(asked)["items"]}

    def until(self, application: str, seen: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until an Application is as wanted, and return it; fails with how it stands."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.applications().get(application, {})
            if found and seen(found):
                return found
            assert time.monotonic() < deadline, json.dumps(found.get("status", {}), indent=1)[:4000]
            time.sleep(LOOK_SECONDS)

    def healthy(self, application: str, commit: str = "") -> dict[str, Any]:
        """Wait until an Application is Synced and Healthy, at a commit of the environments repository, and at rest."""
        return self.until(application, lambda found: state(found) == ("Synced", "Healthy") and at(found, commit))

    def object(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object of the environment's namespace."""
        found: dict[str, Any] = json.loads(kubectl(self.namespace, "get", kind, name, "-o", "json"))
        return found


def state(application: Mapping[str, Any]) -> tuple[str, str]:
    """Return sync and health; while an operation runs, that stands in place of the sync."""
    status = application.get("status", {})
    sync = status.get("sync", {}).get("status", "")
    phase = status.get("operationState", {}).get("phase", "")
    return phase if phase == "Running" else sync, status.get("health", {}).get("status", "")


def at(application: Mapping[str, Any], commit: str) -> bool:
    """Whether an Application was compared with a commit."""
    return commit in ("", *application.get("status", {}).get("sync", {}).get("revisions", ()))


def _run(*words: str, given: str = "") -> None:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
