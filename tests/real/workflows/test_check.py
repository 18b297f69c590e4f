"""`check`, the whole way from a repository to what became of its
images and charts, on the local engine: nothing is published.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.git_repositories import Repository
from tests.registry_process import registry
from tests.shipway_process import Images, Shipway

CHART = "apiVersion: v2\nname: {}\nversion: 1.0.0\n"
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {text: %s}\n"


@pytest.mark.helm
def test_a_commit_is_tried_as_a_whole_and_published_nowhere(tmp_path: Path) -> None:
    """Children depend on parents that nobody published; what fails takes
    only its children with it, and every line that failed is told.
    """
    made = Repository(tmp_path / "shop")
    made.write("shipway.yaml", "images:\n  secret: {secrets: [token]}\n  app: {shared: [core]}\n")
    made.write("core/common", "1").write("base/Dockerfile", "FROM scratch\nCOPY page /\n").write("base/page", "1")
    made.write("app/Dockerfile", "FROM base\nCOPY core /core\n").write("top/Dockerfile", "FROM app\nCOPY page /\n")
    made.write("top/page", "2")
    made.write("broken/Dockerfile", 'FROM base\nCOPY page /\nRUN ["/page"]\n').write("broken/page", "text")
    made.write("child/Dockerfile", "FROM broken\nCOPY page /\n").write("child/page", "1")
    made.write("secret/Dockerfile", "FROM scratch\nCOPY page /\n").write("secret/page", "1")
    made.write("on-secret/Dockerfile", "FROM secret\nCOPY page /\n").write("on-secret/page", "1")
    made.write("charts/good/Chart.yaml", CHART.format("good")).write("charts/good/templates/a.yaml", OBJECT % "fine")
    made.write("charts/bad/Chart.yaml", CHART.format("bad"))
    made.write("charts/bad/templates/a.yaml", OBJECT % "{{ .Values.nothing.more }}").commit()
    shipway = Shipway(tmp_path / "shipway")
    with registry(tmp_path) as address:
        settings = tmp_path / "settings.yaml"
        settings.write_text(f"registry: {address}\nproject: team\nplain-http: {address}\n")
        words = (str(made.path), "--settings", str(settings), "--json")
        done = shipway.run("check", *words)
        assert done.returncode == 1, done.stderr
        told = json.loads(done.stdout)
        assert {part["name"]: part["result"] for part in told["parts"]} == {
            "base": "built",
            "app": "built",
            "top": "built",
            "broken": "failed",
            "child": "not built",
            "secret": "left out",
            "on-secret": "left out",
            "good": "checked",
            "bad": "failed",
        }
        lines = {part["name"]: "\n".join(part["lines"]) for part in told["parts"]}
        assert "broken/Dockerfile:3" in lines["broken"]
        assert "charts/bad/templates/a.yaml:4" in lines["bad"]
        images = Images(address, "team")
        assert not any(images.client.tags(images.reference(name)) for name in ("base", "app", "top", "charts/good"))

        tried = dict(re.findall(r"\| (\S+): built, (sha256:\S+)", done.stderr))
        shipway.run("release", *words)
        commit = made.git("rev-parse", "HEAD").strip()
        assert tried == {name: images.tags(name)[f"git-{commit}"] for name in ("base", "app", "top")}


def test_what_a_build_prints_is_never_a_template(tmp_path: Path) -> None:
    """A test that prints `{{` and fails costs its own image, and its text reaches the verdict as it was printed."""
    made = Repository(tmp_path / "shop")
    made.write("good/Dockerfile", "FROM scratch\nCOPY page /\n").write("good/page", "1")
    # The program that is missing stands in the builder's message.
    made.write("bad/Dockerfile", 'FROM scratch\nCOPY page /\nRUN ["/page", "{{=1+1}} {{workflow.uid}}"]\n')
    made.write("bad/page", "1").commit()
    with registry(tmp_path) as address:
        settings = tmp_path / "settings.yaml"
        settings.write_text(f"registry: {address}\nproject: team\nplain-http: {address}\n")
        done = Shipway(tmp_path / "shipway").run("check", str(made.path), "--settings", str(settings), "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert {part["name"]: part["result"] for part in told["parts"]} == {"good": "built", "bad": "failed"}
    [bad] = [part for part in told["parts"] if part["name"] == "bad"]
    assert "{{=1+1}} {{workflow.uid}}" in "\n".join([bad["why"], *bad["lines"]])
    assert told["verdict"].startswith("1 of 2 in order at ")
