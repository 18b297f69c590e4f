"""An API server at the network's edge: the few endpoints that runs on a cluster need, and what can go wrong with them.

It holds documents as a cluster would. A run's states are played to whoever watches it, one after the other, so that no
test waits for a clock.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

ARGO = "/apis/argoproj.io/v1alpha1"
NAMESPACE = "ci"
TOKEN = "token-of-ada"
FINAL = {"Succeeded", "Failed", "Error"}
Document = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """An answer in place of the true one: a status, or a reset
    of the connection before or after the request is heeded.
    """

    status: int
    message: str = ""
    reset: bool = False
    heeded: bool = False


RESET = Reply(0, reset=True)
HEEDED_RESET = Reply(0, reset=True, heeded=True)


@dataclass
class _Lie:
    method: str
    path: re.Pattern[str]
    reply: Reply
    times: int


@dataclass
class Log:
    """A container's log; the stream breaks off after `cuts[0]` bytes of the first answer, and so on."""

    lines: list[tuple[str, str]]
    """Time and text."""
    cuts: list[int] = field(default_factory=list)


class Cluster:
    """What the fake holds and what it was asked."""

    def __init__(self) -> None:
        self.address = ""
        self.has_argo = True
        self.templates: dict[str, Document] = {}
        self.workflows: dict[str, Document] = {}
        self.config: dict[str, str] | None = {}
        self.pods: list[Document] = []
        self.lists: dict[str, list[Document]] = {}
        """Objects of kinds that no run needs, by the path that lists them."""
        self.logs: dict[tuple[str, str], Log] = {}
        self.states: list[Document] = []
        """Each the status of the run that is watched; played one by one."""
        self.states_after_stop: list[Document] = []
        self.broken_watches: list[int] = []
        """For each watch in turn, after how many events its connection is reset; the rest end in order."""
        self.asked: list[tuple[str, str, Mapping[str, list[str]], Any]] = []
        self.accepts: list[str] = []
        """What the requests were ready to take."""
        self.version = 100
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.over = False
        self._lies: list[_Lie] = []

    def lie(self, method: str, path: str, reply: Reply, times: int = 1_000_000) -> None:
        """Answer requests whose method and path fit (regular expressions) with `reply`, so many times."""
        self._lies.append(_Lie(method, re.compile(path), reply, times))

    def told(self, method: str, path: str) -> Reply | None:
        """Return the lie for a request, used up by this."""
        with self.lock:
            for lie in self._lies:
                if lie.times > 0 and lie.method == method and lie.path.search(path):
                    lie.times -= 1
                    return lie.reply
        return None

    def count(self, method: str, path: str) -> int:
        """Return how many requests fit."""
        return sum(1 for asked in self.asked if asked[0] == method and re.search(path, asked[1]))

    def put(self, name: str, spec: Document, status: Document, *, created: str = "2026-11-23T10:00:00Z") -> None:
        """Place a run as if somebody had submitted it."""
        metadata = {"name": name, "creationTimestamp": created, "resourceVersion": str(self._next())}
        self.workflows[name] = {"metadata": metadata, "spec": spec, "status": status}

    @property
    def created(self) -> Document:
        """The one run that was submitted last."""
        return list(self.workflows.values())[-1]

    def kubeconfig(self, folder: Path, *, namespace: str = NAMESPACE) -> Path:
        """Return a new kubeconfig that leads here."""
        context = {"cluster": "fake", "user": "ada", "namespace": namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://{self.address}"}}],
            "users": [{"name": "ada", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    # --- what an API server does ------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Document]:
        """Return the true answer to a request that is no stream."""
        if path == ARGO and self.has_argo:
            return 200, {"kind": "APIResourceList"}
        base = f"{ARGO}/namespaces/{NAMESPACE}/"
        if path.startswith(ARGO) and not self.has_argo:
            return _status(404, "the server could not find the requested resource")
        if path.startswith(f"{base}workflowtemplates"):
            return _pick(self.templates, "workflowtemplates", path.removeprefix(f"{base}workflowtemplates").strip("/"))
        if path.startswith(f"{base}workflows"):
            return self._workflows(method, path.removeprefix(f"{base}workflows").strip("/"), body)
        if path == f"/api/v1/namespaces/{NAMESPACE}/configmaps/shipway":
            found = {} if self.config is None else {"shipway": {"data": self.config}}
            return _pick(found, "configmaps", "shipway")
        if path in self.lists:
            return 200, {"items": self.lists[path]}
        if path == f"/api/v1/namespaces/{NAMESPACE}/pods":
            return 200, {"items": self.pods}
        return _status(404, "the server could not find the requested resource")

    def _workflows(self, method: str, name: str, body: Any) -> tuple[int, Document]:
        with self.changed:
            if method == "POST":
                if body["metadata"]["name"] in self.workflows:
                    return _status(409, "already exists")
                body["metadata"] |= {
                    "creationTimestamp": "2026-11-23T10:00:00Z",
                    "resourceVersion": str(self._next()),
                }
                self.workflows[body["metadata"]["name"]] = body
                return 201, body
            if method == "PATCH" and name in self.workflows:
                self.workflows[name]["spec"] |= body.get("spec", {})
                for field, values in body.get("metadata", {}).items():
                    self.workflows[name]["metadata"].setdefault(field, {}).update(values)
                self.states = list(self.states_after_stop)
                self.changed.notify_all()
            return _pick(self.workflows, "workflows", name)

    def events(self, name: str) -> Iterator[Document]:
        """Give a watcher the states that are left, until the run has ended or the server is."""
        while True:
            with self.changed:
                while not self.states and not self.over:
                    self.changed.wait()
                if self.over:
                    return
                run = self.workflows[name]
                run["status"] = self.states.pop(0)
                run["metadata"]["resourceVersion"] = str(self._next())
                event = {"type": "MODIFIED", "object": json.loads(json.dumps(run))}
            yield event
            if event["object"]["status"].get("phase") in FINAL:
                return

    def _next(self) -> int:
        self.version += 1
        return self.version


def _pick(found: Mapping[str, Document], kind: str, name: str) -> tuple[int, Document]:
    if not name:
        return 200, {"items": list(found.values())}
    if name not in found:
        return _status(404, f'{kind} "{name}" not found')
    return 200, found[name]


def _selected(run: Document, selector: str) -> bool:
    """Whether a run bears the labels of a selector, and none that it excludes."""
    own: dict[str, str] = run["metadata"].get("labels", {})
    words = selector.split(",")
    wanted = dict(word.split("=") for word in words if "!=" not in word)
    excluded = dict(word.split("!=") for word in words if "!=" in word)
    return wanted.items() <= own.items() and not excluded.items() & own.items()


def _status(code: int, message: str) -> tuple[int, Document]:
    return code, {"kind": "Status", "status": "Failure", "message": message, "code": code}


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a fake API server on a free port of loopback."""
    state = Cluster()

    class Handler(_Handler):
        cluster = state

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of clients that go away: they are what the tests are about."""
            if not isinstance(sys.exception(), OSError):
                super().handle_error(request, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        state.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            with state.changed:
                state.over = True
                state.changed.notify_all()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"
    timeout = 60

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        told = self.cluster.told(self.command, parts.path)
        if told and told.reset and not told.heeded:
            self._reset()
            return
        data = self.rfile.read(int(self.headers.get("content-length", "0")))
        body = json.loads(data) if data else None
        self.cluster.accepts.append(self.headers.get("Accept", ""))
        self.cluster.asked.append((self.command, parts.path, query, body))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(*_status(401, "Unauthorized"))
        elif told and told.heeded:
            self.cluster.answer(self.command, parts.path, body)
            self._reset()
        elif told:
            self._send(*_status(told.status, told.message))
        elif "watch" in query:
            self._watch(query["fieldSelector"][0].removeprefix("metadata.name="))
        elif match := re.fullmatch(r"/api/v1/namespaces/ci/pods/([^/]+)/log", parts.path):
            self._log(match[1], query)
        else:
            status, document = self.cluster.answer(self.command, parts.path, body)
            if "labelSelector" in query and parts.path.endswith("/workflows"):
                document["items"] = [run for run in document["items"] if _selected(run, query["labelSelector"][0])]
            self._send(status, document)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815  http.server's names

    def _watch(self, name: str) -> None:
        with self.cluster.lock:
            most = self.cluster.broken_watches.pop(0) if self.cluster.broken_watches else None
        self._begin()
        events = self.cluster.events(name)
        sent = 0
        while sent != most and (event := next(events, None)) is not None:
            self._chunk(json.dumps(event).encode() + b"\n")
            sent += 1
        if sent == most:
            self._reset()
        else:
            self._chunk(b"")

    def _log(self, pod: str, query: Mapping[str, list[str]]) -> None:
        log = self.cluster.logs.get((pod, query["container"][0]))
        if log is None:
            self._send(*_status(404, f'pods "{pod}" not found'))
            return
        since = query.get("sinceTime", [""])[0][:19]  # whole seconds, as the real one counts
        begun = "{moment} " if query.get("timestamps") == ["true"] else ""
        lines = ((moment, text) for moment, text in log.lines if moment[:19] >= since)
        data = "".join(f"{begun.format(moment=moment)}{text}\n" for moment, text in lines).encode()
        self._begin()
        if log.cuts:
            self._chunk(data[: log.cuts.pop(0)])
            self._reset()
        else:
            self._chunk(data)
            if data:
                self._chunk(b"")

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _send(self, status: int, document: Document) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        # With the linger time at nothing, close() sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""
