"""`make bench`: figures, printed and saved under .shipway/bench; no test depends on them."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import compiling, deploying, engine, planning
from tests.bench.chart_release import Charts, tell_bytes
from tests.bench.clone_build_push import Scenario
from tests.bench.impacting import APPLICATIONS, Impacting
from tests.bench.measure import command, compare, interleave, peak_memory, save
from tests.bench.platforms import Platforms
from tests.bench.releasing import Releasing
from tests.registry_process import registry

_MEGABYTES = (30, 200)
"""Of the images' own layers: one whose build takes seconds, which shows fixed costs, and one that shows the rest."""
_UNCHANGED = ((1, 1, 1), (2, 8), (5, 25), (10, 90))
_CHANGED = (2, 6, 12)
"""How many images depend on each level of the repositories that are released."""
_CHANGED_MEGABYTES = (5, 20)
"""What a build of such an image writes, once, twice or three times: of little weight, and of some."""
_BUILDERS = ("buildah", "buildkit")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…")
    parser.add_argument("--pairs", type=int, default=7, help="runs of each side (default: %(default)s)")
    parser.add_argument("--cold-pairs", type=int, default=5, help="the same with empty caches (default: %(default)s)")
    parser.add_argument("--only", choices=list(_PARTS), help="one part (default: all)")
    parser.add_argument("--builder", choices=_BUILDERS, help="of the parts about releases (default: both)")
    options = parser.parse_args()
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="shipway-bench-") as name:
        for part in [options.only] if options.only else _PARTS:
            folder = Path(name) / part
            folder.mkdir()
            results += _PARTS[part](folder, options)
    save(results, Path(".shipway/bench/results.json"))


