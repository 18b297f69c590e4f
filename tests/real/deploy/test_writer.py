"""The pull requests of deployments: they stay themselves, and are closed for a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import ShipwayError
from tests.deployments import NONE
from tests.forge_server import said
from tests.proposals import EnvironmentsForge, changed, proposed, with_api


def test_a_pull_request_is_opened_once_and_kept_up_to_date(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """One open pull request, which the next commit updates; others' commits on it stay; merged, it starts anew."""
    shop = forge.world(tmp_path, address, environments={"dev": "pull-request"})
    head = shop.environments.head()
    [dev] = shop.run()[2].targets
    branch = proposed(shop)
    assert branch.startswith("shipway/dev/shop-")
    assert (shop.environments.head(), shop.environments.count(branch)) == (head, 2)
    [pull] = forge.state.pulls
    assert dev.pull_request
    assert (pull["title"], forge.open) == (f"Deploy web {shop.shop.head()[:12]} to dev", [1])
    assert shop.digest() in pull["body"]
    [again] = shop.deploy().targets
    assert (again.commit, forge.open) == (dev.commit, [1])
    shop.shop.commit({"page": "2"})
    shop.run()
    assert (forge.open, shop.environments.count(branch)) == ([1], 3)
    assert shop.environments.git("rev-parse", f"{branch}~1") == dev.commit
    shop.shop.commit({"page": "3"})
    shop.environments.commit({"README.md": "new"})
    before = shop.environments.head(branch)
    shop.run()
    assert forge.open == [1]
    parents = [shop.environments.git("rev-parse", f"{branch}^{number}") for number in (1, 2)]
    assert parents == [before, shop.environments.head()], "a review of the commit before still is of this branch"
    assert changed(shop, branch) == ["dev/web/values.yaml"]
    assert pull["title"] == f"Deploy web {shop.shop.head()[:12]} to dev"
    assert shop.digest() in shop.environments.file("dev/web/values.yaml", branch)
    shop.environments.commit({"dev/web/more": "by hand"}, branch=branch)
    shop.shop.commit({"page": "4"})
    shop.run()
    assert shop.environments.file("dev/web/more", branch) == "by hand\n"
    assert shop.digest() in shop.environments.file("dev/web/values.yaml", branch)
    assert forge.open == [1]
    merged = shop.environments.git("rev-parse", branch)
    shop.environments.git("update-ref", "refs/heads/main", merged)
    pull["state"] = "closed"
    assert shop.run()[2].targets[0].changes == ()
    assert (shop.environments.head(), forge.open) == (merged, [])
    shop.shop.commit({"page": "5"})
    shop.run()
    assert (shop.environments.head(), forge.open) == (merged, [2])
    assert shop.environments.git("rev-parse", f"{branch}~1") == merged


