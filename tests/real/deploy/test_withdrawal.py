"""A rollback leaves no open pull request that would bring back what it left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.cli.main import main
from tests.deployments import NONE, World
from tests.proposals import EnvironmentsForge, changed, proposed, with_api


def roll_back(shop: World, *words: str) -> int:
    """Run `shipway rollback` with the world's settings."""
    settings = {**shop.settings, "registry": shop.registry, "project": "team", "secrets": str(shop.folder / "secrets")}
    settings = {name.replace("_", "-"): value for name, value in settings.items()} | {"shared-names": "any"}
    (shop.folder / "settings.json").write_text(json.dumps(settings))
    (shop.folder / "secrets").mkdir(exist_ok=True)
    if not (shop.folder / "secrets" / "shipway-forge").exists():
        (shop.folder / "secrets" / "shipway-forge").symlink_to(shop.folder / "forge")
    return main(["rollback", *words, "--settings", str(shop.folder / "settings.json")])


def test_a_rollback_closes_what_proposes_the_version_elsewhere(
    tmp_path: Path, address: str, forge: EnvironmentsForge, capsys: pytest.CaptureFixture[str]
) -> None:
    """What dev was rolled back from is not proposed to prod, by no later run either, until there is something newer."""
    shop = forge.world(tmp_path, address, environments={"dev": "commit", "prod": "pull-request"})
    shop.run()
    shop.shop.commit({"page": "2"})
    shop.run()
    assert (forge.open, shop.digest() in shop.environments.file("dev/web/values.yaml")) == ([1], True)
    assert roll_back(shop, "dev/web") == 0
    assert (forge.open, proposed(shop)) == ([], "")
    [comment] = forge.state.comments
    why = f"dev/web was rolled back from {shop.digest()}, and nothing else is proposed here."
    assert comment["body"].endswith(f"Closed: {why}")
    assert f"{forge.state.pulls[0]['html_url']}: closed" in capsys.readouterr().out
    [_, prod] = shop.deploy().targets
    assert (prod.commit, prod.kept) == ("", (f"prod/web: {shop.web}@{shop.digest()} was rolled back in dev/web",))
    shop.shop.commit({"page": "3"})
    shop.run()
    assert (forge.open, shop.digest() in shop.environments.file("prod/web/values.yaml", proposed(shop))) == ([2], True)


def test_a_rollback_takes_its_version_alone_out_of_a_pull_request(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """What else is proposed stays, in the same pull request; what somebody committed there is not deleted either."""
    shop = forge.world(tmp_path, address, environments={"dev": "pull-request"})
    api = with_api(shop, "dev")
    shop.environments.commit({"dev/api/config.yaml": "chart: web\nversion: 0.1.0\nnamespace: shop\n"})
    shop.environments.commit({"dev/api/values.yaml": f"image: {api}@{NONE}\n"})
    shop.run()
    branch = proposed(shop)
    shop.environments.git("update-ref", "refs/heads/main", shop.environments.head(branch))
    forge.state.pulls[0]["state"] = "closed"
    good = shop.environments.file("dev/web/values.yaml")
    shop.shop.commit({"page": "2", "api/x": "2"})
    shop.run()
    assert changed(shop, branch) == ["dev/api/values.yaml", "dev/web/values.yaml"]
    proposal, bad = shop.environments.head(branch), shop.digests()
    shop.environments.commit({"dev/web/values.yaml": shop.environments.file("dev/web/values.yaml", branch)})
    assert roll_back(shop, "dev/web") == 0
    assert shop.environments.file("dev/web/values.yaml") == good
    assert (forge.open, shop.environments.git("rev-parse", f"{branch}~1")) == ([2], proposal)
    assert shop.environments.file("dev/web/values.yaml", branch) == good
    assert bad["api"] in shop.environments.file("dev/api/values.yaml", branch)
    [comment] = forge.state.comments
    assert f"dev/web was rolled back from {bad['web']}: dev/web is taken out of this pull request." in comment["body"]
    shop.deploy()
    assert (forge.open, changed(shop, branch)) == ([2], ["dev/api/values.yaml"])
    values = shop.environments.file("dev/api/values.yaml", branch)
    shop.environments.commit({"dev/api/values.yaml": f"{values}replicas: 2\n"}, branch=branch)
    shop.environments.commit({"dev/api/values.yaml": values})
    assert roll_back(shop, "dev/api") == 0
    assert forge.open == [2]
    before = shop.environments.file("dev/api/values.yaml")
    assert (shop.environments.file("dev/api/values.yaml", branch), bad["api"] in before) == (
        f"{before}replicas: 2\n",
        False,
    )


def test_a_rollback_leaves_other_pull_requests_alone(tmp_path: Path, address: str, forge: EnvironmentsForge) -> None:
    """A newer version is still proposed, and a person's pull request is none of ours; no forge, no failure."""
    shop = forge.world(tmp_path, address, environments={"dev": "commit", "prod": "pull-request"})
    shop.run()
    shop.shop.commit({"page": "2"})
    shop.run()
    second = shop.environments.file("dev/web/values.yaml")
    shop.shop.commit({"page": "3"})
    shop.run()
    head = shop.environments.head(proposed(shop))
    shop.environments.commit({"dev/web/values.yaml": second})
    assert roll_back(shop, "dev/web") == 0
    assert (forge.open, shop.environments.head(proposed(shop))) == ([1], head)
    assert forge.state.comments == []


def test_a_rollback_by_pull_request_withdraws_by_the_next_deployment(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """Nothing while people may refuse it; once it is merged, the next deployment closes what would bring it back."""
    shop = forge.world(tmp_path, address, environments={"dev": "commit", "prod": "pull-request"})
    shop.run()
    shop.shop.commit({"page": "2"})
    shop.run()
    assert roll_back(shop, "dev/web", "--pull-request") == 0
    assert forge.open == [1, 2]
    shop.deploy()
    assert (forge.open, forge.state.comments) == ([1, 2], [])
    shop.environments.git("update-ref", "refs/heads/main", shop.environments.head("shipway/dev/rollback-web"))
    shop.deploy()
    assert 1 not in forge.open
    [comment] = forge.state.comments
    assert f"{shop.digest()} was rolled back in dev/web" in comment["body"]
