"""Timing whole processes in turn, and what came of it."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """The seconds of several runs of one side: by the clock, and of processors in the processes that it started."""

    name: str
    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of those by the clock."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Write the median and the spread."""
        spread = f"({min(self.seconds):.2f} to {max(self.seconds):.2f})"
        return (
            f"{self.name:<28} {self.median:7.2f} s  {spread}, processors "
            f"{statistics.median(self.processor_seconds):.2f} s"
        )


def interleave(
    before: Callable[[], object],
    ours: Callable[[], object],
    theirs: Callable[[], object],
    pairs: int,
    names: tuple[str, str] = ("shipway", "by hand"),
) -> tuple[Figure, Figure]:
    """Time both sides in the order A B B A …, so that a machine that drifts drifts for both; `pairs` runs each.

    `before` goes before each run and is not timed.
    """
    taken: tuple[list[tuple[float, float]], ...] = ([], [])
    for number in range(pairs):
        sides = [(taken[0], ours), (taken[1], theirs)]
        for into, side in sides if number % 2 == 0 else reversed(sides):
            before()
            begin, begin_processors = time.perf_counter(), _processor_seconds()
            side()
            into.append((time.perf_counter() - begin, _processor_seconds() - begin_processors))
    first, second = (
        Figure(name, *(tuple(column) for column in zip(*rows, strict=True)))
        for name, rows in zip(names, taken, strict=True)
    )
    return first, second


def compare(title: str, ours: Figure, theirs: Figure) -> dict[str, object]:
    """Print both sides with their ratio and difference, and return them for machines."""
    ratio = statistics.median(a / b for a, b in zip(ours.seconds, theirs.seconds, strict=True))
    more = statistics.median(a - b for a, b in zip(ours.seconds, theirs.seconds, strict=True))
    sys.stdout.write(
        f"{title}\n  {ours}\n  {theirs}\n  ratio {ratio:.2f}, difference {more:+.2f} s (medians of pairs)\n\n"
    )
    sys.stdout.flush()
    sides = {"ours": dataclasses.asdict(ours), "theirs": dataclasses.asdict(theirs)}
    return {"title": title, **sides, "ratio": ratio, "difference": more}


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command(argv: Sequence[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return its stdout; raises RuntimeError with what it wrote when it fails."""
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**_environment(), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} exited with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def peak_memory(argv: Sequence[str | Path], env: dict[str, str]) -> float:
    """Run a command and return the most memory that its own process held, in MB; its children are not counted."""
    child = subprocess.Popen(
        [str(word) for word in argv],
        env={**_environment(), **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak = 0
    while child.poll() is None:
        try:
            for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    peak = max(peak, int(line.split()[1]))
        except OSError:
            break
        time.sleep(0.05)
    child.wait()
    return peak / 1000


def _environment() -> dict[str, str]:
    """Return this process's environment, with which Python keeps what it compiled, as it does unless told otherwise."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def save(results: Sequence[dict[str, object]], path: Path) -> None:
    """Write every figure as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(results), indent=2) + "\n", encoding="utf-8")
