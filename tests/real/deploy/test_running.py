"""What runs, by the pods of a cluster at the network's edge: `shipway where` and the step await-healthy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main
from pipelines.deploy.await_healthy import Waited
from pipelines.errors import ShipwayError
from pipelines.tools import kubernetes
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import INDEX, Descriptor
from pipelines.tools.registry.reference import Digest, Reference
from tests import json_output
from tests.forge_server import TOKEN as FORGE_TOKEN
from tests.forge_server import ForgeServer, forge_server
from tests.git_repositories import Repository
from tests.kubernetes_api import ARGO, NAMESPACE, TOKEN, Cluster, Reply, cluster
from tests.lying_registry import LyingRegistry, lying_registry
from tests.oci_images import image, index_of
from tests.steps import step

OCI = "org.opencontainers.image."
OLD, NEW = "a" * 40, "b" * 40
REPO = "https://git.example.com/team/shop.git"
PODS = "/api/v1/namespaces/prod/pods"
LONG_AGO = "2026-11-24T03:00:00Z"


@dataclass
class Live:
    """One application of one environment, in a repository, in Argo CD and in its namespace."""

    folder: Path
    registry: LyingRegistry
    cluster: Cluster
    environments: Repository
    capsys: pytest.CaptureFixture[str]

    @property
    def name(self) -> str:
        """The image's address."""
        return f"{self.registry.address}/team/web"

    def build(self, commit: str, *tags: str) -> Descriptor:
        """Publish the image of a commit."""
        notes = {f"{OCI}revision": commit, f"{OCI}source": REPO}
        layout, descriptor = image(self.folder / commit[:1], commit, annotations=notes)
        client = Registry(Credentials(), plain_http=frozenset({self.registry.address}))
        to = Reference(registry=self.registry.address, repository="team/web", digest=descriptor.digest)
        client.push(layout, descriptor, to)
        for tag in tags:
            client.tag(to, tag)
        return descriptor

    def index(self, *descriptors: Descriptor) -> str:
        """Publish an index with these images in it."""
        data = index_of(dict(zip(("linux/amd64", "linux/arm64"), descriptors, strict=False)))
        digest = str(Digest.of(data))
        self.registry.manifests["team/web", digest] = (INDEX, data)
        return digest

    def config(self, descriptor: Descriptor) -> str:
        """Return the digest of an image's configuration."""
        value = json.loads(self.registry.manifests["team/web", str(descriptor.digest)][1])
        return str(value["config"]["digest"])

    def deploy(self, named: str, *reported: str, **changes: Any) -> None:
        """Let the values name an image (`:tag` or `@digest`), and pods run others, as their node reports them."""
        kind, text = ("digest", named[1:]) if named[0] == "@" else ("tag", named[1:])
        values = f'image: {{repository: {self.name}, {kind}: "{text}"}}\n'
        config = "repo: https://git.example.com/c.git\npath: c\nrevision: main\nnamespace: prod\n"
        self.environments.write("prod/web/config.yaml", config)
        commit = self.environments.write("prod/web/values.yaml", values).commit()
        self.cluster.lists[f"{ARGO}/namespaces/argocd/applications"] = [
            {
                "metadata": {"name": "prod-web"},
                "spec": {"destination": {"server": changes.get("server", "https://kubernetes.default.svc")}},
                "status": {
                    "sync": {
                        "status": "Synced",
                        "revisions": [commit],
                        "comparedTo": {"sources": [{"targetRevision": "main"}]},
                    },
                    "health": {"status": "Healthy", "lastTransitionTime": LONG_AGO},
                    "operationState": {"phase": "Succeeded", "finishedAt": LONG_AGO},
                    "summary": {"images": [f"{self.name}{named}"]},
                    "resources": [{"kind": "Deployment", "group": "apps", "name": "web", "namespace": "prod"}],
                },
            }
        ]
        self.cluster.lists[PODS] = [self.pod(named, digest, number) for number, digest in enumerate(reported)]

    def pod(self, named: str, reported: str, number: int = 0, owner: str = "web-5d4f") -> dict[str, Any]:
        """Return a pod of a Deployment, whose node reports what it runs."""
        return {
            "metadata": {
                "name": f"{owner}-{number}",
                "labels": {"pod-template-hash": owner.rpartition("-")[2]},
                "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "controller": True}],
            },
            "spec": {"containers": [{"name": "app", "image": f"{self.name}{named}"}]},
            "status": {"containerStatuses": [{"name": "app", "imageID": reported, "state": {"running": {}}}]},
        }

    def where(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        """Ask the command."""
        code = main(["where", *words, "--json", "--settings", str(self.folder / "settings.yaml")])
        return code, json_output.read("where", self.capsys.readouterr().out)["applications"]

    def runs(self) -> Mapping[str, Any]:
        """Return what the command says of the one image."""
        ((row,), code) = self.where("web")[::-1]
        assert code == 0
        return dict(row["images"][0])


@pytest.fixture
def live(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """An application that nothing is deployed to yet."""
    with lying_registry() as registry, cluster() as api:
        environments = Repository(tmp_path / "environments")
        settings = {
            "registry": registry.address,
            "project": "team",
            "plain-http": registry.address,
            "environments": str(environments.path),
        }
        (tmp_path / "settings.yaml").write_text(json.dumps(settings))
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
        first = kubernetes.Kubernetes.__init__

        def init(self: kubernetes.Kubernetes, account: Path) -> None:
            first(self, account, server=f"http://{api.address}", pauses=(0.0,))

        monkeypatch.setattr(kubernetes.Kubernetes, "__init__", init)
        yield Live(tmp_path, registry, api, environments, capsys)


def test_the_digest_of_an_index_its_platform_s_and_its_configuration_s_are_one_image(live: Live) -> None:
    """Whichever the values name, and whichever a node reports, with its repository or without."""
    built = live.build(NEW)
    index, platform, config = live.index(built), str(built.digest), live.config(built)
    beside = live.index(built, live.build(OLD))
    for named in (index, platform, beside):
        for reported in (index, platform, beside, config):
            live.deploy(f"@{named}", reported if reported == config else f"{live.name}@{reported}")
            assert (live.runs()["runs"], live.runs()["why"]) == (True, ""), (named, reported)
    live.deploy(f"@{platform}", f"docker-pullable://{live.name}@{index}")
    assert live.runs()["runs"] is True
    assert live.where(index)[0] == 0


def test_what_pods_run_counts_not_what_is_declared(live: Live) -> None:
    """Also while one of them is of before; pods of others, pods that go and containers that do not run say nothing."""
    old, new = live.build(OLD), live.build(NEW)
    live.deploy(f"@{new.digest}", f"{live.name}@{old.digest}", f"{live.name}@{new.digest}")
    assert (live.runs()["runs"], live.runs()["why"]) == (False, f"pods run {old.digest[:19]}")
    live.deploy(f"@{new.digest}", f"{live.name}@{new.digest}")
    gone, waiting, other = (live.pod("", f"{live.name}@{old.digest}", number) for number in (1, 2, 3))
    gone["metadata"]["deletionTimestamp"] = LONG_AGO
    waiting["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    other["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "other"}]
    live.cluster.lists[PODS] += [gone, waiting, other]
    assert live.runs()["runs"] is True


def test_what_the_registry_does_not_have_is_unknown_and_contradicts_nothing(live: Live, forge: ForgeServer) -> None:
    """A node may report what was built elsewhere, or a configuration; a registry may have let go what values name."""
    built = live.build(NEW)
    config = live.config(live.build(OLD))
    gone = f"sha256:{'0' * 64}"
    for named, reported in ((str(built.digest), config), (str(built.digest), gone), (gone, str(built.digest))):
        live.deploy(f"@{named}", reported)
        found = live.runs()
        why = f"unknown: pods run {reported[:19]}, of which the registry does not say what it is"
        assert (found["runs"], found["why"]) == (None, why)
    live.deploy(f"@{built.digest}", config)
    assert f"unknown what runs: web (pods run {config[:19]}" in await_healthy(live, forge, NEW).summary
    assert forge.states(NEW, "shipway/prod") == ["success"]


def test_a_moving_tag_is_what_it_was_when_the_pod_began(live: Live) -> None:
    """The new commit is nowhere, the old one still runs."""
    old = live.build(OLD, "main")
    live.deploy(":main", f"{live.name}@{old.digest}")
    assert live.runs()["runs"] is True
    new = live.build(NEW, "main")
    found = live.runs()
    assert (found["digest"], found["revision"], found["runs"]) == (str(old.digest), OLD, True)
    assert live.where(NEW) == (10, [])
    assert live.where(OLD)[0] == 0
    live.deploy(":main", f"{live.name}@{old.digest}", f"{live.name}@{new.digest}")
    found = live.runs()
    assert (found["runs"], found["why"]) == (None, f"pods run {old.digest[:19]}")


def test_what_cannot_be_known_is_said_to_be_unknown(live: Live) -> None:
    """And why; a digest and a version do not move, so what objects name is enough."""
    new = live.build(NEW, "main", "1.2.3")
    moving = "unknown: main is a moving tag, and "
    live.deploy(":main")
    assert (live.runs()["runs"], live.runs()["why"]) == (None, f"{moving}no pod runs it")
    live.deploy(":main", server="https://10.0.0.1")
    assert live.runs()["why"] == f"{moving}it runs in another cluster, https://10.0.0.1"
    live.cluster.lie("GET", PODS, Reply(403, "pods is forbidden"))
    live.deploy(":main")
    assert live.runs()["why"] == f"{moving}its pods in prod may not be listed (403)"
    assert main(["where", "web", "--settings", str(live.folder / "settings.yaml")]) == 0
    assert f"prod/web: web: {moving}" in live.capsys.readouterr().out
    for named in (":1.2.3", f"@{new.digest}"):
        live.deploy(named)
        assert (live.runs()["runs"], live.runs()["why"]) == (True, "")


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    """A forge that the setting `forges` below names."""
    with forge_server("gitea") as found:
        yield found


def await_healthy(live: Live, forge: ForgeServer, commit: str) -> Waited:
    """Run the step."""
    for folder, files in {
        "account": {"token": TOKEN, "namespace": NAMESPACE},
        "forge": {"git.example.com.token": FORGE_TOKEN},
    }.items():
        (live.folder / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (live.folder / folder / name).write_text(text)
    found: Waited = step("await-healthy", Waited)(
        repo=REPO,
        commit=commit,
        minutes=0,
        account=live.folder / "account",
        forge=live.folder / "forge",
        credentials=live.folder / "none",
        docker_config=live.folder / "none",
        environments_repository=str(live.environments.path),
        forges=f"git.example.com=gitea+{forge.base}",
        registry=live.registry.address,
        project="team",
        plain_http=f"{live.registry.address},{forge.address}",
    )
    return found


def test_an_application_that_is_healthy_already_is_told_at_once(live: Live, forge: ForgeServer) -> None:
    """By Argo CD's own times, which are long ago; what runs unseen is success, and said to be unknown."""
    new = live.build(NEW, "main")
    live.deploy(f"@{new.digest}", f"{live.name}@{new.digest}")
    found = await_healthy(live, forge, NEW)
    assert (found.healthy, found.seconds) == (1, 0)
    assert forge.states(NEW, "shipway/prod") == ["success"]
    live.deploy(":main")
    assert (
        "unknown what runs: web (main is a moving tag, and no pod runs it)" in await_healthy(live, forge, NEW).summary
    )


def test_pods_of_before_are_no_success(live: Live, forge: ForgeServer) -> None:
    """However Synced and Healthy Argo CD finds the application."""
    old, new = live.build(OLD), live.build(NEW)
    live.deploy(f"@{new.digest}", f"{live.name}@{old.digest}")
    with pytest.raises(ShipwayError) as caught:
        await_healthy(live, forge, NEW)
    assert caught.value.seen == f"prod/web is Synced, Healthy, pods run {old.digest[:19]}"
    assert forge.states(NEW, "shipway/prod")[-1] == "failure"
