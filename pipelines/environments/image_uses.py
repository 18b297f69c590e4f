"""Which images of the repository the values of charts and environments name, and so which files a deployment writes.

Two forms are known, those that charts of the field have: one text, `registry.example/team/web:1.2`, and a mapping with
`repository`, to which `registry` may belong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import yaml

from pipelines.bounds import LARGEST
from pipelines.charts.chart_yaml import CHART, LOCK, join
from pipelines.declared.finding import WARNING, Finding
from pipelines.declared.shipway_yaml import NAME, Configuration, Deploy
from pipelines.environments import config_yaml, hold, image_places
from pipelines.environments.image_places import ADDRESSES, At
from pipelines.environments.model import ImageFollower
from pipelines.errors import ShipwayError
from pipelines.images.names import bare_name
from pipelines.tools.git.tree import GitTree
from pipelines.tools.registry.reference import Reference

VALUES = "values.yaml"


@dataclass(frozen=True, kw_only=True)
class ImageUse:
    """A place in a values file that names an image of the repository."""

    file: str
    line: int
    image: str


@dataclass(frozen=True, kw_only=True)
class Values:
    """Every such place, and the files that a deployment writes."""

    uses: tuple[ImageUse, ...]
    findings: tuple[Finding, ...]
    charts: tuple[str, ...]
    dependants: tuple[str, ...] = ()
    """Charts that have dependencies, and so may move with another chart."""
    of_environments: tuple[ImageUse, ...] = ()
    """Places in environments that this repository holds itself."""
    applications: tuple[str, ...] = ()
    """Files of these environments that are written."""

    @property
    def written(self) -> tuple[str, ...]:
        """Every file that may be written, by deployments, promotions and rollbacks."""
        return tuple(sorted({*self._of_charts, *self.applications}))

    def follow(self, deploy: Deploy) -> tuple[frozenset[str], frozenset[str]]:
        """Return the images that deployments write down, and the files that they write to."""
        uses = [*(self.uses if deploy.charts else ()), *(self.of_environments if deploy.environments else ())]
        files = {*(self._of_charts if deploy.charts else ()), *(self.applications if deploy.environments else ())}
        return frozenset(use.image for use in uses), frozenset(files)

    @property
    def followers(self) -> tuple[ImageFollower, ...]:
        """The files that name an image and are no chart's own values."""
        own = {join(folder, VALUES) for folder in self.charts}
        uses = (*self.uses, *self.of_environments)
        return tuple(sorted({ImageFollower(file=use.file, image=use.image) for use in uses if use.file not in own}))

    @property
    def _of_charts(self) -> set[str]:
        """The values files, and Chart.yaml and Chart.lock of their charts and of charts that may depend on those."""
        files = {use.file for use in self.uses}
        folders = {folder for folder in self.charts if any(is_in(file, folder) for file in files)}
        folders |= {*self.dependants} if folders else set()
        return files | {join(folder, name) for folder in folders for name in (CHART, LOCK)}

    def of_chart(self, folder: str) -> tuple[str, ...]:
        """Return the images that a chart's own values name."""
        file = join(folder, VALUES)
        return tuple(sorted({use.image for use in self.uses if use.file == file}))


