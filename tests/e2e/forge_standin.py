"""A stand-in for a forge with webhooks, where there is none: it posts one, signed, for every push, Shipway's own
included, and for pull requests and comments of persons.

Git's own http-backend serves the repositories, and each has a server of its own and an API of its own behind it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.events.event import Sender
from tests import git_server
from tests.e2e.events import signed
from tests.e2e.forge_host import GivenStatus, ProposedChange
from tests.forge_server import TOKEN, ForgeServer, forge_server
from tests.git_repositories import Repository
from tests.git_server import GitServer, RefUpdate
from tests.unit.cli.test_simulate import PAYLOADS

OWNER = "team"
PERSON = 8
"""The number of the maintainer's account."""
ZEROS = "0" * 40


@dataclass(kw_only=True)
class ServedRepository:
    """One repository: where Git and the API are, and who hears of its pushes."""

    name: str
    git: GitServer
    forge: ForgeServer
    repository: Repository
    hooks: list[tuple[str, str]] = field(default_factory=list)
    """Addresses and keys."""
    reviews: list[tuple[int, str]] = field(default_factory=list)
    posting: list[threading.Thread] = field(default_factory=list)

    def pushed(self, update: RefUpdate) -> None:
        """Tell of a push, as soon as it is there, and keep the refs of pull requests at their branches."""
        branch = update.ref.removeprefix("refs/heads/")
        for pull in self.forge.pulls:
            if pull["state"] == "open" and pull["head"]["ref"] == branch:
                if update.after == ZEROS:
                    pull["state"] = "closed"
                else:
                    self.repository.git("update-ref", f"refs/pull/{pull['number']}/head", update.after)
        self.post("push", "gitea-push", ref=update.ref, before=update.before, after=update.after)

    def post(self, event: str, payload: str, **changes: Any) -> None:
        """Send a saved payload as of this repository, after changes; nobody waits for it."""
        body = json.loads((PAYLOADS / f"{payload}.json").read_text())
        own = {"full_name": f"{OWNER}/{self.name}", "clone_url": f"{self.git.url}/{OWNER}/{self.name}"}
        data = json.dumps({**body, "repository": body["repository"] | own, **changes}).encode()
        for address, key in self.hooks:
            thread = threading.Thread(target=_send, args=(address, data, signed(Sender.GITEA, key, data, event)))
            thread.start()
            self.posting.append(thread)


