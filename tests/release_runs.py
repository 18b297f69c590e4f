"""Runs of `release` in one process, a piece at a time, so that they can be held up, interleaved and dropped.

Everything is the steps' own code over a real repository and a real registry, but for two things that take seconds and
are tested elsewhere: a build makes a small image of the files and the bases that it was given, and charts are not
linted.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.charts.model import ChartCheckout, ChartRelease, ChartReport
from pipelines.errors import ShipwayError
from pipelines.images import image_config
from pipelines.images.model import Checkout, Published
from pipelines.images.plan_model import ImageJob
from pipelines.release.model import Planned
from pipelines.release.retag import Retagged
from pipelines.release.verdict import verdict
from tests import oci_images
from tests.shipway_process import Images
from tests.steps import step

chart_clone = step("chart-clone", ChartCheckout)
chart_publish = step("chart-publish", ChartRelease)
clone = step("clone", Checkout)
push = step("push", Published)
plan = step("plan", Planned)
retag = step("retag", Retagged)

Build = Callable[[Checkout, Path, ImageJob], None]
"""Makes the image of a checkout in the folder `image` of a workspace."""
Run = Generator[str, None, None]
"""Gives the name of each piece that it has done; it is dropped by not asking for the next one."""


def small_image(checkout: Checkout, work: Path, item: ImageJob) -> None:
    """Make an image that differs when the files of its context or its bases do."""
    # What a RUN step fetches may be another thing with each key that asks for it anew.
    content = hashlib.sha256(item.key.encode())
    context = work / "source" / checkout.path
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        content.update(f"{path.relative_to(context)} {path.read_text()}\n".encode())
    for base in checkout.bases:
        content.update(f"{base.name} {base.digest}\n".encode())
    notes = image_config.image_annotations(None, image_config.facts_of(checkout, name=item.name, version=item.version))
    oci_images.image(work / "image", content.hexdigest(), annotations=notes)


@dataclass(frozen=True, kw_only=True)
class Releases:
    """A repository that is released into one project of a registry."""

    repo: Path
    address: str
    project: str
    folder: Path
    """For what the runs leave."""
    build: Build = field(default=small_image, repr=False)

    @property
    def images(self) -> Images:
        """What the project holds."""
        return Images(self.address, self.project)

    def plan(self, revision: str, ref: str = "", *, now: int = 0, rebuild: tuple[str, ...] = ()) -> Planned:
        """Plan as the step does; raises what it raises."""
        return plan(
            repo=str(self.repo),
            revision=revision,
            ref=ref,
            now=now,
            rebuild=rebuild,
            credentials=self._nothing,
            docker_config=self._nothing,
            registry=self.address,
            project=self.project,
            plain_http=self.address,
        )

    def run(self, revision: str, ref: str = "", *, rebuild: tuple[str, ...] = ()) -> Run:
        """Give a run's pieces one after the other, and raise at the end what its verdict raises."""
        planned = self.plan(revision, ref, rebuild=rebuild)
        yield "plan"
        for item in (item for wave in (planned.wave_1, *planned.later) for item in wave):
            # A wave goes on whatever became of the one before.
            with contextlib.suppress(ShipwayError):
                yield from self._image(planned, item)
        if planned.charts:
            with contextlib.suppress(ShipwayError):
                yield from self._charts(planned)
        if planned.untagged:
            again = self.plan(planned.commit, planned.ref, now=planned.now, rebuild=rebuild)
            with contextlib.suppress(ShipwayError):
                retag(
                    planned=again,
                    repo=str(self.repo),
                    credentials=self._nothing,
                    docker_config=self._nothing,
                    registry=self.address,
                    project=self.project,
                    plain_http=self.address,
                )
            yield "tags"
        again = self.plan(planned.commit, planned.ref, now=planned.now, rebuild=rebuild)
        verdict(planned=again, builds=planned.builds, releases=planned.releases)

    def finish(self, revision: str, ref: str = "", *, rebuild: tuple[str, ...] = ()) -> None:
        """Run to the end; raises what the verdict raises."""
        for _ in self.run(revision, ref, rebuild=rebuild):
            pass

    def _image(self, planned: Planned, item: ImageJob) -> Run:
        with self._workspace() as work:
            checkout = clone(
                repo=str(self.repo),
                revision=planned.commit,
                ref=planned.ref,
                path=item.path,
                build_args=item.build_args,
                platform=item.platform,
                pins=item.pins,
                source=work / "source",
                bases=work / "bases",
                credentials=self._nothing,
                docker_config=self._nothing,
                registry=self.address,
                project=self.project,
                plain_http=self.address,
            )
            self.build(checkout, work, item)
            yield f"{item.name} is built"
            push(
                checkout=checkout,
                name=item.name,
                version=item.version,
                key=item.key,
                renews=item.renews,
                moment=item.moment,
                version_tag=item.version,
                image=work / "image",
                bases=work / "bases",
                credentials=self._nothing,
                docker_config=self._nothing,
                registry=self.address,
                project=self.project,
                plain_http=self.address,
            )
            yield f"{item.name} is pushed"

    def _charts(self, planned: Planned) -> Run:
        with self._workspace() as work:
            found = chart_clone(
                repo=str(self.repo),
                revision=planned.commit,
                ref=planned.ref,
                needs=planned.needs,
                source=work / "source",
                archives=work / "archives",
                unpacked=work / "unpacked",
                credentials=self._nothing,
                docker_config=self._nothing,
                registry=self.address,
                project=self.project,
                plain_http=self.address,
            )
            checked = tuple(chart.path for chart in found.charts)
            yield "charts are packed"
            chart_publish(
                checkout=found,
                report=ChartReport(checked=checked, findings=(), errors=0, warnings=0),
                archives=work / "archives",
                docker_config=self._nothing,
                registry=self.address,
                project=self.project,
                plain_http=self.address,
            )
            yield "charts are pushed"

    @property
    def _nothing(self) -> Path:
        """Return a folder without logins."""
        return self.folder / "none"

    @contextlib.contextmanager
    def _workspace(self) -> Iterator[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield work
        finally:
            shutil.rmtree(work)
