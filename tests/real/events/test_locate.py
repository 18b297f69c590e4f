"""An event against a real repository: late ones are ignored, impostors refused, what a ref names is what is built."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipelines.errors import Refused, Transient
from pipelines.events import event as events
from pipelines.events import lanes
from pipelines.events.event import Comment, Decoded, Event, Lane, Manual, Nightly, PullRequest, Push, Tonight
from pipelines.release import own_commit, unpublished
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Proposal
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference
from tests.git_repositories import Repository
from tests.git_server import GitServer
from tests.oci_images import image
from tests.registry_process import registry
from tests.steps import step

decode = step("decode", Decoded)
locate_step = step("locate", Decoded)
list_refs = step("list-refs", Tonight)

PUSH = Push(source="gitea", repo_id=1, repo="", ref="refs/heads/main", before="0" * 40, head="", pushed="", message="")
PULL = PullRequest(
    source="gitea",
    repo_id=1,
    repo="",
    number=7,
    base="main",
    head="",
    head_repo_id=1,
    draft="",
    author="ada",
    association="",
    action="opened",
    before="",
    updated="",
)


def locate(server: GitServer, event: Event, **settings: str) -> Decoded:
    """Return what the step makes of an event of the repository that is served, without patience."""
    written = events.write(dataclasses.replace(event, repo=address(server)))
    return locate_step(event=written, repositories=address(server), credentials=Path("none"), patience=0, **settings)


def address(server: GitServer) -> str:
    """Return where the repository is."""
    return f"{server.url}/app/.git"


def test_a_push_runs_only_while_the_branch_is_there(server: GitServer, app: Repository) -> None:
    """The head runs; a commit that the branch has left behind is ignored, whichever event comes last."""
    old, new = app.git("rev-parse", "main~1"), app.git("rev-parse", "main")
    found = locate(server, dataclasses.replace(PUSH, head=new))
    assert (found.lane, found.revision) == (Lane.TRUSTED, new)
    late = locate(server, dataclasses.replace(PUSH, head=old))
    assert (late.lane, late.reason) == (Lane.IGNORED, f"it is late: refs/heads/main is at {new} by now")
    app.git("update-ref", "refs/heads/ä<&>\u2028x", new)
    odd = dataclasses.replace(PUSH, ref="refs/heads/ä<&>\u2028x", head=new)
    assert locate(server, odd, branch_checks="push").lane is Lane.UNTRUSTED
    gone = locate(server, dataclasses.replace(PUSH, ref="refs/heads/gone", head=new), branch_checks="push")
    assert (gone.lane, gone.reason) == (Lane.IGNORED, "the ref is gone")


def test_a_commit_that_is_not_on_a_protected_branch_is_refused(server: GitServer, app: Repository) -> None:
    """A host gives any commit of its network by id; one that only a fork has is published for no branch."""
    impostor = app.git("commit-tree", "-m", "Fork", "-p", "main", "main^{tree}")
    for head in (impostor, "1" * 40):
        with pytest.raises(Refused, match=f"{head} is not on refs/heads/main"):
            locate(server, dataclasses.replace(PUSH, head=head))
    asked = Manual(source="webhook", repo="", ref="refs/heads/main", head=impostor, id="1")
    with pytest.raises(Refused, match="is not on"):
        locate(server, asked)
    older = app.git("rev-parse", "main~1")
    assert locate(server, dataclasses.replace(asked, head=older)).revision == older
    rewritten = dataclasses.replace(PUSH, ref="refs/heads/feature/x", head=impostor)
    assert locate(server, rewritten, branch_checks="push").lane is Lane.IGNORED


def test_a_tag_runs_while_it_names_what_was_tagged(server: GitServer, app: Repository) -> None:
    """An annotated tag is told by its own id or by its commit's; one that was moved runs for its new commit alone."""
    tag = dataclasses.replace(PUSH, ref="refs/tags/v1.0.0")
    own, commit = app.git("rev-parse", "v1.0.0"), app.git("rev-parse", "v1.0.0^{commit}")
    assert own != commit
    for head in (own, commit):
        found = locate(server, dataclasses.replace(tag, head=head))
        assert (found.lane, found.revision, found.head) == (Lane.TRUSTED, "refs/tags/v1.0.0", commit)
    assert locate(server, dataclasses.replace(tag, head=app.git("rev-parse", "main~1"))).lane is Lane.IGNORED


