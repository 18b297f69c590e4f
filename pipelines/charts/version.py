"""The step `chart-version`: which charts of a folder need a new version, and the files that give it to them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

from pipelines.charts import compare, registry_state, version_moves
from pipelines.charts import files as chart_files
from pipelines.charts import tree as chart_tree
from pipelines.charts.model import VersionChange, VersionChanges
from pipelines.charts.version_moves import BUMPS
from pipelines.declared.state import BROKEN, DIFFERENT
from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.step.groups import ChartSettings
from pipelines.step.log import say
from pipelines.step.parameters import PullLogins
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.checkout import configuration
from pipelines.tools.registry.layout import Layout


def chart_version(
    *,
    source: Annotated[Path, Arg("folder with the charts")] = Path(),
    bump: Annotated[str, Arg("which number goes up: patch, minor or major")] = "patch",
    write: Annotated[bool, Arg("whether the new versions are written into the files")] = False,
    fail: Annotated[bool, Arg("whether a chart that needs a new version and was not given one is a refusal")] = False,
    ignore: Annotated[tuple[str, ...], Arg("folders whose charts are left out, as a JSON list of patterns")] = (),
    libraries: Annotated[tuple[str, ...], Arg('library charts that are published, as a JSON list, or ["*"]')] = (),
    docker_config: PullLogins = Path("../pull"),
    settings: Annotated[ChartSettings, Group(without=("mirrors", "shared_names"))],
) -> VersionChanges:
    """Name the charts whose content is not what their version published, with the next version of each.

    With `write`, these versions are written: comments and layout stay, and the ranges and locks of charts that depend
    on them follow. Files that are not in Git count, as they do for Helm.

    Example:
        shipway step chart-version --source=. --registry=registry.example.org --write=true
    """
    if bump not in BUMPS:
        raise Misuse("no such bump", seen=repr(bump[:50]), todo=f"use {', '.join(BUMPS)}")
    declared = configuration(source)
    ignore, libraries = (*ignore, *declared.no_charts), (*libraries, *declared.libraries)
    files = chart_files.every_chart_file(source)
    before = chart_tree.read(source, files, own=settings.address, ignore=ignore)
    # Ranges and locks that did not follow an earlier change would keep charts from being packed.
    follows = version_moves.moved(before.charts, {}, own=settings.address)
    tree = chart_tree.read(source, files, own=settings.address, ignore=ignore, changed=follows)
    with tempfile.TemporaryDirectory(prefix="shipway-charts-") as folder:
        published, repositories = registry_state.connect(settings, Layout.create(Path(folder)), docker_config)
        plan = compare.plan(tree, published, repositories, libraries=libraries, bump=bump)
    different = [chart for chart in plan.charts if chart.state == DIFFERENT]
    for chart in different:
        say(f"{chart.path}: {chart.name} {chart.version} is published otherwise ({', '.join(chart.differs[:10])})")
    _refuse_broken([str(f) for f in plan.findings], [chart.path for chart in plan.charts if chart.state == BROKEN])
    changed = version_moves.moved(before.charts, {c.path: c.next_version for c in different}, own=settings.address)
    written = tuple(sorted(changed)) if write else ()
    for path in written:
        _write(source / path, changed[path])
        say(f"{path} is written")
    if different and fail and not write:
        raise Refused(
            "charts need a new version",
            seen=", ".join(f"{c.name} {c.version}, next {c.next_version}" for c in different),
            todo="run `shipway step chart-version --write=true` and commit what it writes",
        )
    return VersionChanges(
        changes=tuple(
            VersionChange(name=c.name, path=c.path, version=c.version, next_version=c.next_version, differs=c.differs)
            for c in different
        ),
        written=written,
    )


def _refuse_broken(findings: list[str], broken: list[str]) -> None:
    if broken:
        raise ShipwayError(
            f"{len(broken)} charts cannot be packed",
            seen="\n        ".join(findings[:100]),
            todo="correct them first; nothing was written",
        )


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole, its mode kept."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.chmod(path.stat().st_mode & 0o777)
    partial.replace(path)
