"""One environment at the digests of a branch's images, and at the versions of its charts."""

from __future__ import annotations

import semver

from pipelines.environments import files as environment_files
from pipelines.environments.files import Folder, any_of
from pipelines.environments.image_places import Change
from pipelines.errors import ShipwayError
from pipelines.images.model import PUBLISHED
from pipelines.plan.deploy_message import Moved
from pipelines.steps.deploy_charts import Edited, raise_together
from pipelines.steps.deploy_state import State
from pipelines.tools.git.write_back import Head


def edited(state: State, head: Head, environment: str) -> Edited:
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


def _move(folder: Folder, version: str) -> tuple[Moved | None, str]:
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
