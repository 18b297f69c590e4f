"""What a repository declares at one commit, read without a checkout; `shipway images` lists its images."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipelines import bounds
from pipelines.bounds import LARGEST, TOO_LARGE
from pipelines.cli import options as cli_options
from pipelines.cli.command import flags, group, switch
from pipelines.cli.options import SettingsOptions, SourceOptions
from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration
from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.images import dockerfile, platforms
from pipelines.images import names as image_names
from pipelines.images.names import Image
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.repository import GitRepository, TreeEntry

_MAX_LINKS = 40
"""As many as Linux follows."""


@dataclass(frozen=True, kw_only=True)
class DeclaredImages:
    """The images of one commit, in an order in which parents come first."""

    repo: str
    commit: str
    ref: str
    images: tuple[Image, ...]
    parents: dict[str, tuple[str, ...]]
    """For each image, the siblings that its Dockerfile names."""
    warnings: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each image, what shipway.yaml says of it, as inputs of clone-build-push."""

    def choose(self, names: Sequence[str]) -> tuple[Image, ...]:
        """Return the images of these names or folders, all if there are none; raises Misuse if one does not exist."""
        if not names:
            return self.images
        paths = {str(PurePosixPath(name)) for name in names}
        chosen = tuple(image for image in self.images if image.name in paths or image.path in paths)
        if unknown := sorted(paths - {c.name for c in chosen} - {c.path for c in chosen}):
            raise Misuse(
                f"no image {', '.join(unknown)} at {self.commit[:12]}",
                seen=f"images: {', '.join(f'{i.name} ({i.path})' for i in self.images) or 'none'}",
                todo="name an image or its folder",
            )
        return chosen


def read(
    settings: Mapping[str, str], repo: str, revision: str, *, build_args: Sequence[str], platform: str
) -> DeclaredImages:
    """Return what `repo` declares at `revision`; one shallow fetch into a private folder that is removed again."""
    url, parsed = RepositoryUrl(repo), Revision(revision)
    registry, project = settings.get("registry", ""), settings.get("project", "")
    with tempfile.TemporaryDirectory(prefix="shipway-") as folder, cli_options.git(settings) as git:
        resolved = git.resolve(url, parsed)
        dirty = git.uncommitted(url)
        repository = git.fetch(url, resolved, Path(folder) / "git")
        tree = {entry.path: entry for entry in repository.tree(resolved.commit) if not entry.is_submodule}
        configuration = _configuration(repository, tree)
        images = image_names.discover(tree, root_name=url.name, configuration=configuration)
        texts = {image.name: _text(repository, resolved.commit, tree, image.dockerfile) for image in images}
    parents: dict[str, tuple[str, ...]] = {}
    warnings = [f"{dirty} uncommitted files of {repo} are not part of the build"] if dirty else []
    for image in images:
        file = dockerfile.read(texts[image.name], image.dockerfile)
        image_settings = configuration.image(image.path)
        arguments = [*(f"{name}={value}" for name, value in image_settings.build_args.items()), *build_args]
        externals = file.select(arguments, target=image_settings.target, platform=platform).externals
        siblings = (
            image_names.sibling(external.name, images, registry=registry, project=project, user=image.name)
            for external in externals
        )
        parents[image.name] = tuple(dict.fromkeys(sibling.name for sibling in siblings if sibling))
        warnings += image_names.shadowed(image, externals, images)
    order = {name: index for index, name in enumerate(name for wave in image_names.waves(parents) for name in wave)}
    return DeclaredImages(
        repo=repo,
        commit=resolved.commit,
        ref=resolved.ref,
        images=tuple(sorted(images, key=lambda image: order[image.name])),
        parents=parents,
        warnings=tuple(warnings),
        inputs={image.name: shipway_yaml.inputs(configuration.image(image.path), build_args) for image in images},
    )


def _configuration(repository: GitRepository, tree: Mapping[str, TreeEntry]) -> Configuration:
    """Return what the commit's shipway.yaml says; raises ShipwayError with the first line that it must not say."""
    entry = tree.get(shipway_yaml.NAME)
    if entry is None:
        return Configuration()
    return shipway_yaml.require(_content(repository, entry), is_link=entry.is_link)


def _content(repository: GitRepository, entry: TreeEntry) -> bytes:
    return repository.contents([entry], most_bytes=LARGEST).get(entry.path, TOO_LARGE)


def _text(repository: GitRepository, commit: str, tree: Mapping[str, TreeEntry], path: str) -> str:
    """Return the text of a Dockerfile; a link is followed within the commit, and raises Refused if it leaves it."""
    at = path
    for _ in range(_MAX_LINKS):
        if at not in tree:
            raise ShipwayError(f"{path} is a link to nothing", seen=f"no {at} at {commit[:12]}", todo="commit it")
        data = _content(repository, tree[at])
        if not tree[at].is_link:
            return bounds.text_of(data, path)
        text = os.fsdecode(data)
        at = os.path.normpath(PurePosixPath(at).parent / text)
        if at.split("/")[0] in {"", ".."}:
            raise Refused(
                f"{path} is a link that leaves the repository",
                seen=f"it leads to {text}",
                todo="commit the file itself, or link to a file of the repository",
            )
    raise Refused(f"{path} cannot be followed", seen="links in a circle", todo="make it a file")


@flags
class ImagesOptions(SourceOptions):
    """Which images to list."""

    settings: SettingsOptions = group(SettingsOptions)
    json: bool = switch("print one JSON object")


def list_images(options: ImagesOptions) -> int:
    """List the images that a repository declares, parents first, and what each depends on.

    example: shipway images https://git.example.com/team/shop.git --revision main --json
    """
    settings = cli_options.read_settings(options.settings, embedded=False)
    platform = platforms.this_platform()
    repository = read(settings, options.repo or ".", options.revision, build_args=options.build_arg, platform=platform)
    for warning in repository.warnings:
        sys.stderr.write(f"shipway: {warning}\n")
    rows = [
        {"name": i.name, "path": i.path, "dockerfile": i.dockerfile, "parents": list(repository.parents[i.name])}
        for i in repository.images
    ]
    if options.json:
        sys.stdout.write(json.dumps({"commit": repository.commit, "ref": repository.ref, "images": rows}) + "\n")
        return 0
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        parents = f"depends on {', '.join(row['parents'])}" if row["parents"] else ""
        sys.stdout.write(f"{row['name']:<{width}}  {Path(str(row['path']))!s:<24}  {parents}".rstrip() + "\n")
    return 0
