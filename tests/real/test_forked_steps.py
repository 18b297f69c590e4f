"""Steps as the local engine starts them, forked, over a repository of ordinary size."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from pipelines.cli.main import COMMANDS
from pipelines.step import signature
from pipelines.tools.processes.child_process import ChildProcess, Reaper
from pipelines.tools.processes.fork_client import ForkClient
from tests.git_repositories import Repository
from tests.registry_process import registry

DOCKERFILES = 500
LIMIT_SECONDS = 60
PREPARE_ALL = """
import os, sys
from pipelines.cli.main import prepare
for words in sys.argv[1:]:
    prepare(words.split())
print(*os.listdir("/proc/self/task"))
print(os.getpid())
"""


def test_nothing_that_is_prepared_starts_a_thread() -> None:
    """All that can be loaded ahead, in one process: a fork would leave its threads behind, and their locks taken."""
    words = [*(COMMANDS.keys() - {"step"}), *(f"step {name}" for name in signature.STEPS)]
    done = subprocess.run([sys.executable, "-c", PREPARE_ALL, *words], capture_output=True, text=True, check=True)
    tasks, process = done.stdout.splitlines()
    assert tasks == process


def test_the_first_steps_of_a_release_of_many_dockerfiles_end(tmp_path: Path) -> None:
    """Forked from a process with a second runtime they would stand still at its first collection."""
    repository = Repository(tmp_path / "shop")
    for number in range(DOCKERFILES):
        file = repository.path / f"apps/a{number}" / "Dockerfile"
        file.parent.mkdir(parents=True)
        file.write_text(
            f"FROM scratch AS files\nCOPY . /files\nFROM scratch\nCOPY --from=files / /\nLABEL is={number}\n"
        )
    repository.git("add", "--all")
    commit = repository.commit()
    program = Path(sys.executable).with_name("shipway")
    reaper = Reaper(grace_seconds=1)
    with (
        registry(tmp_path) as address,
        contextlib.closing(reaper),
        contextlib.closing(ForkClient(program, "pipelines.cli.main")) as server,
    ):
        env = {
            **os.environ,
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "SHIPWAY_REGISTRY": address,
            "SHIPWAY_PLAIN_HTTP": address,
        }
        for step, *flags in (["start"], ["plan"], ["clone", "--path=apps/a0"]):
            argv = ["shipway", "step", step, f"--repo={repository.path}", f"--outputs=out/{step}", *flags]
            child = ChildProcess(argv, cwd=tmp_path, env=env, reaper=reaper, start=server.start)
            written: list[bytes] = []
            ended = child.attend(written.append, timeout_seconds=LIMIT_SECONDS, grace_seconds=1)
            assert ended.code == 0, (step, ended, b"".join(written).decode()[-2000:])
    assert [(tmp_path / "out" / step / "commit").read_text() for step in ("start", "plan", "clone")] == [commit] * 3
    assert (tmp_path / "out" / "plan" / "to-do").read_text() == str(DOCKERFILES)
