"""Which isolation RUN steps get: the strongest that works, and never a weaker one than was accepted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured, Refused
from pipelines.images.builders import sandbox
from pipelines.tools.processes.process import Completed

Flags = tuple[str, ...]


class Attempts:
    """Runtimes of this machine, some of which work, and each attempt with one."""

    def __init__(self, folder: Path, works: Callable[[str], bool]) -> None:
        self.known = folder / "known"
        self.works = works
        self.made: list[str] = []

    def __call__(self, isolation: sandbox.Isolation) -> Completed:
        runtime = Path(isolation.flags[-1].removeprefix("--runtime=")).name
        self.made.append(runtime)
        code = 0 if self.works(runtime) else 1
        return Completed(argv=(), code=code, stdout="", stderr="cannot start\n")

    def flags(self, isolation: str, *, has_steps: bool = True) -> Flags:
        """Ask for the flags of a build."""
        return sandbox.choose(isolation, has_steps=has_steps, attempt=self, known=self.known).flags


@pytest.fixture(autouse=True)
def runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both runtimes, in a folder that is first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("crun", "runc"):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_one_that_works(tmp_path: Path, runtimes: Path) -> None:
    """The first runtime that ran a process is used, and known from then on."""
    attempts = Attempts(tmp_path, lambda name: name == "runc")
    kind = "oci" if os.geteuid() == 0 else "rootless"
    expected = (f"--isolation={kind}", "--network=host", f"--runtime={runtimes / 'runc'}")
    assert attempts.flags("sandbox") == expected
    assert attempts.flags("chroot") == expected, "the strongest, also where less is accepted"
    assert attempts.made == ["crun", "runc"]


def test_another_file_is_another_runtime(tmp_path: Path, runtimes: Path) -> None:
    """What is known of a runtime does not hold for the file that replaces it."""
    attempts = Attempts(tmp_path, lambda name: name == "runc")
    attempts.flags("sandbox")
    (runtimes / "runc").write_text("other")
    attempts.works = lambda _: False
    with pytest.raises(Refused):
        attempts.flags("sandbox")


def test_none_that_works(tmp_path: Path) -> None:
    """A chroot is used where it was accepted, and refused where it was not, with what each runtime said."""
    attempts = Attempts(tmp_path, lambda _: False)
    assert attempts.flags("chroot") == ("--isolation=chroot",)
    with pytest.raises(Refused, match="outside a sandbox") as refused:
        attempts.flags("sandbox")
    assert refused.value.seen.count("cannot start") == 2
    assert "install runc" in refused.value.todo


def test_without_a_step(tmp_path: Path) -> None:
    """Nothing is attempted, and a RUN that was overlooked finds no chroot."""
    attempts = Attempts(tmp_path, lambda _: False)
    for isolation in sandbox.ISOLATIONS:
        assert "--isolation=chroot" not in attempts.flags(isolation, has_steps=False)
    assert not attempts.made


def test_unknown(tmp_path: Path) -> None:
    """A misspelt isolation is none."""
    with pytest.raises(Misconfigured, match="isolation is not known"):
        Attempts(tmp_path, lambda _: True).flags("chrot")


def test_program(tmp_path: Path) -> None:
    """The program that proves a runtime runs, and ends well."""
    path = tmp_path / "program"
    path.write_bytes(sandbox.program())
    path.chmod(0o755)
    assert subprocess.run([path], check=False).returncode == 0
