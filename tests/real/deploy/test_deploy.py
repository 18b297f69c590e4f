"""Deployments write digests to charts and environments, once, and lose nobody's work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.bounds import LARGEST
from pipelines.deploy.model import Deployed
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from tests import git_server
from tests.deployments import NONE, world
from tests.soak import deployments


def test_a_deployment_ends_after_three_runs(tmp_path: Path, address: str) -> None:
    """With a Dockerfile at the root: build and write; publish the chart alone; then nothing at all."""
    shop = world(tmp_path, address)
    built, charts, deployed = shop.run()
    assert (built, charts, deployed.written) == (1, ["web@0.1.0"], 1)
    source = shop.shop.git("rev-parse", "main~1")
    values = shop.shop.git("show", "main:charts/web/values.yaml")
    assert values == (
        f'# values\r\nimage:\r\n  repository: {shop.web}\r\n  tag: ""   # empty\r\n  digest: "{shop.digest()}" # now'
    )
    assert shop.shop.file("charts/web/Chart.yaml") == "apiVersion: v2\nname: web # ours\nversion: 0.1.1\n"
    message = shop.shop.git("log", "-1", "--format=%an <%ae>%n%B", "main")
    assert message.splitlines()[:2] == ["Shipway <shipway@noreply.invalid>", f"Deploy web {source[:12]}"]
    assert f"{shop.web}: {NONE} → git-{source} ({shop.digest()})" in message
    assert f"  source   {source}" in message
    assert "chart web: 0.1.0 → 0.1.1 (charts/web)" in message
    assert message.endswith(
        f"Shipway-Source: {shop.shop.bare}@{source}\n"
        f"Shipway-Image: {shop.web}@{shop.digest()}\nShipway-Chart: web 0.1.1"
    )
    built, charts, deployed = shop.run()
    assert (built, charts, deployed.written) == (0, ["web@0.1.1"], 0)
    built, charts, deployed = shop.run()
    assert (built, charts, deployed.written) == (0, [], 0)
    assert shop.shop.count() == 2


def test_a_repository_may_hold_its_own_environments(tmp_path: Path, address: str) -> None:
    """No image contains what deployments, promotions and rollbacks write, so they end, unless a Dockerfile names it."""
    ways = {"charts": "commit", "environments": {"dev": "commit"}}
    shop = world(tmp_path, address, deploy=ways, beside={"src/code/config.yaml": "level: info\n"})
    built, charts, deployed = shop.run()
    assert (built, charts, deployed.written) == (1, ["web@0.1.0"], 2)
    built, charts, deployed = shop.run()
    assert (built, charts, deployed.written) == (0, ["web@0.1.1"], 1)
    assert "version: 0.1.1" in shop.shop.file("dev/web/config.yaml")
    built, charts, deployed = shop.run()
    assert (built, charts, deployed.written) == (0, [], 0)
    places = [{"file": "dev/web/values.yaml", "image": "web", "at": "more"}]
    configuration = {"images": {".": {"name": "web"}}, "deploy": ways, "values": places}
    shop.shop.commit({"dev/web/values.yaml": f"more: {NONE}\n", "shipway.yaml": json.dumps(configuration)})
    built, charts, deployed = shop.run()
    assert (built, [bool(target.commit) for target in deployed.targets]) == (1, [True, True])
    assert shop.shop.file("dev/web/values.yaml") == f"more: {shop.digest()}\n"
    assert shop.run()[0] == 0
    assert shop.run()[2].written == 0
    shop.shop.commit({"prod/web/values.yaml": "replicas: 3\n", "dev/web/held.yaml": f"images: [{NONE}]\n"})
    assert shop.build() == 0
    shop.shop.commit({"src/code/config.yaml": "level: debug\n"})
    assert shop.build() == 1, "this is no application, and the image has it"
    shop.shop.commit({"Dockerfile": "FROM scratch\nCOPY dev /dev\n"})
    shop.build()
    before = shop.shop.head()
    with pytest.raises(Refused, match="a reason for the next one") as raised:
        shop.deploy()
    assert "dev/web/config.yaml, dev/web/held.yaml, dev/web/values.yaml, which deployments" in raised.value.seen
    assert shop.shop.head() == before


def test_the_next_commit_is_deployed_and_compared_with_the_last(tmp_path: Path, address: str) -> None:
    """A lone tag is updated, too; a run of another branch writes nothing; the author can be set."""
    shop = world(tmp_path, address)
    shop.run()
    old, first = shop.digest(), shop.shop.git("rev-parse", "main~1")
    second = shop.shop.commit({"page": "2", "charts/web/extra.yaml": ""})
    assert shop.deploy().written == 0, "not built yet"
    shop.shop.git("branch", "other", "main")
    assert shop.deploy(ref="refs/heads/other").written == 0, "not the branch that is deployed"
    shop.settings = {"deploy_author": "Bot <bot@example.org>"}
    built, _, deployed = shop.run()
    assert (built, deployed.written) == (1, 1)
    message = shop.shop.git("log", "-1", "--format=%an%n%B", "main")
    assert message.startswith(f"Bot\nDeploy web {second[:12]}\n")
    assert f"{shop.web}: {old} → git-{second} ({shop.digest()})" in message
    assert first != second


def test_environments_follow_images_and_charts(tmp_path: Path, address: str) -> None:
    """Each in its own form, the chart once it is published; newer versions and other applications stay."""
    shop = world(tmp_path, address, deploy={"environments": {"dev": "commit", "prod": "commit"}})
    other = shop.environments.file("dev/other/values.yaml")
    built, charts, deployed = shop.run()
    assert (built, charts, deployed.written) == (1, ["web@0.1.0"], 2)
    digest, source = shop.digest(), shop.shop.head()
    assert (
        shop.environments.file("dev/web/values.yaml")
        == f"# dev\nimage: '{shop.web}:git-{source}@{digest}'\nreplicas: 1\n"
    )
    assert shop.environments.file("prod/web/values.yaml") == (
        f"image:\n  registry: {address}\n  repository: team/web\n  tag: git-{source}\n  digest: {digest}\n"
    )
    assert shop.environments.messages()[:2] == [f"Deploy web {source[:12]} to prod", f"Deploy web {source[:12]} to dev"]
    shop.shop.commit({"charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.2.0\n"})
    shop.environments.commit({"dev/web/config.yaml": "chart: web # the chart\nversion: 0.3.0\nnamespace: shop\n"})
    _, charts, deployed = shop.run()
    assert charts == ["web@0.2.0"]
    dev, prod = deployed.targets
    assert (dev.commit, dev.kept) == ("", ("dev/web: web 0.3.0 is newer than 0.2.0",))
    assert prod.changes == ("chart web: 0.1.0 → 0.2.0 (prod/web)",)
    assert shop.environments.file("prod/web/config.json") == (
        '{\n\t"chart": "web",\n\t"version": "0.2.0",\n\t"namespace": "shop"\n}\n'
    )
    assert shop.environments.messages()[0] == "Deploy chart web 0.2.0 to prod"
    assert shop.environments.file("dev/other/values.yaml") == other
    assert shop.run()[2].written == 0


def test_whoever_pushes_in_between_loses_nothing(tmp_path: Path, address: str) -> None:
    """With a second writer of each branch, and two deployments at once, no commit is lost and none is empty."""
    shop = world(tmp_path, address, deploy={"charts": "commit", "environments": {"dev": "commit"}})
    lost: list[str] = []
    for number in range(2):
        deployments.play(shop, number, lost)
    assert lost == []


def test_an_older_run_brings_nothing_back(tmp_path: Path, address: str) -> None:
    """A run deploys the branch's head, so a late run writes the newest versions, or nothing."""
    shop = world(tmp_path, address, deploy={"environments": {"dev": "commit"}})
    shop.run()
    old = shop.digest()
    shop.shop.commit({"page": "2"})
    shop.run()
    assert shop.digest() in shop.environments.file("dev/web/values.yaml")
    assert shop.deploy().written == 0
    assert old not in shop.environments.file("dev/web/values.yaml")


