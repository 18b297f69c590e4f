"""Why a run failed: its pods that failed by themselves, and the ends of their logs."""

from __future__ import annotations

import sys
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
_RELEASING = frozenset({"clone-build-push", "chart-release"})
"""Templates whose failure is that of a part: an image by its name, or the charts."""
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
        """Return the pods that failed, with the ends of their logs; none if the result already says what failed."""
        if result is not None and any(not part.is_good for part in result.parts):
            return []
        return [self._failure(pod, read=number < _MOST_LOGS) for number, pod in enumerate(self.pods())]

    def explained(self, result: ReleaseResult | None) -> ReleaseResult | None:
        """Return the result of a release with the words of the steps that failed; a check has them in its own."""
        if result is None:
            return None
        pods = [pod for pod in report_run.failed_pods(self.workflow) if pod.template in _RELEASING]
        words = {pod.subject: failure.told(pod.container, "\n".join(self._log(pod))) for pod in pods[:_MOST_LOGS]}
        return replace(result, parts=failure.explained(result.parts, words))

    def _failure(self, pod: FailedPod, *, read: bool) -> Failure:
        title = f"{pod.name}: {pod.subject}" if pod.subject else pod.name
        return Failure(title=title, message=pod.message, lines=self._log(pod) if read else ())

    def _log(self, pod: FailedPod) -> tuple[str, ...]:
        """Return the end of the log of the container that failed; nothing if it is gone."""
        try:
            return tuple(self.cluster.log(pod.pod, pod.container))
        except (Denied, Transient) as error:
            sys.stderr.write(f"{error.what}: {error.seen}\n")
            return ()
