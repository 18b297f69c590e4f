"""From a signed webhook to a digest, with the real release: late, doubled, overtaken and missed events."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pipelines.events.event import BY_ANNOTATION
from pipelines.events.run_labels import DESCRIPTION
from tests.e2e import shop as shops
from tests.e2e.installation import Run
from tests.e2e.place import Place, kubectl
from tests.e2e.shop import PATIENCE_SECONDS, Shop


@pytest.fixture(scope="module")
def shop(where: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Give the whole chart with events, before a repository of one image of a single file."""
    folder = tmp_path_factory.mktemp("served")
    with shops.opened(
        where, f"shipway-runs-{secrets.token_hex(3)}", folder, maintainers="ada", branch_checks="push"
    ) as found:
        yield found


def told(run: Run, output: str, template: str = "start") -> str:
    """Return an output of a template of a run."""
    return next(
        str(parameter["value"])
        for node in run.nodes
        if node.get("templateName") == template
        for parameter in node.get("outputs", {}).get("parameters", ())
        if parameter["name"] == output
    )


def notes(run: Run) -> Mapping[str, str]:
    """Return a run's annotations."""
    return dict(run.document["metadata"].get("annotations", {}))


def test_a_push_is_built_once_and_a_late_one_not(shop: Shop) -> None:
    """A signed push ends as a digest; told again it starts nothing; the push before, told late, moves no tag."""
    old = shop.repository.write("page/page", "old").commit()
    new = shop.repository.write("page/page", "new").commit()
    run = shop.tell("refs/heads/main", new)
    ended = shop.ended(run)
    assert ended.phase == "Succeeded", shop.installation.story(ended)
    published = shop.digest("main")
    assert published
    assert shop.digest(f"git-{new}") == published
    selector = f"shipway.io/repository=team-shop,shipway.io/ref=main,shipway.io/commit={new},shipway.io/lane=trusted"
    found = kubectl(shop.installation.namespace, "get", "workflows", "-l", selector, "-o", "name")
    assert found.split() == [f"workflow.argoproj.io/{run}"]
    assert shop.tell("refs/heads/main", new) == run
    late = shop.ended(shop.tell("refs/heads/main", old))
    assert (late.phase, told(late, "lane")) == ("Succeeded", "ignored")
    assert told(late, "reason").startswith("it is late")
    assert (shop.digest("main"), shop.digest(f"git-{old}")) == (published, "")
    assert len([name for name in shop.events.runs() if name == run]) == 1


def test_a_commit_of_a_fork_alone_is_refused(shop: Shop) -> None:
    """A signed push that names a commit which is on no branch fails by name, and publishes nothing."""
    impostor = shop.repository.git("commit-tree", "-m", "Fork", "-p", "main", "main^{tree}")
    ended = shop.ended(shop.tell("refs/heads/main", impostor))
    assert ended.phase == "Failed"
    assert any("(exit code 3)" in message for message in ended.attempts)
    assert shop.digest(f"git-{impostor}") == ""


