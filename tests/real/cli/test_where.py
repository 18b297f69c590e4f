"""`shipway where` over a real registry and real repositories."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference
from tests import json_output, oci_images
from tests.git_repositories import Repository
from tests.registry_process import registry

pytestmark = pytest.mark.helm
OCI = "org.opencontainers.image."


def test_from_a_commit_to_what_is_declared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By commit, by one that is in its history, by digest and by name; a chart's own image; a chart that is nowhere."""
    source = Repository(tmp_path / "shop")
    early = source.write("a", "1").commit()
    built = source.write("a", "2").commit()
    environments = Repository(tmp_path / "environments")
    with registry(tmp_path) as host:
        client = Registry(Credentials(), plain_http=frozenset({host}))
        labels = {f"{OCI}revision": built, f"{OCI}source": str(source.path)}
        layout, image = oci_images.image(tmp_path / "image", annotations=labels)
        place = Reference(registry=host, repository="team/web", digest=image.digest)
        client.push(layout, image, place)
        client.tag(place, "main")
        chart = tmp_path / "web"
        chart.mkdir()
        chart.joinpath("Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.0.0\n")
        chart.joinpath("values.yaml").write_text(f"image: {{repository: {host}/team/web, tag: main}}\n")
        subprocess.run(["helm", "package", str(chart), "--destination", str(tmp_path)], check=True, capture_output=True)
        address = f"oci://{host}/team/charts"
        subprocess.run(
            ["helm", "push", str(tmp_path / "web-1.0.0.tgz"), address, "--plain-http"], check=True, capture_output=True
        )
        environments.write("dev/web/config.yaml", "chart: web\nversion: 1.0.0\nnamespace: dev\n")
        environments.write("dev/web/values.yaml", f"image:\n  repository: {host}/team/web\n  digest: {image.digest}\n")
        environments.write("prod/web/config.yaml", "chart: web\nversion: 1.0.0\nnamespace: prod\n")
        environments.write("prod/old/config.yaml", "chart: web\nversion: 0.9.0\nnamespace: prod\n")
        head = environments.commit()
        settings = tmp_path / "settings.yaml"
        settings.write_text(
            json.dumps(
                {"registry": host, "project": "team", "plain-http": host, "environments": str(environments.path)}
            )
        )

        def where(*words: str) -> tuple[int, list[dict[str, Any]]]:
            code = main(["where", *words, "--json", "--no-cluster", "--settings", str(settings)])
            return code, json_output.read("where", capsys.readouterr().out)["applications"]

        code, rows = where(built)
        assert code == 0
        assert [f"{row['environment']}/{row['application']}" for row in rows] == ["dev/web", "prod/web"]
        for row in rows:
            (found,) = row["images"]
            assert found["digest"] == str(image.digest)
            assert (found["revision"], row["commit"], row["state"]) == (built, head, None)
        assert where(early)[1] == rows
        assert where(str(image.digest))[1] == rows
        assert [row["application"] for row in where("prod/web")[1]] == ["web"]
        assert where("f" * 40) == (10, [])
        (old,) = where("old")[1]
        assert "0.9.0 is not in the registry" in str(old["fault"])

        assert main(["where", "dev/web", "--no-cluster", "--settings", str(settings)]) == 0
        assert built[:8] in capsys.readouterr().out
        assert main(["where", "api", "--no-cluster", "--settings", str(settings)]) == 10
        assert "'api' is in none of: dev/web, prod/old, prod/web" in capsys.readouterr().err
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        assert main(["where", "web", "--settings", str(settings)]) == 78
        assert "or give --no-cluster" in capsys.readouterr().err
    assert main(["where", "--no-cluster", "--registry", "r.invalid"]) == 78
    assert "no environments repository" in capsys.readouterr().err
