"""The step `retag`: tags for images that are published already, because none of their inputs has changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.images import names, ownership, tag_names
from pipelines.images import push as image_push
from pipelines.images.ownership import Publisher
from pipelines.images.tag_moves import TagMover
from pipelines.release.model import Planned
from pipelines.step.groups import RegistrySettings
from pipelines.step.parameters import GitLogin, PushLogins, Repo
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.reference import Digest, Reference, key_tag


@dataclass(frozen=True, kw_only=True)
class Retagged:
    """The result of the step retag."""

    images: int
    tags: int
    """How many tags name these images now."""


def retag(
    *,
    planned: Annotated[Planned, Arg("what the step plan says")],
    repo: Repo,
    docker_config: PushLogins = Path("../push"),
    credentials: GitLogin = Path("../git"),
    settings: Annotated[RegistrySettings, Group(without=("mirrors",))],
) -> Retagged:
    """Set the tags of a plan's commit on the images that are published without them.

    The rules are those of the step push: a version is never overwritten, a branch's tag names the image of its head,
    and a name that belongs to another repository is refused before any tag moves.

    Example:
        shipway step retag --planned=out/plan --repo=https://example.org/shop.git --registry=registry.example.org
    """
    settings.require_registry("tag in")
    tags, url = tag_names.tag_plan(planned.ref, planned.commit), RepositoryUrl(repo)
    client = registry_client.connect(docker_config, settings)
    publisher = Publisher(repo=repo, formerly=planned.formerly, shared=settings.shared_names)
    for job in planned.retag:
        image = Reference.under(settings.registry, settings.project, names.published_as(job.name))
        ownership.require(client, image, tags.moving, publisher)
    of_the_ref = {tags.commit, tags.branch, tags.version, tags.pull_request, tag_names.LATEST}
    done = 0
    with Git(GitCredentials.read(credentials), ca_file=settings.authorities) as git:
        if tags.version and planned.retag:
            image_push.check_tag(planned.ref, planned.commit, git.head(url, planned.ref))
        for job in planned.retag:
            to = Reference.under(settings.registry, settings.project, names.published_as(job.name))
            mover = TagMover(
                registry=client,
                image=to.with_digest(Digest(job.digest)),
                commit=planned.commit,
                publisher=publisher,
            )
            if job.renews:
                mover.renew(key_tag(job.renews), job.moment)
            if names.platform_of(job.name):
                continue
            of_the_image = [tag for tag in job.tags if tag not in {*of_the_ref, f"key-{job.renews}"}]
            own = next(map(tag_names.own_version_tag, of_the_image), "")
            done += len(
                image_push.set_tags(mover, tags, ref=planned.ref, head=lambda ref: git.head(url, ref), own_version=own)
            )
    return Retagged(images=len(planned.retag), tags=done)
