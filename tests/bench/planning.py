"""`shipway plan` over generated repositories, and what of its time is the registry's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.git_repositories import Repository

SIZES = (100, 300, 1000)
_FILES = 8
_PROGRAM = """
import json, resource, sys, time
begin = time.perf_counter()
from pipelines.cli import main
from pipelines.tools.registry.repository import Repository
import threading
waited, lock, true = [], threading.Lock(), Repository.ask
def ask(self, *arguments, **options):
    start = time.perf_counter()
    try:
        return true(self, *arguments, **options)
    finally:
        with lock:
            waited.append((start, time.perf_counter()))
Repository.ask = ask
code = main.main(sys.argv[1:])
took = time.perf_counter() - begin
covered, until = 0.0, 0.0
for start, end in sorted(waited):
    covered += max(0.0, end - max(start, until))
    until = max(until, end)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
children = resource.getrusage(resource.RUSAGE_CHILDREN)
processor = time.thread_time() + children.ru_utime + children.ru_stime
told = {"code": code, "seconds": took, "registry": covered, "questions": len(waited)}
print(json.dumps(told | {"memory": memory, "processor": processor}), file=sys.stderr)
"""
"""Runs the command and counts the time in which at least one question to a registry was open, and the processor time of
the main thread and of Git: questions are asked by other threads.
"""


def repository(folder: Path, images: int) -> Repository:
    """Return a repository of so many images, most of them on
    one of ten bases, half as many charts, and values of both.
    """
    made = Repository(folder)
    for number in range(images):
        name = f"base-{number}" if number < 10 else f"app-{number}"
        path = made.path / ("bases" if number < 10 else f"apps/{number % 50}") / name
        (path / "src").mkdir(parents=True)
        under = "scratch" if number < 10 else f"base-{number % 10}"
        (path / "Dockerfile").write_text(f"ARG VERSION=1\nFROM {under}\nCOPY src /src\nRUN make VERSION=$VERSION\n")
        (path / ".dockerignore").write_text("**/*.log\n!keep.log\n")
        for file in range(_FILES):
            (path / "src" / f"{file}.txt").write_text(f"{name} {file}\n")
    for number in range(images // 2):
        path = made.path / "charts" / f"chart-{number}"
        (path / "templates").mkdir(parents=True)
        (path / "Chart.yaml").write_text(f"apiVersion: v2\nname: chart-{number}\nversion: 1.0.0\n")
        (path / "values.yaml").write_text(f"replicas: 1\nimage:\n  repository: registry/app-{number}\n  tag: x\n")
        (path / "templates" / "deployment.yaml").write_text("kind: Deployment\n")
    made.git("add", "--all")
    made.commit()
    return made


def measure(folder: Path, address: str, images: int) -> dict[str, float]:
    """Return the best of three plans of a repository of so many
    images: seconds, those of them that the registry took, MB.
    """
    made = repository(folder / str(images), images)
    settings = folder / f"{images}.yaml"
    settings.write_text(f"registry: {address}\nproject: p{images}\nplain-http: {address}\n")
    found = []
    for _ in range(3):
        argv = [sys.executable, "-c", _PROGRAM, "plan", str(made.path), "--settings", str(settings), "--json"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        told = json.loads(done.stderr.splitlines()[-1])
        plan = json.loads(done.stdout)
        assert (len(plan["images"]), len(plan["charts"])) == (images, images // 2), done.stderr
        assert told["code"] == 10, done.stderr
        found.append(told)
    return {**min(found, key=lambda told: told["seconds"] - told["registry"])}


def tell(images: int, told: dict[str, float]) -> dict[str, object]:
    """Print one size and return it for machines."""
    own = told["seconds"] - told["registry"]
    sys.stdout.write(
        f"plan, {images} images and {images // 2} charts: {own:.2f} s of its own ({told['processor']:.2f} s of a "
        "processor), "
        f"{told['registry']:.2f} s of the registry "
        f"({told['questions']:.0f} questions), {told['memory']:.0f} MB\n"
    )
    sys.stdout.flush()
    return {"title": f"plan, {images} images", "own": own, **told}
