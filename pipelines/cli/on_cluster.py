"""Runs on a cluster, for the commands that start and follow them: their settings, their links, and what Ctrl-C does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines import settings as setting
from pipelines.cli import json_output, options, run_folder
from pipelines.cli.options import FollowOptions, SettingsOptions
from pipelines.engines.cluster import api as cluster_api
from pipelines.engines.cluster import arguments as cluster_arguments
from pipelines.engines.cluster import names as cluster_names
from pipelines.engines.cluster import runs
from pipelines.engines.cluster.follower import RunFollower
from pipelines.engines.local.nodes import RunResult
from pipelines.engines.local.reporter import Reporter
from pipelines.errors import Refused, ShipwayError

OWN_KEYS = frozenset({"secrets", cluster_names.UI_KEY})
"""The settings of this machine that a run on a cluster uses; the others are the installation's."""


class Cluster:
    """The installation that a command means: the kubeconfig's cluster, and a namespace of it."""

    def __init__(self, namespace: str, settings: SettingsOptions) -> None:
        """Connect; raises Refused if settings of the installation are given, Misconfigured if there is no cluster."""
        self.state = settings.state
        self.api = cluster_api.connect(namespace)
        self.own = self._own_settings(settings)
        self.runs = runs.Runs(self.api)

    @cached_property
    def settings(self) -> dict[str, str]:
        """The installation's settings, and this machine's own; raises Misconfigured if they may not be read."""
        return {**self.runs.settings(), **self.own}

    def submit(self, template: str, arguments: Mapping[str, str], *, jobs: int | None) -> str:
        """Start a run of an installed template and return its name; raises as `arguments.check` does."""
        cluster_arguments.check(self.runs.template(template), arguments)
        begin, described = runs.described(template, arguments)
        return self.runs.submit(begin, runs.of_template(template, arguments, parallelism=jobs), described)

    def submit_composed(self, prefix: str, workflow: Mapping[str, Any], *, jobs: int | None) -> str:
        """Start a Workflow whose tasks all call one installed template, and return its name, which has this prefix."""
        tasks = workflow["spec"]["templates"][0]["dag"]["tasks"]
        template = tasks[0]["templateRef"]["name"]
        installed = self.runs.template(template)
        known = {t["name"]: t for t in installed["spec"].get("templates", ())}.get(template, {})
        inputs = [p["name"] for p in known.get("inputs", {}).get("parameters", ())]
        arguments = [{p["name"]: p["value"] for p in task["arguments"]["parameters"]} for task in tasks]
        for values in arguments:
            cluster_arguments.check_names(template, inputs, values)
            cluster_arguments.check_values(values)
        begin, described = runs.described(prefix, arguments[0])
        return self.runs.submit(begin, runs.composed(workflow, installed, parallelism=jobs), described)

    def attend(self, name: str, follow: FollowOptions) -> RunResult | None:
        """Follow a run to its end; return None if it is left running, with --detach or by Ctrl-C."""
        if follow.detach:
            self._print_detached(name, as_json=follow.json)
            return None
        folder = run_folder.new_folder(self.state, name) / "run"
        while True:
            try:
                return self.follow(name, run_folder.reporter(quiet=follow.quiet), folder)
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
        """Follow an existing run to its end; raises KeyboardInterrupt at Ctrl-C."""
        link = [text] if (text := self.link(name)) else []
        notes = [f"on {self.api.server}, namespace {self.api.namespace}", *link, f"logs: {folder / 'logs'}"]
        return RunFollower(self.runs, name, reporter, folder).follow(notes)

    def link(self, name: str) -> str:
        """Return the address of a run in the Argo UI; empty if no setting names the UI."""
        try:
            ui = self.settings.get(cluster_names.UI_KEY, "")
        except ShipwayError:  # a link is no reason to fail: not everybody who may start runs may read settings
            ui = self.own.get(cluster_names.UI_KEY, "")
        return f"{ui.rstrip('/')}/workflows/{self.api.namespace}/{name}" if ui else ""

    def _print_detached(self, name: str, *, as_json: bool) -> None:
        link = self.link(name)
        if as_json:
            json_output.write({"name": name, "namespace": self.api.namespace, "link": link or None})
            return
        sys.stdout.write(f"{name}\n")
        sys.stderr.write(
            "".join(f"shipway: {text}\n" for text in (link, f"follow it with: shipway logs {name}") if text)
        )

    def _own_settings(self, settings_options: SettingsOptions) -> dict[str, str]:
        if settings_options.registry:
            raise cluster_arguments.setting_refused(
                "registry", f"--registry {settings_options.registry}", self.api.namespace
            )
        own: dict[str, str] = {"secrets": str((settings_options.state / "secrets").resolve())}
        path = options.settings_file(settings_options)
        if path is None:
            return own
        settings = setting.read(path)
        if settings_options.settings and (others := sorted(settings.keys() - OWN_KEYS)):
            raise Refused(
                "the settings of a run on a cluster are the installation's",
                seen=f"{path} sets {', '.join(others)}",
                todo=f"change ConfigMap `{cluster_names.CONFIG_MAP}` in namespace {self.api.namespace}, which is "
                f"`settings` of the chart's values; a file may set {' and '.join(sorted(OWN_KEYS))}",
            )
        return own | {key: value for key, value in settings.items() if key in OWN_KEYS}


def _ask(name: str) -> str:
    """Return `leave`, `stop` or `follow`, as the user at a terminal answers; `leave` if there is no terminal."""
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
