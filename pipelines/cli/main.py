"""The command `shipway`: its subcommands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import argparse
import functools
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from types import FrameType
from typing import Any, TextIO, cast

from pipelines.cli import command as cli_command
from pipelines.cli import json_output
from pipelines.cli.command import CommandParser
from pipelines.errors import ShipwayError, visible

EPILOG = """\
examples:
  shipway build https://git.example.com/team/shop.git --revision main
  shipway submit clone-build-push -p repo=. -p path=apps/web
  shipway submit clone-build-push -p repo=https://git.example.com/team/shop.git --engine argo --namespace ci
  shipway step clone --repo=. --revision=main --path=apps/web --outputs=out/clone
  shipway compile --check

exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 75 try again later, 78 misconfigured, \
130 interrupted, 143 terminated;
`plan` ends with 10 where something is to be done, `where` with 10 where nothing was found
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: in a pod, its node or its owner ends it, and a retry may succeed."""


class EscapedStream:
    """A stream of text that writes control characters as escapes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, and return its length."""
        self._stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the stream has."""
        return getattr(self._stream, name)


COMMANDS = {
    "build": ("build:run", "build and publish the images of a repository, parents first"),
    "plan": ("plan:run", "say what would be built and released for a commit, and why"),
    "impact": ("impact:run", "show what a commit changes in the applications of every environment"),
    "release": ("release:release", "build, release and deploy whatever a commit declares and nobody has yet"),
    "check": ("release:check", "build and check whatever a commit declares, and publish nothing"),
    "charts": ("charts:run", "check and publish the Helm charts of a repository"),
    "deploy": ("release:deploy", "write what is published to charts and environments"),
    "promote": ("environment:promote", "let an application run in one environment what it runs in another"),
    "rollback": ("environment:rollback", "let an application run again what it ran before"),
    "submit": ("submit:run", "run one workflow"),
    "runs": ("runs:list_runs", "list the runs on a cluster"),
    "logs": ("runs:logs", "follow a run on a cluster"),
    "stop": ("runs:stop", "stop a run on a cluster"),
    "retry": ("runs:retry", "submit a run on a cluster once more"),
    "images": ("declared:list_images", "list the images of a repository in the order they are built"),
    "step": ("step:run", "run one step by hand, as a pod would"),
    "simulate": ("simulate:run", "show what a saved webhook would start"),
    "compile": ("compile:run", "write the workflows as YAML for Argo"),
    "where": ("where:run", "say where a commit, an image or an application is, and how it is"),
    "embedded": ("embedded:run", "start, stop or clean the registry of this machine"),
    "completion": ("completion:run", "let bash, zsh or fish complete commands and flags"),
}
"""Each command's function, whose module is loaded when the command is called, and its line in the list of commands."""


def prepare(words: Sequence[str]) -> None:
    """Load the modules of a command and make its parsers, for the processes that will be forked from this one."""
    if words and words[0] in COMMANDS:
        command_parser(words[0], alone=True)
    if list(words[:1]) == ["step"]:
        importlib.import_module("pipelines.cli.step").parser(words[1])
    if "pipelines.tools.registry.connection" in sys.modules:
        # It loads these when it connects, once for each process.
        for module in ("encodings.idna", "urllib3"):
            importlib.import_module(module)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if not word.startswith("-")), "")
    # If the command comes first, no message lists the others; to declare all takes longer than some steps do.
    parser = command_parser(name, alone=name in COMMANDS and words[0] == name)
    signal.signal(signal.SIGTERM, _terminated)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files are bytes; one that is not text is shown escaped, as Python does on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _escaped():
            namespace, rest = parser.parse_known_args(words)
            if rest:
                # The parser of all commands would name its own help, which does not list the command's flags.
                (parser.commands.get(name) or parser).error(f"unrecognized arguments: {' '.join(rest)}")
            return int(namespace.execute(namespace))
    except ShipwayError as error:
        _report(error, as_json="--json" in words)
        return error.exit_code
    except Terminated:
        sys.stderr.write("shipway: terminated\n")
        return 143
    except KeyboardInterrupt:
        sys.stderr.write("shipway: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of stdout is gone, as after `| head`: nobody would read a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # Any file may be on a full disk or in a folder of another owner.
        seen = " ".join(filter(None, (error.strerror or str(error), str(error.filename or ""))))
        failure = ShipwayError(
            "a file cannot be used", seen=seen, todo="see to its folder, its owner and the free space"
        )
        _report(failure, as_json="--json" in words)
        return failure.exit_code


@contextmanager
def _escaped() -> Iterator[None]:
    """Escape the control characters of stdout and stderr. JSON passes unchanged: it has none."""
    with ExitStack() as streams:
        streams.enter_context(redirect_stdout(cast("TextIO", EscapedStream(sys.stdout))))
        streams.enter_context(redirect_stderr(cast("TextIO", EscapedStream(sys.stderr))))
        yield


@functools.cache
def command_parser(selected: str, *, alone: bool) -> CommandParser:
    """Return the parser of a command, with only the names of the others or, `alone`, without them."""
    parser = CommandParser(
        prog="shipway",
        description="From a commit to a running deployment on Argo.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if not alone:
        parser.add_argument("--version", action="version", version=f"shipway {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in (selected,) if alone else COMMANDS:
        reference, help_text = COMMANDS[name]
        child = commands.add_parser(
            name, help=help_text, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        if name == selected:
            module, _, function = reference.partition(":")
            cli_command.declare(child, getattr(importlib.import_module(f"pipelines.cli.{module}"), function))
    return parser


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - only help and --version need it

    try:
        return metadata.version("shipway")
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return "0"


def _report(error: ShipwayError, *, as_json: bool) -> None:
    if as_json:
        parts = {"failed": error.what, "seen": error.seen, "do": error.todo, "exit_code": error.exit_code}
        json_output.write({"error": parts})
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    name = "\033[31mshipway:\033[0m" if colour else "shipway:"
    sys.stderr.write(f"{name} {visible(str(error))}\n")


def _terminated(number: int, _frame: FrameType | None) -> None:
    # Unwinding ends the child processes; the kernel handles the next signal.
    signal.signal(number, signal.SIG_DFL)
    raise Terminated
