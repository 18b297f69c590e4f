"""The whole circle on a cluster: a commit to an application's source, and at the end a pod that runs it, and the commit
knows.

The first test starts runs by hand, and tells Argo CD of a push as a webhook tells it. The others have a forge whose own
webhooks start everything, also those of Shipway's own commits: a Gitea, or else the stand-in.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import argo_cd, forge_circle
from tests.e2e.argo_cd import ArgoCd, state
from tests.e2e.forge_circle import DEPLOYMENT, DOCKERFILE, ENVIRONMENTS, PROD, SHOP, ForgeCircle
from tests.e2e.forge_orders import ORDERS
from tests.e2e.installation import FINAL, Installation, Run
from tests.e2e.place import Place, kubectl, lacking
from tests.forge_server import TOKEN, ForgeServer, forge_server
from tests.git_repositories import Repository
from tests.git_server import GitServer


@dataclass
class Circle:
    """A repository with an image and its chart, an environment that follows it, and the forge that both are at."""

    installation: Installation
    argo: ArgoCd
    forge: ForgeServer
    shop: Repository
    url: str
    settings: Path
    times: list[tuple[str, float]] = field(default_factory=list)

    def write(self, text: str, dockerfile: str = DOCKERFILE) -> str:
        """Commit a change of the application's source, and return the commit."""
        self.shop.write("web/Dockerfile", dockerfile).write("web/text", text)
        self.times = [("commit", time.monotonic())]
        return self.shop.commit(text)

    def release(self, *, succeeds: bool = True) -> Run:
        """Do what a push of the branch starts: build, release,
        deploy, and wait for Argo CD, which is told of the push.
        """
        name = self.installation.start("release", repo=self.url, revision="main", ref="refs/heads/main")
        self.installation.until(name, lambda run: _is_written(run) or run.phase in FINAL)
        self.mark("released and deployed")
        self.argo.refresh()
        run = self.installation.until(name, lambda run: run.phase in FINAL)
        assert (run.phase == "Succeeded") is succeeds, self.installation.story(run)
        self.mark("Argo CD has it" if succeeds else "told as broken")
        return run

    def mark(self, what: str) -> None:
        """Note the time of something."""
        self.times.append((what, time.monotonic()))

    def tell(self, title: str) -> None:
        """Write what took how long since the commit."""
        sys.stderr.write(
            f"{title}\n" + "".join(f"  {at - self.times[0][1]:6.1f} s  {what}\n" for what, at in self.times)
        )

    def shipway(self, *words: str) -> Any:
        """Run a command with this deployment's settings, and return what it printed as JSON."""
        argv = [sys.executable, "-m", "pipelines", *words, "--settings", str(self.settings), "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=self.settings.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def running(self) -> set[str]:
        """Return the digests of the pods that are ready, as the node says."""
        pods = json.loads(kubectl(self.argo.namespace, "get", "pods", "-l", "app=web", "-o", "json"))["items"]
        return {
            status["imageID"].rpartition("@")[2]
            for pod in pods
            for status in pod["status"].get("containerStatuses", ())
            if status["ready"] and "deletionTimestamp" not in pod["metadata"]
        }


def _is_written(run: Run) -> bool:
    """Whether the environment's commit is pushed."""
    return any(node["displayName"] == "environments" and node["phase"] == "Succeeded" for node in run.nodes)


@pytest.fixture
def circle(installation: Installation, where: Place, git: GitServer, tmp_path: Path) -> Iterator[Circle]:
    """Give a repository, an environment and a forge that know each other; they end with the test."""
    if why := lacking() or argo_cd.lacking():
        pytest.skip(why)
    argo = ArgoCd(where, installation.namespace, git, f"circle-{secrets.token_hex(3)}")
    argo.registry = f"{where.registry}/{installation.namespace}/charts"
    shop = Repository(git.root / "team" / "shop")
    for repository in (shop, argo.repository):
        # Deployments push to both, and their working trees are the tests'.
        repository.git("config", "http.receivepack", "true")
        repository.git("config", "receive.denyCurrentBranch", "updateInstead")
    shop.write("shipway.yaml", f"deploy:\n  charts: commit\n  environments: {{{argo.name}: commit}}\n")
    shop.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n")
    image = f"{where.registry}/{installation.namespace}/web"
    shop.write("charts/web/values.yaml", f'image:\n  repository: {image}\n  tag: ""\n  digest: ""\n')
    shop.write("charts/web/templates/web.yaml", DEPLOYMENT)
    argo.repository.write(
        f"{argo.name}/web/config.yaml", f"chart: web\nversion: 0.1.0\nnamespace: {installation.namespace}\n"
    )
    argo.repository.write(f"{argo.name}/web/values.yaml", "# nothing of its own\n").commit()
    url = f"{git.url}/team/shop"
    with forge_server("gitea", host=where.host) as forge:
        host = git.url.partition("://")[2]
        kubectl(
            installation.namespace,
            "create",
            "secret",
            "generic",
            "shipway-forge",
            f"--from-literal={host.replace(':', '_')}.token={TOKEN}",
        )
        plain = f"{where.registry}, {host}, {forge.address}"
        installation.configure(
            environments=argo.address,
            forges=f"{host}=gitea+{forge.base}",
            plain_http=plain,
            deploy_author="E2E <e2e@example.org>",
        )
        settings = tmp_path / "settings.yaml"
        settings.write_text(
            json.dumps(
                {
                    **installation.settings,
                    "environments": argo.address,
                    "plain-http": plain,
                    "deploy-author": "E2E <e2e@example.org>",
                }
            )
        )
        yield Circle(installation, argo, forge, shop, url, settings)
    argo.remove()


def test_from_a_commit_to_a_pod_and_back(circle: Circle) -> None:
    """The pod runs the commit's digest and the commit says so; a
    broken image leaves the last good one, and a rollback mends it.
    """
    context = f"shipway/{circle.argo.name}"
    circle.argo.install(
        sync={"stages": False},
        observers=[{"namespace": circle.installation.namespace, "name": "shipway-await-healthy"}],
    )
    good = circle.write("good")
    # The one run writes the image's digest into the chart, releases it, and moves the environment to it.
    run = circle.release()
    made = circle.shop.git("rev-parse", "HEAD")
    assert made != good
    pods = {node["displayName"].partition("(")[0] for node in run.nodes if node["type"] == "Pod"}
    assert pods == {"start", "wave-1", "charts", "deploy", "verdict", "tell"}
    (row,) = circle.shipway("where", good)["applications"]
    digest = row["images"][0]["digest"]
    assert (row["state"]["sync"], row["state"]["health"], row["images"][0]["runs"]) == ("Synced", "Healthy", True)
    assert circle.running() == {digest}
    assert [circle.forge.states(commit, context)[-1] for commit in (good, made)] == ["success", "success"]
    circle.mark("the pod runs it, and the commit says so")
    circle.tell("a commit's whole circle")

    bad = circle.write("bad", DOCKERFILE.replace('"sleep", "100000"', '"false"'))
    circle.release(succeeds=False)
    circle.tell("a commit whose image does not run")
    assert circle.forge.states(bad, context)[-1] == "failure"
    assert circle.running() == {digest}

    circle.times = [("rollback", time.monotonic())]
    circle.shipway("rollback", "web", "--environment", circle.argo.name)
    circle.argo.refresh()
    circle.argo.until("web", lambda item: state(item) == ("Synced", "Healthy"))
    assert circle.running() == {digest}
    circle.mark("Synced and Healthy")
    circle.tell("a rollback")


@pytest.fixture(scope="module")
def closed(where: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeCircle]:
    """Give a circle that a forge's own webhooks close, once its first commit is deployed."""
    if why := lacking() or argo_cd.lacking():
        pytest.skip(why)
    with forge_circle.opened(where, tmp_path_factory.mktemp("closed")) as found:
        yield found


def test_a_pull_request_stays_itself_with_its_review(closed: ForgeCircle) -> None:
    """What is proposed to prod is brought up to date by each push: the same number, and the approved commit in it."""
    [first] = closed.proposals()
    closed.forge.approve(ENVIRONMENTS, first.number)
    reviewed = closed.environments.head(first.branch)
    closed.push(secrets.token_hex(4))
    closed.settled()
    [second] = closed.proposals()
    assert (second.number, second.branch) == (first.number, first.branch)
    assert second.title != first.title
    assert closed.environments.head(first.branch) != reviewed
    assert closed.environments.contains(first.branch, reviewed)
    assert closed.forge.approved(ENVIRONMENTS, first.number) == [reviewed]
    assert [one.number for one in closed.forge.pull_requests(ENVIRONMENTS)] == [first.number]


def test_a_pull_request_of_a_branch_of_ones_own_has_its_comment(closed: ForgeCircle) -> None:
    """Also where the push of the same commit comes within the same second; a command cut short is answered there."""
    branch = f"topic-{secrets.token_hex(3)}"
    head = closed.shop.push({"web/text": branch}, "Try it", branch=branch, base="main")
    number = closed.forge.propose(SHOP, branch, "Try it")
    closed.settled()
    [comment] = closed.forge.comments(SHOP, number)
    assert f"**Shipway: done** at `{head[:12]}`" in comment
    assert [one for one in closed.forge.statuses(SHOP, head) if one.state in {"failure", "error"}] == []
    closed.forge.say(SHOP, number, f"/ok-to-test {head[:10]}")
    closed.settled()
    answer = closed.forge.comments(SHOP, number)[-1]
    assert f"/ok-to-test needs all 40 digits of a commit; the pull request is at {head}" in answer


def test_a_rollback_leaves_no_pull_request_with_what_it_left(closed: ForgeCircle) -> None:
    """What dev was rolled back from is proposed to prod no more, and a comment says why; something newer is."""
    closed.push(secrets.token_hex(4))
    closed.settled()
    [proposal] = closed.proposals()
    closed.shipway("rollback", "web", "--environment", closed.argo.name)
    assert closed.proposals() == []
    comments = closed.forge.comments(ENVIRONMENTS, proposal.number)
    assert f"Closed: {closed.argo.name}/web was rolled back from web@" in comments[-1]
    closed.push(secrets.token_hex(4))
    closed.settled()
    [newer] = closed.proposals()
    assert PROD in newer.title


@pytest.mark.parametrize("order", ORDERS)
def test_every_commit_ends_with_its_true_status_in_any_order(closed: ForgeCircle, order: str) -> None:
    """One push is one green, for people's commits and Shipway's own; the pod runs it, and one pull request stays."""
    head, proposed = closed.shop.head(), [one.number for one in closed.proposals()]
    commits = ORDERS[order](closed)
    closed.settled()
    every = closed.shop.commits(head)
    assert set(commits) <= set(every)
    assert closed.problems(every) == []
    assert closed.running() == closed.digests()
    assert [one.number for one in closed.proposals()] == proposed
