"""The whole chart with events, before a repository whose pushes are told by hand, with the real release behind them."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.events.event import Sender
from tests import git_server
from tests.e2e.events import BUS, Events
from tests.e2e.installation import FINAL, Installation, Run
from tests.e2e.place import Place, kubectl
from tests.git_repositories import Repository
from tests.git_server import GitServer
from tests.shipway_process import Images
from tests.unit.cli.test_simulate import PAYLOADS

PATIENCE_SECONDS = 1200.0
ZEROS = "0" * 40


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A watched repository of a Gitea, and what becomes of its events."""

    events: Events
    installation: Installation
    git: GitServer
    repository: Repository

    def push(self, ref: str, head: str, before: str = ZEROS) -> bytes:
        """Return a push as Gitea tells of it."""
        body = json.loads((PAYLOADS / "gitea-push.json").read_text())
        own = {"full_name": "team/shop", "clone_url": f"{self.git.url}/team/shop"}
        return json.dumps(
            body | {"ref": ref, "before": before, "after": head, "repository": body["repository"] | own}
        ).encode()

    def payload(self, name: str, **changes: Any) -> bytes:
        """Return a saved payload as of this repository, after changes."""
        body = json.loads((PAYLOADS / f"{name}.json").read_text())
        own = {"id": 31, "full_name": "team/shop", "clone_url": f"{self.git.url}/team/shop"}
        return json.dumps({**body, "repository": body["repository"] | own, **changes}).encode()

    def tell(self, ref: str, head: str) -> str:
        """Send a signed push, and return the name of its run once it is there."""
        return self.send(self.push(ref, head))

    def send(self, body: bytes) -> str:
        """Send a body, signed, and return the name of its run once it is there."""
        [made] = self.events.simulated(Sender.GITEA, body)
        assert self.events.send(Sender.GITEA, body) == 200
        name = str(made["metadata"]["name"])
        self.until(lambda: name in self.events.runs())
        return name

    def until(self, seen: Callable[[], bool]) -> None:
        """Wait until something is seen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not seen():
            assert time.monotonic() < deadline, kubectl(self.installation.namespace, "get", "workflows,pods")
            time.sleep(1)

    def ended(self, name: str) -> Run:
        """Wait for a run's end."""
        self.until(lambda: self.installation.look(name).phase in FINAL)
        return self.installation.look(name)

    def digest(self, tag: str) -> str:
        """Return the digest of the image's tag, or an empty text."""
        images = Images(self.installation.where.registry, self.installation.namespace)
        with contextlib.suppress(AssertionError):
            return images.tags("page").get(tag, "")
        return ""


@contextlib.contextmanager
def opened(
    where: Place, namespace: str, folder: Path, values: Mapping[str, Any] | None = None, **settings: str
) -> Iterator[Shop]:
    """Give the chart in a new namespace once it listens, with further values and settings, and remove it."""
    kubectl(namespace, "create", "namespace", namespace)
    try:
        with git_server.serving(folder, host=where.host) as git:
            repository = Repository(folder / "team" / "shop")
            repository.write("page/Dockerfile", "FROM scratch\nCOPY page /\n").write("page/page", "0").commit()
            keys = {"gitea": secrets.token_hex(16), "manual": secrets.token_hex(16)}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shipway-webhooks"}}
            kubectl(namespace, "apply", "-f", "-", given={**secret, "stringData": keys})
            installation = Installation(where, namespace)
            watched = [{"forge": "gitea", "url": f"{git.url}/team/shop", "branch": "main"}]
            own = {"enabled": True, "manual": True, "bus": BUS, "repositories": watched, "schedule": "0 3 1 1 *"}
            installation.configure({**(values or {}), "events": own}, **settings)
            # Tests ask for the night themselves.
            kubectl(namespace, "delete", "workflow", "nightly-after-change-0", "--ignore-not-found")
            sensor = json.loads(kubectl(namespace, "get", "sensor", "shipway", "-o", "json"))
            events = Events(namespace=namespace, sensor=sensor, keys=keys)
            found = Shop(events=events, installation=installation, git=git, repository=repository)
            _listen(found)
            yield found
    finally:
        subprocess.run(["kubectl", "delete", "namespace", namespace, "--wait=false"], capture_output=True, check=False)


def _listen(shop: Shop) -> None:
    """Wait until a push starts a run: one of a ref that is not there, which is ignored."""
    for number in range(200):
        with contextlib.suppress(OSError, AssertionError):
            shop.events.send(Sender.GITEA, shop.push("refs/heads/none", f"{number + 1:040x}"))
        time.sleep(2)
        if shop.events.runs():
            return
    raise AssertionError(kubectl(shop.installation.namespace, "get", "pods"))
