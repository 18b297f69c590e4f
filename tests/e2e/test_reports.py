"""Reports of runs on the real controller, to a forge at the network's
edge: what it is told, by whom, and what never fails for it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.events import event as events
from pipelines.events.event import PullRequest, Push
from pipelines.report.model import CHECK, MARKER, RELEASE
from tests import git_server
from tests.e2e.installation import FINAL, Installation, Run
from tests.e2e.place import kubectl
from tests.forge_server import TOKEN, ForgeServer, forge_server, said
from tests.git_repositories import Repository
from tests.git_server import GitServer

PATIENCE_SECONDS = 1200.0
UI = "https://argo.example.com"


@dataclass(frozen=True, kw_only=True)
class Reported:
    """An installation that reports to a forge, and the repository that is there."""

    installation: Installation
    forge: ForgeServer
    git: GitServer
    made: Repository

    def commit(self, dockerfile: str, number: int = 0) -> str:
        """Return a new commit with one image; with a number it is a pull request's."""
        self.made.write("web/Dockerfile", dockerfile).write("web/page", "page").commit()
        head = self.made.git("rev-parse", "HEAD").strip()
        if number:
            self.made.git("update-ref", f"refs/pull/{number}/head", head)
        return head

    @property
    def repo(self) -> str:
        """The repository's address."""
        return f"{self.git.url}/team/shop"

    def push(self, head: str) -> str:
        """Start a run as a push does, and return its name."""
        event = Push(
            source="gitea",
            repo_id=7,
            repo=self.repo,
            ref="refs/heads/main",
            before="1" * 40,
            head=head,
            pushed="",
            message="",
        )
        return self.installation.start("release", event=events.write(event))

    def pull_request(self, head: str, number: int, head_repo_id: int = 7) -> str:
        """Start a run as a pull request does, and return its name."""
        event = PullRequest(
            source="gitea",
            repo_id=7,
            repo=self.repo,
            number=number,
            base="main",
            head=head,
            head_repo_id=head_repo_id,
            draft="",
            author="ada",
            association="",
            action="opened",
            before="",
            updated="",
        )
        return self.installation.start("review", event=events.write(event))

    def ended(self, name: str) -> Run:
        """Wait until a run has ended, and return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (run := self.installation.look(name)).phase not in FINAL:
            assert time.monotonic() < deadline, self.installation.story(run)
            time.sleep(1)
        return run

    def until(self, name: str, template: str, phase: str) -> None:
        """Wait until a pod of a template is in a phase."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(node["phase"] == phase for node in self.installation.look(name).pods(template)):
            assert time.monotonic() < deadline, self.installation.story(self.installation.look(name))
            time.sleep(1)


@pytest.fixture(scope="module")
def reported(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reported]:
    """Give the installation with a forge that pods reach, and the token for it."""
    host, root = installation.where.host, tmp_path_factory.mktemp("git")
    (root / "team").mkdir()
    with git_server.serving(Path(root), host=host) as git, forge_server("gitea", host=host) as forge:
        address = git.url.partition("://")[2]
        token = {f"{address.replace(':', '_')}.token": TOKEN}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shipway-forge"}, "stringData": token}
        kubectl(installation.namespace, "apply", "-f", "-", given=secret)
        installation.configure(
            project=f"{installation.namespace}/reports",
            plain_http=f"{installation.where.registry},{forge.address}",
            forges=f"{address}=gitea+{forge.base}",
            argo_ui=UI,
        )
        made = Repository(root / "team" / "shop")
        made.write("README", "shop").commit()
        yield Reported(installation=installation, forge=forge, git=git, made=made)
        kubectl(installation.namespace, "delete", "secret", "shipway-forge")
        installation.configure()


def test_a_push_is_pending_and_then_done(reported: Reported) -> None:
    head = reported.commit("FROM scratch\nCOPY page /\n")
    name = reported.push(head)
    run = reported.ended(name)
    assert run.phase == "Succeeded", reported.installation.story(run)
    assert reported.forge.states(head, RELEASE) == ["pending", "success"]
    link = f"{UI}/workflows/{reported.installation.namespace}/{name}"
    assert {status["target_url"] for sha, status in reported.forge.statuses if sha == head} == {link}


def test_a_broken_pull_request_fails_with_its_lines_under_it(reported: Reported) -> None:
    """What a stranger wrote stands in code; the comment of the next run is the same one."""
    head = reported.commit("FROM scratch\nCOPY nothing-of-@everybody /\n", number=3)
    run = reported.ended(reported.pull_request(head, 3))
    assert run.phase == "Failed", reported.installation.story(run)
    assert reported.forge.states(head, CHECK) == ["pending", "failure"]
    [comment] = reported.forge.comments
    assert comment["body"].startswith(f"<!-- {MARKER} -->")
    assert "| image | `web` | failed |" in comment["body"]
    fenced = comment["body"].partition("```text")[2]
    assert "nothing-of-@everybody" in fenced
    assert "@" not in re.sub(r"`[^`]*`", "", comment["body"].partition("```text")[0])
    mended = reported.commit("FROM scratch\nCOPY page /again\n", number=3)
    run = reported.ended(reported.pull_request(mended, 3))
    assert run.phase == "Succeeded", reported.installation.story(run)
    assert reported.forge.states(mended, CHECK) == ["pending", "success"]
    [comment] = reported.forge.comments
    assert f"**Shipway: done** at `{mended[:12]}`" in comment["body"]


def test_a_strangers_pull_request_says_what_it_waits_for(reported: Reported) -> None:
    """Nothing of it is run, and its author and the maintainers see why."""
    head = reported.commit("FROM scratch\nCOPY page /strange\n", number=4)
    run = reported.ended(reported.pull_request(head, 4, head_repo_id=8))
    assert run.phase == "Succeeded", reported.installation.story(run)
    assert {node.get("templateName") for node in run.nodes if node["type"] == "Pod"} == {"start", "report-end-pod"}
    assert reported.forge.states(head, CHECK) == ["pending"]
    assert "/ok-to-test" in reported.forge.statuses[-1][1]["description"]


def test_a_stopped_run_is_an_error(reported: Reported) -> None:
    head = reported.commit("FROM scratch\nCOPY page /stopped\n")
    name = reported.push(head)
    reported.until(name, "start", "Succeeded")
    patch = json.dumps({"spec": {"shutdown": "Stop"}})
    kubectl(reported.installation.namespace, "patch", "workflow", name, "--type=merge", "-p", patch)
    reported.ended(name)
    assert reported.forge.states(head, RELEASE)[-1] == "error"
    assert reported.forge.statuses[-1][1]["description"] == "stopped"


def test_a_forge_that_is_away_delays_the_report_and_nothing_else(reported: Reported) -> None:
    """The image is published and the verdict given meanwhile; the
    report comes once the forge is back, and the run is a good one.
    """
    reported.forge.lie("GET|POST", "status", said(503, "maintenance"))
    try:
        head = reported.commit("FROM scratch\nCOPY page /away\n")
        name = reported.push(head)
        reported.until(name, "report-end-pod", "Failed")
        assert reported.forge.states(head) == []
        assert any(
            node.get("templateName") == "verdict" and node["phase"] == "Succeeded"
            for node in reported.installation.look(name).nodes
        )
    finally:
        reported.forge.lies.clear()
    run = reported.ended(name)
    assert run.phase == "Succeeded", reported.installation.story(run)
    assert reported.forge.states(head, RELEASE)[-1] == "success"
