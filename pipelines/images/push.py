"""The step `push`: publishes an image that the step `build` left by its digest, and then sets its tags."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.errors import Refused, ShipwayError
from pipelines.images import built_image, image_index, names, ownership, platforms, tag_names
from pipelines.images.image_config import facts_of
from pipelines.images.model import Checkout, Published
from pipelines.images.ownership import Publisher
from pipelines.images.tag_moves import TagMover
from pipelines.images.tag_names import TagPlan
from pipelines.step.groups import RegistrySettings
from pipelines.step.log import say
from pipelines.step.parameters import GitLogin, ImageName, ImageVersion, PushLogins
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.layout import Descriptor, Layout
from pipelines.tools.registry.reference import Digest, Reference, key_tag


@dataclass(frozen=True, kw_only=True)
class NamedImage:
    """An image in a registry, by digest, and the tags that name it."""

    image: Reference
    tags: tuple[str, ...]


def push(
    *,
    checkout: Annotated[Checkout, Arg("what the step clone fetched")],
    name: ImageName = "",
    version: ImageVersion = "",
    repo: Annotated[str, Arg("the repository that was asked for; empty: the checkout's")] = "",
    key: Annotated[str, Arg("the image's key, as `shipway plan` prints it; empty: none is published")] = "",
    renews: Annotated[str, Arg("the lasting key, which is to lead to this image; empty: none")] = "",
    moment: Annotated[int, Arg("what the image is renewed for, in seconds since 1970; 0: it is not")] = 0,
    version_tag: Annotated[
        str, Arg("a version of the image's own, published where that tag names nothing yet; begins with a digit")
    ] = "",
    image: Annotated[Path, Arg("folder of the image layout to publish")] = Path("image"),
    bases: Annotated[
        Path, Arg("folder of the image layout with the bases; may be missing where there are none")
    ] = Path("bases"),
    docker_config: PushLogins = Path("../push"),
    credentials: GitLogin = Path("../git"),
    settings: Annotated[RegistrySettings, Group(without=("mirrors",))],
) -> Published:
    """Publish an image by its digest, read it back, then set its tags.

    A version is never overwritten; a branch's tag moves only while this commit is still the branch's head on the
    remote. A second run sends nothing and returns the same. Of what the step build left, only the image is read: each
    blob is hashed, and its origin is compared with the checkout.

    Example:
        shipway step push --checkout=out/clone --registry=registry.example.org --outputs=out/push
    """
    settings.require_registry("publish to", "set `registry` in the settings, or give --registry")
    facts = facts_of(checkout, name=names.published_as(name), version=version)
    to = Reference.under(settings.registry, settings.project, facts.name)
    if repo and repo != checkout.repo:
        # The Git credential is for the caller's repository.
        raise Refused(
            "the checkout is of another repository than was asked for",
            seen=f"it is not of {repo}",
            todo="run the step clone again, then build and this one",
        )
    # One platform's part of an image is found by its key; the tags of the ref name the index.
    is_part = bool(names.platform_of(name))
    plan = TagPlan(commit="") if is_part else tag_names.tag_plan(checkout.ref, checkout.commit)
    client = registry_client.connect(docker_config, settings)
    url = RepositoryUrl(checkout.repo)
    if platforms.are_several(checkout.platform):
        layout, descriptor = image_index.write(checkout.bases, Layout(bases), Path("index"))
        size = image_index.size(checkout.bases, Layout(bases))
    else:
        built = built_image.proven(image, Layout(bases), checkout, facts)
        layout, descriptor, size = built.layout, built.descriptor, built.size
    with Git(GitCredentials.read(credentials), ca_file=settings.authorities) as git:
        named = publish(
            client,
            layout,
            descriptor,
            to,
            plan=plan,
            checkout=checkout,
            mounts=_mounts(checkout, bases, settings.registry),
            head=lambda ref: git.head(url, ref),
            key=key,
            renewal=(renews, moment),
            built_at=int(time.time()),
            version_tag="" if is_part else version_tag,
            shared_names=settings.shared_names,
        )
    assert named.image.digest is not None
    return Published(
        name=name or facts.name,
        digest=named.image.digest,
        reference=str(named.image),
        commit=checkout.commit,
        tags=named.tags,
        size=size if named.image.digest == descriptor.digest else _size(client, named.image),
    )


def publish(
    client: Registry,
    layout: Layout,
    descriptor: Descriptor,
    to: Reference,
    *,
    plan: TagPlan,
    checkout: Checkout,
    mounts: dict[Digest, str],
    head: Callable[[str], str | None],
    key: str = "",
    renewal: tuple[str, int] = ("", 0),
    built_at: int = 0,
    version_tag: str = "",
    shared_names: str = "",
) -> NamedImage:
    """Publish an image with its tags in a registry, and return the result.

    `built_at` is when it was built, in seconds since 1970. `head` asks the remote what a ref names. If the registry has
    another image under the key, that one is taken, and this run sends nothing. Before anything is sent, raises Refused
    if the name belongs to another repository, if the version is published with different content or if its Git tag
    names another commit by now, and Transient if that is unknown.
    """
    claimed = key_tag(key) if key else ""
    own_version = tag_names.own_version_tag(version_tag) if version_tag else ""
    publisher = Publisher(repo=checkout.repo, formerly=checkout.formerly, shared=shared_names)
    image = to.with_digest(descriptor.digest)
    mover = TagMover(registry=client, image=image, commit=checkout.commit, publisher=publisher)
    if claimed:
        mover = mover.adopted(claimed)
    if plan.version:
        check_tag(checkout.ref, checkout.commit, head(checkout.ref))
        mover.is_published(plan.version)
    ownership.require(client, to, plan.moving, publisher)
    if mover.digest == descriptor.digest:
        sent = client.push(layout, descriptor, to, mounts=mounts)
        say(f"{mover.image} {'is published' if sent else 'was there already'}")
    named = []
    lasting, moment = renewal
    if claimed:
        mover = mover.claim(claimed)
        named.append(claimed)
    if lasting:
        mover.renew(key_tag(lasting), moment)
    if claimed and mover.digest == descriptor.digest:
        # After the key: a run that dies in between leaves an image that seems too old, never one that seems fresh.
        mover.note_built(lasting or key, built_at)
    named += set_tags(mover, plan, ref=checkout.ref, head=head, own_version=own_version)
    return NamedImage(image=mover.image, tags=tuple(named))


def set_tags(
    mover: TagMover, plan: TagPlan, *, ref: str, head: Callable[[str], str | None], own_version: str = ""
) -> list[str]:
    """Let a ref's tags name a published image, and return those that do; raises as TagMover does."""
    if not plan.commit:
        return []
    is_of_commit = mover.set(plan.commit)
    named = [plan.commit] if is_of_commit else []
    if plan.pull_request and mover.set(plan.pull_request):
        named.append(plan.pull_request)
    if plan.version:
        if plan.released and not mover.is_of_commit() and mover.set(plan.released):
            named.append(plan.released)
        mover.publish(plan.version)
        named.append(plan.version)
        if plan.is_release and mover.raise_latest(plan.version):
            named.append(tag_names.LATEST)
    elif ref.startswith("refs/tags/"):
        say(f"{ref} is not a version of the form v1.2.3, so it makes no tag")
    if own_version and own_version != plan.version and _publish_once(mover, own_version):
        named.append(own_version)
    if plan.branch and mover.follow(plan.branch, ref, head, is_of_commit=is_of_commit):
        named.append(plan.branch)
    return named


