"""A repository's own values files at the digests of its images, and its charts at the versions that this needs.

One environment at the digests of a branch's images, and at the versions of its charts.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import semver

from pipelines.charts import compare as chart_compare
from pipelines.charts import registry_state, version_moves
from pipelines.charts import tree as chart_tree
from pipelines.charts.chart_yaml import CHART, LOCK
from pipelines.charts.model import BROKEN, DIFFERENT
from pipelines.deploy.message import Moved
from pipelines.deploy.state import DeployState
from pipelines.environments import config_yaml, image_places, image_uses
from pipelines.environments import files as environment_files
from pipelines.environments.files import ApplicationFolder, any_of
from pipelines.environments.image_places import Change, ValuesText
from pipelines.errors import ShipwayError
from pipelines.images.model import PUBLISHED
from pipelines.tools.git.write_back import Head
from pipelines.tools.registry.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Edited:
    """Files at their new content, and what changed in them."""

    files: Mapping[str, bytes]
    changes: tuple[Change, ...] = ()
    moves: tuple[Moved, ...] = ()
    kept: tuple[str, ...] = ()
    """What was left as it is, and why."""


def edited(state: DeployState, head: Head) -> Edited:
    """Return the files of a head that do not name its images as they are published; raises ShipwayError for all that is wrong.

    `state` is that of the head's commit.
    """
    texts = _texts(state, head)
    wanted = state.wanted(texts)
    files: dict[str, bytes] = {}
    changes: list[Change] = []
    faults: list[ShipwayError] = []
    for text in texts:
        try:
            data, found = text.edited(wanted)
        except ShipwayError as error:
            faults.append(error)
            continue
        if found:
            files[text.file] = data
            changes += found
    raise_together(faults, f"the values of {state.url} cannot be written")
    moved, moves = _versions(state, head, files)
    unbuilt = sorted({p.image for t in texts for p in t.places if p.image in state.images} - state.published.keys())
    return Edited(
        files={**files, **moved},
        changes=tuple(changes),
        moves=moves,
        kept=tuple(f"{name}: not published, {state.images[name].state}" for name in unbuilt),
    )


def raise_together(faults: list[ShipwayError], what: str) -> None:
    """Raise one error where there are any: the only one as it is, several as a list under `what`."""
    if len({str(fault) for fault in faults}) == 1:
        raise faults[0]
    if faults:
        seen = "\n".join(f"{fault.what}: {' '.join(fault.seen.split())}" for fault in faults)
        raise type(faults[0])(what, seen=seen, todo="; ".join(dict.fromkeys(fault.todo for fault in faults)))


def _texts(state: DeployState, head: Head) -> list[ValuesText]:
    """Return the values files that name images: those of charts, and those that shipway.yaml names."""
    configuration = state.declared.configuration
    own = {item.values for item in config_yaml.own(state.declared.tree, configuration.deploy.environments)}
    named = {file: places for file, places in image_uses.named(configuration, state.under).items() if file not in own}
    of_charts = [posixpath.normpath(posixpath.join(folder, image_uses.VALUES)) for folder in state.declared.charts]
    found = head.read([*of_charts, *named])
    host = state.place.reader.registry.encode()
    faults = [
        ShipwayError(f"there is no file {path}", seen=named[path][0].where, todo="correct the path, or commit it")
        for path in sorted(named.keys() - found.keys())
    ]
    texts: list[ValuesText] = []
    for path, data in found.items():
        if path not in named and host not in data:
            continue
        try:
            texts.append(image_places.read(data, path, under=state.under, at=named.get(path, ())))
        except ShipwayError as error:
            faults.append(error)
    raise_together(faults, f"the values of {state.url} cannot be written")
    return texts


def _versions(state: DeployState, head: Head, files: Mapping[str, bytes]) -> tuple[dict[str, bytes], tuple[Moved, ...]]:
    """Return Chart.yaml and Chart.lock of the charts that the files move, as chart-version would write them."""
    touched = {folder for folder in state.declared.charts if any(image_uses.is_in(file, folder) for file in files)}
    if not touched:
        return {}, ()
    declared, place = state.declared, state.place
    configuration = declared.configuration
    paths = [path for folder in declared.charts for path in declared.tree.below(folder)]
    described = [posixpath.normpath(posixpath.join(f, name)) for f in declared.charts for name in (CHART, LOCK)]
    # The files' own bytes, not what a checkout makes of them.
    tree = chart_tree.read(
        declared.root,
        paths,
        own=place.charts.address,
        ignore=configuration.no_charts,
        changed={**head.read(described), **files},
    )
    parents = tree.parents()
    while more := {path for path, above in parents.items() if path not in touched and touched & {*above}}:
        touched |= more
    with tempfile.TemporaryDirectory(prefix="shipway-charts-") as folder:
        registry, repositories = registry_state.connect(place.charts, Layout.create(Path(folder)), place.docker_config)
        plan = chart_compare.plan(tree, registry, repositories, libraries=configuration.libraries)
    told = [str(finding) for finding in plan.findings if finding.chart in touched and finding.level != "warning"]
    if broken := [chart.path for chart in plan.charts if chart.path in touched and chart.state == BROKEN]:
        raise ShipwayError(
            f"{', '.join(broken)} cannot be packed", seen="\n".join(told), todo="correct the chart; nothing was written"
        )
    moving = [chart for chart in plan.charts if chart.path in touched and chart.state == DIFFERENT]
    changed = version_moves.moved(
        tree.charts, {chart.path: chart.next_version for chart in moving}, own=place.charts.address
    )
    written = {path: data for path, data in changed.items() if any(image_uses.is_in(path, chart) for chart in touched)}
    moves = [Moved(name=c.name, where=c.path, old=c.version, new=c.next_version) for c in moving]
    return written, tuple(moves)


def environment_edited(state: DeployState, head: Head, environment: str) -> Edited:
    """Return the files of an environment that do not name what is published; raises Misuse, and ShipwayError for all that is wrong.

    What a rollback left is not brought back, and a version that is newer there stays.
    """
    published = {chart.name: chart for chart in state.plan.charts if chart.state == PUBLISHED}
    images = state.published
    folders = environment_files.read(
        head,
        environment,
        under=state.under,
        config=any_of(published),
        values=any_of(item.name for item in images.values()),
    )
    wanted = state.wanted(folder.values for folder in folders if folder.values)
    files: dict[str, bytes] = {}
    changes: list[Change] = []
    moves: list[Moved] = []
    kept: list[str] = []
    faults: list[ShipwayError] = []
    for folder in folders:
        held = [name for name, item in wanted.items() if item.digest in folder.held.images]
        kept += [f"{folder.path}: {name}@{wanted[name].digest} was rolled back" for name in held]
        try:
            if folder.values:
                data, found = folder.values.edited({k: v for k, v in wanted.items() if k not in held})
                files |= {folder.values.file: data} if found else {}
                changes += found
            if folder.application and folder.application.chart in published:
                version = published[folder.application.chart].version
                move, why = _move(folder, version)
                kept += [why] if why else []
                if move:
                    moves.append(move)
                    files[folder.application.config] = environment_files.with_version(
                        folder.config, folder.application, "version", version
                    )
        except ShipwayError as error:
            faults.append(error)
    raise_together(faults, f"{environment} of {head.repository.url} cannot be written")
    return Edited(files=files, changes=tuple(changes), moves=tuple(moves), kept=tuple(kept))


def _move(folder: ApplicationFolder, version: str) -> tuple[Moved | None, str]:
    """Return the move of an application to a version, or why there is none though the versions differ."""
    application = folder.application
    assert application is not None
    if application.version == version:
        return None, ""
    if f"{application.chart}@{version}" in folder.held.charts:
        return None, f"{folder.path}: {application.chart} {version} was rolled back"
    if semver.Version.parse(application.version) > semver.Version.parse(version):
        return None, f"{folder.path}: {application.chart} {application.version} is newer than {version}"
    return Moved(name=application.chart, where=folder.path, old=application.version, new=version), ""
