"""The step `build`: builds a Dockerfile of the checkout into an image in an OCI layout.

The settings choose the builder, and which repository's Dockerfiles may read which build secrets; no argument does.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from pipelines.images import build_inputs, dockerfile_checks, image_index, layer_cache, names, platforms
from pipelines.images.build_inputs import BuildInputs
from pipelines.images.builders.buildah import Buildah
from pipelines.images.builders.builder import Builder, BuildRequest, Output, StepFailed
from pipelines.images.builders.choice import choose_builder, named_hosts
from pipelines.images.dockerfile import Dockerfile
from pipelines.images.finalize import finalize
from pipelines.images.image_config import facts_of
from pipelines.images.layers import layer as image_layer
from pipelines.images.layers.store import LayerStore
from pipelines.images.model import Built, Checkout
from pipelines.step.groups import BuildSettings
from pipelines.step.log import say
from pipelines.step.parameters import Context, ImageName, ImageVersion, Source
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import public_address
from pipelines.tools.registry.layout import LAYER_TIME, Layout

_MARKS = str.maketrans(dict.fromkeys('\\[]",', " "))

ANY = "any"
NONE = "none"


class NoBuilder(Misconfigured):
    """The builder cannot run the RUN steps of a platform."""


def build(
    *,
    checkout: Annotated[Checkout, Arg("what the step clone fetched")],
    source: Source = Path("source"),
    bases: Annotated[Path, Arg("image layout with the images that the Dockerfile is based on")] = Path("bases"),
    context: Context = "",
    exclude: Annotated[tuple[str, ...], Arg("files of the context that no build sees, such as deployments write")] = (),
    labels: Annotated[tuple[str, ...], Arg("labels as name=value; they win over the Dockerfile's")] = (),
    secrets: Annotated[Path, Arg("folder with a file for each secret")] = Path("../secrets"),
    secret_ids: Annotated[tuple[str, ...], Arg("ids of the secrets that the Dockerfile may mount")] = (),
    allowed_secrets: Annotated[
        str, Arg("which repositories may read which secrets: any, none, or id=repository,…", setting="build-secrets")
    ] = ANY,
    name: ImageName = "",
    version: ImageVersion = "",
    builder: Annotated[BuildSettings, Group()],
    into: Annotated[Path, Arg("image layout to write")] = Path("image"),
) -> Built:
    """Build the image of a checkout, reproducibly, and write it as an OCI image layout.

    No name is resolved and no credential is used: every image that the Dockerfile names is in BASES, by digest.
    One commit gives one digest with one builder, whatever the cache holds, as far as the RUN steps allow it.

    Example:
        shipway step build --checkout=out/clone --outputs=out/build
    """
    image_layer.check(builder.compression)
    name = names.published_as(name)
    if platforms.are_several(checkout.platform):
        shutil.rmtree(into, ignore_errors=True)
        _, index = image_index.write(checkout.bases, Layout(bases), into)
        size = image_index.size(checkout.bases, Layout(bases))
        about = facts_of(checkout, name=name, version=version)
        return Built(digest=index.digest, name=about.name, version=about.version, size=size, layers=0, builder="index")
    inputs = build_inputs.read(
        checkout,
        source=source,
        bases=bases,
        context=context,
        secrets=secrets,
        secret_ids=secret_ids,
        exclude=exclude,
    )
    check_secrets(inputs.secrets, checkout.repo, allowed_secrets)
    facts = replace(
        facts_of(checkout, name=name, version=version),
        labels=_labels(labels),
        aliases={alias: written for written, alias in inputs.aliases.items()},
    )
    cache = builder.cache.resolve() / builder.builder
    program = choose_builder(builder, cache, platform=checkout.platform, isolation=builder.isolation)
    if program.kind == Buildah.kind:
        dockerfile_checks.check_buildah(inputs.selected, program.version())
    _check_platform(program, inputs, {platforms.this_platform(), *named_hosts(builder)})
    manifests = [image.digest for image in inputs.images]
    image = f"{checkout.repo} {checkout.dockerfile} {checkout.target}"
    store = LayerStore(builder.cache, builder.compression, inputs.bases, manifests, image=image)
    work = _empty(into.resolve())
    try:
        output = _run(program, inputs, store, work)
        digest = finalize(output, inputs.base_images, facts, store, work / "image")
        shutil.rmtree(into, ignore_errors=True)
        (work / "image").rename(into)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    manifest = Layout(into).json(digest)
    return Built(
        digest=digest,
        name=facts.name,
        version=facts.version,
        size=sum(entry["size"] for entry in manifest["layers"]),
        layers=len(manifest["layers"]),
        builder=program.kind,
    )


def _check_platform(program: Builder, inputs: BuildInputs, native: Collection[str]) -> None:
    """Raise NoBuilder if a RUN step may run on no `native` platform, and on none that the builder emulates."""
    here = platforms.this_platform()
    triggered = [name for name, triggers in inputs.triggers.items() if triggers]
    for platform, line in sorted(dockerfile_checks.steps_on(inputs.selected, triggered).items()):
        if platform in native:
            continue
        if platform.split("/")[1] not in program.emulated():
            seen = f"{inputs.selected.file.where}:{line} runs a program, and this machine is {here}"
            raise NoBuilder(platforms.no_builder(platform), seen=seen, todo=platforms.NO_BUILDER)
        say(f"RUN steps for {platform} are emulated on {here}")


def _run(program: Builder, inputs: BuildInputs, store: LayerStore, work: Path) -> Output:
    inserted, mounted = {}, {}
    if program.kind == Buildah.kind:
        inserted, mounted = inputs.lines_for_buildah(), layer_cache.mounted(inputs.selected)
    request = BuildRequest(
        context=inputs.context,
        dockerfile=inputs.pinned_dockerfile(inserted, mounted),
        ignore=inputs.ignore,
        bases=inputs.bases,
        images={inputs.aliases[image.name]: image.digest for image in inputs.images},
        build_args=inputs.build_args,
        has_steps=inputs.has_steps,
        secrets=inputs.secrets,
        platform=inputs.checkout.platform,
        layer_time=LAYER_TIME,
        at_hand=store.at_hand(),
        keep=store.keep,
        work=work,
    )
    try:
        return program.build(request)
    except StepFailed as error:
        raise _explained(error, inputs.selected.file, inserted) from error


def _explained(error: StepFailed, dockerfile: Dockerfile, inserted: Mapping[int, str]) -> ShipwayError:
    """Return the error with the line of the Dockerfile that failed, if the builder reported enough to find it."""
    added = sum(text.count("\n") + 1 for number, text in inserted.items() if number <= error.line)
    instructions = [i for stage in dockerfile.stages for i in (stage.base, *stage.instructions)]
    reported = [_words(text) for text in error.instructions]
    for instruction in instructions:
        by_line = error.line and instruction.line <= error.line - added <= instruction.end
        if by_line or _words(instruction.text) in reported:
            where = f"{dockerfile.where}:{instruction.line}: {instruction.shown}"
            return ShipwayError(f"the build failed at {where}", seen=error.seen, todo="correct this step")
    return ShipwayError(f"the build of {dockerfile.where} failed", seen=error.seen, todo="see the output above")


def _words(text: str) -> list[str]:
    """Return an instruction's words: buildah reports a failed `RUN ["a", "b"]` as `RUN a b`."""
    return text.translate(_MARKS).split()


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise Misuse("a label is not name=value", seen=repr(pair[:100]), todo="write name=value")
    return dict(pair.partition("=")[::2] for pair in pairs)


