"""Promotion: what one environment runs, by digest and chart version, in another one."""

from __future__ import annotations

from pipelines.declared.shipway_yaml import PULL_REQUEST
from pipelines.deploy.edits import Edited
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.move import Moving
from pipelines.environments import files as environment_files
from pipelines.errors import Misuse, ShipwayError
from pipelines.tools.git.write_back import Head, Proposal


def promote(moving: Moving, name: str, *, source: str, target: str, way: str = PULL_REQUEST) -> DeployTarget:
    """Let an application of the environment `target` run what the one of `source` does, digest by digest, and return what came of it.

    Raises Refused for a digest or a chart that is not in the registry, Misuse for what is not in the repository.
    """
    if source == target:
        raise Misuse("an environment cannot be promoted to itself", seen=source, todo="name another one with --to")
    last: list[Edited] = []
    under = moving.registries.under

    def make(head: Head) -> Proposal:
        places = environment_files.named(head, under=under)
        one = environment_files.one(head, source, name, under=under, places=places)
        other = environment_files.one(head, target, name, under=under, places=places)
        assert one.application is not None
        assert other.application is not None
        charts = [(item.chart, item.repo, item.path) for item in (one.application, other.application)]
        if charts[0] != charts[1]:
            raise ShipwayError(
                f"{one.path} and {other.path} run different charts",
                seen=" and ".join(chart or f"{repo} {path}" for chart, repo, path in charts),
                todo="let both name the same one first",
            )
        runs = moving.registries.runs(one)
        kept = other.held.without(runs.images.values(), [f"{one.application.chart}@{runs.version}"])
        last[:] = [moving.edited(other, runs, kept)]
        why = f"As {source} runs it at {head.commit}."
        return moving.proposal("Promote", target, last[0], why, (f"Shipway-Promoted-From: {source}@{head.commit}",))

    return moving.write(target, f"shipway/{target}/promote-{name}", make, last, way=way)
