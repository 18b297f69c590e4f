"""Promotion and rollback by the command move exactly what is proven, and nothing that the registry lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from pipelines.cli.main import main
from pipelines.tools.registry.reference import Reference
from tests import git_server, json_output
from tests.deployments import NONE, World, world
from tests.forge_server import TOKEN, ForgeServer, forge_server
from tests.registry_process import registry


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two versions of an image were deployed to dev, none to prod."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with registry(tmp_path) as address:
        found = world(tmp_path, address, deploy={"environments": {"dev": "commit"}})
        (tmp_path / "settings.yaml").write_text(
            f"registry: {address}\nproject: team\nplain-http: {address}\nenvironments: {found.environments.bare}\n"
            f"secrets: {tmp_path / 'secrets'}\nshared-names: any\n"
        )
        found.run()
        yield found


def shipway(shop: World, *words: str) -> int:
    """Run the command."""
    return main([*words, "--settings", str(shop.folder / "settings.yaml")])


def dev(shop: World) -> str:
    """Return the values of dev."""
    return shop.environments.file("dev/web/values.yaml")


def test_promotion_moves_exactly_what_is_proven(shop: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Digest, tag and chart version are copied in the target's own form; a second time there is nothing to write."""
    shop.environments.commit({"dev/web/config.yaml": "chart: web\nversion: 9.9.9\nnamespace: shop\n"})
    assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod", "--commit") == 3
    assert "web:9.9.9 is not in the registry" in capsys.readouterr().err
    shop.environments.commit({"dev/web/config.yaml": "chart: web\nversion: 0.1.0\nnamespace: shop\n"})
    head, source, digest = shop.environments.head(), shop.shop.head(), shop.digest()
    assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod", "--commit", "--json") == 0
    told = json_output.read("promote", capsys.readouterr().out)
    assert told["changes"] == [f"{shop.web}: old ({NONE}) → git-{source} ({digest})"]
    assert f"tag: git-{source}\n  digest: {digest}\n" in shop.environments.file("prod/web/values.yaml")
    message = shop.environments.git("log", "-1", "--format=%B", "main")
    assert message.startswith(f"Promote web {source[:12]} to prod\n\nAs dev runs it at {head}.")
    assert f"Shipway-Promoted-From: dev@{head}" in message
    assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod", "--commit") == 0
    assert "nothing to write" in capsys.readouterr().out
    shop.environments.commit({"prod/web/values.yaml": f"image: {shop.web}\n"})
    assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod", "--commit") == 0
    assert f"prod/web/values.yaml:1: {shop.web} is named without a tag" in capsys.readouterr().out


