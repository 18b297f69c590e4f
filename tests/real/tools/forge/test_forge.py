"""A forge's client against a fake forge over HTTP: what is written, what never is, and what each refusal means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipelines.errors import Misconfigured, Refused, Transient
from pipelines.step.groups import NetworkSettings
from pipelines.tools.forge import connect as forge_connect
from pipelines.tools.forge.connect import NoForge
from pipelines.tools.forge.forge import Branch, Forge, Status, StatusState
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry.connection import Timing
from tests.forge_server import HEEDED_RESET, OURS, RESET, TOKEN, ForgeServer, Kind, Reply, forge_server, said

COMMIT = "c" * 40
FAST = Timing(answer_seconds=5, attempts=3, backoff_seconds=0.01, longest_wait_seconds=0.02)


@pytest.fixture(params=["github", "gitea"])
def server(request: pytest.FixtureRequest) -> Iterator[ForgeServer]:
    kind: Kind = request.param
    with forge_server(kind) as state:
        yield state


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "forge"
    folder.mkdir()
    (folder / "git.example.com.token").write_text(f"{TOKEN}\n")
    return folder


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app(tmp_path: Path, key: rsa.RSAPrivateKey) -> Path:
    """A Secret with an App's key."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (tmp_path / "git.example.com.app-id").write_text("123")
    (tmp_path / "git.example.com.private-key").write_bytes(pem)
    return tmp_path


def connect(server: ForgeServer, secret: Path, repo: str = "https://git.example.com/team/shop.git") -> Forge:
    forges = f"git.example.com={server.kind}+{server.base}"
    return forge_connect.connect(
        RepositoryUrl(repo), secret, forges=forges, network=NetworkSettings(plain_http=server.address), timing=FAST
    )


def test_the_newest_status_of_a_context_is_the_one_that_is_read(server: ForgeServer, secret: Path) -> None:
    """Also where other programs' statuses fill a page before it."""
    forge = connect(server, secret)
    assert forge.status(COMMIT, "shipway") is None
    for number in range(5):
        forge.set_status(COMMIT, Status(context=f"other-{number}", state=StatusState.SUCCESS, description="fine"))
    forge.set_status(COMMIT, Status(context="shipway", state=StatusState.PENDING, description="begun"))
    last = Status(context="shipway", state=StatusState.FAILURE, description="no", url="https://argo.example.com/run")
    forge.set_status(COMMIT, last)
    assert forge.status(COMMIT, "shipway") == last


def test_a_description_is_one_line_that_the_forge_takes(server: ForgeServer, secret: Path) -> None:
    forge = connect(server, secret)
    forge.set_status(
        COMMIT, Status(context="shipway", state=StatusState.ERROR, description="a\nb " + "c" * 999, url="javascript:x")
    )
    [(_, told)] = server.statuses
    assert told["description"].startswith("a b ccc")
    assert len(told["description"]) == {"github": 140, "gitea": 255}[server.kind]
    assert "target_url" not in told


def test_a_comment_is_written_once_and_then_changed(server: ForgeServer, secret: Path) -> None:
    forge = connect(server, secret)
    for number in range(4):
        server.write_comment(3, 8 + number, "looks good")
    first = forge.comment(3, "shipway report", "planned")
    assert forge.comment(3, "shipway report", "done") == first
    assert forge.comment(3, "shipway report", "done") == first
    ours = [one["body"] for one in server.comments if one["user"]["id"] == OURS]
    assert ours == ["<!-- shipway report -->\ndone"]
    assert server.count("PATCH", "comments") == 1


def test_a_strangers_comment_with_the_marker_is_left_alone(server: ForgeServer, secret: Path) -> None:
    stranger = server.write_comment(3, 66, "<!-- shipway report -->\nall is well")
    ours = server.write_comment(3, OURS, "> <!-- shipway report -->\nwhat is that?")
    connect(server, secret).comment(3, "shipway report", "failed")
    assert stranger["body"].endswith("all is well")
    assert ours["body"].endswith("what is that?")
    assert server.comments[-1]["body"] == "<!-- shipway report -->\nfailed"


def test_what_was_written_though_its_answer_was_lost_is_not_written_twice(server: ForgeServer, secret: Path) -> None:
    server.lie("POST", "comments|pulls", HEEDED_RESET, times=1)
    connect(server, secret).comment(3, "shipway report", "done")
    assert len(server.comments) == 1
    server.lie("POST", "pulls", HEEDED_RESET, times=1)
    connect(server, secret).propose(head="bump", base="main", title="t", body="b")
    assert len(server.pulls) == 1


