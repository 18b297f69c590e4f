"""Events and lanes: what an event is follows from its fields, and what it may do from typed rules."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Misconfigured, Misuse, Refused
from pipelines.events import event as events
from pipelines.events import lanes
from pipelines.events.event import Decoded, EventKind, Lane
from pipelines.tools.git.address import RepositoryUrl
from tests.steps import step

decode = step("decode", Decoded)

A, B = "a" * 40, "b" * 40
REPO = "https://git.example.com/team/shop.git"
PUSH = {
    "source": "github",
    "repo_id": 7,
    "repo": REPO,
    "ref": "refs/heads/main",
    "before": B,
    "head": A,
    "pushed": "",
    "message": "",
}
PULL = {
    "source": "github",
    "repo_id": 7,
    "repo": REPO,
    "number": 3,
    "base": "main",
    "head": A,
    "head_repo_id": 8,
    "draft": "",
    "author": "ada",
    "association": "NONE",
    "action": "opened",
    "before": "",
    "updated": "",
}
COMMENT = {
    "source": "github",
    "repo_id": 7,
    "repo": REPO,
    "number": 3,
    "comment_id": 99,
    "author": "ada",
    "association": "MEMBER",
    "text": f"/ok-to-test {A}",
}
NIGHTLY = {"source": "calendar", "repo": REPO, "ref": "refs/heads/main", "time": "2026-11-24 03:00"}
MANUAL = {"source": "webhook", "repo": REPO, "ref": "refs/heads/main", "head": "", "id": "1"}


def encoded(fields: object) -> str:
    """Return an event as a Sensor passes it on."""
    return base64.b64encode(json.dumps(fields).encode()).decode()


def read(fields: dict[str, Any], **changed: Any) -> Decoded:
    """Return what `decode` makes of the fields after a change; names that are settings go to the step."""
    settings = {
        name: changed.pop(name)
        for name in ("maintainers", "repositories", "protected_branches", "branch_checks", "skip_ci")
        if name in changed
    }
    return decode(event=encoded(fields | changed), **settings)


@pytest.mark.parametrize(
    ("fields", "changed", "lane", "reason"),
    [
        (PUSH, {}, "trusted", "a protected branch: it matches main"),
        (PUSH, {"ref": "refs/heads/feature/x"}, "ignored", "its pull request checks it"),
        (PUSH, {"ref": "refs/heads/feature/x", "branch_checks": "pull-request"}, "ignored", "not protected"),
        (PUSH, {"ref": "refs/heads/feature/x", "branch_checks": "push"}, "untrusted", "not protected"),
        (PUSH, {"ref": "refs/heads/gh-readonly-queue/main/pr-7-ab"}, "untrusted", "not protected"),
        (PUSH, {"ref": "refs/heads/xmain"}, "ignored", "not protected"),
        (PUSH, {"ref": "refs/heads/main/x"}, "ignored", "not protected"),
        (PUSH, {"ref": "refs/heads/v1.0.0"}, "ignored", "not protected"),
        (PUSH, {"ref": "refs/tags/v1.0.0"}, "trusted", "a protected tag: it matches v*"),
        (PUSH, {"ref": "refs/tags/main"}, "untrusted", "the tag is not protected"),
        (PUSH, {"ref": "refs/heads/r/1", "protected_branches": "r/*"}, "trusted", "matches r/*"),
        (PUSH, {"ref": "refs/heads/r/1/2", "protected_branches": "r/*"}, "ignored", "none of r/*"),
        (PUSH, {"ref": "refs/heads/r/1/2", "protected_branches": "r/**"}, "trusted", "matches r/**"),
        (PUSH, {"ref": "refs/heads/mXin", "protected_branches": "m.in"}, "ignored", "none of m.in"),
        (PUSH, {"head": "0" * 40}, "ignored", "deleted"),
        (PUSH, {"before": "0" * 40}, "trusted", "protected"),
        (PUSH, {"repositories": "git@git.example.com:team/other.git"}, "ignored", "not watched"),
        (PUSH, {"repositories": "git@git.example.com:team/shop"}, "trusted", "protected"),
        (PUSH, {"message": "Mend it [skip ci]"}, "ignored", "its commit's message says [skip ci]"),
        (PUSH, {"message": "Mend it\\n\\n[CI Skip]"}, "ignored", "says [CI Skip]"),
        (PUSH, {"message": "[no ci]"}, "ignored", "says [no ci]"),
        (PUSH, {"message": "[skip actions]"}, "ignored", "says [skip actions]"),
        (PUSH, {"message": "[actions skip]"}, "ignored", "says [actions skip]"),
        (PUSH, {"message": "Mend it\\n\\n\\nBy: Ada\\nskip-checks: true\\n"}, "ignored", "says skip-checks: true"),
        (PUSH, {"message": "Mend it\\r\\n\\r\\n\\r\\nskip-checks:true"}, "ignored", "says skip-checks:true"),
        (PUSH, {"message": "Mend it\\r\\n\\r\\nskip-checks: true\\r\\n"}, "ignored", "says skip-checks: true"),
        (PUSH, {"message": "Mend\\r\\n\\r\\nskip-checks: true\\r\\n\\r\\nBy: Ada"}, "trusted", "protected"),
        (PUSH, {"message": "Say skip-checks: true"}, "trusted", "protected"),
        (PUSH, {"message": "Honour skip ci and (ci skip)"}, "trusted", "protected"),
        (PUSH, {"message": "[skip ci]", "skip_ci": "never"}, "trusted", "protected"),
        (PUSH, {"message": "[skip ci]", "ref": "refs/tags/v1.0.0"}, "trusted", "a protected tag"),
        (PUSH, {"message": "[skip ci]", "ref": "refs/heads/gh-readonly-queue/main/pr-7-ab"}, "untrusted", "not"),
        (PULL, {"head_repo_id": 7}, "untrusted", "a branch of the repository itself"),
        (PULL, {"head_repo_id": 7, "branch_checks": "push"}, "ignored", "its push checks it"),
        (PULL, {"branch_checks": "push", "association": "OWNER"}, "untrusted", "a fork, by a maintainer"),
        (PULL, {"action": "closed"}, "closed", "its runs end"),
        (PULL, {"action": "merge", "draft": "true", "source": "gitlab"}, "closed", "its runs end"),
        (PULL, {"action": "close", "repositories": "git@git.example.com:team/other"}, "ignored", "not watched"),
        (PULL, {}, "waiting", f"a maintainer must write /ok-to-test {A}"),
        (PULL, {"head_repo_id": 0}, "waiting", "a maintainer must"),
        (PULL, {"association": "CONTRIBUTOR"}, "waiting", "a maintainer must"),
        (PULL, {"association": "COLLABORATOR"}, "untrusted", "a maintainer: COLLABORATOR"),
        (PULL, {"association": "member"}, "waiting", "a maintainer must"),
        (PULL, {"source": "gitea", "association": "OWNER"}, "waiting", "a maintainer must"),
        (PULL, {"source": "gitea", "maintainers": "bob,ada"}, "untrusted", "whom the setting names"),
        (PULL, {"source": "gitea", "maintainers": "ADA", "author": "Ada"}, "untrusted", "whom the setting names"),
        (PULL, {"source": "gitea", "maintainers": "kim", "author": "\u212aim"}, "waiting", "a maintainer must"),
        (PULL, {"draft": "true", "head_repo_id": 7}, "ignored", "a draft"),
        (COMMENT, {}, "untrusted", f"/ok-to-test for {A}, by a maintainer: MEMBER"),
        (COMMENT, {"association": "NONE"}, "ignored", "no maintainer"),
        (COMMENT, {"text": "/retest\r\nplease"}, "untrusted", "/retest, by a maintainer"),
        (COMMENT, {"text": "/retest", "association": "CONTRIBUTOR"}, "ignored", "no maintainer"),
        (COMMENT, {"text": f"/ok-to-test \t {A} \r\n"}, "untrusted", f"/ok-to-test for {A}"),
        (COMMENT, {"text": f"/ok-to-test {A[:12]}"}, "waiting", "needs all 40 digits of a commit"),
        (COMMENT, {"text": f"/ok-to-test {A[:12]}", "association": "NONE"}, "ignored", "no maintainer"),
        (COMMENT, {"text": f"/ok-to-test {A}0"}, "waiting", "needs all 40 digits of a commit"),
        (COMMENT, {"text": f"/ok-to-test {A} {A}"}, "waiting", "needs all 40 digits of a commit"),
        (COMMENT, {"text": "/ok-to-tests"}, "ignored", "asks for nothing"),
        (COMMENT, {"text": f"see\n/ok-to-test {A}"}, "ignored", "asks for nothing"),
        (COMMENT, {"text": "/ok-to-test"}, "waiting", "needs all 40 digits of a commit"),
        (NIGHTLY, {}, "trusted", "protected"),
        (NIGHTLY, {"ref": "refs/heads/dev"}, "untrusted", "not protected"),
        (MANUAL, {}, "ignored", "names none"),
        (MANUAL, {"repositories": REPO}, "trusted", "protected"),
        (MANUAL, {"repositories": "https://git.example.com/team/shop2"}, "ignored", "not watched"),
    ],
)
def test_the_lane_follows_from_the_event_and_the_rules(
    fields: dict[str, Any], changed: dict[str, Any], lane: str, reason: str
) -> None:
    """Whoever pushes to a protected ref may publish; a stranger's commit runs only after a maintainer named it."""
    found = read(fields, **changed)
    assert found.lane == lane, found.reason
    assert reason in found.reason


