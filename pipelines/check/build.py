"""The step `check-build`: several images of a checkout, parents first, built in one workspace and published nowhere."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pipelines.errors import ShipwayError, Transient
from pipelines.images import build as image_build
from pipelines.images.build import build
from pipelines.images.model import Base, Built
from pipelines.release import summary as release_summary
from pipelines.release.outcome import BUILT, FAILED, IMAGE, LEFT_OUT, SKIPPED, Attempt, ImageTrial, Part, Tried
from pipelines.step.groups import BuilderSettings, BuildSettings
from pipelines.step.parameters import Source
from pipelines.step.signature import Arg, Group
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Digest


def check_build(
    *,
    trial: Annotated[ImageTrial, Arg("what the step check-clone fetched")],
    source: Source = Path("source"),
    bases: Annotated[Path, Arg("image layout with the bases; each image that is built joins them")] = Path("bases"),
    builder: Annotated[BuilderSettings, Group(without=("buildkit_host",))],
    cache: Annotated[Path, Arg("folder that the builder keeps layers in")] = Path("../cache"),
    work: Annotated[Path, Arg("folder for one image at a time")] = Path("work"),
) -> Tried:
    """Build images without a secret, a standing builder or a cache of anybody else, and say what became of each.

    A failed build fails nothing but the images that stand on it: the verdict does the rest. Each image has the digest that its
    release would publish.

    Example:
        shipway step check-build --trial=out/clone --outputs=out/main
    """
    settings = BuildSettings(builder=builder.builder, compression=builder.compression, cache=cache)
    workshop = _Workshop(source=source, bases=Layout.create(bases), builder=settings, work=work)
    parts: dict[str, Part] = {}
    built: dict[str, Digest] = {}
    for attempt in trial.attempts:
        part = _hindered(attempt, parts)
        if part is None:
            part = workshop.part(attempt, built)
        parts[attempt.name] = part
        told = part.why or built[attempt.name]
        sys.stderr.write(f"{part.name}: {part.result}, {told}\n")
    return Tried(
        report=release_summary.report(tuple(parts.values()), BUILT),
        built=sum(part.result == BUILT for part in parts.values()),
        failed=sum(not part.is_good for part in parts.values()),
    )


def _hindered(attempt: Attempt, parts: Mapping[str, Part]) -> Part | None:
    """Return what becomes of an image that cannot be tried, or None."""
    known = Part(kind=IMAGE, name=attempt.name, path=attempt.path, result=attempt.result, why=attempt.why)
    if attempt.result:
        return replace(known, lines=attempt.lines)
    for name in attempt.parents.values():
        if not parts[name].is_good:
            return replace(known, result=SKIPPED, why=f"parent {name} failed")
        if parts[name].result == LEFT_OUT:
            return replace(known, result=LEFT_OUT, why=f"parent {name} was left out")
    return None


@dataclass(frozen=True, kw_only=True)
class _Workshop:
    """Builds one image after the other, each from a copy of the checkout, since a build lays shared folders into its context."""

    source: Path
    bases: Layout
    builder: BuildSettings
    work: Path

    def part(self, attempt: Attempt, built: dict[str, Digest]) -> Part:
        """Build an image and return what became of it; raises Transient where the builder itself failed."""
        known = Part(kind=IMAGE, name=attempt.name, path=attempt.path, result=BUILT, why="")
        try:
            found = self._build(attempt, built)
        except Transient:
            raise
        except ShipwayError as error:
            sys.stderr.write(f"{error}\n")
            return replace(known, result=FAILED, why=error.what, lines=release_summary.lines(error))
        finally:
            shutil.rmtree(self.work, ignore_errors=True)
        built[attempt.name] = found.digest
        return known

    def _build(self, attempt: Attempt, built: Mapping[str, Digest]) -> Built:
        assert attempt.checkout is not None
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.source, self.work / "source", symlinks=True, copy_function=_link)
        parents = [
            Base(name=name, reference=parent, resolved=built[parent], digest=built[parent], sibling=True)
            for name, parent in attempt.parents.items()
        ]
        image = self.work / "image"
        found = build(
            checkout=replace(attempt.checkout, bases=(*attempt.checkout.bases, *parents)),
            source=self.work / "source",
            bases=self.bases.path,
            shared=attempt.shared,
            exclude=attempt.exclude,
            allowed_secrets=image_build.NONE,
            name=attempt.name,
            version=attempt.version,
            builder=self.builder,
            into=image,
        )
        self._keep(Layout(image), found.digest)
        return found

    def _keep(self, image: Layout, digest: Digest) -> None:
        """Let an image that was built be one that others stand on."""
        manifest = image.json(digest)
        contents = [Digest(part["digest"]) for part in (manifest["config"], *manifest["layers"])]
        for content in (*contents, digest):
            # Layers of a base stay with the base, where they are already.
            if not self.bases.has(content):
                self.bases.link(image.blob(content), content)


def _link(source: str, target: str) -> str:
    """Take a file over without a copy; no build writes into its checkout."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target
