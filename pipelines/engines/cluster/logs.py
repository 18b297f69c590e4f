"""The logs of a run's containers: a thread follows each across lost connections and passes no line on twice."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.engines.cluster import names
from pipelines.engines.cluster.api import Api
from pipelines.engines.local.nodes import Node, NodeKind
from pipelines.errors import ShipwayError, visible
from pipelines.tools.kubernetes import EXECUTOR_LAST_LINE, EXECUTOR_LINE, Denied, Lost, seen

SILENCE_SECONDS = 60.0
END_SECONDS = 10.0
_NODE_ANNOTATION = "workflows.argoproj.io/node-id"
_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_FILE_NAME = 80
Line = Callable[[Node, str], None]


@dataclass(kw_only=True)
class _Reading:
    """One container's log while it is read."""

    node: Node
    path: Path
    pod: str
    container: str
    thread: threading.Thread | None = None
    last: str = ""
    """The time of the last line; each later line has a later one."""
    held: str = ""
    """A line that is reported only if another one follows: the command may have written it, not Argo's executor."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Set once Argo says that the container has ended."""
    given_up: threading.Event = field(default_factory=threading.Event)


class Logs:
    """Follows logs and passes on their lines; reports each problem once, and none ends the run."""

    def __init__(
        self, api: Api, run: str, folder: Path, *, line: Line, note: Callable[[str], None], again_seconds: float = 1.0
    ) -> None:
        """Write each container's log into `folder`, and pass its lines to `line` from other threads."""
        self.api = api
        self.run = run
        self.folder = folder
        self.line = line
        self.note = note
        self.again_seconds = again_seconds
        self.readings: dict[Node, _Reading] = {}
        self.pods: dict[str, str] = {}
        self.counter = itertools.count(1)
        self.noted: set[str] = set()
        self.lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, node: Node, pod_id: str) -> None:
        """Follow the log of a container that has started: one of a set, or the only one of a pod."""
        if node in self.readings:
            return
        pod = self._pod(pod_id)
        if not pod:
            if node.phase.is_completed:
                self._note_gone(node)
            return
        name = _NOT_IN_A_FILE_NAME.sub("_", node.short_name)[-_MAX_FILE_NAME:]
        node.log = self.folder / f"{next(self.counter):03d}-{name}.log"
        node.log.touch()
        container = node.display_name if node.kind is NodeKind.CONTAINER else "main"
        reading = _Reading(node=node, path=node.log, pod=pod, container=container)
        self.readings[node] = reading
        reading.thread = threading.Thread(target=self._follow, args=(reading,), daemon=True)
        reading.thread.start()

    def end(self, node: Node) -> None:
        """Wait until the log of a container that has ended is read, at most END_SECONDS."""
        reading = self.readings.get(node)
        if reading and reading.thread:
            reading.ended.set()
            reading.thread.join(END_SECONDS)
            reading.given_up.set()
            if not reading.path.stat().st_size:
                node.log = None
                reading.path.unlink()

    def _pod(self, identity: str) -> str:
        if identity not in self.pods:
            query = {"labelSelector": f"{names.RUN_LABEL}={self.run}"}
            try:
                found = self.api.call("GET", f"/api/v1/namespaces/{self.api.namespace}/pods", query=query)
            except (Denied, Lost) as error:
                self._note_once(f"no logs: the run's pods cannot be listed: {seen(error)}")
                return ""
            for pod in found.get("items", ()):
                metadata = pod["metadata"]
                self.pods[metadata.get("annotations", {}).get(_NODE_ANNOTATION, "")] = metadata["name"]
        return self.pods.get(identity, "")

    def _follow(self, reading: _Reading) -> None:
        with reading.path.open("w", encoding="utf-8") as file:
            while not reading.given_up.is_set():
                is_last = reading.ended.is_set()
                try:
                    for line in self._lines(reading):
                        file.write(visible(line) + "\n")
                        file.flush()
                        self.line(reading.node, line)
                except Denied as error:
                    if error.status == 404:
                        self._note_gone(reading.node)
                        return
                    if error.status != 400:  # 400 says that the container is about to start
                        self._note_once(f"no logs: {error.seen}")
                        return
                except (Lost, ShipwayError):
                    is_last = False  # read again, from the last whole line on
                if is_last:
                    return
                reading.given_up.wait(self.again_seconds)

    def _lines(self, reading: _Reading) -> Iterator[str]:
        path = f"/api/v1/namespaces/{self.api.namespace}/pods/{reading.pod}/log"
        query: dict[str, str | int | bool] = {
            "container": reading.container,
            "follow": not reading.ended.is_set(),
            "timestamps": True,
        }
        if reading.last:
            query["sinceTime"] = reading.last  # counts whole seconds, so lines come again
        for text in self.api.lines(path, query=query, silence_seconds=SILENCE_SECONDS):
            moment, _, line = text.partition(" ")
            if moment > reading.last:
                reading.last = moment
                if EXECUTOR_LINE.fullmatch(line):
                    continue
                if reading.held:
                    yield reading.held
                reading.held = line if EXECUTOR_LAST_LINE.fullmatch(line) else ""
                if not reading.held:
                    yield line

    def _note_gone(self, node: Node) -> None:
        pod = node.parent if node.kind is NodeKind.CONTAINER and node.parent else node
        self._note_once(f"no more logs of {pod.short_name}: its pod is gone")

    def _note_once(self, text: str) -> None:
        with self.lock:
            if text in self.noted:
                return
            self.noted.add(text)
        self.note(text)
