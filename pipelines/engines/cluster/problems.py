"""Errors for people, made from the cluster's refusals."""

from __future__ import annotations

from pipelines.engines.cluster.api import Api
from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.tools.kubernetes import ARGO, Denied, Lost


def lost(api: Api, error: Lost, *, todo: str = "") -> Transient:
    """Return the error for a cluster that does not answer."""
    return Transient(
        f"the cluster {api.server} does not answer",
        seen=str(error),
        todo=todo or "check the network and KUBECONFIG, then try again",
    )


def denied(api: Api, error: Denied, verb: str, kind: str, name: str = "") -> ShipwayError:
    """Return the error for a refused request: to `verb` something of a `kind`, perhaps of that `name`.

    A cluster without Argo answers 403 or 404, as it does for a missing right or object. The list of its kinds, which
    everybody who can log in may read, tells these cases apart.
    """
    what = f"{kind[:-1]} {name}" if name else kind
    if error.status == 401:
        return Misconfigured(
            f"the cluster {api.server} does not know this user",
            seen=error.message,
            todo="log in again, or set KUBECONFIG to a file with valid credentials",
        )
    if error.status in {403, 404} and kind.startswith("workflow") and not _has_argo(api):
        return Misconfigured(
            f"the cluster {api.server} has no Argo Workflows",
            seen=f"its API has no group {ARGO.removeprefix('/apis/')}",
            todo="install Argo Workflows 4.1 with its CRDs, or set KUBECONFIG to another cluster",
        )
    if error.status == 403:
        return Misconfigured(
            f"not allowed to {verb} {what} in namespace {api.namespace}",
            seen=error.message,
            todo='ask for the chart\'s Role `shipway-submitter` there; README, "On a cluster", says how',
        )
    if error.status == 404 and kind == "workflowtemplates":
        return _no_template(api, name)
    if error.status == 404:
        return ShipwayError(
            f"there is no {what} in namespace {api.namespace}",
            seen=error.message,
            todo="`shipway runs` lists those there are; --namespace names another namespace",
        )
    return ShipwayError(f"the cluster refuses to {verb} {what}", seen=error.seen)


def _no_template(api: Api, name: str) -> ShipwayError:
    installed = []
    try:
        listed = api.call("GET", f"{ARGO}/namespaces/{api.namespace}/workflowtemplates")
        installed = sorted(str(item["metadata"]["name"]) for item in listed.get("items", ()))
    except (Denied, Lost):
        pass  # the list only makes the message better
    return Misconfigured(
        f"namespace {api.namespace} has no WorkflowTemplate {name}",
        seen=f"its templates: {', '.join(installed)}" if installed else "it has none",
        todo="give one of these, or --namespace for another installation"
        if installed
        else "install the chart there: helm install shipway charts/shipway; or give its namespace with --namespace",
    )


def _has_argo(api: Api) -> bool:
    try:
        api.call("GET", ARGO)
    except Denied as error:
        return error.status != 404
    except Lost:
        return True
    return True
