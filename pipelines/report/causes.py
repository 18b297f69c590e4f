"""Why a run failed: its pods that failed by themselves, and the ends of their logs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.errors import Transient
from pipelines.release import failure
from pipelines.release.result import ReleaseResult
from pipelines.report import run as report_run
from pipelines.report.model import Failure
from pipelines.report.run import FailedPod
from pipelines.tools.kubernetes import Denied, Document, Kubernetes

_JUDGES = frozenset({"verdict"})
"""Templates that fail because others failed."""
_KEYS = {"chart-release": failure.CHARTS, "try-charts": failure.CHARTS, "retag": failure.TAGS}
_PARTS = frozenset({"clone-build-push", "try-images", *_KEYS})
"""Templates whose failure is that of parts: of images by their names, of the charts, of tags."""
_UNTRUSTED = frozenset({("try-images", "build"), ("try-charts", "check")})
"""Containers that run a stranger's files: their logs are the stranger's words."""
_ASIDE = frozenset({"begin-pod", "impact"})
"""Templates whose failure fails no run."""
_MOST_LOGS = 5


@dataclass(frozen=True, kw_only=True)
class Causes:
    """The failures of one run."""

    cluster: Kubernetes
    workflow: Document

    def pods(self) -> list[FailedPod]:
        """Return the pods that failed by themselves; all that count, if none did."""
        pods = [pod for pod in report_run.failed_pods(self.workflow) if pod.template not in _ASIDE]
        return [pod for pod in pods if pod.template not in _JUDGES] or pods

    def failures(self, result: ReleaseResult | None) -> list[Failure]:
        """Return the pods that failed, with the ends of their logs, without those that the result's parts tell of."""
        has_bad = result is not None and any(not part.is_good for part in result.parts)
        pods = [pod for pod in self.pods() if not has_bad or pod.template not in _PARTS | _JUDGES]
        return [self._failure(pod, read=number < _MOST_LOGS) for number, pod in enumerate(pods)]

    def explained(self, result: ReleaseResult | None) -> ReleaseResult | None:
        """Return the result with the words of the steps that failed."""
        if result is None:
            return None
        words: dict[str, str] = {}
        for pod in [pod for pod in report_run.failed_pods(self.workflow) if pod.template in _PARTS][:_MOST_LOGS]:
            words |= dict.fromkeys(_keys(pod), _told(pod, self._log(pod)))
        return replace(result, parts=failure.explained(result.parts, words))

    def _failure(self, pod: FailedPod, *, read: bool) -> Failure:
        title = f"{pod.name}: {pod.subject}" if pod.subject else pod.name
        lines = self._log(pod) if read else ()
        return Failure(title=title, message=pod.ended, lines=lines, told=failure.in_a_line(_told(pod, lines)))

    def _log(self, pod: FailedPod) -> tuple[str, ...]:
        """Return the end of the log of the container that failed; nothing if it is gone."""
        try:
            return tuple(self.cluster.log(pod.pod, pod.container))
        except (Denied, Transient) as error:
            sys.stderr.write(f"{error.what}: {error.seen}\n")
            return ()


def _keys(pod: FailedPod) -> list[str]:
    """Return the keys of the parts whose failure a pod's is."""
    return [_KEYS[pod.template]] if pod.template in _KEYS else pod.subject.split(",")


def _told(pod: FailedPod, lines: Sequence[str]) -> str:
    memory = f"resources.{pod.template}.{pod.container}.limits.memory"
    log = "" if (pod.template, pod.container) in _UNTRUSTED else "\n".join(lines)
    return failure.told(pod.step, log, code=pod.code, ended=pod.ended, memory=memory)