def test_a_pull_request_stays_while_its_chart_is_not_published_yet(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """The run that moves a chart proposes it once it is published, in the pull request that proposed the last one."""
    shop = forge.world(tmp_path, address, charts="commit", environments={"prod": "pull-request"})
    shop.environments.commit({"prod/web/values.yaml": "replicas: 1\n"})
    shop.run()
    shop.run()
    branch = proposed(shop)
    first = shop.environments.head(branch)
    assert (forge.open, "0.1.1" in shop.environments.file("prod/web/config.json", branch)) == ([1], True)
    shop.shop.commit({"page": "2"})
    prod = shop.run()[2].targets[1]
    assert prod.kept == ("prod/web: chart web: not published, absent",)
    assert (forge.open, shop.environments.head(branch), prod.commit) == ([1], first, first)
    assert prod.pull_request == forge.state.pulls[0]["html_url"]
    shop.run()
    assert (forge.open, shop.environments.git("rev-parse", f"{branch}~1")) == ([1], first)
    assert '"version": "0.1.2"' in shop.environments.file("prod/web/config.json", branch)
    assert forge.state.pulls[0]["title"] == "Deploy chart web 0.1.2 to prod"
    assert forge.state.comments == []


def test_a_broken_file_takes_nothing_out_of_a_pull_request(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """What was proposed of its application stays until it can be read."""
    shop = forge.world(tmp_path, address, environments={"dev": "pull-request"})
    shop.run()
    branch = proposed(shop)
    before = shop.environments.file("dev/web/values.yaml", branch)
    shop.environments.commit({"dev/web/held.yaml": "images: web\n"})
    with pytest.raises(ShipwayError, match=r"dev/web/held.yaml is not a list of images"):
        shop.deploy()
    assert (forge.open, shop.environments.file("dev/web/values.yaml", branch)) == ([1], before)


def test_a_pull_request_keeps_what_a_broken_build_would_follow(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """Of two images one is proposed anew, and the other as it was while its build fails; mended, both are new."""
    shop = forge.world(tmp_path, address, environments={"prod": "pull-request"})
    api = with_api(shop, "prod")
    values = shop.environments.file("prod/web/values.yaml")
    shop.environments.commit({"prod/web/values.yaml": f"{values}api: {api}@{NONE}\n"})
    shop.run()
    branch, path = proposed(shop), "prod/web/values.yaml"
    old = shop.digests()
    shop.shop.commit({"page": "2", "api/x": "2"})
    plan = shop.plan()
    built = replace(plan, waves=tuple(tuple(job for job in wave if job.name == "web") for wave in plan.waves))
    shop.build(built)
    new = shop.digests()
    assert new["web"] not in {"", old["web"]}
    [prod] = shop.deploy().targets
    assert forge.open == [1]
    text = shop.environments.file(path, branch)
    assert (new["web"] in text, old["api"] in text) == (True, True)
    assert prod.kept == (f"prod/web: {api}: not published, absent",)
    assert shop.deploy().targets[0].commit == prod.commit
    shop.run()
    text = shop.environments.file(path, branch)
    assert all(digest in text for digest in shop.digests().values())
    assert (forge.open, changed(shop, branch)) == ([1], [path])
    assert shop.environments.count(branch) == shop.environments.count() + 3


def test_charts_that_wait_for_an_image_keep_their_pull_request(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """While the image of the newest commit is not built, the values that were proposed before still are."""
    shop = forge.world(tmp_path, address, charts="pull-request")
    forge.state.repository = "team/shop"
    repo = forge.settings["environments"].replace("environments", "shop")
    shop.run(repo=repo)
    branch = shop.shop.git("for-each-ref", "--format=%(refname:short)", "refs/heads/shipway")
    head, first = shop.shop.head(branch), shop.digest()
    shop.shop.commit({"page": "2"})
    [charts] = shop.deploy(repo=repo).targets
    assert charts.kept == (f"{shop.web}: not published, absent",)
    assert (forge.open, shop.shop.head(branch)) == ([1], head)
    shop.run(repo=repo)
    assert (forge.open, shop.shop.git("rev-parse", f"{branch}^1")) == ([1], head)
    assert first not in shop.shop.file("charts/web/values.yaml", branch)
    assert shop.digest() in shop.shop.file("charts/web/values.yaml", branch)


def test_an_empty_pull_request_is_closed_with_the_reason(
    tmp_path: Path, address: str, forge: EnvironmentsForge
) -> None:
    """Nothing is left to propose, and nothing will be: a comment says so, the branch goes, and nobody is told again."""
    shop = forge.world(tmp_path, address, environments={"prod": "pull-request"})
    shop.run()
    branch = proposed(shop)
    shop.environments.commit({"prod/web/values.yaml": shop.environments.file("prod/web/values.yaml", branch)})
    forge.state.lie("PATCH", "pulls", said(503, "maintenance"), times=100)
    with pytest.raises(ShipwayError):
        shop.deploy()
    forge.state.lies.clear()
    [prod] = shop.deploy().targets
    assert (prod.commit, forge.open, proposed(shop)) == ("", [], "")
    [comment] = forge.state.comments
    assert comment["number"] == 1
    assert f"prod has nothing left to take of {shop.shop.bare}@{shop.shop.head()}" in comment["body"]
    assert shop.deploy().written == 0
    assert len(forge.state.comments) == 1