def test_a_pull_request_is_opened_once_and_then_changed(server: ForgeServer, secret: Path) -> None:
    forge = connect(server, secret)
    assert forge.pull_request("shipway/shop") is None
    made = forge.propose(head="shipway/shop", base="main", title="web 1.0.0", body="old")
    for number in range(4):
        forge.propose(head=f"other-{number}", base="main", title="other", body="")
    changed = forge.propose(head="shipway/shop", base="main", title="web 1.0.1", body="new")
    assert (changed.number, changed.title, changed.body) == (made.number, "web 1.0.1", "new")
    assert forge.pull_request("shipway/shop", base="main") == changed
    assert forge.pull_request("shipway/shop", base="prod") is None
    assert [one["title"] for one in server.pulls].count("web 1.0.1") == 1


def test_a_pull_request_is_closed_and_stays_closed(server: ForgeServer, secret: Path) -> None:
    forge = connect(server, secret)
    number = forge.propose(head="shipway/shop", base="main", title="web 1.0.0", body="").number
    for _ in range(2):
        forge.close(number)
        assert forge.pull_request("shipway/shop") is None
    assert [one["state"] for one in server.pulls] == ["closed"]


def test_a_branch_of_a_fork_is_not_taken_for_ours(secret: Path) -> None:
    with forge_server("gitea") as server:
        forge = connect(server, secret)
        forge.propose(head="bump", base="main", title="a stranger's", body="")
        server.pulls[0]["head"]["repo_id"] = 99
        assert forge.pull_request("bump") is None


def test_another_run_that_opens_it_first_is_followed(server: ForgeServer, secret: Path) -> None:
    connect(server, secret).propose(head="bump", base="main", title="first", body="")
    server.lie("GET", "pulls", Reply(status=200, value=[]), times=1)
    found = connect(server, secret).propose(head="bump", base="main", title="second", body="")
    assert (found.number, found.title, len(server.pulls)) == (1, "second", 1)


def test_branches_tell_whether_they_are_protected(server: ForgeServer, secret: Path) -> None:
    server.branches["release/1.x"] = {"commit": COMMIT, "protected": False}
    forge = connect(server, secret)
    main, release = forge.branch("main"), forge.branch("release/1.x")
    assert main == Branch(name="main", commit="1" * 40, protected=True)
    assert release == Branch(name="release/1.x", commit=COMMIT, protected=False)
    assert forge.branch("gone") is None
    assert forge.default_branch() == "main"


def test_a_repository_that_cannot_be_seen_is_no_missing_branch(server: ForgeServer, secret: Path) -> None:
    with pytest.raises(Misconfigured, match="not found, or not to be seen"):
        connect(server, secret, "https://git.example.com/team/hidden.git").branch("main")


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (said(401, "Bad credentials"), Misconfigured, "the login is not accepted"),
        (said(403, "Resource not accessible by integration"), Misconfigured, "not allowed"),
        (said(404, "Not Found"), Misconfigured, "not found"),
        (said(422, "No commit found for SHA"), Refused, "cannot be set"),
        (said(422, "The permissions requested are not granted"), Misconfigured, "not allowed"),
        (said(403, "secondary rate limit"), Transient, "too many calls"),
        (said(403, "no", Retry_After="7"), Transient, "too many calls"),
        (said(403, "no", X_RateLimit_Remaining="0", X_RateLimit_Reset="1"), Transient, "too many calls"),
        (said(429, "slow down", Retry_After="7"), Transient, "too many calls"),
        (said(502, "bad gateway"), Transient, "cannot be set"),
        (Reply(status=302, headers={"Location": "https://elsewhere.example.com/"}), Misconfigured, "sent elsewhere"),
        (Reply(status=307, headers={"Location": "https://elsewhere.example.com/"}), Misconfigured, "sent elsewhere"),
        (RESET, Transient, "did not answer"),
    ],
)
def test_each_no_has_its_meaning_and_names_no_secret(
    server: ForgeServer, secret: Path, reply: Reply, error: type[Exception], words: str
) -> None:
    value = {"message": f"{reply.value['message']} {TOKEN}"} if reply.value else None
    server.lie("POST", "statuses", dataclasses.replace(reply, value=value))
    with pytest.raises(error, match=words) as caught:
        connect(server, secret).set_status(
            COMMIT, Status(context="shipway", state=StatusState.SUCCESS, description="d")
        )
    assert TOKEN not in str(caught.value)
    assert server.count("POST", "statuses") == (3 if error is Transient else 1)


@pytest.mark.parametrize("value", [None, {}, [], "text", 5])
def test_an_answer_of_another_form_is_unknown(server: ForgeServer, secret: Path, value: object) -> None:
    """It is JSON, and says nothing of what was asked."""
    odd, forge = Reply(status=200, value=value), connect(server, secret)
    server.write_comment(3, OURS, "<!-- shipway report -->\nold")
    server.lie("GET", "/user$", odd, times=3)
    with pytest.raises(Transient, match="the token's own user"):
        forge.comment(3, "shipway report", "new")
    server.lie("GET", "/branches/", odd, times=3)
    with pytest.raises(Transient, match="the branch main"):
        forge.branch("main")
    if value != {}:
        server.lie("PATCH", "/comments/", odd, times=3)
        with pytest.raises(Transient, match="the comment under pull request 3"):
            forge.comment(3, "shipway report", "new")
        server.lie("GET", "/repos/team/shop$", odd, times=3)
        with pytest.raises(Transient, match="cannot be looked at"):
            forge.default_branch()
    server.lie("GET", "/branches/", Reply(status=302, headers={"Location": "https://[x/"}))
    with pytest.raises(Transient, match="leads to an invalid address"):
        forge.branch("main")


