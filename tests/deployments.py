"""A repository of an application, an environments repository,
and a registry: who commits, who publishes, who deploys.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.charts.model import ChartCheckout, ChartRelease
from pipelines.deploy.model import Deployed, Fault
from pipelines.deploy.release_charts import DeployedCharts
from pipelines.images import tag_names
from pipelines.images.builders.buildah import Buildah
from pipelines.images.key import RebuildPolicy
from pipelines.images.node import BuildTarget
from pipelines.images.tag_moves import TagMover
from pipelines.release import plan_commit
from pipelines.release.model import Plan
from pipelines.release.plan_commit import Destination, PlanRequest
from pipelines.step.groups import ChartSettings
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference, key_tag
from tests import chart_trees
from tests.git_repositories import Repository
from tests.oci_images import image
from tests.steps import step

chart_clone = step("chart-clone", ChartCheckout)
chart_publish = step("chart-publish", ChartRelease)
deploy = step("deploy", Deployed)
deploy_charts = step("deploy-charts", DeployedCharts)
deploy_publish = step("deploy-publish", Fault)

OCI = "org.opencontainers.image."
SOURCE = "https://git.example.org/team/shop.git"
"""What images say of where they come from. The repository is a folder, which owns no name that has an address."""
"""What images say that they were built from."""
NONE = "sha256:" + "0" * 64
TEMPLATE = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata: {image: {{ .Values.image.digest | quote }}}\n"


@dataclass
class Remote:
    """A bare repository, and a person with a clone of it."""

    bare: Path
    person: Repository

    @classmethod
    def make(cls, folder: Path, name: str, files: Mapping[str, str | bytes]) -> Remote:
        """Return a repository of one commit on main."""
        bare = folder / "team" / f"{name}.git"
        person = Repository(folder / f"{name}-{secrets.token_hex(2)}")
        for path, content in files.items():
            person.write(path, content)
        person.commit("First")
        bare.parent.mkdir(exist_ok=True)
        person.git("clone", "--quiet", "--bare", ".", str(bare))
        person.git("remote", "add", "origin", str(bare))
        for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack"):
            person.git("--git-dir", str(bare), "config", key, "true")
        return cls(bare, person)

    def commit(self, files: Mapping[str, str | bytes], message: str = "Change", *, branch: str = "main") -> str:
        """Let the person commit onto what the branch names now, and push; return the commit."""
        self.person.git("fetch", "--quiet", "origin")
        self.person.git("checkout", "--quiet", "-B", branch, f"origin/{branch}")
        for path, content in files.items():
            self.person.write(path, content)
        found = self.person.commit(message)
        self.person.git("push", "--quiet", "origin", f"HEAD:{branch}")
        return found

    def git(self, *words: str) -> str:
        """Run Git on the bare repository."""
        return self.person.git("--git-dir", str(self.bare), *words)

    def head(self, branch: str = "main") -> str:
        """Return what a branch names, empty where there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def file(self, path: str, branch: str = "main") -> str:
        """Return a file of a branch's head."""
        return self.git("show", f"{branch}:{path}") + "\n"

    def count(self, branch: str = "main") -> int:
        """Return how many commits a branch has."""
        return int(self.git("rev-list", "--count", branch))

    def messages(self, branch: str = "main") -> list[str]:
        """Return the first lines of a branch's commits, the newest first."""
        return self.git("log", "--format=%s", branch).splitlines()


