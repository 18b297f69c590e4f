"""The step `clone`: fetches one commit of a repository, and every image that its Dockerfile is based on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration
from pipelines.errors import Misuse, Refused
from pipelines.images import bases as image_bases
from pipelines.images import build_context, dockerfile_checks, image_index, names, platforms
from pipelines.images import dockerfile as image_dockerfile
from pipelines.images.checkout_paths import check_paths
from pipelines.images.discover import CLASH, discover
from pipelines.images.layers.store import LayerStore
from pipelines.images.model import Checkout
from pipelines.images.names import Image
from pipelines.step.groups import BuilderSettings, CommitInputs, ReadLogins, RegistrySettings
from pipelines.step.log import say
from pipelines.step.parameters import Context, ImageName, Source
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl, TreePath
from pipelines.tools.git.checkout import check_out_commit, configuration
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git, require_lfs
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Reference

_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def clone(
    *,
    inputs: Annotated[CommitInputs, Group()],
    path: Annotated[str, Arg("the image's folder in the repository, its build context")] = ".",
    dockerfile: Annotated[str, Arg("relative to the repository's root; empty: Dockerfile in the folder")] = "",
    target: Annotated[str, Arg("stage to build; empty: the last")] = "",
    build_args: Annotated[tuple[str, ...], Arg('build arguments, as a JSON list of "NAME=value"')] = (),
    platform: Annotated[
        str, Arg("platform to build for; empty: this machine's; several, separated by spaces: the index of them")
    ] = "",
    pins: Annotated[
        tuple[str, ...],
        Arg("what a plan found images to stand for, as a JSON list of name=sha256:… and, for siblings, name=key-…"),
    ] = (),
    submodules: Annotated[bool, Arg("whether submodules are checked out")] = False,
    lfs: Annotated[bool, Arg("whether large files are fetched with Git LFS")] = False,
    context: Context = "",
    name: ImageName = "",
    shared: Annotated[
        tuple[str, ...], Arg("folders to lay into the context under their own path, from the repository's root")
    ] = (),
    logins: Annotated[ReadLogins, Group()],
    source: Source = Path("source"),
    bases: Annotated[Path, Arg("folder of the image layout that the bases are fetched into")] = Path("bases"),
    settings: Annotated[RegistrySettings, Group(without=("shared_names",))],
    builder: Annotated[BuilderSettings, Group(without=("compression",))],
    cache: Annotated[
        Path,
        Arg("folder that builders keep their layers in, and bases are kept in, where there is one", setting="cache"),
    ] = Path("../cache"),
) -> Checkout:
    """Check out one commit of a repository and fetch, by digest, every image that its Dockerfile is based on.

    No Git configuration of the user or the system is read, and no hook or filter runs. Each run makes both folders
    anew. The context has the shared folders, modes and times that the builder shall see: no later step writes there.

    Example:
        shipway step clone --repo=https://example.org/team/app.git --revision=main --path=images/web --outputs=out/clone
    """
    url, folder = RepositoryUrl(inputs.repo), TreePath(path)
    file = TreePath(dockerfile) if dockerfile else TreePath(f"{folder}/Dockerfile")
    for argument in build_args:
        if not _ARGUMENT.fullmatch(argument):
            raise Misuse("not a build argument", seen=repr(argument[:100]), todo="write NAME=value")
    pinned = image_bases.read_pins(pins)
    is_index = platforms.are_several(platform)
    platform = platform if is_index else platforms.read_platform(platform)
    client = registry_client.connect(logins.docker_config, settings)
    if lfs:
        require_lfs()
    with Git(GitCredentials.read(logins.credentials), ca_file=settings.authorities) as git:
        fetched, files = check_out_commit(git, inputs, source, submodules=submodules, lfs=lfs)
    check_paths(source, folder, file, files)
    build_context.prepare(
        source, build_context.folder(source, context or str(folder)), shared, standing=builder.is_standing
    )
    declared = configuration(source)
    found = discover(sorted(files), declared, url.name)
    user = _image(folder, file, declared, url.name)
    name = names.published_as(name)
    twins = [image.dockerfile for image in found.clashing.get(user.name, ())]
    if user.dockerfile in twins and name in {"", user.name}:
        todo = f"name one of them in {shipway_yaml.NAME}"
        raise Refused(f"{file}: {CLASH}, {user.name}", seen=", ".join(twins), todo=todo)
    facts = {
        **vars(fetched),
        "path": str(folder),
        "dockerfile": str(file),
        "target": target,
        "build_args": build_args,
        "platform": platform,
        "formerly": declared.formerly,
        "name": user.name if names.is_name(user.name) else "",
    }
    if is_index:
        to = Reference.under(settings.registry, settings.project, name or user.name)
        parts = image_index.fetch(client, bases, name or user.name, platform.split(), pinned, under=to)
        return Checkout(**facts, bases=parts)
    read = image_dockerfile.read_file(source / file, str(file))
    selected = read.select(build_args, target=target, platform=platform, build_platform=platforms.this_platform())
    externals = selected.externals
    for warning in names.shadowed(user, externals, found.images):
        say(warning)
    items = image_bases.requests(
        externals,
        found.images,
        user,
        commit=fetched.commit,
        registry=settings.registry,
        project=settings.project,
        pins=pinned,
        clashing=found.clashing,
    )
    kept = LayerStore.layout(cache) if cache.is_dir() else None
    images = image_bases.fetch(items, client, bases, platform=platform, commit=fetched.commit, kept=kept)
    dockerfile_checks.triggers_of(selected, image_bases.triggers(Layout(bases), images))
    for base in images:
        say(f"{base.name} is {base.reference.partition('@')[0]}@{base.digest}")
    return Checkout(**facts, bases=images)


def _image(folder: TreePath, file: TreePath, declared: Configuration, root_name: str) -> Image:
    """Return the image of a Dockerfile; where it is no image of its own, it has the name of the image of its folder."""
    is_own = declared.is_dockerfile(file) and shipway_yaml.folder_of(file) == folder
    name = names.name_of(file if is_own else TreePath(f"{folder}/{shipway_yaml.DOCKERFILE}"), declared, root_name)
    return Image(name=name, path=str(folder), dockerfile=str(file))