class StandIn:
    """Repositories of one owner, each at a host of its own."""

    maintainer = "ada"

    def __init__(self, root: Path, host: str, stack: contextlib.ExitStack) -> None:
        """Serve nothing yet; servers end with the stack."""
        self.root, self.host, self.stack = root, host, stack
        self.served: dict[str, ServedRepository] = {}

    @property
    def forges(self) -> str:
        """The setting `forges`."""
        return ",".join(f"{_host(one)}=gitea+{one.forge.base}" for one in self.served.values())

    @property
    def plain_http(self) -> str:
        """Hosts for the setting `plain-http`."""
        return ",".join(f"{_host(one)},{one.forge.address}" for one in self.served.values())

    @property
    def secrets(self) -> Mapping[str, Mapping[str, str]]:
        """The login for the APIs; anybody may push."""
        return {"shipway-forge": {f"{_host(one).replace(':', '_')}.token": TOKEN for one in self.served.values()}}

    def create(self, name: str) -> str:
        """Make an empty repository and return its address."""
        repository = Repository(self.root / "served" / name / OWNER / name, "--bare")
        for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack"):
            repository.git("config", key, "true")
        git = self.stack.enter_context(git_server.serving(self.root / "served" / name, host=self.host))
        forge = self.stack.enter_context(forge_server("gitea", host=self.host))
        forge.repository = f"{OWNER}/{name}"
        served = ServedRepository(name=name, git=git, forge=forge, repository=repository)
        git.pushed = served.pushed
        self.served[name] = served
        return self.push_address(name)

    def push_address(self, name: str) -> str:
        """Return the address that a person pushes to."""
        return f"{self.served[name].git.url}/{OWNER}/{name}"

    def full_name(self, name: str) -> str:
        """Return a repository's name with its owner's."""
        return f"{OWNER}/{name}"

    def watch(self, name: str, address: str, key: str) -> None:
        """Send signed webhooks of a repository to an address."""
        self.served[name].hooks.append((address, key))

    def statuses(self, name: str, commit: str) -> list[GivenStatus]:
        """Return the statuses of a commit, in the order in which they were given."""
        return [
            GivenStatus(context=one["context"], state=str(one["status"]), description=one["description"])
            for sha, one in self.served[name].forge.statuses
            if sha == commit
        ]

    def pull_requests(self, name: str) -> list[ProposedChange]:
        """Return every pull request, the oldest first."""
        return [
            ProposedChange(
                number=one["number"], is_open=one["state"] == "open", title=one["title"], branch=one["head"]["ref"]
            )
            for one in self.served[name].forge.pulls
        ]

    def propose(self, name: str, branch: str, title: str) -> int:
        """Open a pull request of a branch to main as a person, and return its number."""
        served = self.served[name]
        pull = served.forge.write_pull(head=branch, base="main", title=title, body="")
        number = int(pull["number"])
        head = served.repository.git("rev-parse", f"refs/heads/{branch}")
        served.repository.git("update-ref", f"refs/pull/{number}/head", head)
        saved = json.loads((PAYLOADS / "gitea-fork-pull-request.json").read_text())
        repository = {"id": saved["repository"]["id"]}
        told = saved["pull_request"] | {
            "number": number,
            "head": saved["pull_request"]["head"] | {"sha": head, "ref": branch, "repo": repository},
            "user": saved["pull_request"]["user"] | {"login": self.maintainer},
        }
        served.post("pull_request", "gitea-fork-pull-request", action="opened", number=number, pull_request=told)
        return number

    def say(self, name: str, number: int, text: str) -> None:
        """Write a comment under a pull request, as the maintainer."""
        served = self.served[name]
        comment = served.forge.write_comment(number, PERSON, text, login=self.maintainer)
        saved = json.loads((PAYLOADS / "github-comment-ok-to-test.json").read_text())
        told = {"id": comment["id"], "user": {"login": self.maintainer}, "body": text}
        own = json.loads((PAYLOADS / "gitea-push.json").read_text())["repository"]["id"]
        issue = saved["issue"] | {"number": number, "pull_request": {"url": "x"}}
        served.post(
            "issue_comment", "gitea-push", action="created", issue=issue, comment=told, is_pull=True, number=own
        )

    def comments(self, name: str, number: int) -> list[str]:
        """Return the comments under a pull request."""
        return [one["body"] for one in self.served[name].forge.comments if one["number"] == number]

    def approve(self, name: str, number: int) -> None:
        """Approve the newest commit of a pull request, as the maintainer."""
        served = self.served[name]
        [branch] = [one["head"]["ref"] for one in served.forge.pulls if one["number"] == number]
        served.reviews.append((number, served.repository.git("rev-parse", f"refs/heads/{branch}")))

    def approved(self, name: str, number: int) -> list[str]:
        """Return the commits whose approvals a pull request still has: those whose commits it has."""
        served = self.served[name]
        [branch] = [one["head"]["ref"] for one in served.forge.pulls if one["number"] == number]
        commits = served.repository.git("rev-list", f"refs/heads/{branch}").split()
        return [commit for about, commit in served.reviews if about == number and commit in commits]


def _host(served: ServedRepository) -> str:
    return served.git.url.partition("://")[2]


def _send(address: str, data: bytes, headers: Mapping[str, str]) -> None:
    request = urllib.request.Request(
        address, data=data, headers={"Content-Type": "application/json", **headers}, method="POST"
    )
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60):
        pass


@contextlib.contextmanager
def stand_in(root: Path, host: str) -> Iterator[StandIn]:
    """Give a stand-in; its servers end with the block, after the webhooks that are on their way."""
    with contextlib.ExitStack() as stack:
        found = StandIn(root, host, stack)
        yield found
        for served in found.served.values():
            for thread in served.posting:
                thread.join(timeout=60)