def test_a_nightly_build_is_not_taken_back(tmp_path: Path, address: str) -> None:
    """An image that was rebuilt for its age stays, also in runs without a maximum age, and returns with a revert."""
    shop = world(tmp_path, address, deploy={"environments": {"dev": "commit"}})
    shop.run()
    old = shop.digest()
    plan = shop.plan(max_age="7d", now=10**9)
    assert shop.build(plan) == 1
    new = next(item.digest for item in shop.plan(max_age="7d", now=10**9).images if item.name == "web")
    assert new != old
    assert shop.deploy(max_age="7d", now=10**9).written == 1
    assert shop.run()[2].written == 0
    assert new in shop.environments.file("dev/web/values.yaml")
    shop.shop.commit({"page": "2"})
    assert shop.run()[2].written == 1
    shop.shop.commit({"page": "1"})
    assert shop.run()[2].written == 1
    assert new in shop.environments.file("dev/web/values.yaml")


@pytest.mark.parametrize(
    ("change", "where", "told", "kind"),
    [
        ({"shipway.yaml": '{"deploy": {"environments": {"qa": "commit"}}}'}, "shop", "no environment qa", Misuse),
        ({"shipway.yaml": '{"deploy": {"charts": "push"}}'}, "shop", "deploys to cannot be read", ShipwayError),
        (
            {"dev/web/held.yaml": "images: web\n"},
            "environments",
            "dev/web/held.yaml is not a list of images",
            ShipwayError,
        ),
        (
            {"dev/web/values.yaml": "a: b\n- c: WEB:1\n"},
            "environments",
            "dev/web/values.yaml:2: not YAML",
            ShipwayError,
        ),
        (
            {"dev/web/values.yaml": "a: &a WEB:1\nb: *a\n"}, "environments", "dev/web/values.yaml:1: cannot be changed",
            ShipwayError,
        ),
        (
            {"dev/web/config.yaml": "chart: web\nversion: 1\n"},
            "environments",
            "files that cannot be read",
            ShipwayError,
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_nothing_pushed(
    tmp_path: Path, address: str, change: dict[str, str], where: str, told: str, kind: type[ShipwayError]
) -> None:
    """An environment that does not exist, files that cannot be read or changed."""
    shop = world(tmp_path, address, deploy={"environments": {"dev": "commit"}})
    shop.build()
    shop.release()
    remote = shop.shop if where == "shop" else shop.environments
    remote.commit({path: text.replace("WEB", shop.web) for path, text in change.items()})
    shop.build()
    before = shop.environments.head()
    with pytest.raises(kind, match=told):
        shop.deploy()
    assert shop.environments.head() == before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("values.yaml", "a: b\n- c: WEB:1\n"),
        ("values.yaml", "a: &a WEB:1\nb: *a\n"),
        ("config.yaml", "chart: web\n- \n"),
        ("config.yaml", "chart: web\nversion: 1\n"),
        ("held.yaml", "images: web\n"),
    ],
)
def test_a_broken_file_costs_its_own_application_alone(tmp_path: Path, address: str, file: str, text: str) -> None:
    """The others are written, and the run fails with the one; an address that cannot follow is told."""
    shop = world(tmp_path, address, deploy={"environments": {"dev": "commit"}})
    shop.build()
    shop.release()
    second = {"config.yaml": "chart: web\nversion: 0.0.9\nnamespace: x\n", "values.yaml": f"image: {shop.web}\n"}
    files = {f"dev/second/{name}": content for name, content in second.items()}
    shop.environments.commit({**files, f"dev/web/{file}": text.replace("WEB", shop.web)})
    before = shop.environments.file(f"dev/web/{file}")
    with pytest.raises(ShipwayError) as raised:
        shop.deploy()
    done = raised.value.result
    assert isinstance(done, Deployed)
    assert done.written == 1
    assert f"dev/second/values.yaml:1: {shop.web} is named without a tag" in "".join(done.targets[0].kept)
    assert "version: 0.1.0" in shop.environments.file("dev/second/config.yaml")
    assert shop.environments.file(f"dev/web/{file}") == before
    again = shop.deploy(run="push-1")
    assert (again.written, again.fault, again.fault_code) == (0, str(raised.value), raised.value.exit_code)


@pytest.mark.parametrize(
    "files",
    [
        {"values.yaml": "a: b\n- c: WEB:1\n"},
        {"values.yaml": "a: &a WEB:1\nb: *a\n"},
        {"values.yaml": f"image: WEB@{NONE}\n", "Chart.yaml": "apiVersion: v2\nname: other\nversion: one\n"},
    ],
)
def test_a_broken_file_costs_its_own_chart_alone(tmp_path: Path, address: str, files: dict[str, str]) -> None:
    """The other charts are written, and published by the run; it fails with the one, which stays as it was."""
    shop = world(tmp_path, address)
    chart = {"Chart.yaml": "apiVersion: v2\nname: other\nversion: 1.0.0\n", **files}
    broken = {f"charts/other/{name}": text.replace("WEB", shop.web) for name, text in chart.items()}
    shop.shop.commit(broken)
    shop.build()
    charts, published, _ = shop.circle()
    assert published == ["0.1.0"]
    assert "charts/other" in charts.fault
    assert shop.digest() in shop.shop.file("charts/web/values.yaml")
    assert {name: shop.shop.file(name) for name in broken} == broken
    with pytest.raises(ShipwayError, match="charts/other"):
        shop.deploy()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([{"file": "charts/web/values.yaml", "image": "web", "at": "img.tag"}], "has no img.tag"),
        ([{"file": "two.yaml", "image": "web", "at": "a"}], "two.yaml has a twice"),
        ([{"file": "none.yaml", "image": "web"}], "there is no file none.yaml"),
    ],
)
def test_paths_that_lead_nowhere_or_twice_are_told(
    tmp_path: Path, address: str, values: list[dict[str, str]], told: str
) -> None:
    """A path in shipway.yaml must exist, and once; the chart that it is in, or that file, stays as it is."""
    shop = world(tmp_path, address)
    configuration = {"images": {".": {"name": "web"}}, "deploy": {"charts": "commit"}, "values": values}
    shop.shop.commit({"shipway.yaml": json.dumps(configuration), "two.yaml": "a: x\n---\na: y\n"})
    shop.build()
    file = values[0]["file"]
    before = shop.shop.file(file) if file != "none.yaml" else ""
    with pytest.raises(ShipwayError, match=told) as raised:
        shop.deploy()
    assert "shipway.yaml:1" in raised.value.seen
    assert file == "none.yaml" or shop.shop.file(file) == before
    assert (shop.digest() in shop.shop.file("charts/web/values.yaml")) is not file.startswith("charts")


