"""Names on a cluster: a check for paths of the API, and the names of Shipway's own objects."""

from __future__ import annotations

import re

from pipelines.errors import Misuse

CONFIG_MAP = "shipway"
UI_KEY = "argo-ui"
APP_LABEL = "app.kubernetes.io/name"
APP = "shipway"
TEMPLATE_LABEL = "workflows.argoproj.io/workflow-template"
"""Argo's own label for the template that a run was made from."""
RUN_LABEL = "workflows.argoproj.io/workflow"
MARK = "shipway/submission"
"""The annotation with the call that made a run: a call whose answer was lost finds its own run again."""
# A DNS subdomain (RFC 1123), as Kubernetes wants names of objects.
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def check(what: str, name: str) -> str:
    """Return a name that Kubernetes accepts; raises Misuse."""
    if not _NAME.fullmatch(name):
        raise Misuse(f"not the name of a {what}", seen=repr(name[:200]), todo="use small letters, digits, - and .")
    return name
