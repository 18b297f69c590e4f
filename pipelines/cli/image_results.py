"""What came of the images of a run, as an object and for people."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.cli import failures
from pipelines.engines.local.nodes import Node

_THOUSAND = 1000


def of(node: Node | None) -> dict[str, Any]:
    """Return what a run of clone-build-push came to: phase, times, and its outputs or its error."""
    if node is None:
        return {"phase": "Omitted", "message": "the run ended before it", "seconds": 0.0, "steps": {}}
    last = [n for n in node.walk() if n.kind == "Container"][-3:]
    steps = {n.label: round(max(0.0, n.finished - n.started), 2) for n in last if not n.never_ran}
    outputs: dict[str, Any] = dict(node.outputs)
    if "tags" in outputs:
        outputs["tags"] = json.loads(outputs["tags"])
    if "size" in outputs:
        outputs["size"] = int(outputs["size"])
    failed = failures.last(node)
    return {
        "phase": str(node.phase),
        "message": node.reason,
        "seconds": round(max(0.0, node.finished - node.started), 2),
        "steps": steps,
        **outputs,
        **({"error": failures.error(failed.log), "log": str(failed.log)} if failed and failed.log else {}),
    }


def show(results: Mapping[str, Mapping[str, Any]], settings: Mapping[str, str]) -> None:
    """Print what came of each image."""
    write = sys.stdout.write
    for name, result in results.items():
        times = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in result["steps"].items())
        write(f"\n{name}: {result['phase']} in {result['seconds']:.1f} s{f' ({times})' if times else ''}\n")
        if "reference" in result:
            write(f"  {result['reference']}\n")
            write(f"  tags  {', '.join(result['tags'])}\n")
            write(f"  size  {_size(result['size'])}\n")
            write(f"  try   {_command(result['reference'], settings)}\n")
        elif told := result.get("error") or result["message"]:
            write(textwrap.indent(told, "  ") + "\n")
        if "log" in result:
            write(f"  log   {result['log']}\n")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < _THOUSAND:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    return f"{size:.1f} GB"


def _command(reference: str, settings: Mapping[str, str]) -> str:
    """Return a command that runs the image, or shows it where this machine has nothing to run it with."""
    plain = reference.split("/", 1)[0] in settings.get("plain-http", "").split(",")
    if shutil.which("podman"):
        return f"podman run --rm {'--tls-verify=false ' if plain else ''}{reference}"
    if shutil.which("docker") and Path("/var/run/docker.sock").exists():
        return f"docker run --rm {reference}"
    return f"buildah pull {'--tls-verify=false ' if plain else ''}{reference}"
