"""The step `check-clone`: one commit, and the bases of several of its images, for builds that publish nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pipelines.bounds import read_json
from pipelines.check.model import ImageTrials, Trial
from pipelines.errors import Misuse, ShipwayError, Transient
from pipelines.images import bases as image_bases
from pipelines.images import build_context, dockerfile, dockerfile_checks
from pipelines.images.checkout_paths import check_paths
from pipelines.images.model import Checkout
from pipelines.images.names import Image, of_platform
from pipelines.images.plan_model import ImageJob
from pipelines.images.platforms import are_several, this_platform
from pipelines.release import batches
from pipelines.release import result as release_result
from pipelines.release.model import Plan, Planned
from pipelines.release.result import FAILED, LEFT_OUT
from pipelines.step import results
from pipelines.step.groups import ReadLogins, RegistryAddress, RegistrySettings
from pipelines.step.log import say
from pipelines.step.parameters import Repo, Source
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl, Revision, TreePath
from pipelines.tools.git.checkout import check_out, make_room, with_ref
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.layout import Layout


def check_clone(
    *,
    planned: Annotated[Planned, Arg("what the step plan says")],
    images: Annotated[tuple[str, ...], Arg("names of images to try, as a JSON list; with those that they depend on")],
    repo: Repo,
    logins: Annotated[ReadLogins, Group()],
    source: Source = Path("source"),
    bases: Annotated[Path, Arg("folder of the image layout that the bases are fetched into")] = Path("bases"),
    contexts: Annotated[
        Path, Arg("folder that gets, by its name, a checkout of its own for each image with shared folders")
    ] = Path("contexts"),
    settings: Annotated[RegistrySettings, Group(without=("shared_names",))],
) -> ImageTrials:
    """Check out a plan's commit and fetch, by digest, the bases of some of its images that are not built beside them.

    An image whose bases cannot be fetched is reported and fails nothing. Images that need a build secret are left out,
    and so are those that depend on them. What the plan finds published by now is not in the result.

    Example:
        shipway step check-clone --planned=out/again --images='["web"]' --repo=https://example.org/shop.git
    """
    plan: Plan = results.typed(Plan, read_json(planned.plan, "the plan"))
    if plan.repo != repo:
        raise Misuse("the plan is of another repository", seen=plan.repo, todo="make it again")
    jobs = batches.with_parents([job for wave in plan.waves for job in wave], images)
    url = RepositoryUrl(repo)
    client = registry_client.connect(logins.docker_config, settings)
    with Git(GitCredentials.read(logins.credentials), ca_file=settings.authorities) as git:
        resolved = with_ref(git.resolve(url, Revision(planned.commit)), planned.ref)
        commit, files = check_out(git, url, resolved, source, submodules=False, lfs=False)
    Layout.create(bases)
    build_context.prepare(source, source.resolve())
    make_room(contexts)
    contexts.mkdir()
    fetcher = _Fetcher(source=source, contexts=contexts, files=files, client=client, bases=bases, address=settings)
    empty = Checkout(
        repo=repo,
        revision=planned.commit,
        ref=planned.ref,
        commit=commit.id,
        time=commit.time,
        tree=commit.tree,
        path="",
        dockerfile="",
        target="",
        build_args=(),
        platform="",
        bases=(),
    )
    names = {job.name for job in jobs}
    return ImageTrials(commit=commit.id, trials=tuple(fetcher.trial(job, empty, names) for job in jobs))


@dataclass(frozen=True, kw_only=True)
class _Fetcher:
    """Reads the Dockerfiles of a checkout and fetches their bases."""

    source: Path
    contexts: Path
    files: Collection[str]
    client: Registry
    bases: Path
    address: RegistryAddress

    def trial(self, job: ImageJob, commit: Checkout, names: Collection[str]) -> Trial:
        """Return an image, ready to build once its parents among `names` are built. Raises Transient."""
        result, why, checkout = "", "", None
        lines: tuple[str, ...] = ()
        parents: dict[str, str] = {}
        if are_several(job.platform):
            result, why = LEFT_OUT, "it lists the images of its platforms, and is made when they are published"
        elif job.secret_ids:
            result, why = LEFT_OUT, f"it needs the build secret {job.secret_ids[0]}, which no check has"
        else:
            try:
                checkout, parents = self._checkout(job, commit, names)
            except Transient:
                raise
            except ShipwayError as error:
                result, why, lines = FAILED, error.what, release_result.error_lines(error)
                say(f"{job.name}: {error}")
        return Trial(
            name=job.name,
            path=job.path,
            checkout=checkout,
            parents=parents,
            has_own_context=bool(job.shared),
            exclude=job.exclude,
            version=job.version,
            result=result,
            why=why,
            lines=lines,
        )

    def _checkout(self, job: ImageJob, commit: Checkout, names: Collection[str]) -> tuple[Checkout, dict[str, str]]:
        folder, file = TreePath(job.path), TreePath(job.dockerfile)
        check_paths(self.source, folder, file, self.files)
        if job.shared:
            own = self.contexts / job.name
            shutil.copytree(self.source, own, symlinks=True, copy_function=os.link)
            build_context.prepare(own, build_context.folder(own, folder), job.shared)
        read = dockerfile.read_file(self.source / file, str(file))
        selected = read.select(job.build_args, target=job.target, platform=job.platform, build_platform=this_platform())
        items = image_bases.requests(
            selected.externals,
            (),
            Image(name=job.name, path=job.path, dockerfile=job.dockerfile),
            commit=commit.commit,
            registry=self.address.registry,
            project=self.address.project,
            pins=image_bases.read_pins(job.pins),
        )
        # The images of this job's platform, if the parents have several.
        named = {item.external.id: item.parent.name for item in items if item.parent}
        parts = {
            item.external.id: of_platform(item.parent.name, item.external.platform or job.platform)
            for item in items
            if item.parent
        }
        parents = {w: one for w, name in named.items() for one in (name, parts[w]) if one in names}
        others = [item for item in items if item.external.id not in parents]
        fetched = image_bases.fetch(others, self.client, self.bases, platform=job.platform, commit=commit.commit)
        dockerfile_checks.triggers_of(selected, image_bases.triggers(Layout(self.bases), fetched))
        checkout = replace(
            commit,
            path=job.path,
            dockerfile=job.dockerfile,
            target=job.target,
            build_args=job.build_args,
            platform=job.platform,
            bases=fetched,
        )
        return checkout, parents
