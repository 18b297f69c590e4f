"""The folders of runs: the newest stay, and those of runs that go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipelines.cli import run_folder

HOLD = """
import sys
from pathlib import Path
from pipelines.cli import run_folder
print(run_folder.new_folder(Path(sys.argv[1]), sys.argv[2]), flush=True)
sys.stdin.read()
"""


def start(state: Path, name: str) -> subprocess.Popen[str]:
    """Start a process that has a run's folder until its input ends."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", HOLD, str(state), name], stdin=pipe, stdout=pipe, text=True)


def first_line(process: subprocess.Popen[str]) -> Path:
    """Return the folder that it got."""
    assert process.stdout
    return Path(process.stdout.readline().strip())


def test_a_run_that_goes_on_keeps_its_folder(tmp_path: Path) -> None:
    """However many shorter runs there are beside it; once it has ended, or was killed, its folder may go."""
    state = tmp_path / "state"
    with start(state, "slow") as slow, start(state, "killed") as killed:
        folders = [first_line(slow), first_line(killed)]
        for number in range(run_folder.KEPT_RUNS + 5):
            old = state / "runs" / f"20200101-{number:06d}-short"
            old.mkdir()
            (old / "log").write_text("")
        for folder in folders:
            folder.rename(folder.with_name(f"10000101-000000-{folder.name}"))
        kept = [folder.with_name(f"10000101-000000-{folder.name}") for folder in folders]
        newest = run_folder.new_folder(state, "new")
        left = sorted(path for path in (state / "runs").iterdir() if path.is_dir())
        assert {*kept, newest} < {*left}
        assert len(left) == run_folder.KEPT_RUNS + 2
        killed.kill()
        killed.wait()
        run_folder.new_folder(state, "newer")
        assert [folder.exists() for folder in kept] == [True, False]
        slow.communicate()
    run_folder.new_folder(state, "newest")
    assert not kept[0].exists()


def test_many_runs_at_once(tmp_path: Path) -> None:
    """More than are kept: each has its folder as long as it runs."""
    running = [start(tmp_path, f"run-{number}") for number in range(run_folder.KEPT_RUNS + 2)]
    folders = [first_line(process) for process in running]
    assert all(folder.is_dir() for folder in folders)
    for process in running:
        process.communicate()


def test_two_commands_follow_one_run(tmp_path: Path) -> None:
    """In one second, they share a folder, and neither waits for the other."""
    with start(tmp_path, "one") as first, start(tmp_path, "one") as second:
        assert first_line(first).name[-3:] == first_line(second).name[-3:] == "one"
        first.communicate()
        second.communicate()
