"""An image for two platforms, from a commit to an environment and to the next one: what people name is the index."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from pipelines.tools.registry.layout import INDEX
from tests.git_repositories import Repository
from tests.oci_images import index_of
from tests.registry_process import registry
from tests.shipway_process import Images, Shipway

PLATFORMS = "platforms: [linux/amd64, linux/arm64]\n"
DEPLOYS = "deploy: {environments: {dev: commit}}\n"


@dataclass
class Shop:
    """A repository, its environments, and the command with the settings that lead to both."""

    source: Repository
    environments: Repository
    shipway: Shipway
    registry: str
    folder: Path

    def run(self, *words: str) -> dict[str, Any]:
        """Run a command that succeeds and return what it prints as JSON."""
        done = self.shipway.run(*words, "--json", "--settings", str(self.folder / "settings.yaml"))
        assert done.returncode in {0, 10}, done.stderr + done.stdout
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def listed(self, reference: str) -> dict[str, str]:
        """Return the digests that an index lists, by platform, as skopeo reads it."""
        words = ["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{self.registry}/{reference}"]
        index = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        return {f"linux/{item['platform']['architecture']}": item["digest"] for item in index["manifests"]}

    def provide(self, parts: dict[str, str]) -> None:
        """Let the tag `stable` of the base name an index of these images, as their makers would."""
        descriptors = {}
        for platform, digest in parts.items():
            found = Images(self.registry, "team").client.resolve(
                Images(self.registry, "team").reference("os", digest=digest)
            )
            assert found is not None
            descriptors[platform] = found.descriptor
        data = index_of(descriptors)
        with urllib3.PoolManager() as pool:
            url = f"http://{self.registry}/v2/team/os/manifests/stable"
            assert pool.request("PUT", url, body=data, headers={"Content-Type": INDEX}).status == 201

    def digests(self, environment: str) -> set[str]:
        """Return the digests that an environment's values name."""
        values = self.environments.git("show", f"main:{environment}/web/values.yaml")
        return {*re.findall("sha256:[0-9a-f]{64}", values)}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Return two images, one on the other, and an application in dev and in prod; somebody else provides their base."""
    source = Repository(tmp_path / "shop").write("shipway.yaml", PLATFORMS + DEPLOYS)
    with registry(tmp_path) as address:
        source.write("base/Dockerfile", f"FROM {address}/team/os:stable\nCOPY file /base\n").write("base/file", "1")
        source.write("web/Dockerfile", "FROM base\nCOPY page /page\n").write("web/page", "1").commit()
        environments = Repository(tmp_path / "environments")
        image = f"image: {{repository: {address}/team/web, tag: none, digest: sha256:{'0' * 64}}}\n"
        for name in ("dev", "prod"):
            config = f"repo: https://git.example.com/shop.git\npath: chart\nrevision: main\nnamespace: {name}\n"
            environments.write(f"{name}/web/config.yaml", config).write(f"{name}/web/values.yaml", image)
        environments.commit()
        bare = tmp_path / "environments.git"
        environments.git("clone", "--quiet", "--bare", ".", str(bare))
        settings = f"registry: {address}\nproject: team\nplain-http: {address}\nenvironments: {bare}\n"
        (tmp_path / "settings.yaml").write_text(settings)
        yield Shop(source, Repository.at(bare), Shipway(tmp_path / "shipway"), address, tmp_path)


@pytest.fixture
def bases(shop: Shop, tmp_path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return two versions of a base, each for both platforms."""
    made = (
        Repository(tmp_path / "os")
        .write("shipway.yaml", PLATFORMS)
        .write("os/Dockerfile", "FROM scratch\nCOPY file /\n")
    )
    found = []
    for number in ("1", "2"):
        made.write("os/file", number).commit()
        shop.run("release", str(made.path))
        found.append(shop.listed("team/os:main"))
    return found[0], found[1]


def test_what_people_name_is_the_index(shop: Shop, bases: tuple[dict[str, str], dict[str, str]]) -> None:
    """Its digest is deployed, promoted and found, by a platform's digest too; one platform's base builds one."""
    old, new = bases
    shop.provide(old)
    first = shop.run("release", str(shop.source.path))
    assert first["phase"] == "Succeeded"
    index, listed = Images(shop.registry, "team").tags("web")["main"], shop.listed("team/web:main")
    assert [*listed] == ["linux/amd64", "linux/arm64"]
    assert shop.digests("dev") == {index}

    for question in (index, *listed.values(), first["commit"]):
        [found] = shop.run("where", question, "--no-cluster")["applications"]
        assert found["environment"] == "dev", question
        assert found["images"][0]["revision"] == first["commit"]
        assert found["images"][0]["platforms"] == [*listed.values()]

    shop.run("promote", "web", "--from", "dev", "--to", "prod", "--commit")
    assert shop.digests("prod") == {index}

    shop.provide({"linux/amd64": old["linux/amd64"], "linux/arm64": new["linux/arm64"]})
    rows = shop.run("plan", str(shop.source.path))["images"]
    built = {row["name"] for row in rows if row["action"] == "build"}
    assert built == {"base linux/arm64", "base", "web linux/arm64", "web"}
    second = shop.run("release", str(shop.source.path))
    assert second["images"].keys() == built
    again = shop.listed("team/web:main")
    assert again["linux/amd64"] == listed["linux/amd64"]
    assert again["linux/arm64"] != listed["linux/arm64"]
    assert shop.digests("dev") == {Images(shop.registry, "team").tags("web")["main"]}
    assert shop.digests("prod") == {index}
    [found] = shop.run("where", listed["linux/arm64"], "--no-cluster")["applications"]
    assert found["environment"] == "prod"
