"""`chart-release` on this machine against the loop of Helm's
commands, and against chartpress, over the same fifty charts.
"""

from __future__ import annotations

import json
import shutil
import sys
import venv
from pathlib import Path

import yaml

from pipelines.charts import chart_lock
from tests.bench.measure import command

CHARTS = 50
BASES = 5
"""Charts that the others depend on, two each."""
CHANGED = (17, 28, 49)
CHARTPRESS = "chartpress==2.4.0"
ANY = ">=0.0.0-0"
"""The range of every dependency: chartpress gives charts versions of its own, before any release."""
GIT = {
    "GIT_AUTHOR_NAME": "b",
    "GIT_AUTHOR_EMAIL": "b@example.invalid",
    "GIT_COMMITTER_NAME": "b",
    "GIT_COMMITTER_EMAIL": "b@example.invalid",
}
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
  labels: {app: {{ .Chart.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Chart.Name }}}}
  template:
    metadata: {labels: {app: {{ .Chart.Name }}}}
    spec:
      containers:
        - name: main
          image: {{ .Values.image | quote }}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: s-{{ .Release.Name }}-{{ .Chart.Name }}}
spec:
  selector: {app: {{ .Chart.Name }}}
  ports: [{name: http, port: {{ .Values.port }}}]
"""


class Charts:
    """A repository of fifty charts, a registry, and three ways to release them."""

    def __init__(self, folder: Path, registry: str, data: Path) -> None:
        """Make the repository; `data` is where the registry keeps what it got."""
        self.folder = folder
        self.registry = registry
        self.data = data
        self.repository = folder / "repository"
        self.counter = 0
        self._make_repository()
        for name in ("ours", "loop", "chartpress"):
            (folder / name).mkdir()

    def change(self) -> None:
        """Commit a change of three charts, with their next versions."""
        self.counter += 1
        for number in CHANGED:
            self._write(number)
        self._commit(f"change {self.counter}")

    def ours(self) -> dict[str, object]:
        """Release with Shipway and return what it tells."""
        state = self.folder / "ours"
        settings = {"registry": self.registry, "project": "ours", "plain-http": self.registry}
        (state / "settings.yaml").write_text(yaml.safe_dump(settings))
        flags: list[str | Path] = ["--settings", state / "settings.yaml", "--state", state, "--quiet", "--json"]
        told: dict[str, object] = json.loads(command(["shipway", "charts", self.repository, *flags]))
        return told

    def loop(self) -> None:
        """Release every chart by hand."""
        clone = self._clone("loop", "--depth", "1")
        home = self._home("loop")
        for number in range(CHARTS):
            chart = clone / "charts" / _name(number)
            version = yaml.safe_load((chart / "Chart.yaml").read_text())["version"]
            if number >= BASES:
                command(["helm", "dependency", "build", chart], env=home)
            command(["helm", "package", chart, "--destination", clone], env=home)
            archive = clone / f"{_name(number)}-{version}.tgz"
            command(["helm", "push", "--plain-http", archive, f"oci://{self.registry}/loop"], env=home)

    def chartpress(self) -> None:
        """Release with chartpress, which asks the registry for each version before it packs the chart."""
        clone = self._clone("chartpress")
        argv: list[str | Path] = [self._program(), "--no-build", "--publish-chart"]
        command(argv, cwd=clone, env=self._home("chartpress"))

    def stored_bytes(self) -> int:
        """Return how much the registry keeps."""
        return sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())

    def _clone(self, name: str, *flags: str) -> Path:
        clone = self.folder / name / "clone"
        shutil.rmtree(clone, ignore_errors=True)
        command(["git", "clone", "-q", *flags, f"file://{self.repository}", clone])
        return clone

    def _home(self, name: str) -> dict[str, str]:
        return {f"HELM_{what}_HOME": str(self.folder / name / "home") for what in ("CACHE", "CONFIG", "DATA")}

    def _program(self) -> Path:
        """Return chartpress, installed on first use into an environment of its own."""
        environment = self.folder / "chartpress" / "venv"
        if not environment.exists():
            venv.create(environment, with_pip=True)
            pip: list[str | Path] = [
                environment / "bin" / "pip",
                "--disable-pip-version-check",
                "--quiet",
                "install",
                CHARTPRESS,
            ]
            command(pip)
        return environment / "bin" / "chartpress"

    def _make_repository(self) -> None:
        for number in range(CHARTS):
            self._write(number)
        port = self.registry.rpartition(":")[2]
        # Only for this name does chartpress speak without TLS.
        place = {"oci": f"localhost:{port}/chartpress"}
        charts = [{"name": n, "chartPath": f"charts/{n}", "repo": place} for n in map(_name, range(CHARTS))]
        (self.repository / "chartpress.yaml").write_text(yaml.safe_dump({"charts": charts}))
        command(["git", "init", "-q", "-b", "main", self.repository])
        self._commit("first")

    def _write(self, number: int) -> None:
        chart = self.repository / "charts" / _name(number)
        (chart / "templates").mkdir(parents=True, exist_ok=True)
        on = [_name(number % BASES), _name((number + 1) % BASES)] if number >= BASES else []
        wanted = [{"name": name, "version": ANY, "repository": f"file://../{name}"} for name in on]
        pins = [{"name": name, "repository": f"file://../{name}", "version": "1.0.0"} for name in on]
        version = f"1.0.{self.counter if number in CHANGED else 0}"
        metadata = {"apiVersion": "v2", "name": _name(number), "version": version, "appVersion": "1.0.0"}
        if on:
            metadata["dependencies"] = wanted  # type: ignore[assignment]
            lock = {
                "dependencies": pins,
                "digest": chart_lock.digest(wanted, pins),
                "generated": "2026-01-01T00:00:00Z",
            }
            (chart / "Chart.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
        (chart / "Chart.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False))
        values = "".join(f"# value {n} of {number}\nkey{n}: {n * number * 2654435761 % 2**32}\n" for n in range(100))
        (chart / "values.yaml").write_text(f"replicas: 1\nport: 80\nimage: i:{self.counter}\n{values}")
        (chart / "templates" / "deployment.yaml").write_text(DEPLOYMENT)
        (chart / "templates" / "service.yaml").write_text(SERVICE)

    def _commit(self, message: str) -> None:
        command(["git", "-C", self.repository, "add", "-A"])
        command(["git", "-C", self.repository, "commit", "-qm", message], env=GIT)


def tell_bytes(title: str, count: int) -> dict[str, object]:
    """Print how many bytes a side pushed, and return it for machines."""
    sys.stdout.write(f"{title}: {count} bytes\n\n")
    return {"title": title, "bytes": count}


def _name(number: int) -> str:
    return f"{'base' if number < BASES else 'chart'}{number}"
