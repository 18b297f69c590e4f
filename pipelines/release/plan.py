"""The step `plan`: what `plan_commit` finds to be done for a commit, as lists that a workflow fans out over."""

from __future__ import annotations

import base64
import binascii
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from pipelines.bounds import read_json
from pipelines.charts import helm
from pipelines.declared.state import ABSENT, HELD, PUBLISHED, RELEASE
from pipelines.declared.state import TAG as RETAG
from pipelines.errors import Misuse
from pipelines.images.builders.choice import choose_builder
from pipelines.images.builders.choice import target as builder_target
from pipelines.images.key import RebuildPolicy
from pipelines.images.node import MOST_WAVES
from pipelines.images.plan_model import RetagJob
from pipelines.release import batches, plan_commit
from pipelines.release.model import Plan, Planned
from pipelines.release.plan_commit import Destination, PlanRequest
from pipelines.step import results
from pipelines.step.groups import ChartSettings, CommitInputs, ReadLogins, TargetSettings
from pipelines.step.log import say
from pipelines.step.parameters import Rebuild
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.checkout import warn_of_changes, with_ref
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.reference import key_tag

MOST_CHARACTERS = 24_000
"""Of a packed plan, enough for some hundred images. A Workflow has 1 MB for everything, and holds an argument several
times."""


def plan(
    *,
    inputs: Annotated[CommitInputs, Group()],
    build_args: Annotated[tuple[str, ...], Arg('arguments for every Dockerfile, as a JSON list of "NAME=value"')] = (),
    platform: Annotated[
        str, Arg("platform to build for, where shipway.yaml declares none; empty: as the settings say")
    ] = "",
    max_age: Annotated[str, Arg("age of images that shipway.yaml gives none: 12h, 7d, 4w; empty: any")] = "",
    rebuild: Rebuild = (),
    builder_version: Annotated[str, Arg("version of the builder, as a plan found it before; empty: asked for")] = "",
    settled: Annotated[
        str, Arg("what a plan found that found nothing to do, which is then not looked for again; empty: look")
    ] = "",
    now: Annotated[int, Arg("moment that ages are counted at, in seconds since 1970; 0: this one")] = 0,
    logins: Annotated[ReadLogins, Group()],
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[TargetSettings, Group()],
) -> Planned:
    """Say what is to be built, tagged and released for a commit, and why; change nothing.

    Findings do not fail this step; they fail the verdict, once everything else is done. Raises Misconfigured where
    charts are to be released and there is no Helm.

    Example:
        shipway step plan --repo=https://example.org/shop.git --registry=registry.example.org --outputs=out/plan
    """
    if settled:
        return _planned(results.typed(Plan, read_json(unpack(settled), "the plan")), builder_version, now)
    url, asked = RepositoryUrl(inputs.repo), Revision(inputs.revision)
    rebuilds = RebuildPolicy(now=now or int(time.time()), max_age=plan_commit.age(max_age))
    settings.require_registry("compare with")
    destination = Destination.connect(settings, logins.docker_config)
    args = plan_commit.arguments(build_args)
    with (
        Git(GitCredentials.read(logins.credentials), ca_file=settings.authorities) as git,
        ThreadPoolExecutor(2) as beside,
    ):
        program = choose_builder(builder, Path("cache"))
        making = beside.submit(
            builder_target, builder, program, platform=platform, version=builder_version, build_args=args
        )
        warned = beside.submit(warn_of_changes, git, url, asked)
        resolved = with_ref(git.resolve(url, asked), inputs.ref)
        warned.result()
        target = making.result()
        request = PlanRequest(url=url, resolved=resolved, target=target, rebuilds=rebuilds, rebuild=rebuild)
        result = plan_commit.plan(git, request, destination)
    plan_commit.require_named(rebuild, result)
    for item in result.everything:
        say(f"{item.name}: {item.state}, {item.action}{': ' * bool(item.reasons)}{'; '.join(item.reasons)}")
    for finding in result.findings:
        say(str(finding))
    planned = _planned(result, target.builder_version, rebuilds.now)
    if planned.charts or planned.needs or "charts" in result.deploys:
        helm.find()  # charts are checked beside the builds or after them: too late to find it missing
    return planned


def _planned(plan: Plan, builder_version: str, now: int) -> Planned:
    retags = tuple(
        RetagJob(
            name=item.name,
            digest=item.digest,
            tags=item.tags,
            renews=next((tag.removeprefix("key-") for tag in item.tags if tag.startswith("key-")), ""),
            moment=item.moment,
        )
        for item in plan.images
        if item.action == RETAG
    )
    waves = [*plan.waves, *[()] * (MOST_WAVES - len(plan.waves))]
    in_batches = [*batches.split(plan.waves), *[()] * batches.MOST_BATCHES]
    tags = {job.name: f"{job.name}:{key_tag(job.key)}" for wave in plan.waves for job in wave}
    released = [chart for chart in plan.charts if chart.action == RELEASE]
    published = {image.name for image in plan.images if image.state == PUBLISHED}
    unpublished = [chart for chart in plan.charts if chart.state in {ABSENT, HELD}]
    lacking = ((chart.path, name) for chart in unpublished for name in chart.images if name not in published)
    needs = tuple(f"{tags.get(name, name)}={path}" for path, name in lacking)
    text = json.dumps(plan, default=vars, separators=(",", ":"))
    is_settled = not (plan.to_do or plan.blocked or plan.unknown)
    return Planned(
        commit=plan.commit,
        ref=plan.ref,
        now=now,
        waves=len(plan.waves),
        wave_1=waves[0],
        later=tuple(waves[1:]),
        builds=tuple(job.name for wave in plan.waves for job in wave),
        releases=tuple(chart.name for chart in released),
        builder_version=builder_version,
        batches=sum(map(bool, in_batches)),
        batch_1=in_batches[0],
        batch_2=in_batches[1],
        batch_3=in_batches[2],
        batch_4=in_batches[3],
        retag=retags,
        untagged=len(retags),
        formerly=plan.formerly,
        charts=len(released),
        needs=needs,
        deploys=len(plan.deploys),
        to_do=plan.to_do,
        blocked=plan.blocked,
        unknown=plan.unknown,
        plan=text,
        settled=pack(text) if is_settled else "",
    )


def pack(text: str) -> str:
    """Return a text, packed for an argument, or an empty one if it is still too long."""
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    return packed if len(packed) <= MOST_CHARACTERS else ""


def unpack(packed: str) -> str:
    """Return what `pack` packed. Raises Misuse if the text is anything else."""
    try:
        return zlib.decompress(base64.b64decode(packed, validate=True)).decode()
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Misuse("not a packed text", seen=str(error), todo="pass on what the step before gave") from error