def test_promotion_is_proposed_by_default(shop: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pull request whose branch is one commit on main; while it is open, promoting again updates it."""
    with git_server.serving(tmp_path) as server, forge_server("github") as forge:
        forge.repository = "team/environments"
        host = server.url.removeprefix("http://")
        (tmp_path / "secrets" / "shipway-forge").mkdir(parents=True)
        (tmp_path / "secrets" / "shipway-forge" / f"{host.replace(':', '_')}.token").write_text(TOKEN)
        (tmp_path / "settings.yaml").write_text(
            f"registry: {shop.registry}\nproject: team\nplain-http: '{shop.registry},{forge.address}'\n"
            f"environments: {server.url}/team/environments.git\nforges: {host}=github+{forge.base}\n"
            f"secrets: {tmp_path / 'secrets'}\n"
        )
        for page in ("2", "2", "3"):
            if page not in shop.shop.file("page"):
                shop.shop.commit({"page": page})
            shop.run()
            assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod") == 0
            [pull] = forge.pulls
            assert pull["html_url"] in capsys.readouterr().out
            assert shop.digest() in shop.environments.file("prod/web/values.yaml", "shipway/prod/promote-web")
            assert shop.digest() in pull["body"]
            assert NONE in shop.environments.file("prod/web/values.yaml")


def test_what_is_not_set_up_is_told(shop: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a forge, a commit still works; the error for an unknown branch lists the known ones."""
    assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod") == 78
    assert "or ask for a commit, with --commit" in capsys.readouterr().err
    settings = shop.folder / "settings.yaml"
    settings.write_text(settings.read_text() + "environments-branch: gone\n")
    assert shipway(shop, "rollback", "web") == 1
    assert "has no refs/heads/gone\n  seen: branches: main\n" in capsys.readouterr().err
    # The branch is that of the settings' repository, not of another one that is named.
    assert shipway(shop, "rollback", "web", "--environments", str(shop.environments.bare)) == 2
    assert "dev/web or prod/web" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["promote", "web", "--from", "dev", "--to", "qa"], 2, "no environment qa"),
        (["promote", "api", "--from", "dev", "--to", "prod"], 2, "dev has no application api"),
        (["promote", "web", "--from", "dev", "--to", "dev"], 2, "promoted to itself"),
        (["promote", "web", "--from", "prod", "--to", "dev"], 3, "is not in the registry"),
        (["rollback", "web"], 2, "seen: dev, prod\n  do:   say which one: dev/web or prod/web"),
        (["rollback", "api"], 2, "has an application api\n  seen: applications: other, web"),
        (["rollback", "dev/web", "--environment", "prod"], 2, "two environments are named"),
        (["rollback", "other"], 3, "dev/other has nothing to go back to"),
        (["rollback", "dev/web"], 3, "dev/web has nothing to go back to"),
        (["rollback", "dev/web", "--to", "1234567"], 2, "not changed to another state"),
    ],
)
def test_what_cannot_be_moved_is_told(
    shop: World, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    """Unknown names, digests that the registry lacks, states that never were: one message, and nothing is written."""
    head = shop.environments.head()
    assert shipway(shop, *words, "--commit") == code
    assert told in capsys.readouterr().err
    assert shop.environments.head() == head


def test_rollback_returns_by_digest_and_holds_what_it_left(shop: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The files return byte for byte, and deployments hold back what was rolled back until there is something newer."""
    good = dev(shop)
    shop.shop.commit({"page": "2"})
    shop.run()
    bad = shop.digest()
    assert bad in dev(shop)
    assert shipway(shop, "rollback", "dev/web") == 0
    assert dev(shop) == good
    assert bad in shop.environments.file("dev/web/held.yaml")
    assert "nobody says whether it was healthy" in capsys.readouterr().err
    deployed = shop.deploy()
    assert (deployed.written, deployed.targets[0].kept) == (0, (f"dev/web: {shop.web}@{bad} was rolled back",))
    shop.shop.commit({"page": "3"})
    assert shop.run()[2].written == 1
    assert shop.digest() in dev(shop)
    shop.environments.commit({"dev/web/values.yaml": good, "dev/web/held.yaml": "# All of it may come back.\n"})
    assert shop.deploy().written == 1


MOMENT = 10**9
"""The maximum age of a plan that rebuilds images of a week."""


@pytest.mark.parametrize("place", ["dev", "prod"])
@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("image: WEB:TAG@NEW\n", "image: WEB@OLD\n"),
        ("repository: WEB\ntag: other@NEW\n", "repository: WEB\ntag: TAG@OLD\n"),
        ("repository: WEB\ntag: other\ndigest: NEW\n", "repository: WEB\ntag: TAG\ndigest: OLD\n"),
        ("repository: WEB\ntag: TAG\n", ""),
    ],
)
def test_a_digest_whose_tag_moved_on_is_still_moved(
    shop: World, capsys: pytest.CaptureFixture[str], now: str, then: str, place: str
) -> None:
    """Although the commit's tag names a rebuilt image, the digest is promoted, in each form but a tag alone."""
    old, tag = shop.digest(), f"git-{shop.shop.head()}"
    first = dev(shop)
    shop.build(shop.plan(max_age="7d", now=MOMENT))
    new = shop.digest()
    assert new != old
    words = {"WEB": shop.web, "TAG": tag, "OLD": old, "NEW": new}
    for word, text in words.items():
        now, then = now.replace(word, text), then.replace(word, text)
    head = shop.environments.commit({f"{place}/web/values.yaml": now})
    assert dev(shop) == (now if place == "dev" else first)
    move = (
        ["rollback", "dev/web"] if place == "dev" else ["promote", "web", "--from", "dev", "--to", "prod", "--commit"]
    )
    assert shipway(shop, *move) == (0 if then else 3)
    assert shop.environments.file(f"{place}/web/values.yaml") == (then or now)
    if not then:
        assert f"web/values.yaml:1: no tag is known that names {shop.web}@{old}" in capsys.readouterr().err
        assert shop.environments.head() == head


def test_any_tag_of_what_is_promoted_may_stand_alone(shop: World) -> None:
    """Of several tags in one environment, the one that names the digest is copied, in any order."""
    digest, tag = shop.digest(), f"git-{shop.shop.head()}"
    shop.client.tag(Reference.parse(shop.web).with_digest(digest), "1.0.0")
    shop.build(shop.plan(max_age="7d", now=MOMENT))
    shop.environments.commit(
        {
            "dev/web/values.yaml": f"a: {shop.web}:1.0.0\nb: {shop.web}:{tag}@{digest}\nc: {shop.web}@{digest}\n",
            "prod/web/values.yaml": f"repository: {shop.web}\ntag: old\n",
        }
    )
    assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod", "--commit") == 0
    assert shop.environments.file("prod/web/values.yaml") == f"repository: {shop.web}\ntag: 1.0.0\n"


def test_a_tag_that_follows_a_branch_is_never_copied(shop: World, capsys: pytest.CaptureFixture[str]) -> None:
    """It names this digest today: what is written names it tomorrow, too, or nothing is written."""
    digest, tag = Reference.parse(shop.web).with_digest(shop.digest()), f"git-{shop.shop.head()}"
    shop.client.tag(digest, "main")
    values = f"repository: {shop.web}\ntag: main\n"
    shop.environments.commit({"dev/web/values.yaml": values, "prod/web/values.yaml": values})
    words = ("promote", "web", "--from", "dev", "--to", "prod", "--commit")
    assert shipway(shop, *words) == 0
    assert shop.environments.file("prod/web/values.yaml") == values.replace("main", tag)
    shop.build(shop.plan(max_age="7d", now=MOMENT))
    shop.environments.commit({"prod/web/values.yaml": values})
    shop.client.tag(digest, "main")
    assert shipway(shop, *words) == 3
    assert "no tag is known" in capsys.readouterr().err


def test_rollback_finds_the_digest_that_the_message_says(shop: World) -> None:
    """A tag that stood alone names something newer by now; what it named when it was written is in the trailers."""
    old, tag = Reference.parse(shop.web).with_digest(shop.digest()), f"git-{shop.shop.head()}"
    shop.client.tag(old, "main")
    values = f"repository: {shop.web}\ntag: main\n"
    shop.environments.commit({"dev/web/values.yaml": values}, f"Deploy web to dev\n\nShipway-Image: {old}")
    shop.environments.commit({"dev/web/values.yaml": f"{values}replicas: 2\n"})
    shop.shop.commit({"page": "2"})
    shop.run()
    shop.client.tag(Reference.parse(shop.web).with_digest(shop.digest()), "main")
    assert f"tag: git-{shop.shop.head()}\n" in dev(shop)
    assert shipway(shop, "rollback", "dev/web") == 0
    assert dev(shop) == values.replace("main", tag) + "replicas: 2\n"


def test_places_that_are_named_move_too(shop: World, capsys: pytest.CaptureFixture[str]) -> None:
    """If values leave the repository to the chart, places named in shipway.yaml are promoted, rolled back, found."""
    places = [{"file": f"{place}/web/values.yaml", "image": "web", "at": "image.digest"} for place in ("dev", "prod")]
    values = f"image: {{digest: '{NONE}'}}\n"
    files = {f"{place}/web/values.yaml": values for place in ("dev", "prod")}
    shop.environments.commit({**files, "shipway.yaml": json.dumps({"values": places})})
    shop.deploy()
    first = shop.digest()
    shop.shop.commit({"page": "2"})
    shop.run()
    assert shipway(shop, "promote", "web", "--from", "dev", "--to", "prod", "--commit") == 0
    assert shop.environments.file("prod/web/values.yaml") == values.replace(NONE, shop.digest())
    assert shipway(shop, "rollback", "dev/web") == 0
    assert dev(shop) == values.replace(NONE, first)
    capsys.readouterr()
    assert shipway(shop, "where", first, "--no-cluster", "--json") == 0
    assert [row["environment"] for row in json_output.read("where", capsys.readouterr().out)["applications"]] == ["dev"]


def test_rollback_takes_what_was_healthy_and_is_still_there(
    shop: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The statuses of the source commits decide, and the registry."""
    states = [(dev(shop), shop.shop.head(), shop.digest())]
    for page in ("2", "3", "4"):
        shop.shop.commit({"page": page})
        shop.run()
        states.append((dev(shop), shop.shop.head(), shop.digest()))
    with forge_server("gitea") as forge:
        let_in(tmp_path, forge)
        told = {states[0][1]: "success", states[1][1]: "success", states[2][1]: "failure"}
        for commit, state in told.items():
            forge.statuses.append(
                (commit, {"context": "shipway/dev", "status": state, "description": "", "target_url": ""})
            )
        digest = states[1][2]
        gone = urllib3.request("DELETE", f"http://{shop.registry}/v2/team/web/manifests/{digest}")
        assert gone.status == 202
        assert shipway(shop, "rollback", "dev/web") == 0
        assert dev(shop) == states[0][0]
        message = shop.environments.git("log", "-1", "--format=%B", "main")
        pages = f"{forge.base.removesuffix('/api/v1')}/team/shop"
        assert f"  source   {pages}/commit/{states[0][1]}\n" in message
        assert f"  compare  {pages}/compare/{states[0][1]}...{states[3][1]}\n" in message
        assert "healthy" in capsys.readouterr().err


def test_rollback_asks_for_the_chart_s_commit_too(shop: World, tmp_path: Path) -> None:
    """If the chart has the digests, a state is a version alone, and two broken ones are skipped."""
    configuration = {
        "images": {".": {"name": "web"}},
        "deploy": {"charts": "commit", "environments": {"dev": "commit"}},
    }
    chart = "apiVersion: v2\nname: web\nversion: 0.1.0\nsources: [https://git.example.org/team/shop]\n"
    shop.shop.commit(
        {"shipway.yaml": json.dumps(configuration), "charts/web/Chart.yaml": chart.replace("0.1.0", "0.2.0")}
    )
    shop.environments.commit({"dev/web/values.yaml": "replicas: 1\n"})
    with forge_server("gitea") as forge:
        let_in(tmp_path, forge)
        versions = []
        for page, state in (("2", "success"), ("3", "failure"), ("4", "failure")):
            shop.shop.commit({"page": page})
            shop.run()
            shop.run()  # publishes the chart that the deployment moved, and moves the environment to it
            versions.append(shop.environments.file("dev/web/config.yaml"))
            status = {"context": "shipway/dev", "status": state, "description": "", "target_url": ""}
            forge.statuses.append((shop.shop.head(), status))
        assert len(set(versions)) == 3
        assert shipway(shop, "rollback", "dev/web") == 0
        assert shop.environments.file("dev/web/config.yaml") == versions[0]


def test_the_compiled_template_deploys(shop: World, capsys: pytest.CaptureFixture[str]) -> None:
    """`shipway deploy` runs the installed template on a cluster: a branch, one environment, the result as JSON."""
    shop.shop.commit({"page": "2"})
    shop.build()
    state = ["--state", str(shop.folder / "state")]
    assert shipway(shop, "deploy", str(shop.shop.bare), "--environment", "dev", "--json", "--quiet", *state) == 0
    told = json_output.read("deploy", capsys.readouterr().out)
    [target] = told["targets"]
    assert (told["phase"], told["commit"], target["commit"]) == (
        "Succeeded", shop.shop.head(), shop.environments.head(),
    )  # fmt: skip
    assert shop.digest() in dev(shop)
    assert shipway(shop, "deploy", str(shop.shop.bare), "--branch", "main", "--quiet", *state) == 0
    assert "dev: up to date" in capsys.readouterr().out
    assert shipway(shop, "deploy", str(shop.shop.bare), "--environment", "qa", "--quiet", *state) == 78
    assert "does not deploy to qa" in capsys.readouterr().out
    shop.shop.commit({"page": "3"})
    shop.build()
    assert shipway(shop, "release", str(shop.shop.bare), "--revision", "main", "--quiet", *state) == 0
    assert f"deployment to dev: commit {shop.environments.head()}\n  {shop.web}: " in capsys.readouterr().out


def let_in(folder: Path, forge: ForgeServer) -> None:
    """Give the commands a login for the forge of the shop's repository."""
    forge.repository = "team/shop"
    logins = folder / "secrets" / "shipway-forge"
    logins.mkdir(parents=True)
    (logins / "git.example.org.token").write_text(TOKEN)
    settings = folder / "settings.yaml"
    settings.write_text(
        settings.read_text().replace("plain-http: ", f"plain-http: {forge.address},")
        + f"forges: git.example.org=gitea+{forge.base}\n"
    )
