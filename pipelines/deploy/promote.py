"""Promotion: an application of one environment at the digests and the chart version that another one runs."""

from __future__ import annotations

from pipelines.declared.shipway_yaml import PULL_REQUEST
from pipelines.deploy.environment_writer import EnvironmentWriter
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.writer import Draft
from pipelines.environments import files as environment_files
from pipelines.errors import Misuse, ShipwayError
from pipelines.tools.git.write_back import Head


def promote(writer: EnvironmentWriter, name: str, *, source: str, target: str, way: str = PULL_REQUEST) -> DeployTarget:
    """Write the versions that an application runs in the environment `source` to the one of `target`.

    Raises Refused if a digest or a chart is not in the registry, Misuse if the repository lacks the application.
    """
    if source == target:
        raise Misuse("an environment cannot be promoted to itself", seen=source, todo="name another one with --to")
    registries = writer.registries

    def draft(head: Head) -> Draft:
        named = environment_files.named(head, under=registries.under)
        one = environment_files.one(head, source, name, under=registries.under, places=named)
        other = environment_files.one(head, target, name, under=registries.under, places=named)
        assert one.application is not None
        assert other.application is not None
        charts = [(item.chart, item.repo, item.path) for item in (one.application, other.application)]
        if charts[0] != charts[1]:
            raise ShipwayError(
                f"{one.path} and {other.path} run different charts",
                seen=" and ".join(chart or f"{repo} {path}" for chart, repo, path in charts),
                todo="let both name the same one first",
            )
        versions = registries.versions(one)
        held = other.held.without(versions.images.values(), [f"{one.application.chart}@{versions.version}"])
        return Draft(
            edited=writer.edited(other, versions, held),
            verb="Promote",
            environment=target,
            reason=f"As {source} runs it at {head.commit}.",
            empty=f"{target} runs {name} as {source} does at {head.commit}.",
            trailers=(f"Shipway-Promoted-From: {source}@{head.commit}",),
        )

    return writer.write(target, f"shipway/{target}/promote-{name}", draft, way=way)
