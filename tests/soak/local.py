"""Kills releases on this machine, many times over, and counts; then lets many things happen to repositories.

    python -m tests.soak.local --kills 100 --histories 50

A release of two images and a chart on the local engine is killed with SIGKILL at a random moment: in turns the engine's
process group, and every process that it started, at once. Asked for is: whatever a tag names is there as a whole;
nothing goes on running; and a rerun leaves tag by tag the digests of an undisturbed release.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.engines.embedded import deployment
from pipelines.errors import ShipwayError
from pipelines.tools.registry.layout import Descriptor, Layout
from tests import histories, leftovers
from tests.git_repositories import Repository
from tests.histories import MOVES
from tests.registry_process import registry
from tests.shipway_process import Images, Shipway

ITEMS = ("base", "web", "charts/web")
_ENDING_SECONDS = 60.0
"""Longer than what ends with the engine is given to end by itself."""
_EARLY = 0.1
"""Of an undisturbed run's time: before, nothing has begun."""

State = dict[str, dict[str, str]]


@dataclass
class Count:
    """What came of all kills."""

    kills: int = 0
    before_the_end: int = 0
    """The others came after the run's end."""
    half_released: int = 0
    """Tags that name what is not there as a whole."""
    went_on: int = 0
    """Runs of which a process had not ended in a minute."""
    not_mended: int = 0
    """Reruns that failed, or left another state."""
    published: list[int] = field(default_factory=list)
    """How many of the images and the chart each kill found published."""
    rerun_seconds: list[float] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How much of it must not be."""
        return self.half_released + self.went_on + self.not_mended

    def __str__(self) -> str:
        """Write it as one line of JSON."""
        found: dict[str, float] = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        found |= {f"killed_with_{n}_published": self.published.count(n) for n in range(len(ITEMS) + 1)}
        found |= {"median_rerun_seconds": round(statistics.median(self.rerun_seconds or [0.0]), 1)}
        return json.dumps(found)


class Soak:
    """A repository, a registry, and what an undisturbed release leaves."""

    def __init__(self, folder: Path, address: str) -> None:
        """Release once undisturbed."""
        self.folder, self.address = folder, address
        deployment.publish_base(address)
        self.repository = repository(folder / "shop")
        calm = self._place("calm")
        code, self.seconds = self._release(calm)
        assert code == 0, "the undisturbed release failed"
        self.expected = self.state("calm")
        assert all(self.expected.values()), self.expected

    def strike(self, number: int, chance: random.Random, count: Count) -> None:
        """Kill one release, look at what is there, and run it again."""
        project = f"k{number}"
        shipway = self._place(project)
        child = shipway.start(*self._words())
        began = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(chance.uniform(_EARLY, 1.0) * self.seconds)
        count.kills += 1
        if child.poll() is None:
            count.before_the_end += 1
            os.killpg(child.pid, signal.SIGKILL)
        else:
            self.seconds = time.monotonic() - began
        if number % 2:
            for pid in shipway.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        child.communicate()
        count.went_on += not self._ended(shipway)
        count.half_released += sum(1 for _ in self.torn(project))
        count.published.append(sum(map(bool, self.state(project).values())))
        code, took = self._release(shipway)
        count.rerun_seconds.append(took)
        if not count.published[-1]:
            self.seconds = took  # It did everything: so long does the machine need now.
        if code != 0 or self.state(project) != self.expected:
            count.not_mended += 1
            sys.stderr.write(f"kill {number}: rerun exited with {code} and left {self.state(project)}\n")

    def state(self, project: str) -> State:
        """Return what each tag of a project names."""
        images = Images(self.address, project)
        return {name: images.tags(name) for name in ITEMS}

    def torn(self, project: str) -> Iterator[str]:
        """Give each blob that a tagged image or chart consists of and that the registry does not have."""
        images = Images(self.address, project)
        for name, tagged in self.state(project).items():
            for digest in set(tagged.values()):
                reference = images.reference(name, digest=digest)
                manifest = images.client.resolve(reference)
                assert manifest is not None
                with tempfile.TemporaryDirectory(dir=self.folder) as fresh:
                    for blob in (Descriptor.read(manifest.json["config"]), *manifest.layers):
                        try:
                            images.client.fetch(reference, blob, Layout.create(Path(fresh)))
                        except ShipwayError as error:
                            yield f"{name} {blob.digest}: {error.what}"

    def _place(self, project: str) -> Shipway:
        folder = self.folder / project
        folder.mkdir()
        settings = {
            "registry": self.address,
            "project": project,
            "plain-http": self.address,
            "mirrors": f"shipway.local={self.address}",
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        return Shipway(folder)

    def _words(self) -> tuple[str, ...]:
        return ("submit", "release", "--quiet", "--settings", "settings.json", "-p", f"repo={self.repository.path}")

    def _release(self, shipway: Shipway) -> tuple[int, float]:
        began = time.monotonic()
        done = shipway.run(*self._words())
        if done.returncode:
            sys.stderr.write(done.stderr[-4000:])
        return done.returncode, time.monotonic() - began

    def _ended(self, shipway: Shipway) -> bool:
        deadline = time.monotonic() + _ENDING_SECONDS
        while running := shipway.processes():
            if time.monotonic() > deadline:
                sys.stderr.write(f"still running: {running}\n")
                return False
            time.sleep(0.05)
        return not leftovers.mounts(shipway.folder)


def repository(path: Path) -> Repository:
    """Return a repository of two images, one on the other, and a chart."""
    made = Repository(path)
    made.write("base/Dockerfile", "FROM shipway.local/busybox:static\nCOPY file /file\nRUN sleep 0.2; cp /file /copy\n")
    made.write("base/file", "base\n" * 1000)
    made.write("web/Dockerfile", "FROM base\nCOPY page /page\n").write("web/page", "page\n" * 1000)
    made.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\ndescription: A page\n")
    made.write("charts/web/values.yaml", "image: base\n")
    made.write("charts/web/templates/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n")
    made.commit()
    return made


def kill(folder: Path, kills: int, chance: random.Random) -> Count:
    """Strike so often, and say how it goes."""
    count = Count()
    with registry(folder) as address:
        soak = Soak(folder, address)
        sys.stderr.write(f"an undisturbed release takes {soak.seconds:.1f} s\n")
        for number in range(kills):
            soak.strike(number, chance, count)
            sys.stderr.write(f"{count}\n")
    return count


def happen(folder: Path, number: int, chance: random.Random) -> int:
    """Try so many histories; return how many of them one more run did not bring to the state of a run from scratch."""
    bad = 0
    with registry(folder) as address:
        for one in range(number):
            moves = [
                (chance.choice(sorted(MOVES)), chance.randrange(12), chance.randrange(12))
                for _ in range(chance.randint(8, 30))
            ]
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    histories.check(folder / str(one), address, moves)
            # Whatever it is, the moves that led to it are printed, and the next are tried.
            except Exception as error:  # noqa: BLE001
                bad += 1
                sys.stderr.write(f"history {one}: {error}\n  {moves}\n")
    return bad


def main() -> int:
    """Run both parts and print the counts as JSON, a line each."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=…")
    parser.add_argument("--kills", type=int, default=100, help="releases to kill (default: %(default)s)")
    parser.add_argument("--histories", type=int, default=50, help="histories to try (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of what is random (default: another each time)"
    )
    given = parser.parse_args()
    sys.stderr.write(f"seed {given.seed}\n")
    with tempfile.TemporaryDirectory(prefix="shipway-soak-") as name:
        bad = 0
        if given.kills:
            (Path(name) / "kills").mkdir()
            count = kill(Path(name) / "kills", given.kills, random.Random(given.seed))
            sys.stdout.write(f"{count}\n")
            bad += count.bad
        if given.histories:
            (Path(name) / "histories").mkdir()
            wrong = happen(Path(name) / "histories", given.histories, random.Random(given.seed))
            sys.stdout.write(json.dumps({"histories": given.histories, "wrong": wrong}) + "\n")
            bad += wrong
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
