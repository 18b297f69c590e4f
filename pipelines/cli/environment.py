"""What commands that write to the environments repository share: their flags, and how the settings lead there."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pipelines.charts.registry_state import ChartSettings
from pipelines.cli import options
from pipelines.declared.shipway_yaml import COMMIT, PULL_REQUEST
from pipelines.deploy.deploy import AUTHOR
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.move import Moving, Registries
from pipelines.deploy.pull_requests import Proposing
from pipelines.errors import Misconfigured
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Author
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.layout import Layout


def flags(parser: argparse.ArgumentParser, *, way: str) -> None:
    """Declare where the repository is, and how it is written to unless somebody says otherwise."""
    parser.add_argument(
        "--environments", default="", metavar="REPO", help="the environments repository, in place of the settings'"
    )
    ways = parser.add_mutually_exclusive_group()
    for flag, value, text in (("--pull-request", PULL_REQUEST, "propose it"), ("--commit", COMMIT, "commit it")):
        ways.add_argument(
            flag, dest="way", action="store_const", const=value, default=way, help=text + " (default)" * (value == way)
        )
    options.settings(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


@contextmanager
def moving(given: argparse.Namespace) -> Iterator[Moving]:
    """Give the environments repository and the registries of the settings; raises Misconfigured where one is not set."""
    settings = options.read_settings(given, embedded=True)
    address = given.environments or settings.get("environments", "")
    for name, text in (("environments", address), ("registry", settings.get("registry", ""))):
        if not text:
            raise Misconfigured(f"no {name} to work with", seen=f"the setting `{name}` is empty", todo="set it")
    ca_file, plain_http = settings.get("ca-file", ""), settings.get("plain-http", "")
    docker_config = options.secret(settings, "shipway-pull")
    charts = ChartSettings(
        registry=settings["registry"],
        project=settings.get("project", ""),
        chart_registry=settings.get("chart-registry", ""),
        chart_hosts="",
        plain_http=plain_http,
        ca_file=ca_file,
    )
    with (
        tempfile.TemporaryDirectory(prefix="shipway-environments-") as work,
        Git(
            GitCredentials.read(options.secret(settings, "shipway-git-write")),
            ca_file=Path(ca_file) if ca_file else None,
        ) as git,
    ):
        yield Moving(
            git=git,
            url=RepositoryUrl(address),
            branch="" if given.environments else settings.get("environments-branch", ""),
            author=Author.parse(settings.get("deploy-author") or AUTHOR),
            proposing=Proposing(
                folder=options.secret(settings, "shipway-forge"),
                forges=settings.get("forges", ""),
                plain_http=plain_http,
                ca_file=ca_file,
            ),
            registries=Registries(
                client=registry_client.connect(docker_config, plain_http=plain_http, ca_file=ca_file),
                charts=charts.connect(Layout.create(Path(work) / "layout"), docker_config)[0],
                under="/".join(filter(None, (settings["registry"], settings.get("project", "").strip("/")))) + "/",
            ),
        )


def show(target: DeployTarget, *, as_json: bool) -> None:
    """Print what came of it."""
    if as_json:
        sys.stdout.write(json.dumps(asdict(target)) + "\n")
        return
    lines = [*target.changes, *target.kept] or ["nothing to write: it runs that already"]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if target.commit:
        sys.stdout.write(f"{target.pull_request or f'commit {target.commit} of {target.repo}'}\n")
