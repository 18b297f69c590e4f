"""`shipway step NAME`: one step by hand, its flags read from the step's signature."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pipelines.bounds import read_json
from pipelines.cli.command import CommandParser, flags, positional
from pipelines.errors import Misuse, ShipwayError
from pipelines.settings import at_registry
from pipelines.step import results, signature
from pipelines.step.signature import Argument, Step


@flags
class StepOptions:
    """Which step to run, and its own flags."""

    step: str = positional("the step's name", choices=list(signature.STEPS))
    rest: tuple[str, ...] = positional("its flags", nargs=argparse.REMAINDER)


def run(options: StepOptions) -> int:
    """Run one step in this folder, exactly as a pod of the compiled workflow does.

    Each step has its own help: shipway step clone --help
    """
    step = signature.describe(options.step)
    texts: dict[str, str | None] = vars(parser(options.step).parse_args(options.rest))
    outputs = texts["outputs"]
    _add(step, texts)
    settings = _settings(step, texts)
    values = {argument.field: _value(step, argument, texts[argument.field], settings) for argument in step.arguments}
    try:
        result = step.call(values)
    except ShipwayError as error:
        if error.result is not None and outputs:
            results.store(error.result, Path(outputs))
        raise
    if outputs:
        results.store(result, Path(outputs))
    else:
        sys.stdout.write(results.text_of(result) + "\n")
    return 0


@functools.cache
def parser(name: str) -> CommandParser:
    """Return the parser of a step's flags; raises as signature.describe does."""
    step = signature.describe(name)
    parser = CommandParser(
        prog=f"shipway step {step.name}",
        description=f"{step.summary}\n\n{step.description}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for argument in step.arguments:
        parser.add_argument(
            f"--{argument.name}", dest=argument.field, metavar=_metavar(argument), help=_help(argument), default=None
        )
    parser.add_argument(
        "--arguments",
        metavar="JSON",
        help="more of these flags, as a JSON object by names with _ for -; what this step does not have is left out",
    )
    parser.add_argument(
        "--outputs",
        metavar="FOLDER",
        help="write each result into a file of this folder, instead of all as JSON to stdout",
    )
    return parser


def _add(step: Step, texts: dict[str, str | None]) -> None:
    """Add those flags of `--arguments` that are not given and no settings. Raises Misuse if it is no JSON object."""
    try:
        more = dict(read_json(texts["arguments"] or "{}", "--arguments"))
        for argument in step.arguments:
            if texts[argument.field] is None and not argument.setting and argument.field in more:
                texts[argument.field] = results.text_of(more[argument.field])
    except (TypeError, ValueError) as error:
        raise Misuse("--arguments is no JSON object", seen=str(error), todo='write {"name": "web"}') from error


def _metavar(argument: Argument) -> str:
    if argument.is_step_result:
        return "FOLDER"
    if argument.setting == "registry":
        return "HOST[/PROJECT]"
    if get_origin(argument.type) is tuple:
        return "JSON"
    return {bool: "true|false", Path: "PATH", int: "N"}.get(argument.type, "TEXT")


def _help(argument: Argument) -> str:
    text = argument.help
    if argument.is_step_result:
        text += " (the outputs folder of that step)"
    if argument.setting:
        text += f" (else ${argument.variable})"
    if argument.required:
        return text + "; required"
    if argument.default not in {"", (), False}:
        text += f" (default: {argument.default})"
    return text.replace("%", "%%")


def _settings(step: Step, texts: Mapping[str, str | None]) -> Mapping[str, str]:
    """Return the environment's settings, at the flag's registry unless it is empty; raises Misuse for two projects."""
    settings = {item.setting: os.environ.get(item.variable, "") for item in step.arguments if item.setting}
    registry = texts.get("registry")
    if not registry:
        return settings
    settings = at_registry(settings, registry)
    if settings["project"] and texts["project"]:
        raise Misuse(
            "two projects are named", seen=f"--registry={registry} --project={texts['project']}", todo="name one"
        )
    return settings


def _value(step: Step, argument: Argument, text: str | None, settings: Mapping[str, str]) -> Any:
    if text is None or argument.setting == "registry":
        text = settings.get(argument.setting) or None
    if text is not None:
        return argument.parse(text)
    if argument.required:
        raise Misuse(
            f"step {step.name} lacks --{argument.name}",
            seen=f"no such flag{f', and no ${argument.variable}' if argument.variable else ''}",
            todo=f"give {argument.help}; see shipway step {step.name} --help",
        )
    return argument.default
