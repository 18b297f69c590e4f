"""The step `impact`: renders the applications that a commit touches, before and after it, and reports the difference.

It runs strangers' templates, and has neither a credential nor a cluster.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from pipelines.bounds import read_json
from pipelines.charts import helm_messages
from pipelines.charts.helm import Helm
from pipelines.errors import Misconfigured, ShipwayError
from pipelines.impact import compare
from pipelines.impact.model import ApplicationImpact, Gathered, Impact, Rendering, Touched
from pipelines.impact.objects import ObjectReader, RenderedObject
from pipelines.step.parameters import KubernetesVersion
from pipelines.step.signature import Arg

_FORM = 4
"""Counts up whenever what is kept of a rendering changes."""
_KEY = "key"
_KEY_BYTES = 32
_TIME_LIMIT = 60.0


def impact(
    *,
    gathered: Annotated[Gathered, Arg("what the step impact-gather found")],
    folder: Annotated[Path, Arg("folder of charts and values")] = Path("impact"),
    rendered: Annotated[
        Path, Arg("folder that keeps what was rendered, with secrets hashed; it may be taken again")
    ] = Path("rendered"),
    kubernetes_version: KubernetesVersion = "",
) -> Impact:
    """Render every application before and after a commit, and return what differs, with secrets masked.

    A rendering is kept under everything that decides it, so only what changed is rendered again. An application that
    cannot be rendered any more is part of the result; none of that fails this step.

    Example:
        shipway step impact --gathered=out/gather --outputs=out/impact
    """
    if not gathered.commit:
        return Impact(
            commit="", base="", changed=0, unchanged=0, broken=0, masked=0, rendered=0, cached=0, markdown="", impact=()
        )
    with tempfile.TemporaryDirectory(prefix="shipway-") as home:
        helm = bounded(Path(home), kubernetes_version)
        return impact_of(gathered, helm, helm.version(), folder=folder, kept=rendered)


def bounded(home: Path, kubernetes: str = "") -> Helm:
    """Return Helm with the time that one rendering may take; raises Misconfigured as Helm does."""
    return Helm(home, kubernetes=kubernetes, timeout_seconds=_TIME_LIMIT)


def impact_of(gathered: Gathered, helm: Helm, version: str, *, folder: Path, kept: Path) -> Impact:
    """Return what `impact` does, by a Helm that was asked for its version."""
    renderer = _Renderer(helm, version, folder, kept)
    both = (item for touched in gathered.touched for item in (touched.before, touched.after))
    renderings = list(dict.fromkeys(item for item in both if item))
    pool = ThreadPoolExecutor(max_workers=1 + len(os.sched_getaffinity(0)))
    try:
        results = {item: pool.submit(renderer.render, item) for item in renderings}
        # Each as soon as both of its sides are rendered, while others are still rendered.
        impacts = [_compared(item, results) for item in gathered.touched]
    finally:
        pool.shutdown(cancel_futures=True)
    reported = [item for item in impacts if item.changes or item.fault]
    unchanged = len(impacts) - len(reported)
    markdown = compare.page(gathered, reported, unchanged)
    sys.stderr.write(f"{markdown.splitlines()[0]}\n")
    return Impact(
        commit=gathered.commit,
        base=gathered.base,
        changed=sum(bool(item.changes) or not item.was_broken for item in reported),
        unchanged=unchanged,
        broken=sum(bool(item.fault) and not item.was_broken for item in reported),
        masked=compare.masked_values(reported),
        rendered=renderer.ran,
        cached=len(renderings) - renderer.ran,
        markdown=markdown,
        impact=tuple(reported),
    )


class _Renderer:
    """Runs Helm for what was not rendered before."""

    def __init__(self, helm: Helm, version: str, folder: Path, kept: Path) -> None:
        self._helm = helm
        self._version = version
        self._folder = folder
        self._kept = kept
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = _key(kept / _KEY)
        self._reader = ObjectReader(self._key)
        self._ran: list[str] = []

    @property
    def ran(self) -> int:
        """How many times Helm rendered."""
        return len(self._ran)

    def render(self, item: Rendering) -> dict[str, RenderedObject] | str:
        """Return the objects of a rendering, or Helm's message; raises Misconfigured, Transient."""
        decided = [_FORM, self._version, item.chart, item.release, item.namespace, item.values, item.skip_crds]
        name = hashlib.sha256(json.dumps(decided).encode() + self._key).hexdigest()
        path = self._kept / name[:2] / f"{name}.json"
        try:
            found = [RenderedObject(**value) for value in read_json(path.read_bytes(), str(path))]
            self._reader.know(found)
            return {item.identity: item for item in found}
        except (OSError, ValueError, TypeError):
            pass  # it was never rendered, or half a file is left of it
        self._ran.append(name)
        try:
            objects = self._render(item)
        except Misconfigured:
            raise
        except ShipwayError as error:  # Transient, too: the chart brought Helm to that, and would again
            return self._reader.masker.message(f"{error.what}: {error.seen}")
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f"{name}.{secrets.token_hex(4)}")
        partial.write_text(json.dumps([vars(item) for item in objects.values()]), encoding="utf-8")
        partial.replace(path)
        return objects

    def _render(self, item: Rendering) -> dict[str, RenderedObject]:
        values = [self._folder / "values" / f"{item.values}.yaml"] if item.values else []
        chart = self._folder / "charts" / item.chart
        done = self._helm.render(
            chart, release=item.release, namespace=item.namespace, values=values, crds=not item.skip_crds
        )
        if done.code != 0:
            messages = helm_messages.failure(done.stderr)
            text = "; ".join(f"{message.file}:{message.line}: {message.text}" for message in messages[:3])
            raise ShipwayError("helm cannot render it", seen=text.replace(str(chart.resolve()), "").strip()[:1000])
        return self._reader.objects(done.stdout)


def _key(path: Path) -> bytes:
    """Return the key that secrets of a folder of renderings are hashed with; it is written whole or not at all."""
    if key := _kept_key(path):
        return key
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
    try:
        os.link(partial, path)
    except OSError:
        # Another run was first, whose key is good; or there is half a key, or a file system without links.
        if not _kept_key(path):
            partial.replace(path)
    partial.unlink(missing_ok=True)
    return path.read_bytes()


def _kept_key(path: Path) -> bytes:
    """Return the key in a file; empty if there is none, or one of another length."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return b""
    return key if len(key) == _KEY_BYTES else b""


def _compared(item: Touched, results: Mapping[Rendering, Future[dict[str, RenderedObject] | str]]) -> ApplicationImpact:
    before = results[item.before].result() if item.before else {}
    after = results[item.after].result() if item.after else {}
    fault = item.fault or (after if isinstance(after, str) else "")
    was_broken = isinstance(before, str)
    changes, labels_only = (
        compare.compare(before, after)
        if not fault and isinstance(before, dict) and isinstance(after, dict)
        else ((), 0)
    )
    return ApplicationImpact(
        environment=item.environment,
        application=item.application,
        chart=item.chart,
        before=item.before.version if item.before else "",
        after=item.after.version if item.after else "",
        changes=changes,
        labels_only=labels_only,
        fault=fault,
        was_broken=was_broken,
    )
