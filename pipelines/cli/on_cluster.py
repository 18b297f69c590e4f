"""Runs on a cluster, for the commands that start and follow them: which settings count, who is told, what Ctrl-C means."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines import settings as setting
from pipelines.cli import options, running
from pipelines.engines.cluster import api as cluster_api
from pipelines.engines.cluster import arguments as cluster_arguments
from pipelines.engines.cluster import names as cluster_names
from pipelines.engines.cluster import runs
from pipelines.engines.cluster.follower import RunFollower
from pipelines.engines.local.nodes import RunResult
from pipelines.engines.local.reporter import Reporter
from pipelines.errors import Refused, ShipwayError

OWN_KEYS = frozenset({"secrets", cluster_names.UI_KEY})
"""What this machine's settings may say of a run on a cluster; the rest is the installation's."""


class Cluster:
    """The installation that a command means: the kubeconfig's cluster, and a namespace of it."""

    def __init__(self, given: Namespace) -> None:
        """Read what the command was given; raises Refused for settings, Misconfigured without a cluster."""
        self.given = given
        self.api = cluster_api.connect(given.namespace)
        self.own = self._own_settings()
        self.runs = runs.Runs(self.api)

    @cached_property
    def settings(self) -> dict[str, str]:
        """The installation's settings, and this machine's own; raises Misconfigured where they may not be read."""
        return {**self.runs.settings(), **self.own}

    def submit(self, template: str, given: Mapping[str, str]) -> str:
        """Start a run of an installed template and return its name; raises what `arguments.check` does."""
        cluster_arguments.check(self.runs.template(template), given)
        return self.runs.submit(template, runs.of_template(template, given, parallelism=self.given.jobs))

    def submit_composed(self, template: str, workflow: Mapping[str, Any], beginning: str) -> str:
        """Start a Workflow whose tasks all call one installed template, and return its name, which has this beginning."""
        installed = self.runs.template(template)
        known = {t["name"]: t for t in installed["spec"].get("templates", ())}.get(template, {})
        inputs = [p["name"] for p in known.get("inputs", {}).get("parameters", ())]
        for task in workflow["spec"]["templates"][0]["dag"]["tasks"]:
            values = {p["name"]: p["value"] for p in task["arguments"]["parameters"]}
            cluster_arguments.check_names(template, inputs, values)
            cluster_arguments.check_values(values)
        return self.runs.submit(beginning, runs.composed(workflow, installed, parallelism=self.given.jobs))

    def attend(self, name: str) -> RunResult | None:
        """Follow a run to its end, or None when it is left running: with --detach, or by Ctrl-C."""
        if self.given.detach:
            self._tell_detached(name)
            return None
        folder = running.new_folder(self.given.state, name) / "run"
        while True:
            try:
                return RunFollower(self.runs, name, running.reporter(quiet=self.given.quiet), folder).follow(
                    self._notes(name, folder)
                )
            except KeyboardInterrupt:
                answer = _ask(name)
            if answer == "leave":
                sys.stderr.write(
                    f"shipway: {name} goes on: shipway logs {name} follows it, shipway stop {name} ends it\n"
                )
                return None
            if answer == "stop":
                self.runs.stop(name)

    def follow(self, name: str, reporter: Reporter, folder: Path) -> RunResult:
        """Follow a run that is there; Ctrl-C leaves it."""
        return RunFollower(self.runs, name, reporter, folder).follow(self._notes(name, folder))

    def link(self, name: str) -> str:
        """Return the address of a run in the Argo UI; empty where no setting says where that is."""
        try:
            ui = self.settings.get(cluster_names.UI_KEY, "")
        except ShipwayError:  # a link is no reason to fail: who may start runs need not be able to read settings
            ui = self.own.get(cluster_names.UI_KEY, "")
        return f"{ui.rstrip('/')}/workflows/{self.api.namespace}/{name}" if ui else ""

    def _notes(self, name: str, folder: Path) -> list[str]:
        link = self.link(name)
        return [
            f"on {self.api.server}, namespace {self.api.namespace}",
            *([link] if link else []),
            f"logs: {folder / 'logs'}",
        ]

    def _tell_detached(self, name: str) -> None:
        link = self.link(name)
        if self.given.json:
            sys.stdout.write(json.dumps({"name": name, "namespace": self.api.namespace, "link": link or None}) + "\n")
            return
        sys.stdout.write(f"{name}\n")
        sys.stderr.write(
            "".join(f"shipway: {text}\n" for text in (link, f"follow it with: shipway logs {name}") if text)
        )

    def _own_settings(self) -> dict[str, str]:
        if getattr(self.given, "registry", ""):
            raise cluster_arguments.setting_refused("registry", f"--registry {self.given.registry}", self.api.namespace)
        found: dict[str, str] = {"secrets": str((self.given.state / "secrets").resolve())}
        explicit = getattr(self.given, "settings", None)
        path = explicit or (
            Path(os.environ[options.SETTINGS_VARIABLE]) if os.environ.get(options.SETTINGS_VARIABLE) else None
        )
        if path is None:
            return found
        read = setting.read(path)
        if explicit and (others := sorted(read.keys() - OWN_KEYS)):
            raise Refused(
                "the settings of a run on a cluster are the installation's",
                seen=f"{path} sets {', '.join(others)}",
                todo=f"change ConfigMap `{cluster_names.CONFIG_MAP}` in namespace {self.api.namespace}, which is `settings` of the "
                f"chart's values; a file may set {' and '.join(sorted(OWN_KEYS))}",
            )
        return found | {key: value for key, value in read.items() if key in OWN_KEYS}


def _ask(name: str) -> str:
    """Return `leave`, `stop` or `follow`, as somebody at a terminal says; `leave` where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "leave"
    sys.stderr.write(f"\n{name} runs on the cluster: [l]eave it running, [s]top it, or go on [f]ollowing? ")
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        return "leave"
    word = answer.strip().lower()
    if word.startswith("s"):
        return "stop"
    return "leave" if word.startswith("l") or not answer else "follow"
