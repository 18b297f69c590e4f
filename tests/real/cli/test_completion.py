"""`shipway completion` in the shells themselves: what TAB makes of a line."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cli.completion import SCRIPTS

SECONDS = 60.0
START = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
LOAD = {
    "bash": 'bind "set bell-style none"; bind "set enable-bracketed-paste off"; eval "$(shipway completion bash)"',
    "zsh": 'autoload -Uz compinit && compinit -u; eval "$(shipway completion zsh)"',
}
LINES = [
    ("shipway comp", "shipway compl"),
    ("shipway compi", "shipway compile "),
    ("shipway release --rebu", "shipway release --rebuild "),
    ("shipway build --engine ar", "shipway build --engine argo "),
    ("shipway step clone --subm", "shipway step clone --submodules "),
    ("shipway build --settings only-fi", "shipway build --settings only-file.yaml "),
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with one file, and the command on the path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "only-file.yaml").write_text("")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))


class Terminal:
    """A shell at a terminal."""

    def __init__(self, shell: str) -> None:
        self.program, self.master = pty.fork()
        if self.program == 0:
            os.environ.update(TERM="dumb", PS1="$ ")
            os.execvp(START[shell][0], START[shell])
        self.said = ""

    def types(self, text: str, shows: str) -> None:
        """Type a text, and wait until the shell shows another."""
        self.said = ""
        os.write(self.master, text.encode())
        deadline = time.monotonic() + SECONDS
        while not re.search(shows, self.said):
            assert time.monotonic() < deadline, f"{text!r}: {self.said!r}"
            if select.select([self.master], [], [], 1)[0]:
                self.said += os.read(self.master, 4096).decode()

    def close(self) -> None:
        """End it."""
        os.close(self.master)
        os.waitpid(self.program, 0)


@pytest.mark.parametrize("shell", START)
def test_a_tab(shell: str) -> None:
    """A command, its flags, their values, those of a step, and names of files for the rest."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine")
    terminal = Terminal(shell)
    try:
        terminal.types(f"{LOAD[shell]}; echo rea''dy\n", "\nready|\rready")
        for typed, whole in LINES[1:]:
            rest = whole.removeprefix(typed)
            terminal.types(f"{typed}\t", re.escape(rest.strip()))
            terminal.types("\x15echo again''st\n", "against")
    finally:
        terminal.close()


def test_fish() -> None:
    """It says itself what it would offer, with descriptions."""
    if not shutil.which("fish"):
        pytest.skip("no fish on this machine")
    for typed, whole in LINES:
        script = f"shipway completion fish | source; complete -C {typed!r}"
        done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
        offered = [line.partition("\t") for line in done.stdout.splitlines()]
        last = whole.split()[-1]
        assert any(word.startswith(last) for word, _, _ in offered), (typed, done.stdout, done.stderr)
        if not last.startswith(("argo", "only")):
            assert all(text for _, _, text in offered)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_line_goes_on(shell: str) -> None:
    """What the command prints for a shell is one candidate a line, and nothing where a file is meant."""
    for typed, whole in LINES:
        words = typed.split()[1:]
        argv = ["shipway", "completion", shell, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        found = [re.split("[:\t]", line)[0] for line in done.stdout.splitlines()]
        if "only-file.yaml" in whole:
            assert found == []
        else:
            assert found
            assert all(word.startswith(words[-1]) for word in found)
