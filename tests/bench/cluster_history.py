"""A standing builder's cache against a cache in the registry, over a history of six commits.

Both sides clone and build in the same pod. One asks the buildkitd that stands there; the other starts one of its own
each time, imports the cache of the run before from the registry, and exports its own in mode=max.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.engines.embedded import deployment
from tests.bench import cluster_pods
from tests.e2e.installation import Installation
from tests.git_repositories import Repository

DOCKERFILE = """\
FROM {base} AS base
COPY base.txt /base.txt
RUN seq 1 200000 | sort -r > /base.sorted && cat /base.txt >> /base.sorted
FROM base AS compiled
COPY lib /lib.txt
RUN sort -r /base.sorted > /compiled && cat /lib.txt >> /compiled
FROM base
COPY --from=compiled /compiled /compiled
COPY app /app.txt
RUN wc /compiled /app.txt > /count
CMD ["cat", "/count"]
"""
COMMITS = ("first", "a leaf changed", "the middle changed", "the base changed", "nothing changed", "the base reverted")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Seconds of each commit, for each history that was built."""

    standing: Sequence[Sequence[float]]
    registry: Sequence[Sequence[float]]

    def document(self) -> dict[str, object]:
        """Return them for machines."""
        return {"commits": COMMITS, "standing": self.standing, "registry": self.registry}


def measure(installation: Installation, folder: Path, url: str, histories: int) -> Figures:
    """Build histories on both sides in turn; `url` is of a repository beside those that are made in `folder`."""
    base = f"{installation.where.registry}/{deployment.BASE}"
    taken: tuple[list[list[float]], list[list[float]]] = ([], [])
    for number in range(histories):
        name = f"history-{number}"
        repository = _first(Repository(folder / name), base, number)
        repo = url.rpartition("/")[0] + f"/{name}"
        image = f"{installation.where.registry}/{installation.namespace}/{name}"
        sides = [
            (taken[0], (cluster_pods.STANDING, repo, f"{image}/standing:latest")),
            (taken[1], (cluster_pods.OWN, repo, f"{image}/registry:latest", f"{image}/cache:latest")),
        ]
        for into, _ in sides:
            into.append([])
        for commit in range(len(COMMITS)):
            _commit(repository, commit, number)
            for into, words in sides if (number + commit) % 2 == 0 else reversed(sides):
                began = time.perf_counter()
                cluster_pods.type_in(installation, *words)
                into[-1].append(time.perf_counter() - began)
    return Figures(standing=taken[0], registry=taken[1])


def tell(figures: Figures) -> str:
    """Return a table of the medians of each commit, and the ratio of the whole histories."""
    rows = [f"six commits, {len(figures.standing)} histories: standing builder, registry cache in mode=max"]
    for number, what in enumerate(COMMITS):
        one, other = (statistics.median(run[number] for run in runs) for runs in (figures.standing, figures.registry))
        rows.append(f"  {one:6.2f} s {other:6.2f} s  {what}")
    ratios = [sum(a) / sum(b) for a, b in zip(figures.standing, figures.registry, strict=True)]
    rows.append(f"  ratio of the whole {statistics.median(ratios):.2f} (median of histories)")
    return "\n".join(rows) + "\n\n"


def _first(repository: Repository, base: str, number: int) -> Repository:
    # Each history is new to both caches.
    text = DOCKERFILE.format(base=base) + f'LABEL history="{number}"\n'
    files = {"base.txt": f"base {number}\n", "lib": f"lib {number}\n", "app": f"app {number}\n"}
    repository.write("Dockerfile", text)
    for name, content in files.items():
        repository.write(name, content)
    return repository


def _commit(repository: Repository, commit: int, number: int) -> None:
    changes = {
        1: ("app", f"other app {number}\n"),
        2: ("lib", f"other lib {number}\n"),
        3: ("base.txt", f"other base {number}\n"),
        5: ("base.txt", f"base {number}\n"),
    }
    if commit in changes:
        repository.write(*changes[commit])
    repository.commit(COMMITS[commit])