def test_what_is_checked_out() -> None:
    """A branch and a pull request are checked out at the event's commit, a tag at the tag, the rest at the ref."""
    assert read(PUSH).revision == A
    tag = read(PUSH, ref="refs/tags/v1")
    assert (tag.kind, tag.revision, tag.head) == (EventKind.TAG, "refs/tags/v1", A)
    pull = read(PULL)
    assert (pull.ref, pull.revision, pull.base, pull.number) == ("refs/pull/3/head", A, "refs/heads/main", 3)
    assert read(PULL, source="gitlab").ref == "refs/merge-requests/3/head"
    assert read(COMMENT).revision == A
    assert read(COMMENT, text="/retest").revision == "refs/pull/3/head"
    assert read(NIGHTLY).revision == "refs/heads/main"
    assert read(MANUAL, head=B).revision == B
    assert read(PUSH, repositories="git@git.example.com:team/shop").repo == "git@git.example.com:team/shop"


def test_runs_that_must_not_meet_have_different_keys() -> None:
    """One repository has one mutex, whatever its address; a group ends at the repository, the lane and the full ref."""
    main = read(PUSH)
    same = [
        read(NIGHTLY),
        read(PUSH, repo="git@git.example.com:team/shop"),
        read(PUSH, repo="ssh://git@GIT.example.com:22/team/shop.git"),
    ]
    assert {found.mutex for found in same} == {main.mutex}
    assert {found.group for found in same} == {main.group}
    others = [
        read(PUSH, ref="refs/heads/a/b"),
        read(PUSH, ref="refs/heads/a-b"),
        read(PUSH, ref="refs/tags/main"),
        read(PUSH, protected_branches="none"),
        read(PUSH, repo="https://git.example.com/team-shop"),
        read(PUSH, repo="https://git.example.com:8443/team/shop"),
        read(PULL),
    ]
    assert len({found.group for found in [main, *others]}) == len(others) + 1
    assert read(PUSH, repo="https://git.example.com/team/Shop").mutex != main.mutex