@pytest.mark.parametrize("value", [None, {}, [], "text", {"id": None}])
@pytest.mark.parametrize("asked", ["installation$", "access_tokens$"])
def test_an_app_that_is_answered_in_another_form_gets_no_token(app: Path, asked: str, value: object) -> None:
    with forge_server("github") as server:
        server.lie("GET", "installation$", Reply(status=200, value={"id": 7}), times=0 if asked[0] == "i" else 3)
        server.lie("GET|POST", asked, Reply(status=200, value=value))
        with pytest.raises(Transient, match="no token"):
            connect(server, app).default_branch()


def test_a_renamed_repository_is_followed_on_the_same_host(server: ForgeServer, secret: Path) -> None:
    path = f"{server.base}/repos/team/shop/statuses/{COMMIT}"
    server.lie("POST", "old/shop", Reply(status=307, headers={"Location": path}))
    connect(server, secret, "https://git.example.com/old/shop.git").set_status(
        COMMIT, Status(context="shipway", state=StatusState.SUCCESS, description="d")
    )
    assert server.states(COMMIT) == ["success"]


def test_a_login_goes_to_its_own_host_alone(server: ForgeServer, secret: Path) -> None:
    forges = f"git.example.com={server.kind}+{server.base},other.example.com=gitea+http://{server.address}"
    for repo in ("https://other.example.com/team/shop", "https://git.example.com.evil.example/team/shop", "/srv/shop"):
        with pytest.raises(NoForge):
            forge_connect.connect(
                RepositoryUrl(repo), secret, forges=forges, network=NetworkSettings(plain_http=server.address)
            )
    with pytest.raises(Misconfigured, match="leaves TLS"):
        forge_connect.connect(
            RepositoryUrl("https://git.example.com/team/shop"), secret, forges=forges, network=NetworkSettings()
        )
    assert not server.asked


@pytest.mark.parametrize(
    ("repo", "forges", "commit"),
    [
        ("git@git.example.com:team/shop.git", "git.example.com=gitea", "https://git.example.com/team/shop"),
        ("https://git.example.com/git/team/shop", "git.example.com=gitea", "https://git.example.com/git/team/shop"),
        ("ssh://git@git.example.com/team/shop", "git.example.com=github", "https://git.example.com/team/shop"),
    ],
)
def test_links_lead_to_the_pages_of_the_repository(secret: Path, repo: str, forges: str, commit: str) -> None:
    forge = forge_connect.connect(RepositoryUrl(repo), secret, forges=forges, network=NetworkSettings())
    assert forge.commit_link(COMMIT) == f"{commit}/commit/{COMMIT}"
    assert forge.compare_link("v1.0.0", "a b") == f"{commit}/compare/v1.0.0...a%20b"


def test_an_app_signs_in_with_a_token_for_one_repository_and_few_rights(app: Path, key: rsa.RSAPrivateKey) -> None:
    with forge_server("github") as server:
        server.app_key = key.public_key()
        server.tokens.clear()
        stranger = server.write_comment(3, 66, "<!-- shipway report -->\n", login="shipway-app", type_="User")
        forge = connect(server, app)
        forge.set_status(COMMIT, Status(context="shipway", state=StatusState.SUCCESS, description="d"))
        forge.comment(3, "shipway report", "one")
        forge.comment(3, "shipway report", "two")
        assert [one["body"][-3:] for one in server.comments] == [stranger["body"][-3:], "two"]
        [asked] = [one for one in server.asked if one.path.endswith("access_tokens")]
        assert asked.body == {"repositories": ["shop"], "permissions": forge_connect.REPORTING}
        server.app_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        with pytest.raises(Misconfigured, match="the login is not accepted"):
            connect(server, app).default_branch()


@pytest.mark.parametrize(
    "pem", ["", "no key at all", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_a_key_that_cannot_sign_is_named_without_a_word_of_it(tmp_path: Path, pem: str) -> None:
    (tmp_path / "github.com.app-id").write_text("123")
    (tmp_path / "github.com.private-key").write_text(pem)
    forge = forge_connect.connect(
        RepositoryUrl("https://github.com/team/shop"), tmp_path, forges="", network=NetworkSettings()
    )
    with pytest.raises(Misconfigured, match="private key cannot be used") as caught:
        forge.default_branch()
    assert "AAAA" not in str(caught.value)