def test_the_newest_run_wins(shop: Shop) -> None:
    """A run that is held in its work is stopped by the next push of
    its branch, and so is one that has not begun; others are not.
    """
    first = shop.repository.write("page/page", "first").commit()
    shop.repository.git("branch", "--force", "main-1", first)
    beside = shop.tell("refs/heads/main-1", first)
    running = shop.tell("refs/heads/main", first)
    shop.until(
        lambda: (
            "supersede"
            in {n["displayName"] for n in shop.installation.look(running).nodes if n["phase"] == "Succeeded"}
        )
    )
    shop.git.held.clear()
    shop.git.hold = threading.Event()
    assert shop.git.held.wait(PATIENCE_SECONDS)
    # However long the newest one takes to come so far, this one has not ended by then.
    suspend(shop, running, on=True)
    hold, shop.git.hold = shop.git.hold, None
    hold.set()
    second = shop.repository.write("page/page", "second").commit()
    pending = pretend_pending(shop, running)
    time.sleep(1.1)  # Kubernetes tells when a run was made in whole seconds, and within one the name decides.
    newest = shop.tell("refs/heads/main", second)
    shop.until(lambda: BY_ANNOTATION in notes(shop.installation.look(running)))
    suspend(shop, running, on=False)
    ended = shop.ended(newest)
    assert ended.phase == "Succeeded", shop.installation.story(ended)
    other = shop.ended(running)
    assert (other.phase, notes(other).get(BY_ANNOTATION)) == ("Failed", newest)
    assert notes(other)[DESCRIPTION] == f"superseded by `{newest}`; push at `{first[:10]}`: `Mend the shop`"
    # Its report finds no node either: the run itself is what has ended.
    shop.until(lambda: root(shop.installation.look(pending)).get("phase") == "Failed")
    assert notes(shop.installation.look(pending)).get(BY_ANNOTATION) == newest
    kubectl(shop.installation.namespace, "delete", "workflow", pending, "--wait=false")
    assert BY_ANNOTATION not in notes(shop.ended(beside))
    assert shop.digest("main") == shop.digest(f"git-{second}") != ""


def suspend(shop: Shop, run: str, *, on: bool) -> None:
    """Let a run start nothing more, or go on."""
    patch = json.dumps({"spec": {"suspend": on}})
    kubectl(shop.installation.namespace, "patch", "workflow", run, "--type=merge", "-p", patch)


def root(run: Run) -> Mapping[str, Any]:
    """Return the node of a run's whole, without its exit handler."""
    return next((node for node in run.nodes if node["name"] == run.name), {})


def pretend_pending(shop: Shop, like: str) -> str:
    """Make a run as the Sensor does, which cannot begin: its pod asks for a node that there is not."""
    run = json.loads(kubectl(shop.installation.namespace, "get", "workflow", like, "-o", "json"))
    name = f"push-{secrets.token_hex(16)}"
    labels = {key: value for key, value in run["metadata"]["labels"].items() if "argoproj.io/" not in key}
    labels.pop("shipway-group", None)
    made = {
        "apiVersion": run["apiVersion"],
        "kind": "Workflow",
        "metadata": {"name": name, "labels": labels},
        "spec": {**run["spec"], "nodeSelector": {"kubernetes.io/hostname": "nowhere"}},
    }
    made["spec"].pop("shutdown", None)
    made["spec"].pop("suspend", None)
    kubectl(shop.installation.namespace, "create", "-f", "-", given=made)
    return name


def test_a_strangers_pull_request_waits_for_a_maintainer(shop: Shop) -> None:
    """A fork's pull request does nothing; `/ok-to-test` for its commit
    has it checked, and nothing is published; for another, nothing.
    """
    fork = shop.repository.git("commit-tree", "-m", "Fork", "-p", "main", "main^{tree}")
    shop.repository.git("update-ref", "refs/pull/5/head", fork)
    pull = json.loads(shop.payload("gitea-fork-pull-request"))["pull_request"]
    pull["head"]["sha"] = fork
    ended = shop.ended(shop.send(shop.payload("gitea-fork-pull-request", pull_request=pull)))
    assert (ended.phase, told(ended, "lane")) == ("Succeeded", "waiting")
    assert {node.get("templateName") for node in ended.nodes if node["type"] == "Pod"} == {"start", "report-end-pod"}
    issue = {"number": 5, "state": "open", "pull_request": {"url": "x"}}
    for commit, lane in ((shop.repository.git("rev-parse", "main"), "ignored"), (fork, "untrusted")):
        comment = {"id": secrets.randbelow(10**6), "user": {"login": "ada"}, "body": f"/ok-to-test {commit}"}
        ended = shop.ended(shop.send(shop.payload("github-comment-ok-to-test", issue=issue, comment=comment)))
        assert (ended.phase, told(ended, "lane")) == ("Succeeded", lane), shop.installation.story(ended)
    assert shop.digest(f"git-{fork}") == ""