@pytest.mark.parametrize("id_", ["", " "])
def test_a_request_by_hand_without_an_id_is_refused(id_: str) -> None:
    """A second one would find the first one's run, and start nothing without a word."""
    with pytest.raises(Refused, match="a request by hand without an id") as caught:
        read(MANUAL, id=id_, repositories=REPO)
    assert caught.value.exit_code == 3


def test_a_setting_with_two_values_has_no_third() -> None:
    """A word that is misspelt is told, and none means the default."""
    for name in ("branch_checks", "skip_ci"):
        with pytest.raises(Misconfigured, match=f"the setting `{name.replace('_', '-')}` has an unknown value"):
            read(PUSH, **{name: "both"})
        assert read(PUSH, **{name: ""}).lane is Lane.TRUSTED


def test_what_ends_runs_of_a_pull_request_is_one_of_them() -> None:
    """It finds them by their group."""
    assert read(PULL, action="closed").group == read(PULL, head_repo_id=7).group == read(COMMENT).group


@pytest.mark.parametrize(
    "changed",
    [
        {"ref": "refs/heads/$(id)\n"},
        {"ref": "refs/heads/{{workflow.uid}}"},
        {"ref": "refs/heads/{{=1+1}}"},
        {"ref": "--upload-pack=touch x"},
        {"ref": "refs/heads/../x"},
        {"ref": "refs/heads/" + "x" * 989},
        {"ref": "refs/notes/commits"},
        {"ref": "main"},
        {"ref": ""},
        {"head": "HEAD"},
        {"head": A[:39]},
        {"head": ""},
        {"before": "a" * 65},
        {"pushed": "2" * 40},
        {"repo": "ext::sh -c touch% x"},
        {"repo": "/etc"},
        {"repo": "file:///etc"},
        {"repo": "ssh://-oProxyCommand=touch/x"},
        {"repo": "https://git.example.com/{{workflow.name}}"},
        {"repo": ""},
        {"repo_id": "7"},
        {"repo_id": True},
        {"source": "nowhere"},
        {"more": "fields"},
    ],
)
def test_hostile_values_are_refused(changed: dict[str, Any]) -> None:
    """What Git or Argo would read as something else never leaves the step."""
    with pytest.raises(Refused):
        read(PUSH, **changed)


