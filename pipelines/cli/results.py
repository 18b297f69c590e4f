"""The result of a run, as objects and for people: its exit code, its error, its images and its parts."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.engines.local.nodes import Node, NodeKind, RunResult
from pipelines.errors import ShipwayError, error_parts
from pipelines.step import texts

_STEP_FAILED = "shipway: "
_LAST_LINES = 5
_MOST_LINES = 15
_THOUSAND = 1000
_ENDED = 143
"""The exit code of a container that was ended because another one had failed, or to give its node free."""


def exit_code(result: RunResult) -> int:
    """Return the command's exit code, 130 after a stop.

    It is that of the first container that failed with 2, 3 or 78; 75 if all that failed may be tried again; else 1.
    """
    if result.stopped:
        return 130
    if not result.phase.is_bad:
        return 0
    roots = filter(None, (result.root, result.on_exit))
    codes = [node.exit_code for root in roots for node in causes(root) if node.exit_code]
    own = next((code for code in codes if code in {2, 3, 78}), 1)
    # 143: it was ended because another one had failed.
    return 75 if set(codes) - {143} == {75} else own


def ending(result: RunResult) -> dict[str, Any]:
    """Return phase, message and duration of a run, as every command's JSON has them."""
    return {
        "phase": str(result.phase),
        "message": result.root.reason,
        "seconds": round(result.root.finished - result.root.started, 2),
    }


def causes(node: Node) -> Iterator[Node]:
    """Yield the failed nodes from this one down, without what another attempt or branch made good."""
    if node.phase.is_bad:
        yield node
        for child in node.children[-1:] if node.kind is NodeKind.RETRY else node.children:
            yield from causes(child)


def failed_log(node: Node) -> Path | None:
    """Return the log of the last failed node that left one, or None."""
    failed = _failed(node)
    return failed.log if failed else None


def _failed(node: Node) -> Node | None:
    return next((one for one in reversed(list(causes(node))) if one.log), None)


def told(node: Node) -> str:
    """Return which step below a node failed and what it said, as `failure.told` does, or an empty text."""
    from pipelines.release import failure  # noqa: PLC0415 - only releases have parts

    ran = [one for one in causes(node) if one.log and not one.never_ran]
    last = next((one for one in reversed(ran) if one.exit_code != _ENDED), ran[-1] if ran else None)
    if last is None:
        return ""
    above = last.parent.message if last.parent else ""
    is_pods = bool(above) and "code" not in above
    try:
        log = last.log.read_text("utf-8", "replace") if last.log else ""
    except OSError:
        log = ""
    return failure.told(
        last.step or last.display_name,
        log,
        code=None if is_pods else last.exit_code,
        ended=above if is_pods else last.message,
    )


def error(log: Path, *, most_lines: int = _MOST_LINES) -> str:
    """Return the error that a step ended with, or the last lines of another program; nothing if there is no log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    starts = [number for number, line in enumerate(lines) if line.startswith(_STEP_FAILED)]
    if not starts:
        return "\n".join(lines[-_LAST_LINES:])
    message = lines[starts[-1] :]
    left_out = [f"        … {len(message) - most_lines} lines more in the log"] if len(message) > most_lines else []
    shown = [*message[: most_lines - 1], *left_out, *message[most_lines - 1 :][-1:]]
    return "\n".join(shown).removeprefix(_STEP_FAILED)


def failure(node: Node, *, most_lines: int = _MOST_LINES) -> dict[str, Any]:
    """Return the error of the last failed node as an entry of a JSON object; nothing if none left a log."""
    failed = _failed(node)
    if failed is None or failed.log is None:
        return {}
    return {"error": error_parts(error(failed.log, most_lines=most_lines), failed.exit_code or 1)}


def problem(described: Mapping[str, Any]) -> str:
    """Return the error of what `failure` is an entry of, as a step writes it, or else its message."""
    if found := described.get("error"):
        return str(ShipwayError(found["failed"], seen=found["seen"], todo=found["do"]))
    return "" if described["phase"] == "Succeeded" else str(described["message"])


def of_image(node: Node | None) -> dict[str, Any]:
    """Return the result of a run of clone-build-push: phase, times, and its outputs or its error."""
    if node is None:
        return {"phase": "Omitted", "message": "the run ended before it", "seconds": 0.0, "steps": {}}
    last = [n for n in node.walk() if n.kind == "Container"][-3:]
    ran = sorted((n for n in last if not n.never_ran), key=lambda n: n.started)
    steps = {n.label: round(max(0.0, n.finished - n.started), 2) for n in ran}
    outputs: dict[str, Any] = dict(node.outputs)
    if "tags" in outputs:
        outputs["tags"] = json.loads(outputs["tags"])
    if "size" in outputs:
        outputs["size"] = int(outputs["size"])
    log = failed_log(node)
    return {
        # First, for an output may have the name of what is said here: await-healthy puts out `seconds`.
        **outputs,
        "phase": str(node.phase),
        "message": node.reason,
        "seconds": round(max(0.0, node.finished - node.started), 2),
        "steps": steps,
        **failure(node),
        **({"log": str(log)} if log else {}),
    }


def show_images(images: Mapping[str, Mapping[str, Any]], settings: Mapping[str, str]) -> None:
    """Print the result of each image."""
    write = sys.stdout.write
    for name, image in images.items():
        times = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in image["steps"].items())
        took = f" in {image['seconds']:.1f} s{f' ({times})' if times else ''}" if image["seconds"] else ""
        write(f"\n{name}: {image['phase']}{took}\n")
        if "reference" in image:
            write(f"  {image['reference']}\n")
            write(f"  tags  {', '.join(image['tags'])}\n")
            write(f"  size  {_size(image['size'])}\n")
            write(f"  try   {_command(image['reference'], settings)}\n")
        elif message := problem(image):
            write(textwrap.indent(message, "  ") + "\n")
        if "log" in image:
            write(f"  log   {image['log']}\n")


def verdict(result: RunResult) -> dict[str, Any]:
    """Return the summary that the verdict of a release or check put out, or nothing if the run did not come to it."""
    for node in result.root.walk():
        if node.display_name == "verdict" and node.outputs.get("summary"):
            summary: dict[str, Any] = json.loads(texts.shown(node.outputs["summary"]))
            return summary
    return {}


def show_parts(summary: Mapping[str, Any]) -> None:
    """Print a line for each part, and what failed."""
    from pipelines.release import result as release_result  # noqa: PLC0415 - only releases and checks have parts
    from pipelines.release.result import PartResult  # noqa: PLC0415
    from pipelines.step import results  # noqa: PLC0415

    parts: tuple[PartResult, ...] = results.typed(tuple[PartResult, ...], summary["parts"])
    if parts:
        sys.stdout.write(release_result.text(parts))
    if summary["left_out"]:
        sys.stdout.write(f"… and {summary['left_out']} more\n")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < _THOUSAND:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    return f"{size:.1f} GB"


def _command(reference: str, settings: Mapping[str, str]) -> str:
    """Return a command that runs the image, or shows it if this machine has nothing to run it with."""
    plain = reference.split("/", 1)[0] in settings.get("plain-http", "").split(",")
    if shutil.which("podman"):
        return f"podman run --rm {'--tls-verify=false ' if plain else ''}{reference}"
    if shutil.which("docker") and Path("/var/run/docker.sock").exists():
        return f"docker run --rm {reference}"
    return f"buildah pull {'--tls-verify=false ' if plain else ''}{reference}"
