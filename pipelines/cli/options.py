"""Flags that several commands share, and the settings they lead to."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import settings as setting
from pipelines.cli import secrets
from pipelines.cli.command import flag, flags, group, positional, repeated, switch
from pipelines.engines.embedded import state_folder
from pipelines.errors import Misconfigured, Misuse, Refused
from pipelines.step import signature
from pipelines.step.groups import EnvironmentsSettings
from pipelines.tools.registry.reference import Reference

if TYPE_CHECKING:
    from pipelines.tools.git.remote import Git

STATE = Path(state_folder.NAME)
SETTINGS_VARIABLE = "SHIPWAY_SETTINGS"
_REGISTRIES = {"registry", "chart-registry"}


def namespace() -> Any:
    """Return the flag for the namespace of the installation."""
    text = "of the installation on the cluster (default: the kubeconfig context's)"
    return flag(text, "-n", "--namespace", metavar="NAMESPACE")


def state(text: str = "logs, caches and the embedded registry (default: %(default)s)") -> Any:
    """Return the flag for the folder in which this machine keeps logs and caches."""
    return flag(text, type=Path, default=STATE, metavar="FOLDER")


def environments() -> Any:
    """Return the flag for the environments repository."""
    return flag("the environments repository, in place of the settings'", metavar="REPO")


def rebuild() -> Any:
    """Return the flag for the images to build again."""
    text = "build this image again though nothing changed, or '*' for all; may be repeated"
    return repeated(text, metavar="NAME|FOLDER")


def keep_going() -> Any:
    """Return the flag for releases of charts that are not whole."""
    return switch("release the charts that are good although others have errors, and fail with these")


@flags
class PlaceOptions:
    """Where to work."""

    repo: str = positional(
        "address or folder of a Git repository (default: the one that this folder is in)", default=""
    )
    examples: bool = switch("take Shipway's examples for the repository, and the registry of this machine")


@flags
class RepositoryOptions(PlaceOptions):
    """What to work on."""

    revision: str = flag("branch, tag, full commit id or refs/pull/N/head (default: HEAD)", default="HEAD")


@flags
class SourceOptions(RepositoryOptions):
    """What to build from."""

    build_arg: tuple[str, ...] = repeated("an argument for every Dockerfile; may be repeated", metavar="NAME=VALUE")


@flags
class SettingsFileOptions:
    """The file of the settings."""

    settings: Path | None = flag(
        f"settings of the deployment, YAML (else ${SETTINGS_VARIABLE})", type=Path, default=None, metavar="FILE"
    )


@flags
class SettingsOptions(SettingsFileOptions):
    """Where the settings come from."""

    registry: str = flag(setting.REGISTRY_FLAG, metavar="HOST[/PROJECT]")
    state: Path = state()


@flags
class FollowOptions:
    """What is shown of a run."""

    detach: bool = switch("on Argo: start the run, print its name, and leave it")
    quiet: bool = switch("show what the steps do, not what their programs write")
    json: bool = switch("print the result as one JSON object on stdout")


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise Misuse("--jobs is not a number of tasks", seen=repr(text), todo="give 1 or more")
    return int(text)


@flags
class RunOptions:
    """Where and how to run, and with which settings."""

    settings: SettingsOptions = group(SettingsOptions)
    engine: str = flag(
        "where to run: on this machine, or on the cluster that KUBECONFIG names (default: %(default)s)",
        choices=["local", "argo"],
        default="local",
    )
    jobs: int | None = flag(
        "tasks side by side (default: as many as processors; on Argo, no bound)", type=_jobs, default=None, metavar="N"
    )
    namespace: str = namespace()
    follow: FollowOptions = group(FollowOptions)

    @property
    def on_cluster(self) -> bool:
        """Whether the run is on a cluster."""
        return self.engine == "argo"

    def check(self) -> None:
        """Raise Misuse for flags of a cluster if the run is not on one."""
        for name, value in (("namespace", self.namespace), ("detach", self.follow.detach)):
            if value and not self.on_cluster:
                raise Misuse(f"--{name} is for runs on a cluster", seen="--engine local", todo="add --engine argo")


@flags
class TemplateOptions(PlaceOptions):
    """Where a template works, and how it runs."""

    run: RunOptions = group(RunOptions)


@flags
class BuildRunOptions(RunOptions):
    """Where and how to run what builds images."""

    isolation: str = flag(
        "of RUN steps on this machine: sandbox, a container of a real runtime; or chroot, which lets them run as your "
        "user and read and write whatever you can (default: sandbox, and a chroot for what is checked out here if no "
        "sandbox works)",
        choices=["sandbox", "chroot"],
        default="",
    )

    def check(self) -> None:
        """Raise Misuse for flags of a cluster if the run is not on one, and for those of this machine if it is."""
        super().check()
        if self.isolation and self.on_cluster:
            raise Misuse(
                "--isolation is for runs on this machine",
                seen="--engine argo",
                todo="leave it out: pods have the setting isolation of their installation",
            )


def settings_file(options: SettingsFileOptions) -> Path | None:
    """Return the file that the flag or the environment names, or None."""
    variable = os.environ.get(SETTINGS_VARIABLE)
    return options.settings or (Path(variable) if variable else None)


def read_settings(options: SettingsOptions, *, embedded: bool, examples: bool = False) -> dict[str, str]:
    """Return the settings asked for; with `embedded`, those of this machine's own registry if none are named.

    Raises Misconfigured if the file cannot be read, Misuse if the registry's address is invalid, Refused if the
    examples would go to a registry that somebody set.
    """
    if options.state.is_dir():
        state_folder.make(options.state)  # logins that somebody put there are no part of a commit
    path = settings_file(options)
    settings = setting.read(path) if path else {}
    if examples and (given := [*_REGISTRIES & settings.keys()] or options.registry):
        raise Refused(
            "the examples are for the registry of this machine alone",
            seen=f"{path} sets {', '.join(sorted(given))}" if path and not options.registry else f"--registry {given}",
            todo="name your repository with REPO, or leave the registry out",
        )
    if embedded and is_embedded(options, examples=examples):
        from pipelines.engines.embedded import deployment  # noqa: PLC0415 - other commands need no HTTP client

        runs = deployment.registry(options.state).running()
        settings |= deployment.settings(options.state)
        if not runs:
            sys.stderr.write(f"shipway: started a registry of this machine; {stop_hint(options.state)}\n")
    if options.registry:
        settings = setting.at_registry(settings, options.registry)
    if settings.get("registry"):
        Reference.under(settings["registry"], settings.get("project", ""), "image")
    settings = {"cache": str(options.state / "cache"), "secrets": str(options.state / "secrets")} | settings
    # Steps work in folders of their own, where a relative path leads elsewhere.
    return settings | {key: str(Path(settings[key]).absolute()) for key in setting.PATHS if settings.get(key)}


def is_embedded(options: SettingsOptions, *, examples: bool) -> bool:
    """Whether these flags mean the registry of this machine, where a command may."""
    return examples or not (settings_file(options) or options.registry)


def stop_hint(state: Path) -> str:
    """Return how to end the registry of this machine, which outlives the commands."""
    of = "" if state == STATE else f" --state {shlex.quote(str(state))}"
    return f"`shipway embedded down{of}` stops it, `clean` in place of `down` removes its images, too"


def require_registry(settings: Mapping[str, str], purpose: str, todo: str, also: str = "") -> None:
    """Raise Misconfigured if the settings name no registry, in the setting `registry` or in `also`."""
    if not settings.get("registry") and not settings.get(also):
        raise Misconfigured(f"no registry to {purpose}", seen="settings without one", todo=todo)


def environments_settings(settings: Mapping[str, str], repository: str) -> EnvironmentsSettings:
    """Return where environments are declared: at the head of a repository, if a flag names one, or as settings say."""
    if repository:
        return EnvironmentsSettings(environments_repository=repository)
    return signature.from_settings(EnvironmentsSettings, settings)


def git(settings: Mapping[str, str], name: str = "shipway-git") -> Git:
    """Return a Git client with the logins of a Secret; raises as GitCredentials.read does."""
    from pipelines.tools.git.credentials import GitCredentials  # noqa: PLC0415 - many commands need no Git
    from pipelines.tools.git.remote import Git  # noqa: PLC0415

    authorities = Path(settings["ca-file"]) if settings.get("ca-file") else None
    return Git(GitCredentials.read(secrets.secret(settings, name)), ca_file=authorities)
