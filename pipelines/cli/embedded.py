"""`shipway embedded`: the registry of this machine, and the settings that lead to it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pipelines.cli.options import STATE
from pipelines.engines.embedded import deployment


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    parser.description = "The registry that `shipway build` uses where no other is set. It listens on loopback only."
    parser.epilog = "example: shipway embedded up && shipway embedded status --json"
    parser.add_argument(
        "action",
        choices=["up", "status", "down", "clean"],
        help="clean also forgets its images, and what runs left: logs and caches",
    )
    parser.add_argument("--state", type=Path, default=STATE, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Do the action and say what is now."""
    registry = deployment.registry(options.state)
    if options.action == "up":
        registry.start()
    elif options.action == "down":
        registry.stop()
    elif options.action == "clean":
        deployment.clean(options.state)
    state = {"running": registry.running(), "address": registry.address, "data": str(registry.folder)}
    if options.json:
        sys.stdout.write(json.dumps(state) + "\n")
    else:
        runs = f"runs at {state['address']}" if state["running"] else "does not run"
        sys.stdout.write(f"the embedded registry {runs}; its data: {state['data']}\n")
    return 0
