"""A real Gitea, which posts its own webhooks: an organization of its own, and an account for Shipway.

SHIPWAY_E2E_GITEA is its address, as pods reach it, and SHIPWAY_E2E_GITEA_TOKEN the file with an administrator's token.
Without them one is looked for at port 3811 of this machine's address, with the token beside the file of KUBECONFIG.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.forge_host import GivenStatus, ProposedChange
from tests.e2e.place import place

PORT = 3811
EVENTS = ["push", "pull_request", "pull_request_sync", "issue_comment", "pull_request_comment"]


def address() -> str:
    """Return Gitea's address."""
    return os.environ.get("SHIPWAY_E2E_GITEA", f"http://{place().host}:{PORT}").rstrip("/")


def token() -> Path:
    """Return the file with an administrator's token."""
    beside = Path(os.environ.get("KUBECONFIG", "none")).parent / "gitea" / "token"
    return Path(os.environ.get("SHIPWAY_E2E_GITEA_TOKEN", beside))


def lacking() -> str:
    """Return why there is no Gitea to speak to, or an empty text."""
    if not token().is_file():
        return f"no Gitea: there is no {token()}"
    try:
        with urllib.request.urlopen(f"{address()}/api/v1/version", timeout=10):
            return ""
    except OSError as error:
        return f"no Gitea at {address()}: {error}"


class GiteaHost:
    """An organization of a Gitea."""

    def __init__(self, address: str, token: str, owner: str) -> None:
        """Make the organization, and Shipway's account in it."""
        self.address, self.token, self.owner = address, token, owner
        host = urlsplit(address).netloc
        self.forges = f"{host}=gitea+{address}/api/v1"
        self.plain_http = host
        self.maintainer = str(self._call("GET", "/user")["login"])
        self.bot, password = f"{owner}-bot", secrets.token_hex(16)
        self._call("POST", "/orgs", username=owner, visibility="public")
        user = {"username": self.bot, "email": f"{self.bot}@example.invalid", "password": password}
        self._call("POST", "/admin/users", **user, must_change_password=False)
        login = base64.b64encode(f"{self.bot}:{password}".encode()).decode()
        scopes = ["write:repository", "write:issue", "read:user"]
        made = self._call("POST", f"/users/{self.bot}/tokens", login=f"Basic {login}", name="shipway", scopes=scopes)
        key = f"{host.replace(':', '_')}.token"
        self.secrets: Mapping[str, Mapping[str, str]] = {
            "shipway-forge": {key: str(made["sha1"])},
            "shipway-git-write": {"username": self.bot, "password": str(made["sha1"])},
        }

    def create(self, name: str) -> str:
        """Make an empty repository that Shipway may write to, and return its address."""
        self._call("POST", f"/orgs/{self.owner}/repos", name=name, default_branch="main", private=False)
        self._call("PUT", f"/repos/{self.owner}/{name}/collaborators/{self.bot}", permission="write")
        return f"{self.address}/{self.full_name(name)}.git"

    def push_address(self, name: str) -> str:
        """Return the address that a person pushes to, with a login."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{self.maintainer}:{self.token}@{parts.netloc}/{self.full_name(name)}.git"

    def full_name(self, name: str) -> str:
        """Return a repository's name with its owner's."""
        return f"{self.owner}/{name}"

    def watch(self, name: str, address: str, key: str) -> None:
        """Let Gitea send signed webhooks of a repository to an address."""
        config = {"url": address, "content_type": "json", "secret": key}
        self._call("POST", f"/repos/{self.owner}/{name}/hooks", type="gitea", active=True, events=EVENTS, config=config)

    def statuses(self, name: str, commit: str) -> list[GivenStatus]:
        """Return the statuses of a commit, in the order in which they were given."""
        items = self._all(f"/repos/{self.owner}/{name}/commits/{commit}/statuses")
        return [
            GivenStatus(context=item["context"], state=item["status"], description=item["description"])
            for item in sorted(items, key=lambda item: int(item["id"]))
        ]

    def pull_requests(self, name: str) -> list[ProposedChange]:
        """Return every pull request, the oldest first."""
        items = sorted(self._all(f"/repos/{self.owner}/{name}/pulls", state="all"), key=lambda item: item["number"])
        return [
            ProposedChange(
                number=item["number"],
                is_open=item["state"] == "open",
                title=item["title"],
                branch=item["head"]["ref"],
            )
            for item in items
        ]

    def propose(self, name: str, branch: str, title: str) -> int:
        """Open a pull request of a branch to main as a person, and return its number."""
        made = self._call("POST", f"/repos/{self.owner}/{name}/pulls", head=branch, base="main", title=title)
        return int(made["number"])

    def say(self, name: str, number: int, text: str) -> None:
        """Write a comment under a pull request, as the maintainer."""
        self._call("POST", f"/repos/{self.owner}/{name}/issues/{number}/comments", body=text)

    def comments(self, name: str, number: int) -> list[str]:
        """Return the comments under a pull request."""
        return [str(item["body"]) for item in self._all(f"/repos/{self.owner}/{name}/issues/{number}/comments")]

    def approve(self, name: str, number: int) -> None:
        """Approve the newest commit of a pull request, as the maintainer."""
        self._call("POST", f"/repos/{self.owner}/{name}/pulls/{number}/reviews", event="APPROVED", body="Fine.")

    def approved(self, name: str, number: int) -> list[str]:
        """Return the commits whose approvals a pull request still has."""
        items = self._all(f"/repos/{self.owner}/{name}/pulls/{number}/reviews")
        return [item["commit_id"] for item in items if item["state"] == "APPROVED" and not item["dismissed"]]

    def remove(self) -> None:
        """Delete the organization with its repositories, and Shipway's account."""
        for item in self._all(f"/orgs/{self.owner}/repos"):
            self._call("DELETE", f"/repos/{self.owner}/{item['name']}")
        self._call("DELETE", f"/orgs/{self.owner}")
        self._call("DELETE", f"/admin/users/{self.bot}?purge=true")

    def _all(self, path: str, **query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        for page in range(1, 100):
            words = "&".join(f"{key}={value}" for key, value in {**query, "limit": "50", "page": str(page)}.items())
            found = self._call("GET", f"{path}?{words}")
            items += found
            if len(found) < 50:
                return items
        raise AssertionError(path)

    def _call(self, method: str, path: str, *, login: str = "", **body: object) -> Any:
        headers = {"Authorization": login or f"token {self.token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.address}/api/v1{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error
        return json.loads(text) if text.strip() else None


@contextlib.contextmanager
def gitea() -> Iterator[GiteaHost]:
    """Give a new organization, and delete it."""
    host = GiteaHost(address(), token().read_text().strip(), f"shop-{secrets.token_hex(3)}")
    try:
        yield host
    finally:
        host.remove()