@pytest.mark.parametrize(
    "name", ["$(id)", "`id`", "';touch-x;#", 'a"}],"args",("x', "feat@1", "x" * 200, "ä/é", "%s", "{=1}", "\u2028"]
)
def test_awkward_names_arrive_byte_for_byte(name: str) -> None:
    """What Git takes for a branch is built under its own name."""
    assert read(PUSH, ref=f"refs/heads/{name}").ref == f"refs/heads/{name}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "=",
        encoded([]),
        encoded("x"),
        encoded({}),
        encoded(None),
        base64.b64encode(b"\xff").decode(),
        "eyJ…",
        encoded(PUSH) + "\n",
        encoded([["["] * 9] * 9),
        "A" * 40_000,
        base64.b64encode(b"[" * 9000).decode(),
    ],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    """Neither other JSON nor too much of it gets further."""
    with pytest.raises(Refused):
        events.read(text)


@given(st.dictionaries(st.sampled_from(sorted(PUSH)), st.one_of(st.text(), st.integers(), st.none()), max_size=6))
def test_no_value_breaks_the_step(changed: dict[str, Any]) -> None:
    """Whatever a field holds, it is decoded or refused."""
    try:
        found = read(PUSH, **changed)
    except Refused:
        return
    assert found.lane in set(Lane)
    assert not any("{{" in str(value) for value in dataclasses.astuple(found))


def test_patterns_are_whole_names() -> None:
    """A pattern is no regular expression, and an empty setting protects nothing."""
    assert lanes.patterns(" main, release/** ,") == ("main", "release/**")
    for text in ("a b", "x^", "a?", "{{x}}"):
        with pytest.raises(Misconfigured):
            lanes.patterns(text)
    with pytest.raises(Misconfigured):
        read(PUSH, repositories="ext::x")


def test_an_address_and_its_other_forms_are_one_place() -> None:
    """Ports matter where they name another server."""
    assert RepositoryUrl("http://h:3000/a/b.git").host_and_path == "h:3000/a/b"
    assert (
        RepositoryUrl("ssh://git@h:2222/a/b/").host_and_path == RepositoryUrl("git@h:a/b.git").host_and_path == "h/a/b"
    )


def test_a_repository_asked_for_by_hand_is_trusted() -> None:
    """Without an event, the repository, revision and ref are taken as they are; a revision left out is HEAD."""
    found = decode(repo="https://git.example.com/team/shop.git")
    assert (found.kind, found.lane, found.reason) == ("manual", "trusted", "asked for by hand")
    assert (found.revision, found.ref) == ("HEAD", "")
    asked = decode(repo="git@git.example.com:team/shop.git", revision="a" * 40, ref="refs/heads/main")
    assert (asked.revision, asked.ref, asked.mutex) == ("a" * 40, "refs/heads/main", found.mutex)


@pytest.mark.parametrize(
    ("event", "repo", "revision"),
    [("", "", ""), ("e30=", "https://git.example.com/team/shop.git", ""), ("e30=", "", "main"), ("", "", "main")],
)
def test_an_event_or_a_repository(event: str, repo: str, revision: str) -> None:
    """Both, or neither, is misuse."""
    with pytest.raises(Misuse):
        decode(event=event, repo=repo, revision=revision)


def test_no_name_by_hand_is_a_template() -> None:
    """Argo would take it for one when it passes it on."""
    with pytest.raises(Refused, match="takes for a template"):
        decode(repo="https://git.example.com/team/shop.git", revision="{{workflow.uid}}")


@pytest.mark.parametrize("revision", ["feature/\U0001fae9", "feature/\U0001f3f4\U000e0067\U000e007f", "\U000f0000"])
def test_a_name_that_argo_cannot_carry_is_refused_by_name(revision: str) -> None:
    """The run would end in an error of Argo's own, once it has begun (argo-workflows#15512)."""
    with pytest.raises(Refused, match=r"'\\U000[0-9a-f]{5}', which Argo cannot pass on") as caught:
        decode(repo="https://git.example.com/team/shop.git", revision=revision)
    assert caught.value.exit_code == 3
    with pytest.raises(Refused, match="which Argo cannot pass on"):
        read(PUSH, ref=f"refs/heads/{revision}")
    with pytest.raises(Refused, match="which Argo cannot pass on"):
        read(PUSH, repo=f"https://git.example.com/team/{revision}.git")
    assert read(PUSH, ref="refs/heads/feature/\U0001f600").ref == "refs/heads/feature/\U0001f600"


def test_no_event_comes_by_hand() -> None:
    """The source of runs asked for by hand is none that an event may name."""
    with pytest.raises(Refused, match="nowhere known"):
        read(PUSH, source="hand")
