"""The stand-in for a forge with webhooks tells of every push, in a forge's own form and with its signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.cli.main import main
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Author, Proposal, WriteBack
from tests.e2e import forge_hooks
from tests.e2e.forge_hooks import HookRelay
from tests.e2e.forge_host import Person
from tests.e2e.forge_standin import StandIn, stand_in

KEY = "a-long-random-text"
AUTHOR = Author(name="Shipway", email="shipway@example.org")


@dataclass
class Told:
    """A stand-in with one repository, what hears of it, and a person."""

    forge: StandIn
    relay: HookRelay
    person: Person
    url: str

    def waited(self) -> None:
        """Wait for the webhooks that are on their way."""
        for thread in self.forge.served["shop"].posting:
            thread.join()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """Give a stand-in whose webhooks nothing else hears."""
    with (
        stand_in(tmp_path, "127.0.0.1") as forge,
        forge_hooks.relay("127.0.0.1", {"/runs": lambda _: None}) as relay,
    ):
        url = forge.create("shop")
        forge.watch("shop", f"{relay.address}/runs", KEY)
        yield Told(forge, relay, Person(tmp_path / "ada", forge.push_address("shop")), url)


def test_every_push_is_told_of_once_with_a_signature(told: Told, tmp_path: Path) -> None:
    """That of a person, that of Shipway itself, and a branch that goes; what was told can be held, and reordered."""
    first = told.person.push({"a": "1"})
    told.waited()
    told.relay.is_holding = True
    with Git(GitCredentials.read(tmp_path / "none")) as git:
        back = WriteBack(git=git, url=RepositoryUrl(told.url), author=AUTHOR)
        own = back.commit("refs/heads/main", lambda _: Proposal(files={"b": b"2"}, title="Deploy")).commit
    branch = told.person.push({"c": "3"}, branch="topic", base="main")
    told.person.clone.git("push", "--quiet", "origin", ":topic")
    told.waited()
    pushes = [(one.content["ref"], one.content["before"], one.head) for one in told.relay.arrived]
    zeros = "0" * 40
    assert pushes == [
        ("refs/heads/main", zeros, first),
        ("refs/heads/main", first, own),
        ("refs/heads/topic", zeros, branch),
        ("refs/heads/topic", branch, zeros),
    ]
    for one in told.relay.arrived:
        signature = hmac.new(KEY.encode(), one.body, hashlib.sha256).hexdigest()
        assert one.headers["X-Hub-Signature-256"] == f"sha256={signature}"
    assert [one.head for one in told.relay.release(lambda held: held[::-1])] == [zeros, branch, own]
    assert (told.relay.held, told.relay.waiting, told.relay.faults) == ([], 0, [])


def test_a_pull_request_and_a_comment_are_what_the_sensor_takes(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fires the trigger of Gitea's, for the commit that the pull request's ref has; a deleted branch closes it."""
    told.person.push({"a": "1"})
    head = told.person.push({"a": "2"}, branch="topic", base="main")
    number = told.forge.propose("shop", "topic", "Try it")
    told.forge.say("shop", number, f"/ok-to-test {head[:10]}")
    newer = told.person.push({"a": "3"}, branch="topic")
    told.waited()
    assert told.person.clone.git("ls-remote", "origin", f"refs/pull/{number}/head").startswith(newer)
    fired = {}
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"maintainers: {told.forge.maintainer}\n")
    for delivery in told.relay.arrived:
        path = tmp_path / "payload.json"
        path.write_bytes(delivery.body)
        capsys.readouterr()
        assert main(["simulate", str(path), "--source", "gitea", "--json", "--settings", str(settings)]) == 0
        for one in json.loads(capsys.readouterr().out)["triggers"]:
            if one["fires"]:
                fired[one["trigger"]] = one["lane"]
    assert fired == {"gitea-push": "ignored", "gitea-pull-request": "untrusted", "gitea-comment": "waiting"}
    told.person.clone.git("push", "--quiet", "origin", ":topic")
    assert [one.is_open for one in told.forge.pull_requests("shop")] == [False]
