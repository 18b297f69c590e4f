"""`shipway where`: the applications that have a commit, a digest or a chart, and their status."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.charts import registry_state
from pipelines.cli import json_output, secrets
from pipelines.cli import options as cli_options
from pipelines.cli.command import flag, flags, group, positional, switch
from pipelines.cli.options import SettingsOptions
from pipelines.deploy.inventory import Inventory
from pipelines.deploy.running import LivePods
from pipelines.deploy.status import is_commit, matching, rollout, table
from pipelines.errors import Misconfigured, ShipwayError
from pipelines.step import signature
from pipelines.step.groups import ChartSettings
from pipelines.tools import kubernetes
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.layout import Layout

if TYPE_CHECKING:
    from pipelines.engines.cluster.api import Api

NOWHERE = 10
"""Exit code if no application has what is asked for; no error has it."""
_MOST_NAMES = 20


@flags
class WhereOptions:
    """What to look for, and where."""

    what: str = positional("what is asked for (default: every application)", default="", metavar="COMMIT|DIGEST|APP")
    environments: str = cli_options.environments()
    argo_cd_namespace: str = flag(
        "where Argo CD's applications are (default: the settings', or argocd)", metavar="NAME"
    )
    no_cluster: bool = switch("ask no cluster: what is declared, not what runs")
    settings: SettingsOptions = group(SettingsOptions)
    json: bool = switch("print one JSON object")


def run(options: WhereOptions) -> int:
    """Say which applications run a commit, an image or a chart, and how they are: source commit, image digest, chart
    version, commit of the environments repository, Argo CD's application, its sync and health. Everything is asked of
    the systems themselves: labels and annotations in the registry, the environments repository, the Application objects
    and the pods of the cluster that KUBECONFIG names. A whole commit id is also found where a later commit that has it
    in its history is deployed.

    examples:
      shipway where 1a2b3c4d
      shipway where sha256:0123456789ab
      shipway where dev/web --json
      shipway where

    RUNS says whether the application's pods run the image; where their cluster does not tell, whether its objects name
    it by a digest or a version. A tag that moves says nothing: unknown.
    exit codes: 0 found, 10 found nowhere
    """
    settings = cli_options.read_settings(options.settings, embedded=True)
    environments = cli_options.environments_settings(settings, options.environments)
    if not environments.environments_repository:
        raise Misconfigured(
            "no environments repository",
            seen="the setting `environments` is empty",
            todo="set it, or give --environments",
        )
    namespace = options.argo_cd_namespace or settings.get("argo-cd-namespace", "") or "argocd"
    cluster = None if options.no_cluster else _cluster()
    live = None if cluster is None else _applications(cluster, namespace)
    pods = None if cluster is None else LivePods(ask=lambda path: cluster.call("GET", path))
    chart_settings = signature.from_settings(ChartSettings, settings)
    docker_config = secrets.secret(settings, "shipway-pull")
    with tempfile.TemporaryDirectory(prefix="shipway-where-") as work, cli_options.git(settings) as git:
        charts, _ = registry_state.connect(chart_settings, Layout.create(Path(work) / "layout"), docker_config)
        inventory = Inventory(
            git=git,
            client=registry_client.connect(docker_config, chart_settings),
            charts=charts,
            under=chart_settings.under,
        )
        declared = inventory.declared(environments)
        every = inventory.statuses(declared, live, pods)
        statuses = matching(every, options.what) if options.what else every
        if not statuses and is_commit(options.what):
            asked = RepositoryUrl(environments.environments_repository)
            statuses = matching(every, options.what, inventory.descendants(every, options.what, asked))
    sys.stderr.writelines(f"{finding}\n" for finding in declared.found.findings)
    if options.json:
        # The key `standing` is public: scripts read it.
        rows = [
            {**asdict(one), "application_of_argo_cd": one.full_name, "standing": rollout(one) if one.state else ""}
            for one in statuses
        ]
        json_output.write({"applications": rows})
    elif statuses:
        sys.stdout.write(table(statuses))
    else:
        names = ", ".join(status.path for status in every[:_MOST_NAMES])
        more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
        sys.stderr.write(
            f"{repr(options.what) if options.what else 'anything'} is in none of: {names or 'no application'}{more}\n"
        )
    return 0 if statuses else NOWHERE


def _cluster() -> Api:
    """Return the cluster that KUBECONFIG names; raises Misconfigured if there is none."""
    from pipelines.engines.cluster import api as cluster_api  # noqa: PLC0415 - slow to load

    try:
        return cluster_api.connect("")
    except Misconfigured as error:
        raise Misconfigured(
            "no cluster to ask for Argo CD's applications", seen=error.seen, todo=f"{error.todo}, or give --no-cluster"
        ) from error


def _applications(cluster: Api, namespace: str) -> Mapping[str, Mapping[str, Any]]:
    """Return Argo CD's applications by name; raises ShipwayError if they cannot be read."""
    try:
        answer = cluster.call("GET", f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications")
    except (kubernetes.Lost, kubernetes.Denied) as error:
        raise ShipwayError(
            f"Argo CD's applications in {namespace} cannot be read",
            seen=kubernetes.seen(error)[:300],
            todo="see to the cluster and to the right to list applications there, or give --no-cluster",
        ) from error
    return {str(item["metadata"]["name"]): item for item in answer.get("items", ())}
