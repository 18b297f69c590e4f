"""The impact of a change to a chart that fifty applications use, against `helm template` typed fifty times."""

from __future__ import annotations

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.measure import command
from tests.git_repositories import Repository

APPLICATIONS = 50
_TEMPLATES = 8
_TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-%(number)d
  labels: {app.kubernetes.io/instance: {{ .Release.Name }}, helm.sh/chart: "{{ .Chart.Name }}-{{ .Chart.Version }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}-%(number)d}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}-%(number)d}}
    spec:
      containers:
        - name: main
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          env:
            {{- range $name, $value := .Values.env }}
            - {name: {{ $name }}, value: {{ $value | quote }}}
            {{- end }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}-%(number)d}
spec: {selector: {app: {{ .Release.Name }}-%(number)d}, ports: [{port: 80}]}
"""


class Impacting:
    """A repository with one chart, fifty applications of it in two environments, and both ways to see a change."""

    def __init__(self, folder: Path) -> None:
        """Make both repositories, and keep the renderings of the base."""
        self.folder = folder
        self.charts = Repository(folder / "charts")
        self.charts.write("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
        for number in range(_TEMPLATES):
            self.charts.write(f"web/templates/{number}.yaml", _TEMPLATE % {"number": number})
        self._values(0)
        self.charts.commit()
        self.base = self.charts.git("rev-parse", "HEAD")
        self.environments = Repository(folder / "environments")
        for number in range(APPLICATIONS):
            place = f"{('dev', 'prod')[number % 2]}/app-{number}"
            self.environments.write(f"{place}/config.yaml", "chart: web\nversion: 1.0.0\nnamespace: shop\n")
            self.environments.write(f"{place}/values.yaml", f"image: {{tag: v{number}}}\nenv: {{NUMBER: '{number}'}}\n")
        self.environments.commit()
        self.settings = folder / "settings.yaml"
        self.settings.write_text(
            f"registry: registry.invalid\ncache: {folder / 'cache'}\nenvironments: {self.environments.path}\n"
        )
        self._number = 0
        self.change()
        self.ours()

    def change(self) -> None:
        """Change the chart: every application's objects differ from the base, which was rendered before."""
        self._number += 1
        self._values(self._number)
        self.charts.commit()

    def forget(self) -> None:
        """Change the chart, and forget every rendering."""
        self.change()
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def ours(self) -> None:
        """Run `shipway impact`."""
        self._ours(APPLICATIONS)

    def again(self) -> None:
        """Run it once more over the same commits: nothing is to be rendered."""
        self._ours(0)

    def by_hand(self) -> None:
        """Render what the applications would be, side by side, with a thread more than there are processors."""
        with ThreadPoolExecutor(max_workers=1 + len(os.sched_getaffinity(0))) as pool:
            list(pool.map(self._template, range(APPLICATIONS)))

    def _ours(self, at_least: int) -> None:
        words: list[str | Path] = [
            "impact",
            self.charts.path,
            "--base",
            self.base,
            "--settings",
            self.settings,
            "--json",
        ]
        told = json.loads(command([sys.executable, "-m", "pipelines", *words], cwd=self.folder))
        if told["changed"] != APPLICATIONS or (told["rendered"] == 0) != (at_least == 0):
            raise RuntimeError(f"another impact than expected: {told['changed']} changed, {told['rendered']} rendered")

    def _template(self, number: int) -> None:
        values = self.environments.path / ("dev", "prod")[number % 2] / f"app-{number}" / "values.yaml"
        words: list[str | Path] = [
            "template",
            f"app-{number}",
            self.charts.path / "web",
            "--namespace=shop",
            "--include-crds",
        ]
        (self.folder / f"{number}.yaml").write_text(command(["helm", *words, "--values", values]))

    def _values(self, number: int) -> None:
        self.charts.write(
            "web/values.yaml", f"replicas: {number}\nimage: {{repository: registry/web, tag: x}}\nenv: {{}}\n"
        )
