"""A command line that tells what is wrong with it as every other error is told."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pipelines.errors import Misuse


class CommandParser(argparse.ArgumentParser):
    """Raises Misuse where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Raise it; the exit code is argparse's own."""
        raise misunderstood(message, self.prog)


def misunderstood(message: str, command: str) -> Misuse:
    """Return the error for a command line that argparse has a message about."""
    dash = "write --flag=VALUE where a value begins with a dash; " if "expected one argument" in message else ""
    return Misuse("the command line cannot be understood", seen=message, todo=f"{dash}see {command} --help")
