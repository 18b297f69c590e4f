"""The graph of images that a tree declares, in dependency order, with a finding for everything that is wrong in it.

Nothing is raised and no registry is asked: an error in a file becomes a finding with its line, and the images that it
concerns are blocked, with all that depend on them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.declared import order, shipway_yaml
from pipelines.declared.finding import ERROR, WARNING, Finding
from pipelines.declared.shipway_yaml import Configuration, ImageSettings
from pipelines.errors import Refused, ShipwayError
from pipelines.images import context, dockerfile, dockerfile_checks, job_texts, names
from pipelines.images.discover import CLASH, discover, dockerfiles
from pipelines.images.dockerfile import Dockerfile, ExternalImage, SelectedStages
from pipelines.images.names import Image
from pipelines.images.node import MOST_WAVES, BuildTarget, Edge, Graph, ImageNode
from pipelines.images.platforms import NO_BUILDER, no_builder, read_platforms
from pipelines.tools.git.tree import GitTree

LOOP = "loop"
"""The rule of an image that its own deployment would build again."""
_PLACE = re.compile(r"(?P<path>[^\n]+?):(?P<line>[0-9]+): (?P<what>.*)", re.DOTALL)


def read(
    tree: GitTree,
    configuration: Configuration,
    target: BuildTarget,
    *,
    root_name: str,
    registry: str,
    project: str,
    written: Sequence[str] = (),
) -> Graph:
    """Return the images of a tree; `written` are the files that a deployment writes."""
    found = discover(tree.paths, configuration, root_name)
    findings = list(found.findings)
    clashing = {name: images[0] for name, images in found.clashing.items()}
    reader = _GraphReader(
        tree=tree,
        target=target,
        registry=registry,
        project=project,
        written=written,
        known={image.name: image for image in found.images} | clashing,
        configuration=configuration,
        off={image.name: image for image in found.off},
        findings=findings,
    )
    nodes = {node.name: node for image in found.images for node in reader.nodes(image, configuration)}
    nodes |= {name: _blocked(image, configuration, CLASH) for name, image in clashing.items()}
    findings += _unused(tree, configuration)
    nodes = without_circles(nodes, findings)
    nodes = without_depth(nodes, findings)
    return Graph(nodes=spread(nodes), off=found.off, clashing=found.clashing, findings=tuple(sorted(set(findings))))


def finding_of(error: ShipwayError, path: str, rule: str, *, level: str = ERROR) -> Finding:
    """Return an error about a file as a finding, with the line that the error begins with."""
    match = _PLACE.fullmatch(error.what)
    what = match["what"] if match else error.what.removeprefix(f"{path} ")
    text = f"{what}: {error.seen}" if error.seen else what
    where, line = (match["path"], int(match["line"])) if match else (path, 0)
    rule = shipway_yaml.NAME if where == shipway_yaml.NAME else rule
    return Finding(path=where, line=line, level=level, rule=rule, text=" ".join(text.split()), todo=error.todo)


@dataclass(frozen=True, kw_only=True)
class _GraphReader:
    tree: GitTree
    target: BuildTarget
    registry: str
    project: str
    written: Sequence[str]
    known: Mapping[str, Image]
    off: Mapping[str, Image]
    configuration: Configuration
    findings: list[Finding]

    def nodes(self, image: Image, configuration: Configuration) -> Iterator[ImageNode]:
        """Yield an image with its edges, or blocked if there is an error in its files.

        With several platforms, that is the image of each of them, and then the index.
        """
        platforms = self._platforms(image)
        if len(platforms) == 1:
            yield self._node(image, platforms[0], configuration)
            return
        parts = [replace(image, name=names.of_platform(image.name, platform)) for platform in platforms]
        for part, platform in zip(parts, platforms, strict=True):
            yield self._node(part, platform, configuration)
        yield ImageNode(
            image=image,
            settings=configuration.image(image.dockerfile),
            platform=" ".join(platforms),
            parents=tuple(Edge(name=part.name, written=part.name, line=0) for part in parts),
        )

    def _platforms(self, image: Image) -> tuple[str, ...]:
        declared = self.configuration.image(image.dockerfile).platforms
        return read_platforms(declared, shipway_yaml.NAME) or self.target.platforms

    def _node(self, image: Image, platform: str, configuration: Configuration) -> ImageNode:
        settings = configuration.image(image.dockerfile)
        try:
            return self._read(image, platform, settings, configuration)
        except ShipwayError as error:
            rule = _rule(error)
            self.findings.append(finding := finding_of(error, image.dockerfile, rule))
            return _blocked(image, configuration, f"{finding.location}: {finding.text}")

    def _read(self, image: Image, platform: str, settings: ImageSettings, configuration: Configuration) -> ImageNode:
        file = self._dockerfile(image)
        given = {**settings.build_args, **dict(arg.partition("=")[::2] for arg in self.target.build_args)}
        build_args = tuple(f"{name}={value}" for name, value in sorted(given.items()) if name in file.arguments)
        dockerfile_checks.check(file, secrets=settings.secrets)
        selected = file.select(
            build_args, target=settings.target, platform=platform, build_platform=self.target.machine(platform)
        )
        if self.target.builder == "buildah":
            dockerfile_checks.check_buildah(selected, self.target.builder_version)
        parents: list[Edge] = []
        externals: list[ExternalImage] = []
        for external in selected.externals:
            bare = names.bare_name(external.name, registry=self.registry, project=self.project)
            if bare == names.published_as(image.name):
                externals.append(external)
            elif bare in self.known:
                name = self._part(
                    self.known[bare], external.platform or platform, f"{image.dockerfile}:{external.line}"
                )
                parents.append(Edge(name=name, written=external.id, line=external.line))
                self._warn_of_shadow(image, external)
            elif bare in self.off:
                raise ShipwayError(
                    f"{image.dockerfile}:{external.line}: the image {bare} is switched off",
                    todo=f"switch it on in {shipway_yaml.NAME}, or name another image",
                )
            else:
                externals.append(external)
                self._warn_of_namesake(image, external)
        dockerfile_checks.check_platform(selected)
        self._check_builder(image, selected)
        self.findings.extend(dockerfile_checks.unpinned_adds(selected, builder=self.target.builder))
        self._check_shared(image, settings, configuration)
        found = context.of(
            self.tree,
            folder=image.path,
            dockerfile=image.dockerfile,
            shared=settings.shared,
            written=self.written,
            read=file,
            builder=self.target.builder,
        )
        job_texts.check(image, settings, configuration, build_args=build_args, excluded=found.excluded)
        return ImageNode(
            image=image,
            settings=settings,
            platform=platform,
            build_args=build_args,
            dockerfile=context.digest_of(self.tree.read(image.dockerfile) or b""),
            context=found,
            parents=tuple(parents),
            externals=tuple(externals),
            without=tuple(sorted(dockerfile_checks.secret_ids(file) - {*settings.secrets})),
        )

    def _check_builder(self, image: Image, selected: SelectedStages) -> None:
        """Raise ShipwayError if no builder runs the RUN steps of a platform; warn if an emulator does."""
        for platform, line in sorted(dockerfile_checks.steps_on(selected).items()):
            if platform == selected.build_platform:
                continue
            if platform.split("/")[1] not in self.target.emulated:
                raise ShipwayError(f"{image.dockerfile}:{line}: {no_builder(platform)}", todo=NO_BUILDER)
            text, todo = f"its RUN steps for {platform} are emulated", "give that platform a builder of its own"
            self.findings.append(finding(image.dockerfile, line, "platform", text, todo, level=WARNING))

    def _part(self, parent: Image, platform: str, where: str) -> str:
        """Return the name of the image that a parent has for a platform; raises ShipwayError if it has none."""
        platforms = self._platforms(parent)
        if platform not in platforms:
            raise ShipwayError(
                f"{where}: the image {parent.name} is not built for {platform}",
                seen=f"it is built for {', '.join(platforms)}",
                todo=f"add the platform to those of {parent.path} in {shipway_yaml.NAME}",
            )
        return names.of_platform(parent.name, platform) if len(platforms) > 1 else parent.name

    def _dockerfile(self, image: Image) -> Dockerfile:
        data = self.tree.read(image.dockerfile)
        if data is None:
            raise ShipwayError(
                f"{image.dockerfile} is a link that leaves the repository, or leads to no file there",
                seen=self.tree.contents.get(image.dockerfile, b"").decode("utf-8", "replace"),
                todo="commit the file itself",
            )
        return dockerfile.read_bytes(data, image.dockerfile)

    def _warn_of_shadow(self, image: Image, external: ExternalImage) -> None:
        if external.name in names.PUBLIC:
            text = (
                f"{external.name} is this repository's image in {self.known[external.name].path}, not the public image"
            )
            self.findings.append(finding(image.dockerfile, external.line, "shadow", text, level=WARNING))

    def _warn_of_namesake(self, image: Image, external: ExternalImage) -> None:
        """Warn of an image in another registry with the name of one of the repository: most likely its own build."""
        host, _, rest = external.name.rpartition("/")
        sibling = self.known.get(rest.partition(":")[0])
        if host and "@" not in rest and sibling and sibling.name not in {names.published_as(image.name), *names.PUBLIC}:
            text = f"{external.name} comes from outside, not from this repository's {sibling.path}"
            todo = (
                f"write {sibling.name}, or set the argument that makes it so in {shipway_yaml.NAME}, if that is meant"
            )
            self.findings.append(finding(image.dockerfile, external.line, "namesake", text, todo, level=WARNING))

    def _check_shared(self, image: Image, settings: ImageSettings, configuration: Configuration) -> None:
        line = configuration.line(image.dockerfile, "shared")
        for folder in settings.shared:
            if not self.tree.below(folder):
                raise ShipwayError(
                    f"{shipway_yaml.NAME}:{line}: there is no folder {folder} to share", todo="name a folder with files"
                )
        if taken := context.collisions(self.tree, image.path, settings.shared):
            raise ShipwayError(
                f"{shipway_yaml.NAME}:{line}: {image.path} has a {taken[0]} of its own",
                todo="rename one of them: the shared folder is laid into the context under its path",
            )


def _rule(error: ShipwayError) -> str:
    if isinstance(error, Refused):
        return "refused"
    if error.todo == NO_BUILDER:
        return "platform"
    return "arg" if "no value" in error.what else "dockerfile"


def _blocked(image: Image, configuration: Configuration, why: str) -> ImageNode:
    return ImageNode(image=image, settings=configuration.image(image.dockerfile), blocked=why)


def _unused(tree: GitTree, configuration: Configuration) -> Iterator[Finding]:
    used = {e.pattern for path in dockerfiles(tree.paths, configuration) for e in configuration.entries_of(path)}
    unused = [(e.line, f"there is no image in {e.pattern}") for e in configuration.entries if e.pattern not in used]
    unused += [
        (line, f"there is no file {one} to be a Dockerfile") for line, one in configuration.lists_nothing(tree.paths)
    ]
    ignored = zip(configuration.no_charts, configuration.ignored_lines, strict=True)
    unused += [(line, f"there is no folder {pattern} to ignore") for pattern, line in ignored if not tree.has(pattern)]
    for line, text in unused:
        yield finding(shipway_yaml.NAME, line, "unused", text, "correct it", level=WARNING)


def deployment_loops(
    nodes: Mapping[str, ImageNode], deployed: Collection[str], written: Collection[str]
) -> Iterator[Finding]:
    """Give a finding for each image whose own deployment would build it again, without end.

    Such an image has a file in its key that deployments write, and it or a child of it is deployed.
    """
    matters, waiting = set(), [name for name in deployed if name in nodes]
    while waiting:
        name = waiting.pop()
        if name not in matters:
            matters.add(name)
            waiting += [edge.name for edge in nodes[name].parents if edge.name in nodes]
    for name in sorted(matters):
        node = nodes[name]
        counted = [path for path in node.context.counted if path in written] if node.context else []
        if counted:
            yield Finding(
                path=node.image.dockerfile,
                line=0,
                level=ERROR,
                rule=LOOP,
                text=f"it names {', '.join(counted)}, which deployments of {name} write: each would build it again",
                todo="copy other files, or take that values file out of what is deployed",
            )


def without_circles(nodes: Mapping[str, ImageNode], findings: list[Finding]) -> dict[str, ImageNode]:
    """Return the images, parents first; those in a circle are blocked, and each circle is reported once."""
    ordered: dict[str, ImageNode] = {}
    waiting = {name: {edge.name for edge in node.parents if edge.name in nodes} for name, node in nodes.items()}
    children: dict[str, list[str]] = {}
    for name, parents in waiting.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    ready = sorted(name for name, parents in waiting.items() if not parents)
    while waiting:
        if not ready:
            chain = order.circle(waiting)
            first = nodes[chain[0]]
            line = next(edge.line for edge in first.parents if edge.name == chain[1])
            text = f"images depend on each other in a circle: {' → '.join(chain)}"
            findings.append(finding(first.image.dockerfile, line, "cycle", text, "take one of the FROM lines out"))
            for name in chain[:-1]:
                nodes = {**nodes, name: replace(nodes[name], blocked=f"in a circle: {' → '.join(chain)}", parents=())}
            ready = sorted(set(chain))
        following: list[str] = []
        for name in ready:
            if name not in waiting:
                continue
            del waiting[name]
            ordered[name] = nodes[name]
            for child in children.get(name, ()):
                if child in waiting:
                    waiting[child].discard(name)
                    if not waiting[child]:
                        following.append(child)
        ready = sorted(following)
    return ordered


def without_depth(nodes: Mapping[str, ImageNode], findings: list[Finding]) -> dict[str, ImageNode]:
    """Block the images in a chain of dependencies that is longer than there are waves."""
    chains: dict[str, tuple[str, ...]] = {}
    found = dict(nodes)
    for name, node in nodes.items():
        below = max((chains[edge.name] for edge in node.parents if edge.name in chains), key=len, default=())
        chains[name] = (*below, name)
        if len(chains[name]) > MOST_WAVES:
            chain = " → ".join(chains[name])
            if len(chains[name]) == MOST_WAVES + 1:
                line = next(edge.line for edge in node.parents if edge.name == below[-1])
                text = f"more than {MOST_WAVES} images depend on each other: {chain}"
                findings.append(finding(node.image.dockerfile, line, "depth", text, "let one depend on an earlier one"))
            found[name] = replace(node, blocked=f"more than {MOST_WAVES} images deep: {chain}")
    return found


def spread(nodes: Mapping[str, ImageNode]) -> dict[str, ImageNode]:
    """Block every image that depends on a blocked one."""
    found: dict[str, ImageNode] = {}
    for name, node in nodes.items():
        parent = next((edge.name for edge in node.parents if edge.name in found and found[edge.name].blocked), "")
        blocked = node.blocked or (f"parent image {parent} is blocked" if parent else "")
        found[name] = replace(node, blocked=blocked) if blocked != node.blocked else node
    return found


def finding(path: str, line: int, rule: str, text: str, todo: str = "", *, level: str = ERROR) -> Finding:
    """Return a finding of the graph."""
    return Finding(path=path, line=line, level=level, rule=rule, text=text, todo=todo)