def read(
    tree: GitTree,
    configuration: Configuration,
    *,
    charts: Collection[str],
    images: Collection[str],
    registry: str,
    project: str,
) -> Values:
    """Return where the values of a tree's charts and environments name one of `images`."""

    def uses(file: str, *, written: bool) -> list[ImageUse]:
        data = tree.contents.get(file, b"")
        if len(data) > LARGEST:
            todo = f"keep it below {LARGEST} bytes: deployments read no larger one"
            findings.append(
                Finding(path=file, line=0, level=WARNING, rule="values", text="it is too large to be read", todo=todo)
            )
        # Values files are large, and most name no image of their own repository.
        if not host or host not in data:
            return []
        try:
            text = image_places.read(data, file, under=under)
        except ShipwayError:
            return []  # The chart's own checks report it, or the deployment.
        todo = f"write `tag:` or `digest:` beside it, or name the place in `values` of {NAME}"
        free = [f"{under}{name}" for name in images if (file, name) not in elsewhere]
        for line, why in text.not_written(free).items() if written else ():
            findings.append(Finding(path=file, line=line, level=WARNING, rule="values", text=why, todo=todo))
        every = (use for document in text.documents for use in _uses(document.root, file, registry, project))
        return [use for use in every if use.image in images]

    host = registry.encode()
    under = Reference.under(registry, project, "x").name.removesuffix("x") if registry else ""
    elsewhere = {(item.file, item.image) for item in configuration.values}
    deploy = configuration.deploy
    findings: list[Finding] = []
    found = [use for folder in charts for use in uses(join(folder, VALUES), written=bool(deploy.charts))]
    applications = config_yaml.own(tree, deploy.environments)
    in_applications = [use for item in applications if item.values for use in uses(item.values, written=True)]
    for item in configuration.values:
        if item.file not in tree.files:
            findings.append(_warning(item.line, f"there is no file {item.file}"))
        elif item.image not in images:
            findings.append(_warning(item.line, f"there is no image {item.image}"))
        else:
            is_application = any(item.file == application.values for application in applications)
            (in_applications if is_application else found).append(ImageUse(file=item.file, line=0, image=item.image))
    dependants = [folder for folder in charts if b"dependencies" in (tree.read(join(folder, CHART)) or b"")]
    return Values(
        uses=tuple(found),
        findings=tuple(findings),
        charts=tuple(charts),
        dependants=tuple(sorted(dependants)),
        of_environments=tuple(in_applications),
        applications=tuple(
            file
            for item in applications
            for file in (item.config, f"{item.folder}/{config_yaml.VALUES}", f"{item.folder}/{hold.NAME}")
        ),
    )


def named(configuration: Configuration, under: str) -> dict[str, tuple[At, ...]]:
    """Return the places that shipway.yaml names, by file; `under` is what the addresses of images begin with."""
    found: dict[str, tuple[At, ...]] = {}
    for item in configuration.values:
        at = At(path=image_places.path(item.at), image=f"{under}{item.image}", where=f"asked for in {NAME}:{item.line}")
        found[item.file] = (*found.get(item.file, ()), at)
    return found


def is_stale(data: bytes, file: str, under: str, digests: Mapping[str, str]) -> bool:
    """Whether a values file may name an image otherwise than by its digest; `digests` are by address, empty if unknown.

    `under` is what addresses begin with. What cannot be read may be stale.
    """
    try:
        text = image_places.read(data, file, under=under)
    except ShipwayError:
        return True
    mine = [place for place in text.places if place.image in digests]
    return not (mine or text.not_written(digests)) or any(
        not place.digest or place.digest != digests[place.image] for place in mine
    )


def is_in(file: str, folder: str) -> bool:
    """Whether a file is in a chart's folder, which may be the root."""
    return folder == "." or file.startswith(f"{folder}/")


def _uses(node: yaml.Node, file: str, registry: str, project: str) -> Iterator[ImageUse]:
    if isinstance(node, yaml.ScalarNode):
        if name := _own(str(node.value), registry, project):
            yield ImageUse(file=file, line=node.start_mark.line + 1, image=name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _uses(item, file, registry, project)
    elif isinstance(node, yaml.MappingNode):
        texts = image_places.keys_of(node)
        for key in ADDRESSES if "registry" in texts else ():
            if name := _own(image_places.address(texts, key), registry, project):
                yield ImageUse(file=file, line=texts[key].start_mark.line + 1, image=name)
        for _, value in node.value:
            yield from _uses(value, file, registry, project)


def _own(text: str, registry: str, project: str) -> str:
    text = text.removeprefix("oci://")
    name = bare_name(text, registry=registry, project=project)
    return name if name != text else ""


def _warning(line: int, text: str) -> Finding:
    return Finding(path=NAME, line=line, level=WARNING, rule="unused", text=text, todo="correct it")
