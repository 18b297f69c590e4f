"""The edits of a deployment: a repository's own charts, or an environment, at the published images and charts.

Values get the digests of images. A repository's charts get the next versions that this requires, and the applications
of an environment the published ones.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import semver

from pipelines.charts import compare as chart_compare
from pipelines.charts import registry_state, version_moves
from pipelines.charts import tree as chart_tree
from pipelines.charts.chart_yaml import CHART, LOCK
from pipelines.declared.finding import ERROR
from pipelines.declared.shipway_yaml import PULL_REQUEST
from pipelines.declared.state import BROKEN, DIFFERENT, HELD, PUBLISHED
from pipelines.deploy.message import ChartMove
from pipelines.deploy.state import DeployState
from pipelines.environments import config_yaml, image_places, image_uses
from pipelines.environments import files as environment_files
from pipelines.environments.files import ApplicationFolder, any_of
from pipelines.environments.image_places import Change, ValuesText
from pipelines.errors import ShipwayError
from pipelines.release.model import held_back
from pipelines.tools.git.write_back import Head
from pipelines.tools.registry.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Edited:
    """The new content of files, and what changed in them."""

    files: Mapping[str, bytes]
    changes: tuple[Change, ...] = ()
    moves: tuple[ChartMove, ...] = ()
    kept: tuple[str, ...] = ()
    """What was not changed, and why."""
    held: frozenset[str] = frozenset()
    """Charts that are not to be published."""
    awaited: tuple[str, ...] = ()
    """What is not published yet, of which more edits may follow."""
    faults: tuple[ShipwayError, ...] = ()
    """What kept applications from being written, each alone."""


def edit_charts(state: DeployState, head: Head, *, publishes: bool = False) -> Edited:
    """Return the edits to a head's values and charts, without charts that have faults; `state` is its commit's.

    Of a run that publishes them as well, charts stay as they are whose values name an image that is not published.
    """
    texts, faults = _texts(state, head)
    held = held_back(state.plan.charts, state.plan.images) if publishes else {}
    desired = state.desired_images(texts)
    files: dict[str, bytes] = {}
    changes: list[Change] = []
    for text in texts:
        try:
            data, changed = text.edited(desired)
        except ShipwayError as error:
            faults[text.file] = error
            continue
        if changed:
            files[text.file] = data
            changes += changed
    left = {*held, *(chart for chart in state.snapshot.charts if any(image_uses.is_in(file, chart) for file in faults))}
    moved, moves, unpacked = _versions(state, head, _without(files, left))
    left |= unpacked.keys()
    unbuilt = sorted({p.image for t in texts for p in t.places if p.image in state.images} - state.published.keys())
    every = (*faults.values(), *unpacked.values())
    return Edited(
        files=_without(files, left) | moved,
        changes=tuple(change for change in changes if not _is_in_any(change.file, left)),
        moves=moves,
        kept=(
            *(f"{path}: {HELD} because {why}" for path, why in held.items()),
            *(line for text in texts for line in text.not_followed(state.images)),
        ),
        held=frozenset(held),
        awaited=(
            *(f"{name}: not published, {state.images[name].state}" for name in unbuilt),
            *_errors(state),
            *(fault.what for fault in every),
        ),
        faults=every,
    )


def _is_in_any(file: str, folders: Collection[str]) -> bool:
    return any(image_uses.is_in(file, folder) for folder in folders)


def _without(files: Mapping[str, bytes], folders: Collection[str]) -> dict[str, bytes]:
    """Return the files that are in none of some folders."""
    return {file: data for file, data in files.items() if not _is_in_any(file, folders)}


def _errors(state: DeployState) -> tuple[str, ...]:
    """Return one line if the plan has errors: what they are about may be published once they are corrected."""
    errors = sum(finding.level == ERROR for finding in state.plan.findings)
    return (f"{state.url}@{state.commit} has {errors} errors",) if errors else ()


def together(faults: Sequence[ShipwayError], what: str) -> ShipwayError | None:
    """Return the faults as one, if there are any: a single one as it is, several as a list under `what`."""
    if len({str(fault) for fault in faults}) < 2:
        return next(iter(faults), None)
    seen = "\n".join(f"{fault.what}: {' '.join(fault.seen.split())}" for fault in faults)
    return type(faults[0])(what, seen=seen, todo="; ".join(dict.fromkeys(fault.todo for fault in faults)))


def _texts(state: DeployState, head: Head) -> tuple[list[ValuesText], dict[str, ShipwayError]]:
    """Return the values files that name images, those of charts and those in shipway.yaml, and faults by file."""
    configuration = state.snapshot.configuration
    own = {item.values for item in config_yaml.own(state.snapshot.tree, configuration.deploy.environments)}
    named = {file: places for file, places in image_uses.named(configuration, state.under).items() if file not in own}
    of_charts = [posixpath.normpath(posixpath.join(folder, image_uses.VALUES)) for folder in state.snapshot.charts]
    host = state.destination.reader.registry.encode()
    contents = head.read([*of_charts, *named], needs=lambda path, data: path in named or host in data)
    faults = {
        path: ShipwayError(f"there is no file {path}", seen=named[path][0].where, todo="correct the path, or commit it")
        for path in sorted(named.keys() - contents.keys())
    }
    texts: list[ValuesText] = []
    for path, data in contents.items():
        if path not in named and host not in data:
            continue
        try:
            texts.append(image_places.read(data, path, under=state.under, at=named.get(path, ())))
        except ShipwayError as error:
            faults[path] = error
    return texts, faults


def _versions(
    state: DeployState, head: Head, files: Mapping[str, bytes]
) -> tuple[dict[str, bytes], tuple[ChartMove, ...], dict[str, ShipwayError]]:
    """Return Chart.yaml and Chart.lock of the charts that the files change, as chart-version would write them.

    Charts that cannot be packed are left out, and their errors come last, by the chart's folder.
    """
    touched = {folder for folder in state.snapshot.charts if any(image_uses.is_in(file, folder) for file in files)}
    if not touched:
        return {}, (), {}
    snapshot, destination = state.snapshot, state.destination
    configuration = snapshot.configuration
    paths = [path for folder in snapshot.charts for path in snapshot.tree.below(folder)]
    described = [posixpath.normpath(posixpath.join(f, name)) for f in snapshot.charts for name in (CHART, LOCK)]
    # The stored bytes, not those of a checkout.
    tree = chart_tree.read(
        snapshot.root,
        paths,
        own=destination.charts.address,
        ignore=configuration.no_charts,
        changed={**head.read(described), **files},
    )
    parents = tree.parents()
    while more := {path for path, above in parents.items() if path not in touched and touched & {*above}}:
        touched |= more
    with tempfile.TemporaryDirectory(prefix="shipway-charts-") as folder:
        registry, repositories = registry_state.connect(
            destination.charts, Layout.create(Path(folder)), destination.docker_config
        )
        plan = chart_compare.plan(tree, registry, repositories, libraries=configuration.libraries)
    broken = {
        chart.path: ShipwayError(
            f"{chart.path} cannot be packed",
            seen="\n".join(str(one) for one in plan.findings if one.chart == chart.path and one.level != "warning"),
            todo="correct the chart; nothing of it was written",
        )
        for chart in plan.charts
        if chart.path in touched and chart.state == BROKEN
    }
    if len(rest := _without(files, broken)) < len(files):
        # The versions of those that depend on them move no more.
        versions, moves, more_broken = _versions(state, head, rest)
        return versions, moves, broken | more_broken
    touched -= broken.keys()
    moving = [chart for chart in plan.charts if chart.path in touched and chart.state == DIFFERENT]
    changed = version_moves.moved(
        tree.charts, {chart.path: chart.next_version for chart in moving}, own=destination.charts.address
    )
    written = {path: data for path, data in changed.items() if any(image_uses.is_in(path, chart) for chart in touched)}
    moves = tuple(ChartMove(name=c.name, folder=c.path, old=c.version, new=c.next_version) for c in moving)
    return written, moves, broken


def edit_environment(state: DeployState, head: Head, environment: str, *, way: str) -> Edited:
    """Return the edits to an environment, without applications that have faults; raises Misuse if it does not exist.

    What a rollback has held back is not restored, and a newer version of a chart stays. By a pull request, nothing is
    proposed either that another environment holds back.
    """
    published = {chart.name: chart for chart in state.plan.charts if chart.state == PUBLISHED}
    folders, faults = environment_files.read(
        head,
        environment,
        under=state.under,
        config=any_of(chart.name for chart in state.plan.charts),
        values=any_of(item.name for item in state.images.values()),
    )
    elsewhere, unread = environment_files.held(head) if way == PULL_REQUEST else ({}, [])
    faults += unread
    desired = state.desired_images(folder.values for folder in folders if folder.values)
    files: dict[str, bytes] = {}
    changes: list[Change] = []
    moves: list[ChartMove] = []
    kept: list[str] = []
    for folder in folders:
        named = {place.image for place in folder.values.places} & desired.keys() if folder.values else set()
        if folder.values:
            kept += folder.values.not_followed(state.images)
        held = {name: why for name in sorted(named) if (why := _held(folder, desired[name].digest, elsewhere))}
        kept += [f"{folder.path}: {name}@{desired[name].digest} {why}" for name, why in held.items()]
        edited: dict[str, bytes] = {}
        changed: tuple[Change, ...] = ()
        move = None
        try:
            if folder.values:
                data, changed = folder.values.edited({k: v for k, v in desired.items() if k not in held})
                edited |= {folder.values.file: data} if changed else {}
            if folder.application and folder.application.chart in published:
                version = published[folder.application.chart].version
                move, why = _move(folder, version, elsewhere)
                kept += [why] if why else []
                if move:
                    edited[folder.application.config] = environment_files.with_version(
                        folder.config, folder.application, "version", version
                    )
        except ShipwayError as error:
            faults.append(error)
            continue
        files |= edited
        changes += changed
        moves += [move] if move else []
    return Edited(
        files=files,
        changes=tuple(changes),
        moves=tuple(moves),
        kept=tuple(kept),
        # What is proposed of an application stays until its files can be read.
        awaited=(*_awaited(state, folders), *(fault.what for fault in faults)),
        faults=tuple(faults),
    )


def _awaited(state: DeployState, folders: Sequence[ApplicationFolder]) -> tuple[str, ...]:
    """Return what an environment waits for: the plan's errors, and what its applications name and is not published."""
    images = {name: item.state for name, item in state.images.items() if name not in state.published}
    charts = {chart.name: chart.state for chart in state.plan.charts if chart.state != PUBLISHED}
    lines = {
        f"{folder.path}: {place.image}: not published, {images[place.image]}"
        for folder in folders
        for place in (folder.values.places if folder.values else ())
        if place.image in images
    }
    lines |= {
        f"{folder.path}: chart {folder.application.chart}: not published, {charts[folder.application.chart]}"
        for folder in folders
        if folder.application and folder.application.chart in charts
    }
    return (*sorted(lines), *_errors(state))


def _move(folder: ApplicationFolder, version: str, elsewhere: Mapping[str, str]) -> tuple[ChartMove | None, str]:
    """Return an application's move to a version, or why there is none although the versions differ."""
    application = folder.application
    assert application is not None
    if application.version == version:
        return None, ""
    if why := _held(folder, f"{application.chart}@{version}", elsewhere):
        return None, f"{folder.path}: {application.chart} {version} {why}"
    if semver.Version.parse(application.version) > semver.Version.parse(version):
        return None, f"{folder.path}: {application.chart} {application.version} is newer than {version}"
    return ChartMove(name=application.chart, folder=folder.path, old=application.version, new=version), ""


def _held(folder: ApplicationFolder, item: str, elsewhere: Mapping[str, str]) -> str:
    """Return in words where a digest or a chart's version is held back; empty if nowhere."""
    if item in {*folder.held.images, *folder.held.charts}:
        return "was rolled back"
    return f"was rolled back in {elsewhere[item]}" if item in elsewhere else ""