def _publish_once(mover: TagMover, version: str) -> bool:
    """Publish the image's own version, which a rebuild for a moved base does not move.

    Return whether it names our image.
    """
    try:
        mover.publish(version)
    except Refused as error:
        say(f"{error.what}: it stays; {error.seen}")
        return False
    return True


def _size(client: Registry, image: Reference) -> int:
    """Return the size in bytes of the layers of an image that another run published."""
    manifest = client.resolve(image)
    return sum(layer.size for layer in manifest.layers) if manifest and not manifest.is_index else 0


def check_tag(ref: str, built: str, commit: str | None) -> None:
    """Raise Refused if the Git tag of a version was moved or deleted since the checkout."""
    if commit != built:
        raise Refused(
            f"{ref} does not name the commit that was built",
            seen=f"it names {commit or 'nothing'} now, {built} was built",
            todo="release under a new version, or run this one again if it was never published",
        )


def _mounts(checkout: Checkout, folder: Path, registry: str) -> dict[Digest, str]:
    """Return, for each layer of a base in the same registry, the repository that has it."""
    found: dict[Digest, str] = {}
    bases = Layout(folder)
    for base in checkout.bases:
        reference = Reference.parse(base.reference)
        if reference.registry != registry or not bases.has(base.digest):
            continue
        try:
            layers = bases.json(base.digest).get("layers") or ()
            found |= {Descriptor.read(layer).digest: reference.repository for layer in layers}
        except ShipwayError as error:
            # Only a saving is lost.
            say(f"the layers of {base.name} are sent as a whole: {error.what}")
    return found
