"""The step `plan`: what is to be done for a commit, as lists that a workflow fans out over.

A text as an argument: packed and short enough for one, or not at all.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from pipelines.errors import Misuse
from pipelines.images import build as image_build
from pipelines.images import platforms
from pipelines.images.key import RebuildPolicy
from pipelines.images.model import RELEASE, RetagJob
from pipelines.images.model import TAG as RETAG
from pipelines.images.node import MOST_WAVES, BuildTarget
from pipelines.release import batches, planning
from pipelines.release.model import Plan, Planned
from pipelines.release.planning import Destination, PlanRequest
from pipelines.step import signature
from pipelines.step.groups import BuilderSettings, ChartSettings
from pipelines.step.parameters import GitLogin, PullLogins, Rebuild, Ref, Repo, RevisionName
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.checkout import warn_of_changes, with_ref
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git

MOST_CHARACTERS = 24_000
"""Of a packed text, which is the plan of some hundred images; a Workflow has 1 MB for everything, and holds an argument several times."""


def plan(
    *,
    repo: Repo,
    revision: RevisionName = "HEAD",
    ref: Ref = "",
    build_args: Annotated[tuple[str, ...], Arg('arguments for every Dockerfile, as a JSON list of "NAME=value"')] = (),
    platform: Annotated[str, Arg("platform to build for; empty: this machine's")] = "",
    max_age: Annotated[str, Arg("age of images that shipway.yaml gives none: 12h, 7d, 4w; empty: any")] = "",
    rebuild: Rebuild = (),
    builder_version: Annotated[str, Arg("version of the builder, as a plan found it before; empty: asked for")] = "",
    settled: Annotated[
        str, Arg("what a plan found that found nothing to do, which is then not looked for again; empty: look")
    ] = "",
    now: Annotated[int, Arg("moment that ages are counted at, in seconds since 1970; 0: this one")] = 0,
    credentials: GitLogin = Path("../git"),
    docker_config: PullLogins = Path("../pull"),
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[BuilderSettings, Group()],
) -> Planned:
    """Say what is to be built, tagged and released for a commit, and why; change nothing.

    Findings do not fail the step: whoever gives the verdict does, after everything else was done.

    Example:
        shipway step plan --repo=https://example.org/team/shop.git --revision=main --registry=registry.example.org --outputs=out/plan
    """
    if settled:
        return _planned(signature.typed(Plan, json.loads(unpack(settled))), builder_version, now)
    url, wanted, planning_age = RepositoryUrl(repo), Revision(revision), planning.age(max_age)
    settings.require_registry("compare with")
    place = Destination.connect(settings, docker_config)
    args, machine = planning.arguments(build_args), platforms.read_platform(platform)
    now = now or int(time.time())
    with Git(GitCredentials.read(credentials), ca_file=settings.authorities) as git, ThreadPoolExecutor(2) as beside:
        version = beside.submit(lambda: builder_version or image_build.choose_builder(builder, Path("cache")).version())
        warned = beside.submit(warn_of_changes, git, url, wanted)
        resolved = with_ref(git.resolve(url, wanted), ref)
        warned.result()
        target = BuildTarget(
            platform=machine,
            builder=builder.builder,
            builder_version=version.result(),
            compression=builder.compression,
            build_args=args,
        )
        request = PlanRequest(
            url=url,
            resolved=resolved,
            target=target,
            rebuilds=RebuildPolicy(now=now, max_age=planning_age),
            rebuild=rebuild,
        )
        found = planning.plan(git, request, place)
    planning.require_named(rebuild, found)
    for item in found.everything:
        _say(f"{item.name}: {item.state}, {item.action}{': ' * bool(item.reasons)}{'; '.join(item.reasons)}")
    for finding in found.findings:
        _say(str(finding))
    return _planned(found, target.builder_version, now)


def _planned(found: Plan, builder_version: str, now: int) -> Planned:
    retags = tuple(
        RetagJob(
            name=item.name,
            digest=item.digest,
            tags=item.tags,
            renews=next((tag.removeprefix("key-") for tag in item.tags if tag.startswith("key-")), ""),
            moment=item.moment,
        )
        for item in found.images
        if item.action == RETAG
    )
    waves = [*found.waves, *[()] * (MOST_WAVES - len(found.waves))]
    in_batches = [*batches.batches(found.waves), *[()] * batches.MOST_BATCHES]
    text = json.dumps(found, default=vars, separators=(",", ":"))
    is_settled = not (found.to_do or found.blocked or found.unknown)
    return Planned(
        commit=found.commit,
        ref=found.ref,
        now=now,
        wave_1=waves[0],
        wave_2=waves[1],
        wave_3=waves[2],
        wave_4=waves[3],
        wave_5=waves[4],
        wave_6=waves[5],
        wave_7=waves[6],
        wave_8=waves[7],
        builds=tuple(job.name for wave in found.waves for job in wave),
        releases=tuple(chart.name for chart in found.charts if chart.action == RELEASE),
        builder_version=builder_version,
        batches=sum(map(bool, in_batches)),
        batch_1=in_batches[0],
        batch_2=in_batches[1],
        batch_3=in_batches[2],
        batch_4=in_batches[3],
        retag=retags,
        untagged=len(retags),
        charts=sum(item.action == RELEASE for item in found.charts),
        deploys=len(found.deploys),
        to_do=found.to_do,
        blocked=found.blocked,
        unknown=found.unknown,
        plan=text,
        settled=pack(text) if is_settled else "",
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def pack(text: str) -> str:
    """Return a text packed, or an empty one where it does not get short enough."""
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    return packed if len(packed) <= MOST_CHARACTERS else ""


def unpack(packed: str) -> str:
    """Return what was packed; raises Misuse for anything else."""
    try:
        return zlib.decompress(base64.b64decode(packed, validate=True)).decode()
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Misuse("not a packed text", seen=str(error), todo="pass on what the step before gave") from error
