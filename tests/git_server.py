"""A real Git server on loopback: Git's own http-backend behind Python's HTTP server, with switches for its moods."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, kw_only=True)
class RefUpdate:
    """What a push made of a ref; zeros stand for none."""

    ref: str
    before: str
    after: str


@dataclass(kw_only=True)
class GitServer:
    """What a test sees of the server, and the switches it may turn at any time."""

    root: Path
    url: str = ""
    login: tuple[str, str] | None = None
    """User name and password that every request must bring."""
    by_commit: bool = True
    """Whether a commit is given by its id; if not, the server speaks the protocol's first version, as old ones do."""
    status: int = 0
    """Answered to everything, instead of serving."""
    redirect: str = ""
    """Where requests are sent on to, scheme and host."""
    moved: tuple[str, str] = ("", "")
    """A repository's old path and its new one."""
    cut_post: bool = False
    """Whether answers to a POST end in the middle, as of a server that dies."""
    hold: threading.Event | None = None
    """Requests wait for it, after `held` is set."""
    held: threading.Event = field(default_factory=threading.Event)
    requests: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    """The Authorization header of each request that had one."""
    large_files: dict[str, bytes] = field(default_factory=dict)
    """Content by SHA-256, served by Git LFS's batch protocol."""
    lfs_status: int = 0
    """Answered to every request for large files."""
    pushed: Callable[[RefUpdate], None] | None = None
    """Called for each ref that a push has changed, before the answer."""
    pushing: threading.Lock = field(default_factory=threading.Lock)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    state: GitServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def serving(root: Path, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[GitServer]:
    """Serve every repository below a folder until the block ends: `root/a` is `url/a`."""
    server = _Server((host, port), _Handler)
    server.state = GitServer(root=root, url=f"http://{host}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.state
    finally:
        if server.state.hold is not None:
            server.state.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: _Server

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        state = self.server.state
        state.requests.append(f"{self.command} {self.path}")
        given = self.headers.get("Authorization")
        if given:
            state.logins.append(given)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if state.redirect:
            self._plain(301, b"", Location=state.redirect + self.path)
        elif state.moved[0] and self.path.startswith(state.moved[0]):
            self._plain(301, b"", Location=state.url + self.path.replace(*state.moved))
        elif state.login is not None and given != _basic(*state.login):
            self._plain(401, b"who are you\n", **{"WWW-Authenticate": 'Basic realm="git"'})
        else:
            if state.hold is not None:
                state.held.set()
                state.hold.wait()
            path = unquote(urlsplit(self.path).path)
            if state.status:
                self._plain(state.status, b"not now\n")
            elif "/info/lfs/" in self.path:
                self._large_files(body)
            elif state.pushed and path.endswith("/git-receive-pack"):
                self._received(body, path, state.pushed)
            else:
                self._pass_on(self._asked(body))

    def _received(self, body: bytes, path: str, pushed: Callable[[RefUpdate], None]) -> None:
        """Take a push, and tell of what it changed."""
        repository = self.server.state.root / path.strip("/").removesuffix("/git-receive-pack")
        with self.server.state.pushing:
            old = _refs(repository)
            answer = self._asked(body)
            new = _refs(repository)
        for ref in sorted(old.keys() | new.keys()):
            if old.get(ref) != new.get(ref) and ref.startswith(("refs/heads/", "refs/tags/")):
                pushed(RefUpdate(ref=ref, before=old.get(ref, "0" * 40), after=new.get(ref, "0" * 40)))
        self._pass_on(answer)

    def _plain(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _asked(self, body: bytes) -> bytes:
        """Return what Git's own server answers."""
        state = self.server.state
        parts = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(state.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(parts.path),
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        if state.by_commit:
            environment["HTTP_GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        words = ["git", "http-backend"]
        return subprocess.run(words, env=environment, input=body, capture_output=True, check=False).stdout

    def _pass_on(self, answer: bytes) -> None:
        state = self.server.state
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if state.cut_post and self.command == "POST" else content)

    def _large_files(self, body: bytes) -> None:
        state = self.server.state
        if state.lfs_status:
            self._plain(state.lfs_status, b"{}")
            return
        if self.path.endswith("/objects/batch"):
            wanted = json.loads(body)["objects"]
            prefix = self.path.removesuffix("/batch")
            objects = [
                {**item, "actions": {"download": {"href": f"{state.url}{prefix}/{item['oid']}"}}} for item in wanted
            ]
            answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
            self._plain(200, answer, **{"Content-Type": "application/vnd.git-lfs+json"})
            return
        content = state.large_files.get(self.path.rpartition("/")[2])
        self._plain(404 if content is None else 200, content or b"", **{"Content-Type": "application/octet-stream"})


def _refs(repository: Path) -> dict[str, str]:
    words = ["git", f"--git-dir={repository}", "for-each-ref", "--format=%(objectname) %(refname)"]
    listing = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {name: value for value, _, name in (line.partition(" ") for line in listing.splitlines())}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
