"""The compiled `release` and `check` on the real controller: what they publish, skip, say, and hold."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from pipelines.step import texts
from tests.e2e.installation import FINAL, Installation, Run
from tests.git_repositories import Repository
from tests.git_server import GitServer
from tests.shipway_process import Images

PATIENCE_SECONDS = 1200.0
CHART = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n"
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


def test_release_and_release_again(installation: Installation, git: GitServer) -> None:
    """A failing image takes its children with it and nothing else;
    once it is mended, only these are built; then nothing is.
    """
    made, repo, images = shop(installation, git, "shop", broken=True)
    first = ended(installation, installation.start("release", repo=repo, revision="main"))
    assert first.phase == "Failed", installation.story(first)
    assert results(first) == {
        "base": ("built", ""),
        "app": ("built", ""),
        "broken": ("failed", "it failed, as the log of its pod says"),
        "child": ("not built", "its parent broken failed"),
        "shop": ("released", ""),
    }
    assert {name for name in ("base", "app", "broken", "child") if "main" in images.tags(name)} == {"base", "app"}
    assert_no_token(installation, first)

    before = images.tags("app")
    second = ended(installation, installation.start("release", repo=repo, revision=mend(made)))
    assert second.phase == "Succeeded", installation.story(second)
    assert {name: result for name, (result, _) in results(second).items()} == {
        "base": "published",
        "app": "published",
        "broken": "built",
        "child": "built",
        "shop": "published",
    }
    assert images.tags("app") == before
    waves = (n for n in second.nodes if n["type"] == "Retry" and n.get("templateName") == "clone-build-push")
    assert {node["displayName"] for node in waves} == {"broken", "child"}

    push = {
        "source": "github",
        "repo_id": 7,
        "repo": repo,
        "ref": "refs/heads/main",
        "before": "1" * 40,
        "pushed": "",
        "message": "",
    }
    third = ended(installation, installation.start("release", event=event(push, head=head(made))))
    assert third.phase == "Succeeded", installation.story(third)
    assert {result for result, _ in results(third).values()} == {"published"}
    # The second run was asked for by a commit, so the branch's tag is this one's to move.
    assert images.tags("child")["main"] == images.tags("child")[f"git-{head(made)}"]


def test_two_releases_of_one_repository_are_never_side_by_side(installation: Installation, git: GitServer) -> None:
    """Runs that begin together work one after the other; one of another repository does not wait for them."""
    _, one, _ = shop(installation, git, "one")
    # With an image of its own name: two repositories that move one tag take it from each other.
    Repository(git.root / "other").write("other/Dockerfile", "FROM scratch\nCOPY page /\n").write(
        "other/page", ""
    ).commit()
    names = [installation.start("release", repo=repo, revision="main") for repo in (one, one, f"{git.url}/other")]
    runs = [ended(installation, name) for name in names]
    assert [run.phase for run in runs] == ["Succeeded"] * 3, [installation.story(run) for run in runs]
    # A verdict is given after the work, while the next run may plan.
    first, second = sorted(spans(run, "plan", "wave-1", "wave-2", "charts") for run in runs[:2])
    assert first[1] <= second[0]
    builders = [bool(run.pods("clone-build-push")) for run in runs]
    assert sorted(builders[:2]) == [False, True], "what one has published the other does not build again"
    assert builders[2]


def test_a_stranger_s_pull_request_is_checked_and_publishes_nothing(installation: Installation, git: GitServer) -> None:
    """What it declares is built, children on parents that nobody
    published; the run fails by what fails, and no registry knows of it.
    """
    made, repo, images = shop(installation, git, "fork", broken=True)
    made.git("update-ref", "refs/pull/3/head", head(made))
    pull = {
        "source": "github",
        "repo_id": 7,
        "repo": repo,
        "number": 3,
        "base": "main",
        "head_repo_id": 8,
        "draft": "",
        "author": "ada",
        "association": "MEMBER",
        "action": "opened",
        "before": "",
        "updated": "2026-12-01T03:00:00Z",
    }
    run = ended(installation, installation.start("review", event=event(pull, head=head(made))))
    assert run.phase == "Failed", installation.story(run)
    assert {name: result for name, (result, _) in results(run).items()} == {
        "base": "built",
        "app": "built",
        "broken": "failed",
        "child": "not built",
        "shop": "checked",
    }
    (lines,) = (part["lines"] for part in outcome(run)["parts"] if part["name"] == "broken")
    assert any("broken/Dockerfile:2" in line for line in lines)
    assert not any(images.client.tags(images.reference(name)) for name in ("base", "app", "child"))
    assert_no_token(installation, run)
    secrets = {secret for pod in installation.pods(run.name) for secret in mounted(pod)}
    read = {"shipway-git", "shipway-check-pull", "shipway-forge"}
    accounts = {"shipway-supersede", "shipway-report"}
    assert secrets <= read | accounts, secrets
    building = [pod for pod in installation.pods(run.name) if "try-images" in pod["metadata"]["name"]]
    assert building
    assert all(mounted(pod, name) == set() for pod in building for name in ("build", "main"))


def shop(
    installation: Installation, git: GitServer, name: str, *, broken: bool = False
) -> tuple[Repository, str, Images]:
    """Return a repository of four images and a chart, its address, and what there is of it, in a project of its own."""
    made = Repository(git.root / name)
    files = {
        f"{name}.txt": name,
        "base/Dockerfile": "FROM scratch\nCOPY page /\n",
        "base/page": name,
        "app/Dockerfile": "FROM base\nCOPY page /app\n",
        "app/page": "app",
        "broken/Dockerfile": "FROM base\nCOPY nothing /\n" if broken else "FROM base\nCOPY page /b\n",
        "broken/page": "b",
        "child/Dockerfile": "FROM broken\nCOPY page /c\n",
        "child/page": "c",
        "chart/Chart.yaml": CHART,
        "chart/templates/a.yaml": OBJECT,
    }
    for path, text in files.items():
        made.write(path, text)
    made.commit()
    registry, project = installation.where.registry, f"{installation.namespace}/{name}"
    installation.configure(project=project, chart_registry=f"{registry}/{project}/charts")
    return made, f"{git.url}/{name}", Images(registry, project)


def mend(made: Repository) -> str:
    """Correct what is broken, and return the commit."""
    made.write("broken/Dockerfile", "FROM base\nCOPY page /b\n").commit("Mend it")
    return head(made)


def head(made: Repository) -> str:
    """Return a repository's newest commit."""
    return made.git("rev-parse", "HEAD").strip()


