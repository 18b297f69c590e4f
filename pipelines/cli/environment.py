"""`shipway promote` and `shipway rollback`: an application at what it runs elsewhere, or at what it ran before."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING
from pathlib import Path

from pipelines.charts import registry_state
from pipelines.cli import json_output, secrets
from pipelines.cli import options as cli_options
from pipelines.cli.command import flag, flags, group, positional, switch
from pipelines.cli.options import SettingsOptions
from pipelines.declared.shipway_yaml import COMMIT, PULL_REQUEST
from pipelines.deploy import promote as deploy_promote
from pipelines.deploy import rollback as deploy_rollback
from pipelines.deploy.deploy import DeploySettings
from pipelines.deploy.environment_writer import EnvironmentWriter, Registries
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.writer import ForgeAccess
from pipelines.errors import Misconfigured, Misuse
from pipelines.step import signature
from pipelines.step.groups import ChartSettings
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.layout import Layout


@flags
class PromoteOptions:
    """What to promote, from where to where."""

    application: str = positional("the application's name", metavar="APP")
    source: str = flag("where it is proven", "--from", default=MISSING, metavar="ENVIRONMENT")
    target: str = flag("where it is to run", "--to", default=MISSING, metavar="ENVIRONMENT")
    environments: str = cli_options.environments()
    pull_request: bool = switch("propose it (default)", exclusive=True)
    commit: bool = switch("commit it", exclusive=True)
    settings: SettingsOptions = group(SettingsOptions)
    json: bool = switch("print one JSON object")


@flags
class RollbackOptions:
    """What to roll back, and how far."""

    application: str = positional(
        "the application: its name where one environment has it, or ENVIRONMENT/NAME", metavar="APP"
    )
    environment: str = flag("its environment, where APP names none", metavar="NAME")
    to: str = flag("of the environments repository (default: the last healthy one)", metavar="COMMIT")
    environments: str = cli_options.environments()
    pull_request: bool = switch("propose it", exclusive=True)
    commit: bool = switch("commit it (default)", exclusive=True)
    settings: SettingsOptions = group(SettingsOptions)
    json: bool = switch("print one JSON object")


def promote(options: PromoteOptions) -> int:
    """Let an application run in one environment exactly what it runs in another: the same digests, the same version of
    its chart. Both must be in the registry. By default people are asked, by a pull request in the environments
    repository.

    example: shipway promote web --from dev --to prod
    """
    way = COMMIT if options.commit else PULL_REQUEST
    with _writer(options.environments, options.settings) as writer:
        target = deploy_promote.promote(
            writer, options.application, source=options.source, target=options.target, way=way
        )
    return _show(target, as_json=options.json)


def rollback(options: RollbackOptions) -> int:
    """Let an application run again what it ran last and was healthy with, digest by digest, if the registry still has
    it. What is left behind is written to held.yaml beside its values, and deployments do not bring it back until the
    line is taken out or it is promoted again.

    examples:
      shipway rollback prod/web
      shipway rollback web --environment prod --to 1a2b3c4
    """
    environment, slash, name = options.application.rpartition("/")
    if slash and options.environment:
        raise Misuse(
            "two environments are named",
            seen=f"{options.application} and --environment {options.environment}",
            todo="name one",
        )
    way = PULL_REQUEST if options.pull_request else COMMIT
    with _writer(options.environments, options.settings) as writer:
        environment = environment or options.environment or writer.environment_of(name)
        target = deploy_rollback.rollback(writer, name, environment=environment, to=options.to, way=way)
    return _show(target, as_json=options.json)


@contextmanager
def _writer(environments: str, settings_options: SettingsOptions) -> Iterator[EnvironmentWriter]:
    """Yield the environments repository and the registries of the settings; raises Misconfigured if one is not set."""
    settings = cli_options.read_settings(settings_options, embedded=True)
    deploys = signature.from_settings(DeploySettings, settings)
    declared = cli_options.environments_settings(settings, environments)
    for name, text in (("environments", declared.environments_repository), ("registry", settings.get("registry", ""))):
        if not text:
            raise Misconfigured(f"no {name} to work with", seen=f"the setting `{name}` is empty", todo="set it")
    chart_settings = signature.from_settings(ChartSettings, settings)
    docker_config = secrets.secret(settings, "shipway-pull")
    with (
        tempfile.TemporaryDirectory(prefix="shipway-environments-") as work,
        cli_options.git(settings, "shipway-git-write") as git,
    ):
        yield EnvironmentWriter(
            git=git,
            url=RepositoryUrl(declared.environments_repository),
            branch=declared.environments_branch,
            author=deploys.author,
            forges=ForgeAccess(
                folder=secrets.secret(settings, "shipway-forge"), forges=deploys.forges, network=chart_settings
            ),
            registries=Registries(
                client=registry_client.connect(docker_config, chart_settings),
                charts=registry_state.connect(chart_settings, Layout.create(Path(work) / "layout"), docker_config)[0],
                under=chart_settings.under,
            ),
        )


def _show(target: DeployTarget, *, as_json: bool) -> int:
    if as_json:
        json_output.write(vars(target))
        return 0
    lines = [*target.changes, *target.kept] or ["nothing to write: it runs that already"]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if target.commit:
        sys.stdout.write(f"{target.pull_request or f'commit {target.commit} of {target.repo}'}\n")
    return 0