@dataclass
class World:
    """One application with its chart, and the environments dev and prod that run it."""

    folder: Path
    registry: str
    shop: Remote
    environments: Remote
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def web(self) -> str:
        """The image's address."""
        return f"{self.registry}/team/web"

    @property
    def client(self) -> Registry:
        """A client of the registry."""
        return Registry(Credentials(), plain_http=frozenset({self.registry}))

    def plan(self, *, max_age: str = "", now: int = 0) -> Plan:
        """Plan the head of main."""
        settings = ChartSettings(registry=self.registry, project="team", plain_http=self.registry, shared_names="any")
        place = Destination.connect(settings, self.folder / "none")
        target = BuildTarget(
            platforms=("linux/amd64",),
            builder="buildah",
            builder_version=Buildah(self.folder / "cache").version(),
            compression="zstd",
        )
        url = RepositoryUrl(str(self.shop.bare))
        with Git(GitCredentials.read(self.folder / "none")) as git:
            resolved = Resolved(commit=self.shop.head(), ref="refs/heads/main")
            rebuilds = RebuildPolicy(now=now, max_age=max_age)
            return plan_commit.plan(
                git, PlanRequest(url=url, resolved=resolved, target=target, rebuilds=rebuilds), place
            )

    def build(self, plan: Plan | None = None) -> int:
        """Publish the images that a plan asks for, by default one of main; return how many."""
        plan = plan or self.plan()
        for job in (job for wave in plan.waves for job in wave):
            notes = {f"{OCI}revision": plan.commit, f"{OCI}source": SOURCE}
            names = (key_tag(job.key), tag_names.commit_tag(plan.commit), *filter(None, [job.version]))
            digest = self.push(job.name, f"{job.name} {job.key}", notes, names)
            if job.renews:
                image = Reference.under(self.registry, "team", job.name).with_digest(digest)
                TagMover(registry=self.client, image=image, commit="").renew(key_tag(job.renews), job.moment)
        return sum(map(len, plan.waves))

    def push(self, name: str, content: str, notes: Mapping[str, str], names: tuple[str, ...]) -> str:
        """Publish an image and return its digest."""
        layout, descriptor = image(self.folder / f"layout-{secrets.token_hex(4)}", content, annotations=notes)
        to = Reference.under(self.registry, "team", name)
        self.client.push(layout, descriptor, to)
        for tag in names:
            self.client.tag(to.with_digest(descriptor.digest), tag)
        return str(descriptor.digest)

    def release(self) -> list[str]:
        """Publish the charts of main that are not, and return them as name@version."""
        place = {"registry": self.registry, "project": "team", "plain_http": self.registry}
        where = self.folder / f"release-{secrets.token_hex(4)}"
        checkout = chart_clone(
            repo=str(self.shop.bare),
            revision="main",
            source=where / "src",
            archives=where / "archives",
            credentials=where / "git",
            docker_config=where / "pull",
            **place,
        )
        report = chart_trees.report(checkout)
        done = chart_publish(
            checkout=checkout, report=report, archives=where / "archives", docker_config=where / "push", **place
        )
        return [f"{chart.name}@{chart.version}" for chart in done.charts if chart.state == "pushed"]

    def deploy(self, **more: str | int) -> Deployed:
        """Run the step."""
        given: dict[str, Any] = {"repo": str(self.shop.bare), "environments": str(self.environments.bare)}
        given |= {"plain_http": self.registry, **self.settings, **more}
        none = self.folder / "none"
        return deploy(
            credentials=none,
            write_credentials=none,
            docker_config=none,
            forge=self.folder / "forge",
            platform="linux/amd64",
            registry=self.registry,
            project="team",
            shared_names="any",
            **given,
        )

    def run(self, **more: str | int) -> tuple[int, list[str], Deployed]:
        """Do what a release does: build, publish charts, deploy."""
        return self.build(), self.release(), self.deploy(**more)

    def circle(self, run: str = "push-1", **more: str | int) -> tuple[DeployedCharts, list[str], Deployed]:
        """Do what the pod of a release does for a run: write charts, publish those that moved, write environments."""
        where = self.folder / f"circle-{secrets.token_hex(3)}"
        given: dict[str, Any] = {"repo": str(self.shop.bare), "environments": str(self.environments.bare), "run": run}
        given |= {"registry": self.registry, "project": "team", "plain_http": self.registry, "shared_names": "any"}
        none = self.folder / "none"
        given |= {"credentials": none, "write_credentials": none, "docker_config": none, "platform": "linux/amd64"}
        given |= {"forge": self.folder / "forge", **self.settings, **more}
        folders = {"source": where / "src", "archives": where / "archives", "unpacked": where / "unpacked"}
        charts = deploy_charts(**given, **folders)
        before = set(self.charts())
        place = {"registry": self.registry, "project": "team", "plain_http": self.registry}
        fault = deploy_publish(
            checkout=charts,
            report=chart_trees.report(charts),
            repo=str(self.shop.bare),
            archives=where / "archives",
            docker_config=none,
            **place,
        )
        assert fault.fault == ""
        return charts, sorted(set(self.charts()) - before), deploy(**given, environment="environments")

    def charts(self) -> list[str]:
        """Return the versions of the chart `web` that are published."""
        return list(self.client.tags(Reference.under(self.registry, "team", "charts/web")))

    def digest(self) -> str:
        """Return the digest that main's image has in the registry."""
        return self.digests()["web"]

    def digests(self) -> dict[str, str]:
        """Return the digest that each of main's images has in the registry, empty where it has none."""
        return {item.name: item.digest for item in self.plan().images}


def world(
    folder: Path,
    registry: str,
    *,
    deploy: Mapping[str, object] | None = None,
    dockerfile: str = "Dockerfile",
    beside: Mapping[str, str] | None = None,
) -> World:
    """Return a world whose image `web` is in a chart of the same name and in two environments, nothing of it published.

    With `beside`, its environments are in the application's own repository, beside these files.
    """
    web = f"{registry}/team/web"
    shop = {
        dockerfile: "FROM scratch\nCOPY . /\n",
        "page": "1",
        "charts/web/Chart.yaml": "apiVersion: v2\nname: web # ours\nversion: 0.1.0\n",
        "charts/web/values.yaml": (
            f'# values\r\nimage:\r\n  repository: {web}\r\n  tag: ""   # empty\r\n  digest: "{NONE}" # now\r\n'
        ),
        "charts/web/templates/x.yaml": TEMPLATE,
        "shipway.yaml": json.dumps(
            {"images": {".": {"name": "web"}}, "deploy": deploy if deploy is not None else {"charts": "commit"}}
        ),
    }
    config = "chart: web # the chart\nversion: 0.1.0\nnamespace: shop\n"
    environments = {
        "dev/web/config.yaml": config,
        "dev/web/values.yaml": f"# dev\nimage: '{web}:old@{NONE}'\nreplicas: 1\n",
        "dev/other/config.yaml": "chart: other\nversion: 1.0.0\nnamespace: shop\n",
        "dev/other/values.yaml": "image: elsewhere/x:1\n",
        "prod/web/config.json": '{\n\t"chart": "web",\n\t"version": "0.1.0",\n\t"namespace": "shop"\n}\n',
        "prod/web/values.yaml": (
            f"image:\n  registry: {registry}\n  repository: team/web\n  tag: old\n  digest: {NONE}\n"
        ),
    }
    (folder / "none").mkdir(exist_ok=True)
    if beside is not None:
        one = Remote.make(folder, "shop", {**shop, **environments, **beside})
        return World(folder, registry, one, one)
    return World(folder, registry, Remote.make(folder, "shop", shop), Remote.make(folder, "environments", environments))
