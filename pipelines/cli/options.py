"""Flags that several commands share, and the settings they lead to."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from pipelines import settings as setting
from pipelines.errors import Misuse
from pipelines.tools.registry.reference import Reference

STATE = Path(".shipway")
SETTINGS_VARIABLE = "SHIPWAY_SETTINGS"


def source(parser: argparse.ArgumentParser) -> None:
    """Add what to build from."""
    parser.add_argument("repo", nargs="?", default="", help="address or folder of a Git repository")
    parser.add_argument(
        "--revision", default="HEAD", help="branch, tag, full commit id or refs/pull/N/head (default: HEAD)"
    )
    parser.add_argument(
        "--build-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument for every Dockerfile; may be repeated",
    )


def settings(parser: argparse.ArgumentParser) -> None:
    """Add where the settings come from."""
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help=f"settings of the deployment, YAML (else ${SETTINGS_VARIABLE})"
    )
    parser.add_argument(
        "--registry",
        default="",
        metavar="HOST[/PROJECT]",
        help="in place of the settings' registry, project and chart-registry",
    )
    state(parser)


def state(parser: argparse.ArgumentParser) -> None:
    """Add where this machine keeps what it made."""
    parser.add_argument(
        "--state",
        type=Path,
        default=STATE,
        metavar="FOLDER",
        help="logs, caches and the embedded registry (default: %(default)s)",
    )


def running(parser: argparse.ArgumentParser) -> None:
    """Add how to run."""
    parser.add_argument(
        "--engine",
        choices=["local", "argo"],
        default="local",
        help="where to run: on this machine, or on the cluster that KUBECONFIG names (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=_jobs, metavar="N", help="tasks side by side (default: as many as processors; on Argo, no bound)"
    )
    namespace(parser)
    following(parser)


def namespace(parser: argparse.ArgumentParser) -> None:
    """Add where on the cluster."""
    parser.add_argument(
        "--namespace", default="", help="of the installation on the cluster (default: the kubeconfig context's)"
    )


def following(parser: argparse.ArgumentParser) -> None:
    """Add what is shown of a run."""
    parser.add_argument("--detach", action="store_true", help="on Argo: start the run, print its name, and leave it")
    parser.add_argument("--quiet", action="store_true", help="show what the steps do, not what their programs write")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on stdout")


def check_engine(given: argparse.Namespace) -> None:
    """Raise Misuse for flags of a cluster where the run is not on one."""
    if given.engine == "argo":
        return
    for flag in ("namespace", "detach"):
        if getattr(given, flag):
            raise Misuse(f"--{flag} is for runs on a cluster", seen="--engine local", todo="add --engine argo")


def read_settings(given: argparse.Namespace, *, embedded: bool) -> dict[str, str]:
    """Return the settings asked for; with `embedded`, those of this machine's own registry where none are.

    Raises Misconfigured for a file that cannot be read, Misuse for a registry that cannot be one.
    """
    path = given.settings or (Path(os.environ[SETTINGS_VARIABLE]) if os.environ.get(SETTINGS_VARIABLE) else None)
    if path is not None:
        found = setting.read(path)
    elif given.registry or not embedded:
        found = {}
    else:
        from pipelines.engines.embedded import deployment  # noqa: PLC0415 - other commands need no HTTP client

        found = deployment.settings(given.state)
    if given.registry:
        found["registry"], _, found["project"] = given.registry.partition("/")
        found.pop("chart-registry", None)  # the flag names the place of everything
    if found.get("registry"):
        Reference.under(found["registry"], found.get("project", ""), "image")
    found = {"cache": str(given.state / "cache"), "secrets": str(given.state / "secrets")} | found
    # Steps work in folders of their own, where a relative path leads elsewhere.
    return found | {key: str(Path(found[key]).absolute()) for key in setting.PATHS if found.get(key)}


def secret(found: dict[str, str], name: str) -> Path:
    """Return the folder of a Secret of a local run, whether it exists or not."""
    return Path(found["secrets"]) / name


def ca_file(found: Mapping[str, str]) -> Path | None:
    """Return the file of further certificate authorities; None where the settings name none."""
    return Path(found["ca-file"]) if found.get("ca-file") else None


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise Misuse("--jobs is not a number of tasks", seen=repr(text), todo="give 1 or more")
    return int(text)