def test_a_pull_request_runs_for_its_newest_commit(server: GitServer, app: Repository) -> None:
    """`/ok-to-test` approves the commit it names, and only while the pull request is there.

    `/retest` takes the newest, where a branch is at it.
    """
    head, old = app.git("rev-parse", "refs/pull/7/head"), app.git("rev-parse", "refs/pull/7/head~1")
    pull = dataclasses.replace(PULL, head=head)
    assert locate(server, pull).lane is Lane.UNTRUSTED
    assert locate(server, dataclasses.replace(pull, head=old)).lane is Lane.IGNORED
    assert locate(server, dataclasses.replace(pull, head="1" * 40)).lane is Lane.IGNORED
    comment = Comment(
        source="github",
        repo_id=1,
        repo="",
        number=7,
        comment_id=1,
        author="ada",
        association="OWNER",
        text=f"/ok-to-test {old}",
    )
    assert locate(server, comment).lane is Lane.IGNORED
    assert locate(server, dataclasses.replace(comment, text=f"/ok-to-test {head}")).revision == head
    cut = locate(server, dataclasses.replace(comment, text=f"/ok-to-test {head[:10]}"))
    assert (cut.lane, cut.head) == (Lane.WAITING, head)
    assert cut.reason == f"/ok-to-test needs all 40 digits of a commit; the pull request is at {head}"
    again = dataclasses.replace(comment, text="/retest")
    assert locate(server, again).revision == head
    fork = app.git("commit-tree", "-m", "Fork", "-p", "main", "main^{tree}")
    app.git("update-ref", "refs/pull/7/head", fork)
    waits = locate(server, again)
    assert (waits.lane, waits.head) == (Lane.WAITING, fork)
    assert waits.reason.endswith(f"/ok-to-test {fork}")
    app.git("branch", "topic", fork)
    assert locate(server, again).lane is Lane.UNTRUSTED


def test_a_night_is_about_protected_branches_and_young_tags(server: GitServer, app: Repository) -> None:
    """Every protected branch, the named one, and recent protected tags, each with its own event and group."""
    app.git("branch", "release/1", "main")
    app.git("branch", "release/{{x}}", "main")
    app.git("tag", "-m", "Old", "other")
    words = (
        f"object {app.git('rev-parse', 'main')}\ntype commit\ntag v2.0.0\ntagger Ada <ada@x> 4102444800 +0000\n\nNew\n"
    )
    app.git("update-ref", "refs/tags/v2.0.0", app.git("mktag", stdin=words.encode()))
    night = Nightly(source="calendar", repo=address(server), ref="refs/heads/older", time="2026-11-24T03:00")
    found = list_refs(
        event=events.write(night),
        credentials=Path("none"),
        protected_branches="main,release/*",
        repositories=address(server),
    )
    assert [listed.ref for listed in found.refs] == [
        "refs/heads/main",
        "refs/heads/release/1",
        "refs/tags/v2.0.0",
    ]
    for listed in found.refs:
        again = decode(event=listed.event, protected_branches="main,release/*", repositories=address(server))
        assert (again.ref, again.lane, again.group, again.max_age) == (listed.ref, Lane.TRUSTED, listed.group, "7d")
        given = {"event": listed.event, "protected_branches": "main,release/*", "repositories": address(server)}
        assert locate_step(**given, credentials=Path("none"), patience=0).lane is Lane.TRUSTED


def test_a_commit_that_asks_for_it_is_skipped_until_the_next(server: GitServer, app: Repository) -> None:
    """By its push, whose event may have no message or a part of it, by its pull request and by the night; a person who
    asks for it gets it, and so does a tag.
    """
    text = f"{'Mend ' * 80}\n\nBody\n\n\nSigned-off-by: Ada\nskip-checks: true"
    head = app.write("hello", "skipped").commit(text)
    app.git("update-ref", "refs/pull/7/head", head)
    app.git("update-ref", "refs/heads/gh-readonly-queue/main/pr-7", head)
    app.git("tag", "v3.0.0", head)
    push = dataclasses.replace(PUSH, head=head)
    night = Nightly(source="calendar", repo="", ref="refs/heads/main", time="2026-11-24T03:00")
    pull = dataclasses.replace(PULL, head=head)
    cut = dataclasses.replace(push, message=text[:300])
    for event in (push, cut, night, pull):
        found = locate(server, event)
        assert (found.lane, found.reason) == (Lane.IGNORED, "its commit's message says skip-checks: true")
        assert locate(server, event, skip_ci="never").lane in {Lane.TRUSTED, Lane.UNTRUSTED}
    comment = Comment(
        source="github",
        repo_id=1,
        repo="",
        number=7,
        comment_id=1,
        author="ada",
        association="OWNER",
        text="/retest",
    )
    by_hand = Manual(source="webhook", repo="", ref="refs/heads/main", head="", id="1")
    tag = dataclasses.replace(push, ref="refs/tags/v3.0.0")
    queue = dataclasses.replace(push, ref="refs/heads/gh-readonly-queue/main/pr-7")
    for asked in (comment, by_hand, tag, queue, dataclasses.replace(night, ref="refs/tags/v3.0.0")):
        assert locate(server, asked).lane in {Lane.TRUSTED, Lane.UNTRUSTED}
    before = app.git("rev-parse", f"{head}~1")
    found = locate(server, dataclasses.replace(PUSH, head=before))
    assert (found.lane, found.revision) == (Lane.TRUSTED, before), "nothing newer is published in its place"
    app.write("hello", "next").commit("Mend [skip it]")
    assert locate(server, night).lane is Lane.TRUSTED
    assert locate(server, dataclasses.replace(PUSH, head=before)).lane is Lane.IGNORED


