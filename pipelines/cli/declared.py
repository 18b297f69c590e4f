"""What a repository declares at one commit, read without a checkout; `shipway images` lists its images."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pipelines.cli import json_output
from pipelines.cli import options as cli_options
from pipelines.cli import plan as cli_plan
from pipelines.cli import repository as cli_repository
from pipelines.cli.command import flags, group, switch
from pipelines.cli.options import SettingsOptions, SourceOptions
from pipelines.declared import shipway_yaml
from pipelines.declared.finding import ERROR
from pipelines.errors import Misconfigured, Misuse, Refused, meant
from pipelines.images import platforms
from pipelines.images.names import Image
from pipelines.images.node import BuildTarget, Graph, ImageNode
from pipelines.images.plan_model import ImageJob
from pipelines.release import plan_commit
from pipelines.release import snapshot as release_snapshot
from pipelines.tools.git.address import RepositoryUrl, Revision


@dataclass(frozen=True, kw_only=True)
class DeclaredImages:
    """The images of one commit, parents first, and what is wrong with some of them."""

    repo: str
    commit: str
    ref: str
    graph: Graph
    warnings: tuple[str, ...] = ()
    jobs: Mapping[str, ImageJob] = field(default_factory=dict)
    """Builds that claim keys."""

    @property
    def images(self) -> tuple[Image, ...]:
        """Those that can be built."""
        return tuple(node.image for node in self.graph.nodes.values() if not node.blocked)

    @property
    def blocked(self) -> tuple[ImageNode, ...]:
        """Those that cannot, each with the reason."""
        return tuple(node for node in self.graph.nodes.values() if node.blocked)

    @property
    def parents(self) -> dict[str, tuple[str, ...]]:
        """For each image, the siblings that its Dockerfile names."""
        return {name: node.parent_names for name, node in self.graph.nodes.items()}

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong that blocks an image."""
        return not self.blocked and all(finding.level != ERROR for finding in self.graph.findings)

    def inputs(self, build_args: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return, for each image, its job or what shipway.yaml says of it, as inputs of clone-build-push."""
        found = {name: shipway_yaml.inputs(node.settings, build_args) for name, node in self.graph.nodes.items()}
        return found | {name: inputs_of(job) for name, job in self.jobs.items()}

    def with_jobs(self, settings: Mapping[str, str], target: BuildTarget) -> DeclaredImages:
        """Return the same with the builds that a plan of this machine asks for; images are blocked as by plans.

        Without a login that reads the keys there are none.
        """
        bases, keys = (cli_plan.destination(settings, f"shipway-{login}").reader for login in ("pull", "push"))
        try:
            graph, jobs = plan_commit.builds(self.graph, target, self.ref, bases=bases, keys=keys)
        except Misconfigured:
            return self
        return replace(self, graph=graph, jobs=jobs)

    def choose(self, names: Sequence[str]) -> tuple[ImageNode, ...]:
        """Return the images of these names, folders or Dockerfiles, all if there are none, also those that are blocked.

        Raises Misuse if one does not exist.
        """
        asked = {str(PurePosixPath(name)) for name in names}
        every = [(node, node.image) for node in self.graph.nodes.values()]
        every += [(self.graph.nodes[name], image) for name, twins in self.graph.clashing.items() for image in twins]
        chosen = {node.name: node for node, image in every if not asked or asked & {*vars(image).values()}}
        if unknown := sorted(asked - {word for _, image in every for word in vars(image).values()}):
            raise Misuse(
                f"no image {', '.join(unknown)} at {self.commit[:12]}",
                seen=f"images: {', '.join(f'{i.name} ({i.path})' for i in self.images) or 'none'}",
                todo=meant(
                    unknown, [word for i in self.images for word in (i.name, i.path)], "name an image or its folder"
                ),
            )
        return tuple(chosen.values())

    def report(self) -> None:
        """Write what is wrong, and what is worth knowing, to stderr."""
        sys.stderr.writelines(f"shipway: {warning}\n" for warning in self.warnings)
        sys.stderr.writelines(f"{line}\n" for line in cli_plan.finding_lines(self.graph.findings))


_OF_A_FAN_OUT = {"title", "parents", "requires"}


def inputs_of(job: ImageJob) -> dict[str, str]:
    """Return a job as inputs of clone-build-push."""
    values = {name.replace("_", "-"): value for name, value in vars(job).items() if name not in _OF_A_FAN_OUT}
    values["version-tag"] = job.version
    return {name: json.dumps(v) if isinstance(v, tuple) else str(v) for name, v in values.items() if v}


def read(
    settings: Mapping[str, str], repo: str, revision: str, target: BuildTarget, *, with_charts: bool = False
) -> DeclaredImages:
    """Return what `repo` declares at `revision`; one shallow fetch into a private folder that is removed again.

    Only with the charts it is known which files deployments write, so that no key counts them.

    Raises ShipwayError with the first line that shipway.yaml must not say; any other fault is a finding.
    """
    url, parsed = RepositoryUrl(repo), Revision(revision)
    with tempfile.TemporaryDirectory(prefix="shipway-") as folder, cli_options.git(settings) as git:
        resolved = git.resolve(url, parsed)
        dirty = git.uncommitted(url)
        snapshot = release_snapshot.read(git, url, resolved, Path(folder), with_charts=with_charts)
    for finding in snapshot.findings:
        raise finding.error(snapshot.tree.read(shipway_yaml.NAME) or b"")
    where = {"registry": settings.get("registry", ""), "project": settings.get("project", "")}
    graph, _ = plan_commit.read_graph(snapshot, target, root_name=url.name, **where)
    warnings = (f"{dirty} uncommitted files of {repo} are not part of the build",) if dirty else ()
    return DeclaredImages(repo=repo, commit=snapshot.commit.id, ref=resolved.ref, graph=graph, warnings=warnings)


def any_builder(wanted: tuple[str, ...], build_args: Sequence[str]) -> BuildTarget:
    """Return a target that lacks nothing: what one builder lacks, the step build says."""
    return BuildTarget(platforms=wanted, builder="", builder_version="", compression="", build_args=tuple(build_args))


@flags
class ImagesOptions(SourceOptions):
    """Which images to list."""

    settings: SettingsOptions = group(SettingsOptions)
    json: bool = switch("print one JSON object")


def list_images(options: ImagesOptions) -> int:
    """List the images that a repository declares, parents first, and what each depends on.

    example: shipway images https://git.example.com/team/shop.git --revision main --json

    exit codes: 3 where an image is blocked by a finding; the others are listed
    """
    repo = cli_repository.named(options.repo, examples=options.examples)
    settings = cli_options.read_settings(options.settings, embedded=False, examples=options.examples)
    repo = repo or cli_repository.examples(options.settings.state, settings)
    repository = read(
        settings,
        repo,
        options.revision,
        any_builder(platforms.wanted("", settings.get("platforms", "")), options.build_arg),
    )
    repository.report()
    if options.json:
        rows = [{**vars(image), "parents": list(repository.parents[image.name])} for image in repository.images]
        found = {"commit": repository.commit, "ref": repository.ref, "images": rows}
        found["blocked"] = [{**vars(node.image), "why": node.blocked} for node in repository.blocked]
        json_output.write(found)
    else:
        width = max(map(len, repository.graph.nodes), default=0)
        for name, node in repository.graph.nodes.items():
            parents = f"depends on {', '.join(node.parent_names)}" if node.parent_names else ""
            more = f"blocked: {node.blocked}" if node.blocked else parents
            sys.stdout.write(f"{name:<{width}}  {node.image.path:<24}  {more}".rstrip() + "\n")
    return 0 if repository.is_sound else Refused.exit_code