def _empty(into: Path) -> Path:
    """Return a new folder beside the result, on the same disk; folders that killed runs left there are removed."""
    into.parent.mkdir(parents=True, exist_ok=True)
    for left in into.parent.glob(".build-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=into.parent, prefix=".build-"))


def check_secrets(ids: Iterable[str], repository: str, allowed: str) -> None:
    """Raise Refused if a secret is not allowed to a repository, Misconfigured if `allowed` is invalid.

    `allowed` is `any`, `none`, or a list of id=repository, separated by commas. Addresses by https and by ssh are the
    same repository.
    """
    if allowed == ANY:
        return
    pairs: set[tuple[str, str]] = set()
    for item in () if allowed == NONE else allowed.split(","):
        name, _, address = item.strip().partition("=")
        if not name or not public_address(address):
            raise Misconfigured(
                "the setting build-secrets is not a list of id=repository",
                seen=repr(item.strip()[:200]),
                todo="write id=https://host/path, separated by commas",
            )
        pairs.add((name, public_address(address)))
    for name in sorted(ids):
        if (name, public_address(repository)) not in pairs:
            raise Refused(
                f"the secret {name} is not allowed to {public_address(repository) or repository}",
                seen="the setting build-secrets names "
                + (", ".join(sorted(address for other, address in pairs if other == name)) or "no repository for it"),
                todo="allow it in the installation's values, under buildSecrets, if this repository may know it",
            )