def test_the_night_finds_what_no_webhook_told_of(shop: Shop) -> None:
    """A branch and a tag that were pushed unheard are published by
    the night's runs, once; a second attempt starts nothing more.
    """
    missed = shop.repository.write("page/page", secrets.token_hex(4)).commit()
    words = f"object {missed}\ntype commit\ntag v3.0.0\ntagger Ada <ada@x> {int(time.time())} +0000\n\nNew\n"
    shop.repository.git("update-ref", "refs/tags/v3.0.0", shop.repository.git("mktag", stdin=words.encode()))
    night = {"source": "calendar", "repo": f"{shop.git.url}/team/shop", "ref": "refs/heads/main", "time": "1"}
    event = base64.b64encode(json.dumps(night).encode()).decode()
    for _ in range(2):
        ended = shop.installation.run("reconcile", event=event)
        assert ended.phase == "Succeeded", shop.installation.story(ended)
    names = shop.events.runs("nightly-")
    assert len(names) == 2
    for name in names:
        found = shop.ended(name)
        assert found.phase == "Succeeded", shop.installation.story(found)
    assert shop.digest("main") == shop.digest(f"git-{missed}") == shop.digest("3.0.0") != ""


def test_a_person_is_never_stopped(shop: Shop) -> None:
    """A run by hand of the same branch goes on beside a push, and stops none; each waits for the other's turn."""
    head = shop.repository.write("page/page", secrets.token_hex(4)).commit()
    own = shop.installation.start("release", repo=f"{shop.git.url}/team/shop", revision="main")
    pushed = shop.tell("refs/heads/main", head)
    for name in (own, pushed):
        found = shop.ended(name)
        assert found.phase == "Succeeded", shop.installation.story(found)
        assert BY_ANNOTATION not in notes(found)


def test_awkward_names_are_built_or_refused(shop: Shop) -> None:
    """What means something to a shell, to Argo or to a label arrives
    byte for byte in its own run, or is refused; nothing is executed.
    """
    built = ["$(id)", "a/b"]
    names = ["a-b", "`id`", "';x;#", "--upload-pack=x", "feat@1", "ä<&>", "x" * 200, *built]
    refused = ["{{=1+1}}", "{{workflow.uid}}", '"}],"args":["x', "..", "ä\u2028", "x" * 999]
    head = shop.repository.write("page/$(id) {{workflow.uid}} ;ä", secrets.token_hex(4)).commit()
    for name in names:
        shop.repository.git("update-ref", f"refs/heads/{name}", head)
    runs = {name: shop.tell(f"refs/heads/{name}", head) for name in (*names, *refused)}
    assert len(set(runs.values())) == len(runs)
    for name in names:
        shop.until(lambda run=runs[name]: checked(shop.installation.look(run)))  # type: ignore[misc]
        found = shop.installation.look(runs[name])
        assert (told(found, "ref"), told(found, "lane")) == (f"refs/heads/{name}", "untrusted")
        if name not in built:  # what comes then is the same for all
            patch = json.dumps({"spec": {"shutdown": "Terminate"}})
            kubectl(shop.installation.namespace, "patch", "workflow", runs[name], "--type=merge", "-p", patch)
    for name in refused:
        ended = shop.ended(runs[name])
        assert ended.phase == "Failed", name
        assert any("(exit code 3)" in message for message in ended.attempts), (name, ended.attempts)
    for name in built:
        ended = shop.ended(runs[name])
        assert ended.phase == "Succeeded", shop.installation.story(ended)
    assert not any(BY_ANNOTATION in notes(shop.installation.look(run)) for run in runs.values())
    assert not any(shop.digest(tag) for tag in (f"git-{head}", "a-b"))


def checked(run: Run) -> bool:
    """Whether a run has come so far as its check's plan."""
    return any(node["displayName"] == "check" and node["type"] == "DAG" for node in run.nodes)
