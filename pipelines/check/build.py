"""The step `check-build`: several images of a checkout, parents first, built in one workspace and published nowhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pipelines.check.model import BuildReport, ImageTrials, Trial
from pipelines.errors import ShipwayError, Transient
from pipelines.images import build as image_build
from pipelines.images.build import NoBuilder, build
from pipelines.images.model import Base
from pipelines.release import result as release_result
from pipelines.release.result import BUILT, FAILED, IMAGE, LEFT_OUT, SKIPPED, PartResult
from pipelines.step.groups import BuilderSettings, BuildSettings
from pipelines.step.parameters import Isolation, Source
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.checkout import make_room
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Digest


def check_build(
    *,
    trial: Annotated[ImageTrials, Arg("what the step check-clone fetched")],
    source: Source = Path("source"),
    contexts: Annotated[Path, Arg("folder of the checkouts that images with shared folders have")] = Path("contexts"),
    bases: Annotated[Path, Arg("image layout with the bases")] = Path("bases"),
    known: Annotated[Path, Arg("image layout that is made of the bases and each built image")] = Path("known"),
    builder: Annotated[BuilderSettings, Group(without=("buildkit_host",))],
    isolation: Isolation = "sandbox",
    cache: Annotated[Path, Arg("folder that the builder keeps layers in")] = Path("../cache"),
    work: Annotated[Path, Arg("folder for one image at a time")] = Path("work"),
) -> BuildReport:
    """Build images without a secret, a shared builder or anybody else's cache, and report the result of each.

    A failed build fails the images that depend on it, and not this step: the verdict judges. Each image has the digest
    that its release would publish.

    Example:
        shipway step check-build --trial=out/clone --outputs=out/main
    """
    settings = BuildSettings(builder=builder.builder, compression=builder.compression, cache=cache, isolation=isolation)
    make_room(known)
    layout = Layout.create(known)
    _add_bases(layout, Layout(bases), trial)
    workshop = _Workshop(source=source, contexts=contexts, known=layout, builder=settings, work=work)
    parts: dict[str, PartResult] = {}
    built: dict[str, Digest] = {}
    for one in trial.trials:
        part = _untried(one, parts)
        if part is None:
            part = workshop.part(one, built)
        parts[one.name] = part
        sys.stderr.write(f"{part.name}: {part.result}, {part.why or built[one.name]}\n")
    return BuildReport(
        report=release_result.write_report(tuple(parts.values()), BUILT),
        built=sum(part.result == BUILT for part in parts.values()),
        failed=sum(not part.is_good for part in parts.values()),
    )


def _add_bases(layout: Layout, bases: Layout, trial: ImageTrials) -> None:
    """Add the images that were fetched to a layout; their layers stay where they are."""
    fetched = {base.digest for one in trial.trials if one.checkout for base in one.checkout.bases}
    for digest in fetched:
        manifest = bases.json(digest)
        for small in (digest, Digest(manifest["config"]["digest"])):
            layout.link(bases.blob(small), small)
        for layer in (Digest(entry["digest"]) for entry in manifest["layers"]):
            layout.refer(bases.blob(layer), layer)


def _untried(trial: Trial, parts: Mapping[str, PartResult]) -> PartResult | None:
    """Return the result of an image that cannot be tried, or None."""
    part = PartResult(kind=IMAGE, name=trial.name, path=trial.path, result=trial.result, why=trial.why)
    if trial.result:
        return replace(part, lines=trial.lines)
    for name in trial.parents.values():
        if not parts[name].is_good:
            return replace(part, result=SKIPPED, why=f"its parent {name} failed")
        if parts[name].result == LEFT_OUT:
            return replace(part, result=LEFT_OUT, why=f"parent {name} was left out")
    return None


@dataclass(frozen=True, kw_only=True)
class _Workshop:
    """Builds images one by one; each that is built is a base for the ones after it."""

    source: Path
    contexts: Path
    known: Layout
    builder: BuildSettings
    work: Path

    def part(self, trial: Trial, built: dict[str, Digest]) -> PartResult:
        """Build an image and return its result. Raises Transient if the builder itself failed."""
        part = PartResult(kind=IMAGE, name=trial.name, path=trial.path, result=BUILT, why="")
        try:
            built[trial.name] = self._build(trial, built)
        except Transient:
            raise
        except NoBuilder as error:
            return replace(part, result=LEFT_OUT, why=error.what)
        except ShipwayError as error:
            sys.stderr.write(f"{error}\n")
            return replace(part, result=FAILED, why=error.what, lines=release_result.error_lines(error))
        finally:
            shutil.rmtree(self.work, ignore_errors=True)
        return part

    def _build(self, trial: Trial, built: Mapping[str, Digest]) -> Digest:
        assert trial.checkout is not None
        parents = [
            Base(name=name, reference=parent, resolved=built[parent], digest=built[parent], sibling=True)
            for name, parent in trial.parents.items()
        ]
        image = self.work / "image"
        digest = build(
            checkout=replace(trial.checkout, bases=(*trial.checkout.bases, *parents)),
            source=self.contexts / trial.name if trial.has_own_context else self.source,
            bases=self.known.path,
            exclude=trial.exclude,
            allowed_secrets=image_build.NONE,
            name=trial.name,
            version=trial.version,
            builder=self.builder,
            into=image,
        ).digest
        self._keep(Layout(image), digest)
        return digest

    def _keep(self, image: Layout, digest: Digest) -> None:
        """Add a built image to what the next ones can be based on."""
        manifest = image.json(digest)
        contents = [Digest(part["digest"]) for part in (manifest["config"], *manifest["layers"])]
        for content in (*contents, digest):
            # The layers of its own base are there already.
            self.known.link(image.blob(content), content)