def _buildah(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    with _own_registry(folder) as address:
        for megabytes in _MEGABYTES:
            run = folder / str(megabytes)
            yield from _builder(Scenario(run, address, builder="buildah", megabytes=megabytes), options)


def _buildkit(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    if not shutil.which("buildkitd"):
        sys.stdout.write("buildkit: left out, no buildkitd on PATH\n\n")
        return
    with _own_registry(folder) as address, _buildkitd(folder / "daemon", address) as host:
        for megabytes in _MEGABYTES:
            run = folder / str(megabytes)
            scenario = Scenario(run, address, builder="buildkit", buildkit_host=host, megabytes=megabytes)
            yield from _builder(scenario, options)


def _platforms(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    if not shutil.which("buildkitd"):
        sys.stdout.write("platforms: left out, no buildkitd on PATH\n\n")
        return
    with _own_registry(folder) as address, ExitStack() as daemons:
        first, second = (
            daemons.enter_context(_buildkitd(folder / f"daemon-{number}", address, processor=number))
            for number in range(2)
        )
        run = Platforms(folder / "run", address, (first, second))
        run.ours()
        title = "an image for two platforms on two builders"
        yield compare(f"{title}, against both at once", *interleave(run.change, run.ours, run.by_hand, options.pairs))
        yield compare(f"{title}, against one alone", *interleave(run.change, run.ours, run.slower_alone, options.pairs))


def _engine(folder: Path, _: argparse.Namespace) -> Iterator[dict[str, object]]:
    ours, bare = engine.seconds_per_task(folder)
    sys.stdout.write(f"local engine: {ours * 1000:.1f} ms a task; starting the same command: {bare * 1000:.1f} ms\n\n")
    yield {"title": "engine, seconds per task", "ours": ours, "theirs": bare}


def _compile(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    yield compare("compile", *compiling.seconds(folder, options.pairs))


def _charts(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    if not shutil.which("helm"):
        sys.stdout.write("charts: left out, no helm on PATH\n\n")
        return
    with _own_registry(folder) as address:
        charts = Charts(folder / "run", address, folder / "registry")
        for first in (charts.ours, charts.chartpress):
            first()
        title = "chart-release, 50 charts, 3 changed"
        loop = interleave(charts.change, charts.ours, charts.loop, options.cold_pairs)
        yield compare(f"{title}, against the loop", *loop)
        names = ("shipway", "chartpress")
        yield compare(title, *interleave(charts.change, charts.ours, charts.chartpress, options.pairs, names))
        same = interleave(lambda: None, charts.ours, charts.chartpress, options.pairs, names)
        yield compare("chart-release, 50 charts, nothing changed", *same)
        charts.change()
        for name, side in {"shipway": charts.ours, "the loop": charts.loop, "chartpress": charts.chartpress}.items():
            before = charts.stored_bytes()
            side()
            yield tell_bytes(f"{title}, {name} added to the registry", charts.stored_bytes() - before)


def _plan(folder: Path, _: argparse.Namespace) -> Iterator[dict[str, object]]:
    with _own_registry(folder) as address:
        for images in planning.SIZES:
            yield planning.tell(images, planning.measure(folder, address, images))
    sys.stdout.write("\n")


def _unchanged(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    for place in _places(folder, options):
        yield from _releases_of_nothing(folder, place, options)


def _release(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    for place in _places(folder, options):
        yield from _releases(folder, place, options)


def _places(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Give a registry of this run's own with each builder in turn."""
    with _own_registry(folder) as address:
        if options.builder != "buildkit":
            yield {"registry": address, "builder": "buildah"}
        if options.builder != "buildah" and shutil.which("buildkitd"):
            with _buildkitd(folder / "daemon", address) as host:
                yield {"registry": address, "builder": "buildkit", "buildkit_host": host}
        elif options.builder != "buildah":
            sys.stdout.write("releases with buildkit: left out, no buildkitd on PATH\n\n")


def _releases_of_nothing(
    folder: Path, place: dict[str, str], options: argparse.Namespace
) -> Iterator[dict[str, object]]:
    builder = place["builder"]
    for levels in _UNCHANGED:
        run = Releasing(folder / f"{builder}-{sum(levels)}", levels=levels, megabytes=1, **place)
        run.ours()
        run.in_levels()
        title = f"release of {sum(levels)} images with {builder}, nothing changed"
        alone = interleave(lambda: None, run.ours, run.cached, options.pairs)
        yield compare(f"{title}, against cached builds alone", *alone)
        pushed = interleave(lambda: None, run.ours, run.in_levels, options.pairs)
        yield compare(f"{title}, against cloning, cached builds and pushes", *pushed)


def _releases(folder: Path, place: dict[str, str], options: argparse.Namespace) -> Iterator[dict[str, object]]:
    for megabytes in _CHANGED_MEGABYTES:
        yield from _releases_of(megabytes, folder, place, options)


def _releases_of(
    megabytes: int, folder: Path, place: dict[str, str], options: argparse.Namespace
) -> Iterator[dict[str, object]]:
    builder, count = place["builder"], sum(_CHANGED)
    run = Releasing(folder / f"{builder}-{count}-{megabytes}", levels=_CHANGED, megabytes=megabytes, **place)
    pairs = min(options.cold_pairs, 3)  # A minute each.
    run.ours()
    run.in_levels()
    title = f"release of {count} images of {megabytes} MB on {len(_CHANGED)} levels with {builder}, all changed"
    yield compare(title, *interleave(run.change, run.ours, run.in_levels, pairs))
    names = ("a level at a time", "as parents are there")
    barriers = interleave(run.change, run.in_levels, run.without_levels, pairs, names)
    yield compare(f"what the barriers cost, {count} images by hand with {builder}", *barriers)


def _deploy(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    yield deploying.tell(folder, options.pairs)


def _impact(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    if not shutil.which("helm"):
        sys.stdout.write("impact: left out, no helm on PATH\n\n")
        return
    run = Impacting(folder / "run")
    title = f"impact of a chart that {APPLICATIONS} applications use, against helm template {APPLICATIONS} times"
    yield compare(f"{title}, base rendered before", *interleave(run.change, run.ours, run.by_hand, options.pairs))
    yield compare(
        f"{title}, nothing rendered before", *interleave(run.forget, run.ours, run.by_hand, options.cold_pairs)
    )
    run.change()  # whichever side came last: here something is to be rendered
    run.ours()
    yield compare(f"{title}, once more", *interleave(lambda: None, run.again, run.by_hand, options.cold_pairs))


_PARTS: dict[str, Callable[[Path, argparse.Namespace], Iterator[dict[str, object]]]] = {
    "buildah": _buildah,
    "buildkit": _buildkit,
    "platforms": _platforms,
    "charts": _charts,
    "release": _release,
    "unchanged": _unchanged,
    "impact": _impact,
    "engine": _engine,
    "compile": _compile,
    "plan": _plan,
    "deploy": _deploy,
}


@contextmanager
def _own_registry(folder: Path) -> Iterator[str]:
    (folder / "registry").mkdir()
    with registry(folder / "registry") as address:
        yield address


def _builder(scenario: Scenario, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    title = f"clone-build-push with {scenario.builder}, {scenario.megabytes} MB"
    cold = interleave(scenario.forget, scenario.ours, scenario.theirs, options.cold_pairs)
    yield compare(f"{title}, cold", *cold)
    # The last cold run left one side without its cache.
    scenario.ours()
    scenario.theirs()
    warm = interleave(scenario.change, scenario.ours, scenario.theirs, options.pairs)
    yield compare(f"{title}, warm, one line changed", *warm)
    scenario.change()
    memory = peak_memory(scenario.ours_argv(scenario.folder / "ours"), {})
    sys.stdout.write(f"{title}: shipway itself held {memory:.0f} MB\n\n")
    yield {"title": f"memory of shipway, {scenario.builder}, MB", "ours": memory}


@contextmanager
def _buildkitd(folder: Path, address: str, *, processor: int | None = None) -> Iterator[str]:
    """Give the address of a buildkitd of this run's own, which both sides use; it may have one `processor` alone."""
    folder.mkdir()
    configuration = folder / "buildkitd.toml"
    configuration.write_text(f'[worker.containerd]\n  enabled = false\n[registry."{address}"]\n  http = true\n')
    host = f"unix://{folder}/socket"
    argv = ["buildkitd", "--root", folder / "root", "--addr", host, "--config", configuration]
    if processor is not None:
        argv = ["taskset", "--cpu-list", str(processor), *argv]
    if os.geteuid() != 0:
        argv = ["rootlesskit", *argv, "--rootless", "--oci-worker-no-process-sandbox"]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([str(word) for word in argv], stdout=log, stderr=log, env=os.environ.copy())
    try:
        for _ in range(600):
            if (folder / "socket").exists() or child.poll() is not None:
                break
            time.sleep(0.1)
        if child.poll() is not None:
            raise RuntimeError(f"buildkitd does not start\n{(folder / 'log').read_text()[-4000:]}")
        command(["buildctl", "--addr", host, "debug", "workers"])
        yield host
    finally:
        child.terminate()
        child.wait()


if __name__ == "__main__":
    main()
