"""A forge at the network's edge: GitHub's and Gitea's shapes over one state, which notes what it was asked and can be
told to lie.

It holds what these forges hold to: a login for every call, lengths of texts, commits that exist, one open pull request
for a pair of branches. `python -m tests.forge_server --host H --port P --kind gitea` runs one for a cluster to report
to.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

Document = dict[str, Any]
Kind = Literal["github", "gitea"]
TOKEN = "token-of-the-forge"
OURS = 7
"""The number of the account that the token belongs to."""
_MOST = {"github": 65_536, "gitea": 1 << 24}
_PAGE = 3
"""Items on a page, whatever is asked for: forges have an upper bound of their own."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    authorization: str
    body: Any
    at: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer; status 0 resets the connection, `heeded` does first what was asked."""

    status: int
    value: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    heeded: bool = False


def said(status: int, message: str, **headers: str) -> Reply:
    """Return a refusal in the shape of both forges."""
    return Reply(
        status=status, value={"message": message}, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


RESET = Reply(status=0)
HEEDED_RESET = Reply(status=0, heeded=True)


@dataclass
class _Lie:
    method: str
    path: re.Pattern[str]
    reply: Reply
    times: int


@dataclass
class ForgeServer:
    """The state of the fake: one repository, what it was asked, and the lies it has left."""

    kind: Kind
    repository: str = "team/shop"
    address: str = ""
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    commits: set[str] | None = None
    """Commits that there are; None: any."""
    statuses: list[tuple[str, Document]] = field(default_factory=list)
    """Commit and status, in the order in which they came."""
    comments: list[Document] = field(default_factory=list)
    pulls: list[Document] = field(default_factory=list)
    branches: dict[str, Document] = field(default_factory=lambda: {"main": {"commit": "1" * 40, "protected": True}})
    app_key: rsa.RSAPublicKey | None = None
    """Of a GitHub App installed here; its tokens are in `tokens` then."""
    asked: list[Asked] = field(default_factory=list)
    lies: list[_Lie] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def base(self) -> str:
        """The address of the API."""
        return f"http://{self.address}/api/{'v3' if self.kind == 'github' else 'v1'}"

    def lie(self, method: str, path: str, reply: Reply, times: int = 1_000_000) -> None:
        """Answer requests whose method and path fit (regular expressions) with `reply`, so many times."""
        self.lies.append(_Lie(method, re.compile(path), reply, times))

    def count(self, method: str, path: str) -> int:
        """Return how many requests fit."""
        return sum(1 for one in self.asked if re.fullmatch(method, one.method) and re.search(path, one.path))

    def states(self, commit: str, context: str = "") -> list[str]:
        """Return the states that a commit was given, in order."""
        return [
            str(one.get("state") or one.get("status"))
            for sha, one in self.statuses
            if sha == commit and context in {"", one["context"]}
        ]

    def write_comment(self, number: int, user: int, body: str, *, login: str = "", type_: str = "User") -> Document:
        """Place a comment as if somebody had written it."""
        comment = {
            "id": len(self.comments) + 1,
            "number": number,
            "user": {"id": user, "login": login or f"user-{user}", "type": type_},
            "body": body,
            "html_url": f"http://{self.address}/{self.repository}/pulls/{number}#{len(self.comments) + 1}",
        }
        self.comments.append(comment)
        return comment

    def write_pull(self, *, head: str, base: str, title: str, body: str) -> Document:
        """Open a pull request as if somebody had done it."""
        owner = self.repository.partition("/")[0]
        number = len(self.pulls) + 1
        pull = {
            "number": number,
            "state": "open",
            "title": title,
            "body": body,
            "head": {"ref": head, "label": f"{owner}:{head}", "repo_id": 1},
            "base": {"ref": base, "repo_id": 1},
            "html_url": f"http://{self.address}/{self.repository}/pulls/{number}",
        }
        self.pulls.append(pull)
        return pull

    def told(self, method: str, path: str) -> Reply | None:
        """Return the lie for a request, used up by this."""
        with self.lock:
            for lie in self.lies:
                if lie.times > 0 and re.fullmatch(lie.method, method) and lie.path.search(path):
                    lie.times -= 1
                    return lie.reply
        return None

    # --- what a forge does ------------------------------------------------------------------------------------------

    def truth(self, asked: Asked) -> Reply:
        """Return what an honest forge answers."""
        path = asked.path.removeprefix("/api/v3").removeprefix("/api/v1")
        with self.lock:
            if self.app_key is not None and (reply := self._app(asked, path)):
                return reply
            word, _, token = asked.authorization.partition(" ")
            if token not in self.tokens or word not in {"github": ("Bearer",), "gitea": ("token", "Bearer")}[self.kind]:
                return said(401, "Bad credentials")
            if path == "/user":
                return self._user()
            prefix = f"/repos/{self.repository}"
            if path != prefix and not path.startswith(f"{prefix}/"):
                return said(404, "Not Found")
            return self._repository(asked, path.removeprefix(prefix))

    def _repository(self, asked: Asked, path: str) -> Reply:
        match [asked.method, *path.strip("/").split("/")]:
            case ["GET", ""]:
                return Reply(status=200, value={"default_branch": "main", "full_name": self.repository})
            case ["GET", "branches", *parts]:
                return self._branch(unquote("/".join(parts)))
            case ["GET", "commits", sha, "status"]:
                return self._combined(asked, sha)
            case ["POST", "statuses", sha]:
                return self._add_status(sha, asked.body)
            case [method, "issues", "comments", text] if method == "PATCH":
                return self._edit_comment(int(text), asked.body)
            case ["GET", "issues", text, "comments"]:
                return self._page(asked, [one for one in self.comments if one["number"] == int(text)])
            case ["POST", "issues", text, "comments"]:
                if len(asked.body["body"]) > _MOST[self.kind]:
                    return said(422, "Validation Failed: body is too long")
                return Reply(status=201, value=self.write_comment(int(text), OURS, asked.body["body"], **self._bot()))
            case ["GET", "pulls"]:
                return self._page(asked, self._open_pulls(asked))
            case ["POST", "pulls"]:
                return self._add_pull(asked.body)
            case ["PATCH", "pulls", text]:
                pull = next(one for one in self.pulls if one["number"] == int(text))
                pull.update({key: asked.body[key] for key in ("title", "body", "state") if key in asked.body})
                return Reply(status=200, value=pull)
        return said(404, "Not Found")

    def _user(self) -> Reply:
        if self.app_key is not None:
            return said(403, "Resource not accessible by integration")
        return Reply(status=200, value={"id": OURS, "login": f"user-{OURS}"})

    def _bot(self) -> dict[str, str]:
        return {"login": "shipway-app[bot]", "type_": "Bot"} if self.app_key is not None else {}

    def _branch(self, name: str) -> Reply:
        if name not in self.branches:
            return said(404, "Branch not found")
        found = self.branches[name]
        commit = {"sha" if self.kind == "github" else "id": found["commit"]}
        return Reply(status=200, value={"name": name, "commit": commit, "protected": found["protected"]})

    def _combined(self, asked: Asked, sha: str) -> Reply:
        newest = {one["context"]: one for commit, one in self.statuses if commit == sha}
        page = self._page(asked, list(newest.values()))
        return Reply(status=200, value={"sha": sha, "statuses": page.value})

    def _add_status(self, sha: str, body: Document) -> Reply:
        if self.commits is not None and sha not in self.commits:
            return said(422 if self.kind == "github" else 404, f"No commit found for SHA: {sha}")
        if body["state"] not in {"pending", "success", "failure", "error"}:
            return said(422, "Validation Failed")
        if self.kind == "github" and len(body["description"]) > 140:
            return said(422, "Validation Failed: description is too long (maximum is 140 characters)")
        status = dict(body)
        status["status" if self.kind == "gitea" else "state"] = status.pop("state")
        self.statuses.append((sha, status))
        return Reply(status=201, value=status)

    def _edit_comment(self, number: int, body: Document) -> Reply:
        comment = next((one for one in self.comments if one["id"] == number), None)
        if comment is None:
            return said(404, "Not Found")
        if comment["user"]["id"] != OURS:
            return said(403, "Must have admin rights to Repository.")
        comment["body"] = body["body"]
        return Reply(status=200, value=comment)

    def _open_pulls(self, asked: Asked) -> list[Document]:
        found = [one for one in self.pulls if one["state"] == "open"]
        head = asked.query.get("head", [""])[0]
        if self.kind == "github" and head:
            found = [one for one in found if one["head"]["label"] == head]
        return found

    def _add_pull(self, body: Document) -> Reply:
        owner = self.repository.partition("/")[0]
        for one in self.pulls:
            if (one["head"]["ref"], one["base"]["ref"], one["state"]) == (body["head"], body["base"], "open"):
                if self.kind == "gitea":
                    return said(409, "pull request already exists for these targets")
                message = f"A pull request already exists for {owner}:{body['head']}."
                return Reply(status=422, value={"message": "Validation Failed", "errors": [{"message": message}]})
        pull = self.write_pull(head=body["head"], base=body["base"], title=body["title"], body=body["body"])
        return Reply(status=201, value=pull)

    def _page(self, asked: Asked, items: list[Document]) -> Reply:
        page = int(asked.query.get("page", ["1"])[0])
        return Reply(status=200, value=items[(page - 1) * _PAGE : page * _PAGE])

    def _app(self, asked: Asked, path: str) -> Reply | None:
        """Return what the App's own endpoints answer, which take a signed statement and no token."""
        token = re.fullmatch(r"/app/installations/9/access_tokens", path)
        if not (token or path in {"/app", f"/repos/{self.repository}/installation"}):
            return None
        if problem := self._unsigned(asked.authorization.removeprefix("Bearer ")):
            return said(401, problem)
        if path == "/app":
            return Reply(status=200, value={"id": 123, "slug": "shipway-app"})
        if not token:
            return Reply(status=200, value={"id": 9})
        made = f"ghs_{len(self.tokens)}"
        self.tokens.add(made)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return Reply(status=201, value={"token": made, "expires_at": ends, **asked.body})

    def _unsigned(self, statement: str) -> str:
        """Return what is wrong with a signed statement, or nothing."""
        try:
            head, claims, signature = statement.split(".")
            assert self.app_key is not None
            self.app_key.verify(_decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
            told = json.loads(_decoded(claims))
        except (ValueError, InvalidSignature):
            return "A JSON web token could not be decoded"
        if json.loads(_decoded(head)) != {"alg": "RS256", "typ": "JWT"} or told["iss"] != "123":
            return "'Issuer' claim ('iss') must be an Integer or String"
        now = time.time()
        if not (told["iat"] <= now and now < told["exp"] <= now + 600):
            return "'Expiration time' claim ('exp') is too far in the future"
        return ""


@contextlib.contextmanager
def forge_server(kind: Kind, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[ForgeServer]:
    """Run a fake forge; its `address` says where."""
    state = ForgeServer(kind=kind)

    class Handler(_Handler):
        forge = state

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        block_on_close = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients that give up are what the tests are about."""

    with Server((host, port), Handler) as server:
        state.address = f"{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    forge: ForgeServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = Asked(
            method=self.command,
            path=parts.path,
            query=parse_qs(parts.query),
            authorization=self.headers.get("Authorization", ""),
            body=json.loads(data) if data else None,
            at=time.time(),
        )
        self.forge.asked.append(asked)
        reply = self.forge.told(self.command, parts.path)
        if reply is None or reply.heeded:
            true = self.forge.truth(asked)
            reply = reply or true
        if reply.status == 0:
            # With the linger time at nothing, close() sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        body = b"" if reply.value is None else json.dumps(reply.value).encode()
        self.send_response(reply.status)
        for key, value in {**reply.headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(key, value)
        # Each answer ends its connection: a thread that waits for a further request would outlive the test.
        self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815  http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main() -> None:
    """Run until the end of standard input, and print every call that writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--kind", choices=("github", "gitea"), default="gitea")
    options = parser.parse_args()
    with forge_server(options.kind, host=options.host, port=options.port) as forge:
        sys.stdout.write(f"{forge.base}\n")
        sys.stdout.flush()
        told = 0
        while True:
            for one in forge.asked[told:]:
                told += 1
                if one.method != "GET":
                    sys.stdout.write(f"{one.method} {one.path} {json.dumps(one.body)}\n")
                    sys.stdout.flush()
            time.sleep(0.2)


if __name__ == "__main__":
    main()
