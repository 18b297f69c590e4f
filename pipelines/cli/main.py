"""The command `shipway`: what it offers, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import argparse
import functools
import importlib
import io
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from pipelines.cli.parser import CommandParser, misunderstood
from pipelines.errors import ShipwayError

EPILOG = """\
examples:
  shipway build https://git.example.com/team/shop.git --revision main
  shipway submit clone-build-push -p repo=. -p path=apps/web
  shipway submit clone-build-push -p repo=https://git.example.com/team/shop.git --engine argo --namespace ci
  shipway step clone --repo=. --revision=main --path=apps/web --outputs=out/clone
  shipway compile --check

exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 75 try again later, 78 misconfigured, 130 interrupted, 143 terminated;
`plan` ends with 10 where something is to be done, `where` with 10 where nothing was found
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: in a pod, because its node or its owner wants it gone, so that a retry may do better."""


@dataclass(frozen=True)
class Command:
    """One subcommand: a module with `add(parser)` and `run(options) -> int`, loaded only when it is called."""

    module: str
    help: str


COMMANDS = {
    "build": Command("pipelines.cli.build", "build and publish the images of a repository, parents first"),
    "plan": Command("pipelines.cli.plan", "say what would be built and released for a commit, and why"),
    "impact": Command("pipelines.cli.impact", "show what a commit changes in the applications of every environment"),
    "release": Command(
        "pipelines.cli.release", "build, release and deploy whatever a commit declares and nobody has yet"
    ),
    "check": Command("pipelines.cli.check", "build and check whatever a commit declares, and publish nothing"),
    "charts": Command("pipelines.cli.charts", "check and publish the Helm charts of a repository"),
    "deploy": Command("pipelines.cli.deploy", "write what is published to charts and environments"),
    "promote": Command("pipelines.cli.promote", "let an application run in one environment what it runs in another"),
    "rollback": Command("pipelines.cli.rollback", "let an application run again what it ran before"),
    "submit": Command("pipelines.cli.submit", "run one workflow"),
    "runs": Command("pipelines.cli.runs", "list the runs on a cluster"),
    "logs": Command("pipelines.cli.logs", "follow a run on a cluster"),
    "stop": Command("pipelines.cli.stop", "stop a run on a cluster"),
    "retry": Command("pipelines.cli.retry", "submit a run on a cluster once more"),
    "images": Command("pipelines.cli.images", "list the images of a repository in the order they are built"),
    "step": Command("pipelines.cli.step", "run one step by hand, as a pod would"),
    "simulate": Command("pipelines.cli.simulate", "show what a saved webhook would start"),
    "compile": Command("pipelines.cli.compile", "write the workflows as YAML for Argo"),
    "where": Command("pipelines.cli.where", "say where a commit, an image or an application is, and how it is"),
    "embedded": Command("pipelines.cli.embedded", "start, stop or clean the registry of this machine"),
}


def prepare(words: Sequence[str]) -> None:
    """Load what a command needs and make what each run of it makes, for the processes that will be forked from this one."""
    if words and words[0] in COMMANDS:
        _parser(words[0], alone=True)
    if list(words[:1]) == ["step"]:
        importlib.import_module(COMMANDS["step"].module).parser(words[1])
    if "pipelines.tools.registry.connection" in sys.modules:
        # It loads these where it connects, once for each process.
        for module in ("encodings.idna", "urllib3"):
            importlib.import_module(module)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    wanted = next((word for word in words if not word.startswith("-")), "")
    # Where the command comes first, nobody is told of the others; to declare all takes longer than some steps do.
    parser = _parser(wanted, alone=wanted in COMMANDS and words[0] == wanted)
    signal.signal(signal.SIGTERM, _terminated)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files are bytes; one that is no text is shown escaped, as Python does on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options, rest = parser.parse_known_args(words)
        if rest:
            # The parser of all commands would name its own help, which does not list the command's flags.
            raise misunderstood(f"unrecognized arguments: {' '.join(rest)}", f"shipway {wanted}")
        return int(options.run(options))
    except ShipwayError as error:
        _tell(error, as_json="--json" in words)
        return error.exit_code
    except Terminated:
        sys.stderr.write("shipway: terminated\n")
        return 143
    except KeyboardInterrupt:
        sys.stderr.write("shipway: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of stdout went away, as `| head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # Whatever opens a file of this machine may find a full disk or a folder of somebody else's.
        seen = " ".join(filter(None, (error.strerror or str(error), str(error.filename or ""))))
        failure = ShipwayError(
            "a file cannot be used", seen=seen, todo="see to its folder, its owner and the free space"
        )
        _tell(failure, as_json="--json" in words)
        return failure.exit_code


@functools.cache
def _parser(wanted: str, *, alone: bool) -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="shipway",
        description="From a commit to a running deployment on Argo.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in (wanted,) if alone else COMMANDS:
        command = COMMANDS[name]
        child = commands.add_parser(
            name, help=command.help, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        if name == wanted:
            module = importlib.import_module(command.module)
            module.add(child)
            child.set_defaults(run=module.run)
    return parser


def _tell(error: ShipwayError, *, as_json: bool) -> None:
    if as_json:
        parts = {"failed": error.what, "seen": error.seen, "do": error.todo, "exit_code": error.exit_code}
        sys.stdout.write(json.dumps({"error": parts}) + "\n")
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    sys.stderr.write(f"\033[31mshipway:\033[0m {error}\n" if colour else f"shipway: {error}\n")


def _terminated(number: int, _frame: FrameType | None) -> None:
    # Unwinding ends the children; the next signal is the kernel's own.
    signal.signal(number, signal.SIG_DFL)
    raise Terminated