def test_a_closed_pull_request_is_not_compared(server: GitServer, app: Repository) -> None:
    """Whatever its branch is at: there may be none any more."""
    closed = PullRequest(
        source="gitlab",
        repo_id=1,
        repo="",
        number=99,
        base="main",
        head="1" * 40,
        head_repo_id=1,
        draft="",
        author="",
        association="",
        action="close",
        before="",
        updated="",
    )
    assert locate(server, closed).lane is Lane.CLOSED


def test_a_night_finds_every_version_that_is_not_published(server: GitServer, app: Repository, tmp_path: Path) -> None:
    """However old its commit is: of several light tags that are pushed at once GitHub tells of none. Whatever cannot be
    read, and what is no version, keeps no other from being found.
    """
    old = app.git("rev-parse", "main~1")
    for name in ("v1.1.0", "v1.1.1", "v1.1.2", "v1.1.3", "vnext"):
        app.git("tag", name, old)
    app.git("tag", "-m", "Of a file", "v9.0.0", app.git("rev-parse", "main:hello"))
    broken = app.write("shipway.yaml", "images: [").commit("Broken")
    app.git("tag", "v1.2.0", broken)
    none = app.write("shipway.yaml", "images: {.: {build: false}}\n").commit("No image")
    app.git("tag", "v1.3.0", none)
    named = app.write("shipway.yaml", "images: {.: {name: web}}\n").commit("Named")
    app.git("tag", "v1.4.0", named)
    night = events.write(Nightly(source="calendar", repo=address(server), ref="refs/heads/main", time="2026-11-24T03"))

    def found(registry_address: str) -> list[str]:
        given = {"registry": registry_address, "project": "team", "plain_http": registry_address}
        listed = list_refs(
            event=night, credentials=Path("none"), docker_config=Path("none"), repositories=address(server), **given
        )
        return [one.ref for one in listed.refs]

    assert found("") == ["refs/heads/main"]
    with registry(tmp_path) as at:
        client = Registry(Credentials(), plain_http=frozenset({at}))
        layout, descriptor = image(tmp_path / "image")
        for name, tag in (("image", "1.1.1"), ("image", "1.0.0"), ("web", "main")):
            to = Reference.under(at, "team", name)
            client.push(layout, descriptor, to)
            client.tag(to.with_digest(descriptor.digest), tag)
        lacking = ["v1.1.0", "v1.1.2", "v1.1.3", "v1.4.0"]
        assert found(at) == ["refs/heads/main", *(f"refs/tags/{name}" for name in lacking)]

    def silent(name: str) -> tuple[str, ...]:
        raise Transient(f"no answer about {name}", seen="silence", todo="ask again")

    head = Resolved(commit=named, ref="refs/heads/main")
    with Git(GitCredentials.read(Path("none"))) as git:
        url = RepositoryUrl(address(server))
        assert unpublished.tags(git, url, head, {"refs/tags/v1.1.0": old}, silent) == frozenset()


def test_a_push_is_not_late_because_of_what_a_run_made_of_it(server: GitServer, app: Repository) -> None:
    """The run is about the person's commit, and builds the head; behind a person's commit it is late as before."""
    pushed = app.write("charts/web/values.yaml", "tag: a\n").commit()
    made = made_of(server, app, pushed, "tag: b\n")
    found = locate(server, dataclasses.replace(PUSH, head=pushed))
    assert (found.lane, found.head, found.revision) == (Lane.TRUSTED, pushed, made)
    twice = made_of(server, app, made, "tag: c\n")
    assert locate(server, dataclasses.replace(PUSH, head=pushed)).revision == twice
    assert locate(server, dataclasses.replace(PUSH, head=app.git("rev-parse", f"{pushed}~1"))).lane is Lane.IGNORED
    earlier = locate(server, dataclasses.replace(PUSH, head=app.git("rev-parse", f"{pushed}~1")))
    assert lanes.newer(earlier.reason) == pushed
    app.write("more", "x").commit()
    assert locate(server, dataclasses.replace(PUSH, head=pushed)).lane is Lane.IGNORED


def made_of(server: GitServer, app: Repository, source: str, text: str) -> str:
    """Commit what a run makes of a commit, and return it."""
    files = {"charts/web/values.yaml": text.encode()}
    lines = (*own_commit.trailers(RepositoryUrl(address(server)), source, "push-1"), Proposal(files=files).mark)
    return app.write("charts/web/values.yaml", text).commit("Deploy web\n\n" + "\n".join(lines))
