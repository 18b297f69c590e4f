"""The whole circle on a cluster, closed by a forge's own webhooks: an image, its chart, an environment that follows by
commits, and one that follows by pull requests.

The forge is the Gitea that the environment names, or the stand-in.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.events.event import Sender
from pipelines.report.model import RELEASE
from tests import git_server
from tests.e2e import forge_gitea, forge_hooks
from tests.e2e.argo_cd import ArgoCd
from tests.e2e.events import BUS, Events
from tests.e2e.forge_gitea import gitea
from tests.e2e.forge_hooks import Delivery, HookRelay
from tests.e2e.forge_host import ForgeHost, Person, ProposedChange
from tests.e2e.forge_standin import stand_in
from tests.e2e.installation import FINAL, Installation, Run
from tests.e2e.place import Place, kubectl
from tests.unit.cli.test_simulate import PAYLOADS

SHOP, ENVIRONMENTS, PROD = "shop", "environments", "prod"
PATIENCE_SECONDS = 1500.0
QUIET_SECONDS = 8.0
DOCKERFILE = 'FROM shipway.local/busybox:static\nCOPY text /text\nCMD ["sleep", "100000"]\n'
DEPLOYMENT = """\
{{- if .Values.image.digest }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  progressDeadlineSeconds: 15
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: "{{ .Values.image.repository }}@{{ .Values.image.digest }}"
          readinessProbe: {exec: {command: [cat, /text]}, periodSeconds: 1}
{{- end }}
"""


@dataclass
class ForgeCircle:
    """Both repositories at a forge, whose webhooks go through a relay, and everything that they start."""

    installation: Installation
    argo: ArgoCd
    forge: ForgeHost
    events: Events
    relay: HookRelay
    shop: Person
    environments: Person
    settings: Path

    def push(self, text: str, **more: str) -> str:
        """Push a change of the image to main, with further files, and return the commit."""
        return self.shop.push({"web/text": text, **more}, f"Say {text}")

    def runs(self) -> dict[str, Run]:
        """Return every run by name."""
        return {name: Run(document) for name, document in self.events.runs().items()}

    def of(self, commit: str) -> list[Run]:
        """Return the runs that are about a commit, as their first pods say."""
        return [run for run in self.runs().values() if commit in {*_outputs(run, "start").values()}]

    def until(self, seen: Callable[[], object], what: str) -> None:
        """Wait until something is seen; fails with how the runs stand."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not seen():
            assert time.monotonic() < deadline, f"{what}: {kubectl(self.installation.namespace, 'get', 'workflows')}"
            time.sleep(1)

    def settled(self) -> None:
        """Wait until no webhook is on its way, every run has ended, and no further one comes."""
        quiet_since = 0.0

        def quiet() -> bool:
            nonlocal quiet_since
            if self.relay.waiting or any(run.phase not in FINAL for run in self.runs().values()):
                quiet_since = 0.0
                return False
            quiet_since = quiet_since or time.monotonic()
            return time.monotonic() - quiet_since >= QUIET_SECONDS

        self.until(quiet, "it never settles")

    def problems(self, commits: Sequence[str]) -> list[str]:
        """Return what is wrong with the statuses of commits: missing, not a success, or told more than once."""
        found: list[str] = []
        for commit in commits:
            given = self.forge.statuses(SHOP, commit)
            for context in sorted({RELEASE, *(one.context for one in given)}):
                told = [one for one in given if one.context == context]
                ends = [one.state for one in told if one.state != "pending"]
                if not told or told[-1].state != "success":
                    found.append(f"{commit[:12]} {context}: {told[-1] if told else 'nothing is said'}")
                elif len(ends) > 1:
                    found.append(f"{commit[:12]} {context}: told {len(ends)} times: {', '.join(ends)}")
        return found

    def proposals(self) -> list[ProposedChange]:
        """Return the open pull requests of deployments to prod."""
        every = self.forge.pull_requests(ENVIRONMENTS)
        return [one for one in every if one.is_open and one.branch.startswith(f"shipway/{PROD}/")]

    def running(self) -> set[str]:
        """Return the digests of the pods that are ready, as the node says."""
        pods = json.loads(kubectl(self.argo.namespace, "get", "pods", "-l", "app=web", "-o", "json"))["items"]
        return {
            status["imageID"].rpartition("@")[2]
            for pod in pods
            for status in pod["status"].get("containerStatuses", ())
            if status["ready"] and "deletionTimestamp" not in pod["metadata"]
        }

    def digests(self) -> set[str]:
        """Return the digests that the chart's values name, at the head of main."""
        return {str(yaml.safe_load(self.shop.file("charts/web/values.yaml"))["image"]["digest"])}

    def shipway(self, *words: str) -> Any:
        """Run a command with this deployment's settings, and return what it printed as JSON."""
        argv = [sys.executable, "-m", "pipelines", *words, "--settings", str(self.settings), "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=self.settings.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def _outputs(run: Run, template: str) -> dict[str, str]:
    return {
        parameter["name"]: str(parameter.get("value", ""))
        for node in run.nodes
        if node.get("templateName") == template
        for parameter in node.get("outputs", {}).get("parameters", ())
    }


@contextlib.contextmanager
def opened(where: Place, folder: Path) -> Iterator[ForgeCircle]:
    """Give a circle in a namespace of its own, once it listens and its first commit is deployed, and remove it."""
    name = secrets.token_hex(3)
    namespace = f"shipway-circle-{name}"
    with contextlib.ExitStack() as stack:
        kubectl(namespace, "create", "namespace", namespace)
        words = ["kubectl", "delete", "namespace", namespace, "--wait=false"]
        stack.callback(subprocess.run, words, capture_output=True, check=False)
        is_real = not forge_gitea.lacking()
        forge: ForgeHost = (
            stack.enter_context(gitea()) if is_real else stack.enter_context(stand_in(folder, where.host))
        )
        urls = {repository: forge.create(repository) for repository in (SHOP, ENVIRONMENTS)}
        people = {repository: Person(folder / repository, forge.push_address(repository)) for repository in urls}
        (folder / "git").mkdir()
        git = stack.enter_context(git_server.serving(folder / "git", host=where.host))
        argo = ArgoCd(where, namespace, git, f"dev-{name}")
        argo.registry, argo.address = f"{where.registry}/{namespace}/charts", urls[ENVIRONMENTS]
        # Nothing runs prod, so it is at a version that no commit of the shop releases.
        config = {argo.name: "0.1.0", PROD: "0.0.1"}
        people[ENVIRONMENTS].push(
            {
                f"{place}/web/{file}": text
                for place, version in config.items()
                for file, text in {
                    "config.yaml": f"chart: web\nversion: {version}\nnamespace: {namespace}\n",
                    "values.yaml": "# nothing of its own\n",
                }.items()
            }
        )
        installation, events = _installed(where, namespace, forge, urls)
        stack.callback(argo.remove)
        observers = [{"namespace": namespace, "name": "shipway-await-healthy"}]
        argo.install(sync={"stages": False}, observers=observers)

        def refresh(_: Delivery) -> None:
            if argo.applications():
                argo.refresh()

        hears = forge_hooks.to(lambda: f"http://{events.address}:12000/gitea")
        relay = stack.enter_context(forge_hooks.relay(where.host, {"/runs": hears, "/argo-cd": refresh}))
        settings = _settings(installation, folder, forge, urls[ENVIRONMENTS])
        circle = ForgeCircle(installation, argo, forge, events, relay, people[SHOP], people[ENVIRONMENTS], settings)
        _listen(circle, urls[SHOP])
        forge.watch(SHOP, f"{relay.address}/runs", events.keys["gitea"])
        forge.watch(ENVIRONMENTS, f"{relay.address}/argo-cd", events.keys["gitea"])
        image = f"{where.registry}/{namespace}/web"
        circle.push(
            "first",
            **{
                "web/Dockerfile": DOCKERFILE,
                "shipway.yaml": "deploy:\n  charts: commit\n"
                f"  environments: {{{argo.name}: commit, {PROD}: pull-request}}\n",
                "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
                "charts/web/values.yaml": f'image:\n  repository: {image}\n  tag: ""\n  digest: ""\n',
                "charts/web/templates/web.yaml": DEPLOYMENT,
            },
        )
        circle.settled()
        yield circle
        assert relay.faults == []


def _installed(where: Place, namespace: str, forge: ForgeHost, urls: dict[str, str]) -> tuple[Installation, Events]:
    """Install the chart with events before both repositories."""
    keys = {"gitea": secrets.token_hex(16), "manual": secrets.token_hex(16)}
    for secret, data in {**forge.secrets, "shipway-webhooks": keys}.items():
        metadata = {"name": secret}
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(data)}
        kubectl(namespace, "apply", "-f", "-", given=document)
    installation = Installation(where, namespace)
    watched = [{"forge": "gitea", "url": urls[SHOP], "branch": "main"}]
    own = {"enabled": True, "manual": True, "bus": BUS, "repositories": watched, "schedule": "0 3 1 1 *"}
    installation.configure(
        {"events": own},
        environments=urls[ENVIRONMENTS],
        forges=forge.forges,
        plain_http=f"{where.registry},{forge.plain_http}",
        deploy_author="E2E <e2e@example.org>",
        maintainers=forge.maintainer,
    )
    kubectl(namespace, "delete", "workflow", "nightly-after-change-0", "--ignore-not-found")
    sensor = json.loads(kubectl(namespace, "get", "sensor", "shipway", "-o", "json"))
    return installation, Events(namespace=namespace, sensor=sensor, keys=keys)


def _settings(installation: Installation, folder: Path, forge: ForgeHost, environments: str) -> Path:
    """Write the settings for commands that a person types, with the same logins."""
    for secret, data in forge.secrets.items():
        (folder / "secrets" / secret).mkdir(parents=True)
        for name, text in data.items():
            (folder / "secrets" / secret / name).write_text(text)
    settings = {
        **installation.settings,
        "environments": environments,
        "forges": forge.forges,
        "plain-http": f"{installation.where.registry},{forge.plain_http}",
        "deploy-author": "E2E <e2e@example.org>",
        "secrets": str(folder / "secrets"),
    }
    path = folder / "settings.yaml"
    path.write_text(json.dumps(settings))
    return path


def _listen(circle: ForgeCircle, url: str) -> None:
    """Wait until a push starts a run: one of a ref that is not there, which is ignored."""
    body = json.loads((PAYLOADS / "gitea-push.json").read_text())
    own = {"full_name": circle.forge.full_name(SHOP), "clone_url": url}
    for number in range(200):
        told = body | {"ref": "refs/heads/none", "after": f"{number + 1:040x}", "repository": body["repository"] | own}
        with contextlib.suppress(OSError, AssertionError):
            circle.events.send(Sender.GITEA, json.dumps(told).encode())
        time.sleep(2)
        if circle.events.runs():
            return
    raise AssertionError(kubectl(circle.installation.namespace, "get", "pods"))
