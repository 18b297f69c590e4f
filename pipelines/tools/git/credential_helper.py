"""Git's credential helper (gitcredentials(7)): answers with the configured login, for its own origin alone.

Git starts this file by its path in isolated mode, so it imports nothing of the package. The environment names the
origin that the login is valid for, and the folder with the files `username` and `password`; without a folder, the
environment holds the login itself. Answers go through a pipe, so a login is in no command line and in no copy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ORIGIN = "SHIPWAY_GIT_ORIGIN"
FOLDER = "SHIPWAY_GIT_FOLDER"
USERNAME = "SHIPWAY_GIT_USERNAME"
PASSWORD = "SHIPWAY_GIT_PASSWORD"  # noqa: S105 - the variable's name


def login() -> tuple[str, str]:
    """Return user name and password from the files or the environment; either may be empty."""
    folder = os.environ.get(FOLDER, "")
    if not folder:
        return os.environ.get(USERNAME, ""), os.environ.get(PASSWORD, "")
    name, password = (Path(folder) / part for part in ("username", "password"))
    return (content(name) if name.exists() else ""), content(password)


def content(path: Path) -> str:
    """Return a file's text without line breaks at its end."""
    return path.read_bytes().decode("utf-8", "surrogateescape").rstrip("\r\n")


def main() -> None:
    """Answer one request of Git on standard output; answer nothing for another origin or operation."""
    request = dict(line.partition("=")[::2] for line in sys.stdin.read().splitlines())
    if sys.argv[1:] != ["get"] or f"{request.get('protocol')}://{request.get('host')}" != os.environ.get(ORIGIN):
        return
    username, password = login()
    # Hosts that accept a token as the password require some user name with it.
    username = username or request.get("username") or "git"
    answer = f"username={username}\npassword={password}\n"
    sys.stdout.buffer.write(answer.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main()
