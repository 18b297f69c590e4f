"""Images for two platforms on the real controller: whose nodes build what, and one index, the same as a laptop's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml

from tests.e2e.installation import Installation
from tests.e2e.place import kubectl
from tests.e2e.test_release import ended, results
from tests.git_repositories import Repository
from tests.git_server import GitServer
from tests.shipway_process import Images, Shipway

AMD64, ARM64 = "linux/amd64", "linux/arm64"


def test_each_platform_is_built_on_its_nodes_and_the_index_is_that_of_a_laptop(
    installation: Installation, git: GitServer, tmp_path: Path
) -> None:
    """This cluster's one node counts as that of both; nothing that is built has a RUN step."""
    [node] = json.loads(kubectl("default", "get", "nodes", "-o", "json"))["items"]
    own = {"kubernetes.io/hostname": node["metadata"]["name"]}
    registry, project = installation.where.registry, f"{installation.namespace}/platforms"
    places = {AMD64: {}, ARM64: {"nodeSelector": own, "tolerations": [{"key": "arm64", "operator": "Exists"}]}}
    made = Repository(git.root / "platforms")
    made.write("base/Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY page.$TARGETARCH /page\n")
    made.write("base/page.amd64", "amd64").write("base/page.arm64", "arm64")
    made.write("app/Dockerfile", "FROM base\nCOPY app /app\n").write("app/app", "app").commit()
    repo, images = f"{git.url}/platforms", Images(registry, project)
    installation.configure({"platforms": places}, project=project)
    try:
        run = ended(installation, installation.start("release", repo=repo, revision="main"))
        assert run.phase == "Succeeded", installation.story(run)
        parts = [f"{name}{platform}" for name in ("app", "base") for platform in ("", f" {AMD64}", f" {ARM64}")]
        assert results(run) == dict.fromkeys(parts, ("built", ""))
        builds = [pod for pod in installation.pods(run.name) if "clone-build-push" in pod["metadata"]["name"]]
        asked = sorted(json.dumps(pod["spec"].get("nodeSelector")) for pod in builds)
        wanted = [{"kubernetes.io/arch": "amd64"}, own, None]
        assert asked == sorted(json.dumps(one) for one in wanted for _ in range(2))
        assert {t["key"] for pod in builds for t in pod["spec"]["tolerations"]} >= {"arm64"}
        again = ended(installation, installation.start("release", repo=repo, revision="main"))
        assert {result for result, _ in results(again).values()} == {"published"}
    finally:
        installation.configure()
    for name in ("app", "base"):
        index = json.loads(_skopeo("--raw", f"{registry}/{project}/{name}:main"))
        assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
        for architecture in ("amd64", "arm64"):
            words = ["--config", f"--override-arch={architecture}", f"{registry}/{project}/{name}:main"]
            assert json.loads(_skopeo(*words))["architecture"] == architecture

    settings = {key: text for key, text in installation.settings.items() if key not in {"project", "isolation"}}
    settings |= {"project": f"{project}-laptop", "platforms": f"{AMD64},{ARM64}"}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    laptop = Shipway(tmp_path).run("release", repo, "--settings", str(tmp_path / "settings.yaml"))
    assert laptop.returncode == 0, laptop.stderr
    there = Images(registry, f"{project}-laptop")
    assert {name: there.tags(name)["main"] for name in ("app", "base")} == {
        name: images.tags(name)["main"] for name in ("app", "base")
    }


def _skopeo(*words: str) -> str:
    *options, image = words
    argv = ["skopeo", "inspect", "--tls-verify=false", *options, f"docker://{image}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
