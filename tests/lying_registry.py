"""A registry at the network's edge that does as it should until it is told to lie, and notes what it was asked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/(\d+)")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/(.+)")
_TAGS = re.compile(r"/v2/(.+)/tags/list")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is sent back; `cut` bytes of the body and then the end of the connection, where it is set."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None


RESET = Reply(status=0)
"""The connection is reset, with the request's body unread."""
SILENCE = Reply(status=-1)
"""Nothing comes back until the registry ends."""


def errors(status: int, code: str, message: str, **headers: str) -> Reply:
    """Return an answer in the form of the distribution specification."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Reply(
        status=status,
        headers={"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()},
        body=body,
    )


@dataclass
class Lie:
    """An answer in place of the true one, for the next `times` requests that fit."""

    method: str
    path: re.Pattern[str]
    reply: Reply | Callable[[Asked], Reply]
    times: int


class LyingRegistry:
    """The state of the fake: what it holds, what it was asked, and the lies it has left."""

    def __init__(self) -> None:
        self.address = ""
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.asked: list[Asked] = []
        self.uploads = 0
        self.gone = threading.Event()
        self.silent = threading.Event()
        """Set once a request is left without an answer."""
        self._lies: list[Lie] = []
        self._lock = threading.Lock()

    def lie(self, method: str, path: str, reply: Reply | Callable[[Asked], Reply], times: int = 1_000_000) -> None:
        """Answer requests whose method and path fit (regular expressions) with `reply`, so many times."""
        self._lies.append(Lie(method, re.compile(path), reply, times))

    def honest(self) -> None:
        """Forget every lie."""
        self._lies.clear()

    def count(self, method: str, path: str) -> int:
        """Return how many requests fit."""
        return sum(1 for a in self.asked if re.fullmatch(method, a.method) and re.search(path, a.path))

    def told(self, method: str, path: str) -> Reply | Callable[[Asked], Reply] | None:
        """Return the lie for a request, used up by this."""
        with self._lock:
            for lie in self._lies:
                if lie.times > 0 and re.fullmatch(lie.method, method) and lie.path.search(path):
                    lie.times -= 1
                    return lie.reply
        return None

    def truth(self, asked: Asked) -> Reply:
        """Return what an honest registry answers."""
        with self._lock:
            if match := _UPLOADS.fullmatch(asked.path):
                return self._start(asked, match[1])
            if match := _UPLOAD.fullmatch(asked.path):
                return self._finish(asked, match[1])
            if match := _BLOB.fullmatch(asked.path):
                return self._blob(asked, self.blobs.get((match[1], match[2])))
            if match := _MANIFEST.fullmatch(asked.path):
                return self._manifest(asked, match[1], match[2])
            if match := _TAGS.fullmatch(asked.path):
                tags = [t for r, t in self.manifests if r == match[1] and not t.startswith("sha256:")]
                return Reply(status=200, body=json.dumps({"name": match[1], "tags": tags}).encode())
        return Reply(status=200 if asked.path == "/v2/" else 404)

    def _start(self, asked: Asked, repository: str) -> Reply:
        source, digest = asked.query.get("from", [""])[0], asked.query.get("mount", [""])[0]
        if (source, digest) in self.blobs:
            self.blobs[repository, digest] = self.blobs[source, digest]
            return Reply(status=201)
        self.uploads += 1
        return Reply(status=202, headers={"Location": f"/v2/{repository}/blobs/uploads/{self.uploads}?state=x"})

    def _finish(self, asked: Asked, repository: str) -> Reply:
        digest = asked.query["digest"][0]
        if f"sha256:{hashlib.sha256(asked.body).hexdigest()}" != digest:
            return errors(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[repository, digest] = asked.body
        return Reply(status=201)

    def _blob(self, asked: Asked, data: bytes | None) -> Reply:
        if data is None:
            return errors(404, "BLOB_UNKNOWN", "blob unknown to registry")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", ""))
        if wanted and asked.method == "GET":
            first, last = int(wanted[1]), int(wanted[2])
            headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            return Reply(status=206, headers=headers, body=data[first : last + 1])
        return Reply(status=200, headers={"Content-Type": "application/octet-stream"}, body=data)

    def _manifest(self, asked: Asked, repository: str, name: str) -> Reply:
        if asked.method == "PUT":
            value = json.loads(asked.body)
            if any((repository, entry["digest"]) not in self.manifests for entry in value.get("manifests", ())):
                return errors(404, "MANIFEST_BLOB_UNKNOWN", "manifest unknown")
            for item in (value["config"], *value["layers"]) if "config" in value else ():
                if (repository, item["digest"]) not in self.blobs:
                    return errors(404, "MANIFEST_BLOB_UNKNOWN", item["digest"])
            stored = (asked.headers["content-type"], asked.body)
            self.manifests[repository, f"sha256:{hashlib.sha256(asked.body).hexdigest()}"] = stored
            self.manifests[repository, name] = stored
            return Reply(status=201)
        if (repository, name) not in self.manifests:
            return errors(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, data = self.manifests[repository, name]
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return Reply(status=200, headers={"Content-Type": kind, "Docker-Content-Digest": digest}, body=data)


@contextlib.contextmanager
def lying_registry(tls: ssl.SSLContext | None = None) -> Iterator[LyingRegistry]:
    """Run a fake registry on a free port of loopback."""
    state = LyingRegistry()

    class Handler(_Handler):
        registry = state

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        block_on_close = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients that give up are what the tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        state.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            state.gone.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    registry: LyingRegistry
    protocol_version = "HTTP/1.1"
    # A client may keep a connection open for ever; the server's end must not wait for it.
    timeout = 60

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        told = self.registry.told(self.command, parts.path)
        if told is RESET:
            # With the linger time at nothing, close() sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        body = self.rfile.read(int(headers.get("content-length", "0")))
        asked = Asked(method=self.command, path=parts.path, query=parse_qs(parts.query), headers=headers, body=body)
        self.registry.asked.append(asked)
        reply = told if isinstance(told, Reply) else told(asked) if told else self.registry.truth(asked)
        if reply is SILENCE:
            self.registry.silent.set()
            self.registry.gone.wait()
            self.close_connection = True
        else:
            self._send(reply)

    do_GET = do_HEAD = do_PUT = do_POST = _serve  # noqa: N815  http.server's names

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        if "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(reply.body)))
        # Each answer ends its connection: a thread that waits for a further request would outlive the test.
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: reply.cut])

    def log_message(self, *_: object) -> None:
        """Say nothing."""