def test_large_values_are_told_and_hold_up_nothing_unless_they_name_an_image(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an environment and of a chart; what names an image and is not read would stay behind without a word."""
    shop = world(tmp_path, address, deploy={"charts": "commit", "environments": {"dev": "commit"}})
    more = f"\n# web {'x' * LARGEST}\n"
    shop.environments.commit({"dev/other/values.yaml": f"a: 1{more}"})
    chart = {"charts/large/Chart.yaml": "apiVersion: v2\nname: large\nversion: 1.0.0\n"}
    shop.shop.commit({**chart, "charts/large/values.yaml": f"a: 1{more}"})
    assert shop.run()[2].written == 2
    told = capsys.readouterr().err
    for path in ("dev/other/values.yaml", "charts/large/values.yaml"):
        assert f"{path} is too large, and names nothing that is written" in told
    shop.environments.commit({"dev/other/values.yaml": f"image: {shop.web}:1{more}"})
    with pytest.raises(Refused, match=r"^dev/other/values\.yaml is too large"):
        shop.deploy()


def test_named_places_are_written_too(tmp_path: Path, address: str) -> None:
    """Any file of the repository, at any path."""
    shop = world(tmp_path, address)
    values = [{"file": "deploy/list.yaml", "image": "web", "at": "apps.1.sha"}]
    shop.shop.commit(
        {
            "shipway.yaml": json.dumps(
                {"images": {".": {"name": "web"}}, "deploy": {"charts": "commit"}, "values": values}
            ),
            "deploy/list.yaml": f"apps:\n- sha: {NONE}\n- sha: {NONE} # web\n",
        }
    )
    shop.run()
    assert shop.shop.file("deploy/list.yaml") == f"apps:\n- sha: {NONE}\n- sha: {shop.digest()} # web\n"
    assert shop.run()[2].written == 0


def named(at: str, file: str = "dev/web/values.yaml") -> dict[str, str]:
    """Return a shipway.yaml of an environments repository that names the path of an image."""
    return {"shipway.yaml": json.dumps({"values": [{"file": file, "image": "web", "at": at}]})}


def test_an_environment_s_named_places_are_written_too(tmp_path: Path, address: str) -> None:
    """If values leave the repository to the chart, the paths that the environments repository names must exist."""
    shop = world(tmp_path, address, deploy={"environments": {"dev": "commit"}})
    values = f"web:\n  image: {{tag: old, digest: {NONE}}} # the chart has the repository\n"
    shop.environments.commit({**named("web.image"), "dev/web/values.yaml": values})
    assert shop.run()[2].written == 1
    tag = f"git-{shop.shop.head()}"
    assert shop.environments.file("dev/web/values.yaml") == values.replace("old", tag).replace(
        NONE, f'"{shop.digest()}"'
    )
    assert shop.run()[2].written == 0
    head = shop.environments.head()
    for more, told in (
        (named("web.img"), "dev/web/values.yaml has no web.img"),
        (named("web.image", "dev/api/values.yaml"), "dev/api/values.yaml is not a values file of an application"),
        ({"shipway.yaml": "values: here\n"}, "shipway.yaml of .* cannot be read"),
    ):
        head = shop.environments.commit(more)
        with pytest.raises(ShipwayError, match=told) as raised:
            shop.deploy()
        assert "shipway.yaml:1" in raised.value.seen
        assert shop.environments.head() == head


def test_a_host_that_says_no_is_told(tmp_path: Path, address: str) -> None:
    """A protected branch, a login that may not write, and a repository that copies what deployments write."""
    shop = world(tmp_path, address)
    shop.build()
    before = shop.shop.head()
    with git_server.serving(tmp_path) as server:
        url = f"{server.url}/team/shop.git"
        shop.shop.git("config", "http.receivepack", "false")
        with pytest.raises(Misconfigured) as unwritable:
            shop.deploy(repo=url)
        assert "may write" in unwritable.value.todo
        shop.shop.git("config", "http.receivepack", "true")
        hook = shop.shop.bare / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n")
        hook.chmod(0o755)
        with pytest.raises(Refused, match="cannot push refs/heads/main") as protected:
            shop.deploy(repo=url)
        assert "pull request" in protected.value.todo
        hook.unlink()
    assert shop.shop.head() == before
    shop.shop.commit({"Dockerfile": "FROM scratch\nCOPY charts /charts\n"})
    shop.build()
    with pytest.raises(Refused, match="a reason for the next one"):
        shop.deploy()


def test_nothing_is_written_unless_shipway_yaml_says_so(tmp_path: Path, address: str) -> None:
    """No section `deploy`, no commit."""
    shop = world(tmp_path, address, deploy={})
    assert shop.run()[2].written == 0
    assert shop.shop.count() == 1
