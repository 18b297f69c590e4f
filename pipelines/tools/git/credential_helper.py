"""Git's credential helper (gitcredentials(7)): answers with the login that clone was given, for its own host alone.

Git starts this file by its path, on its own and isolated, so it imports nothing of the package. The environment
names the origin that the login is good for, and the folder with the files `username` and `password`; without a folder,
the two come from the environment. Answers go through a pipe: a login is in no command line and in no copy.
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
    """Return user name and password, as the files or the environment hold them; either may be empty."""
    folder = os.environ.get(FOLDER, "")
    if not folder:
        return os.environ.get(USERNAME, ""), os.environ.get(PASSWORD, "")
    name, word = (Path(folder) / part for part in ("username", "password"))
    return (content(name) if name.exists() else ""), content(word)


def content(path: Path) -> str:
    """Return a file's text without the newline that editors put at its end."""
    return path.read_bytes().decode("utf-8", "surrogateescape").rstrip("\r\n")


def main() -> None:
    """Answer one question of Git on standard output; say nothing to what is not ours to answer."""
    asked = dict(line.partition("=")[::2] for line in sys.stdin.read().splitlines())
    if sys.argv[1:] != ["get"] or f"{asked.get('protocol')}://{asked.get('host')}" != os.environ.get(ORIGIN):
        return
    username, password = login()
    # Hosts that take a token as the password want a user name beside it, any.
    username = username or asked.get("username") or "git"
    answer = f"username={username}\npassword={password}\n"
    sys.stdout.buffer.write(answer.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main()
