"""`shipway build`: the images of a repository, parents first, and the result of each."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.cli import declared, results, running
from pipelines.cli import options as cli_options
from pipelines.cli import plan as cli_plan
from pipelines.cli.command import flag, flags, group, repeated, switch
from pipelines.cli.options import BuildRunOptions, SourceOptions
from pipelines.declared.finding import ERROR
from pipelines.errors import Misuse, Refused, ShipwayError, Transient
from pipelines.images import platforms
from pipelines.images.names import Image

if TYPE_CHECKING:
    from pipelines.engines.local.nodes import RunResult

TEMPLATE = "clone-build-push"
_NONE: Mapping[str, Mapping[str, str]] = {}
_ILLEGAL = re.compile(r"[^A-Za-z0-9-]")


@flags
class BuildOptions(SourceOptions):
    """What to build, and how."""

    image: tuple[str, ...] = repeated("this image only; may be repeated", metavar="NAME|FOLDER")
    submodules: bool = switch("check out submodules")
    lfs: bool = switch("fetch large files with Git LFS")
    platform: str = flag("platform to build for (default: this machine's)")
    run: BuildRunOptions = group(BuildRunOptions)


def run(options: BuildOptions) -> int:
    """Build the images of a Git repository at one commit, parents before children, and publish them by digest.

    Without settings, that is into a registry of this machine.

    What a finding blocks is reported and left out, and the exit code is 3 then.

    example: shipway build https://git.example.com/team/shop.git --revision v1.2.0 --image apps/web
    """
    for argument in options.build_arg:
        if "=" not in argument.lstrip("="):
            raise Misuse("a build argument cannot be read", seen=repr(argument), todo="write --build-arg NAME=VALUE")
    engine = running.EngineChoice(options.run, examples=options.examples)
    repo = engine.address(options.repo, "publish to", "set `registry` in the settings, or give --registry")
    if engine.cluster:
        engine.cluster.runs.template(TEMPLATE)
        cli_options.require_registry(engine.settings, "publish to", "set `settings.registry` of the chart's values")
    target = declared.any_builder(
        platforms.wanted(options.platform, engine.settings.get("platforms", "")), options.build_arg
    )
    # A key is over the tree alone, and a cluster's builder is not known here.
    has_keys = not (engine.cluster or options.submodules or options.lfs)
    if has_keys:
        target = cli_plan.build_target(engine.settings, options.platform, options.build_arg)
    repository = declared.read(engine.settings, repo, options.revision, target, with_charts=has_keys)
    if has_keys:
        repository = repository.with_jobs(engine.settings, target)
    repository.report()
    chosen = repository.choose(options.image)
    images = [node.image for node in chosen if not node.blocked]
    blocked = {node.name: node.blocked for node in chosen if node.blocked}
    is_sound = not blocked and (bool(options.image) or repository.is_sound)
    # What no finding blocks waits for a registry that did not answer.
    kind = Refused if any(finding.level == ERROR for finding in repository.graph.findings) else Transient
    if not images and not is_sound:
        todo = "mend what is blocked, and commit it; or run it again when the registries answer"
        seen = "\n".join(
            f"{', '.join(n for n in blocked if blocked[n] == why)}: {why}" for why in dict.fromkeys(blocked.values())
        )
        raise kind(f"nothing of {repo} can be built", seen=seen, todo=todo)
    if not images:
        raise Misuse(f"{repo} has no image", seen=f"no Dockerfile at {repository.commit[:12]}", todo="add a Dockerfile")
    arguments = {"repo": running.local_address(repo), "revision": repository.commit, "ref": repository.ref}
    passed = {
        "platform": options.platform,
        "submodules": "true" if options.submodules else "",
        "lfs": "true" if options.lfs else "",
    }
    arguments |= {name: value for name, value in passed.items() if value}
    document = workflow(images, repository.parents, arguments, repository.inputs(options.build_arg))
    if not engine.cluster:
        running.preflight(engine.settings, images[0].name)
    result = engine.run("build", {}, source=(repo, repository.commit), workflow=document)

    def describe(ended: RunResult) -> dict[str, Any]:
        nodes = {node.display_name: node for node in ended.root.children}
        ending = results.ending(ended)
        return {
            "repo": repo,
            "commit": repository.commit,
            "ref": repository.ref,
            "phase": ending["phase"],
            "seconds": ending["seconds"],
            "images": {i: results.of_image(nodes.get(task)) for i, task in task_names(images).items()}
            | {
                name: {"phase": "Blocked", "message": why, "seconds": 0.0, "steps": {}} for name, why in blocked.items()
            },
            "logs": str(ended.folder / "logs"),
        }

    code = running.report(engine, result, describe, _print)
    return kind.exit_code if not is_sound and code in {0, ShipwayError.exit_code, Transient.exit_code} else code


def task_names(images: Iterable[Image]) -> dict[str, str]:
    """Return the name of each image's task, by the image's name: Argo takes letters, digits and dashes only."""
    names: dict[str, str] = {}
    for image in images:
        base = name = _ILLEGAL.sub("-", image.name)
        number = 2
        while name in names.values():
            name, number = f"{base}-{number}", number + 1
        names[image.name] = name
    return names


def workflow(
    images: Sequence[Image],
    parents: Mapping[str, Iterable[str]],
    arguments: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, str]] = _NONE,
) -> dict[str, Any]:
    """Return the Workflow document: a task over the compiled `clone-build-push` for each image, parents first.

    The local engine and a cluster run the same one. `parents` names, for each image, those that are built before it.
    `arguments` are for every image, `inputs` for some, by name. A parent that is not among `images` is expected in the
    registry.
    """
    names = task_names(images)
    tasks = []
    for image in images:
        own = {"path": image.path, "dockerfile": image.dockerfile, "name": image.name, **inputs.get(image.name, {})}
        waits = sorted(names[parent] for parent in parents.get(image.name, ()) if parent in names)
        task: dict[str, Any] = {
            "name": names[image.name],
            "templateRef": {"name": TEMPLATE, "template": TEMPLATE},
            "arguments": {"parameters": [{"name": key, "value": value} for key, value in {**arguments, **own}.items()]},
        }
        if waits:
            task["depends"] = " && ".join(waits)
        tasks.append(task)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "build-"},
        "spec": {"entrypoint": "images", "templates": [{"name": "images", "dag": {"failFast": False, "tasks": tasks}}]},
    }


def _print(build: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    sys.stdout.write(f"\n{build['repo']} {build['ref']} at {build['commit']}\n")
    results.show_images(build["images"], settings)
    published = sum("reference" in image for image in build["images"].values())
    sys.stdout.write(
        f"\n{published} of {len(build['images'])} images published in {build['seconds']:.1f} s; logs: {build['logs']}\n"
    )