def event(fields: Mapping[str, object], **more: object) -> str:
    """Return an event as a Sensor passes it on."""
    return base64.b64encode(json.dumps({**fields, **more}).encode()).decode()


def ended(installation: Installation, name: str) -> Run:
    """Wait until a run of many pods has ended, and return it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (run := installation.look(name)).phase not in FINAL:
        assert time.monotonic() < deadline, installation.story(run)
        time.sleep(1)
    return run


def outcome(run: Run) -> dict[str, Any]:
    """Return what the verdict put out, whether it failed or not."""
    for node in run.nodes:
        if node["type"] == "Pod" and node["displayName"].startswith("verdict"):
            for parameter in node.get("outputs", {}).get("parameters", ()):
                if parameter["name"] == "summary":
                    found: dict[str, Any] = json.loads(texts.decode(parameter["value"]))
                    return found
    raise AssertionError(f"{run.name} has no summary")


def results(run: Run) -> dict[str, tuple[str, str]]:
    """Return what became of each part, and why."""
    return {part["name"]: (part["result"], part["why"]) for part in outcome(run)["parts"]}


def spans(run: Run, *nodes: str) -> tuple[str, str]:
    """Return when the first of some pods began and the last ended."""
    found = [n for n in run.nodes if n["type"] == "Pod" and n["displayName"].partition("(")[0] in nodes]
    return min(node["startedAt"] for node in found), max(node["finishedAt"] for node in found)


def mounted(pod: Mapping[str, Any], container: str = "") -> set[str]:
    """Return the Secrets that a pod's own containers, or one of them, have."""
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v}
    own = [c for c in pod["spec"]["containers"] if c["name"] != "wait" and container in {"", c["name"]}]
    return {secrets[m["name"]] for c in own for m in c.get("volumeMounts", ()) if m["name"] in secrets}


def assert_no_token(installation: Installation, run: Run) -> None:
    """Fail where any container of a run but Argo's own finds a token of the cluster."""
    pods = installation.pods(run.name)
    assert pods
    for pod in pods:
        holders = {
            container["name"]
            for container in pod["spec"]["containers"]
            if any(mount["mountPath"] == TOKENS for mount in container.get("volumeMounts", ()))
        }
        assert holders <= {"wait"}, pod["metadata"]["name"]
