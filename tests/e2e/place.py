"""Where the tests on a cluster run: what the environment says of it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache

CRD = "workflowtemplates.argoproj.io"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A cluster with Argo, a registry and this machine, as pods reach them."""

    registry: str
    """Without login, over plain HTTP."""
    image: str
    """The one that pods run."""
    host: str
    """This machine's address."""


@cache
def lacking() -> str:
    """Return why nothing can run on a cluster here, or an empty text."""
    if not os.environ.get("KUBECONFIG"):
        return "no cluster: KUBECONFIG names none"
    try:
        asked = subprocess.run(
            ["kubectl", "get", "crd", CRD, "-o", "name"], capture_output=True, text=True, check=False, timeout=60
        )
    except FileNotFoundError:
        return "no cluster: kubectl is not installed"
    except subprocess.TimeoutExpired:
        return "no cluster: it does not answer"
    if asked.returncode != 0:
        return f"no cluster with Argo Workflows: {asked.stderr.strip()[:200]}"
    return "" if registry() else "no registry: set REGISTRY to one that this machine and the pods reach over plain HTTP"


def registry() -> str:
    """Return the registry's address, or an empty text."""
    return os.environ.get("REGISTRY", "")


def place() -> Place:
    """Return where the tests run."""
    return Place(
        registry=registry(),
        image=os.environ.get("SHIPWAY_E2E_IMAGE", f"{registry()}/shipway/shipway:main"),
        host=os.environ.get("SHIPWAY_E2E_HOST", registry().rpartition(":")[0]),
    )


def kubectl(namespace: str, *words: str, given: object = None) -> str:
    """Run kubectl in a namespace and return what it wrote; a document may be given to it."""
    done = subprocess.run(
        ["kubectl", "-n", namespace, *words],
        input=None if given is None else json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
