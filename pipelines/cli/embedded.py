"""`shipway embedded`: the registry of this machine, and the settings that lead to it."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.cli import json_output
from pipelines.cli import options as cli_options
from pipelines.cli.command import flags, positional, switch
from pipelines.engines.embedded import deployment


@flags
class EmbeddedOptions:
    """What to do with the registry."""

    action: str = positional(
        "clean also forgets its images, and what runs left: logs and caches", choices=["up", "status", "down", "clean"]
    )
    state: Path = cli_options.state("default: %(default)s")
    json: bool = switch("print one JSON object")


def run(options: EmbeddedOptions) -> int:
    """The registry that `shipway build` uses where no other is set.

    It listens on loopback only.

    example: shipway embedded up && shipway embedded status --json
    """
    registry = deployment.registry(options.state)
    if options.action == "up":
        registry.start()
    elif options.action == "down":
        registry.stop()
    elif options.action == "clean":
        deployment.clean(options.state)
    state = {"running": registry.running(), "address": registry.address, "data": str(registry.folder)}
    if options.json:
        json_output.write(state)
    else:
        runs = f"runs at {state['address']}" if state["running"] else "does not run"
        sys.stdout.write(f"the embedded registry {runs}; its data: {state['data']}\n")
    return 0
