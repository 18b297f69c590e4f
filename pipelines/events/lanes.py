"""Which lane an event runs in: the event and the deployment's rules decide, never the repository's content."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache

from pipelines.errors import Misconfigured, Misuse, Refused
from pipelines.events.event import Comment, Event, Lane, Manual, Nightly, PullRequest, Push, Sender
from pipelines.step import printable
from pipelines.tools.git.address import RepositoryUrl, Revision

COMMAND = r"/(?:retest|ok-to-test[ \t]+([0-9a-f]{40}(?:[0-9a-f]{24})?))[ \t]*(?:\r?\n|$)"
"""The first line of a comment that asks for a run; the rest is for people."""
_COMMAND = re.compile(COMMAND)
_APPROVAL = re.compile(r"/ok-to-test(?:[ \t\r\n]|$)")
"""The beginning of a comment that means to approve, whatever it names."""
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MADE = re.compile(r"nothing to do: made by run (\S+) for commit ([0-9a-f]+)")
_LATE = re.compile(r"it is late: .+ is at ([0-9a-f]+) by now", re.DOTALL)
_REF = re.compile(r"refs/(heads|tags)/(.+)")
_ZEROS = re.compile(r"0+")
# GitHub's words for people whom the repository's owner chose. CONTRIBUTOR is anybody who once had a commit merged.
_MAINTAINING = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_PATTERN = re.compile(r"[^\s\x00-\x1f\x7f,~^:?\[\\{}]+")
_SKIP = re.compile(r"\[(?:skip ci|ci skip|no ci|skip actions|actions skip)\]", re.IGNORECASE)
"""What forges take in a commit's message for the wish that nothing runs for it."""
_CLOSED = frozenset({"closed", "close", "merge"})
"""The actions of a pull request that ends, in words of GitHub, Gitea and GitLab."""
_QUEUE = "refs/heads/gh-readonly-queue/"
"""Branches of GitHub's merge queue, which waits for the statuses of each."""
PULL_REQUEST, PUSH = "pull-request", "push"
BRANCHES, NEVER = "branches", "never"
PULL_REFS = dict.fromkeys(Sender, "refs/pull/{}/head") | {Sender.GITLAB: "refs/merge-requests/{}/head"}
"""Under which ref each forge keeps a pull request of a number."""


@dataclass(frozen=True, kw_only=True)
class LaneRules:
    """The deployment's rules for lanes."""

    protected_branches: tuple[str, ...]
    """Whole names, in which * stands for anything but a slash, and ** for anything."""
    protected_tags: tuple[str, ...]
    maintainers: frozenset[str]
    """Login names, for forges that do not say who is a maintainer; in small letters."""
    repositories: tuple[RepositoryUrl, ...]
    """The watched repositories; none means every one whose webhooks are signed with our secret."""
    branch_checks: str = PULL_REQUEST
    """Which event checks a branch of the repository that may not publish: PULL_REQUEST or PUSH."""
    skip_ci: str = BRANCHES
    """Whether a commit's message may say that nothing runs for it: BRANCHES or NEVER."""


@dataclass(frozen=True, kw_only=True)
class LaneDecision:
    """A lane, and why."""

    lane: Lane
    reason: str


@dataclass(frozen=True, kw_only=True)
class EventTarget:
    """What an event is about, checked."""

    repo: RepositoryUrl
    ref: str
    head: str
    number: int = 0
    base: str = ""


def target(event: Event) -> EventTarget:
    """Return what an event is about. Raises Refused if an address, ref or commit is invalid."""
    repo = _repository(event.repo)
    match event:
        case Push():
            return EventTarget(repo=repo, ref=_ref(event.ref), head="" if _deleted(event) else _object(event.head))
        case PullRequest():
            ref = pull_ref(event.source, event.number)
            return EventTarget(
                repo=repo, ref=ref, head=_object(event.head), number=event.number, base=_ref(f"refs/heads/{event.base}")
            )
        case Comment():
            asked = _COMMAND.match(event.text)
            ref = pull_ref(event.source, event.number)
            return EventTarget(repo=repo, ref=ref, head=(asked and asked[1]) or "", number=event.number)
        case Nightly():
            return EventTarget(repo=repo, ref=_ref(event.ref), head="")
        case Manual():
            if not event.id.strip():
                todo = "give each its own id: a second request with the same id starts nothing"
                raise Refused("a request by hand without an id", seen=repr(event.id), todo=todo)
            return EventTarget(repo=repo, ref=_ref(event.ref), head=_object(event.head) if event.head else "")


def decide(event: Event, rules: LaneRules) -> LaneDecision:
    """Return the lane of an event that has a target."""
    is_watched = any(one.host_and_path == RepositoryUrl(event.repo).host_and_path for one in rules.repositories)
    if rules.repositories and not is_watched:
        return _ignored("the repository is not watched")
    match event:
        case Push() if _deleted(event):
            return _ignored("the ref was deleted")
        case Manual() if not is_watched:
            return _ignored("a manual run is for watched repositories, and the setting `repositories` names none")
        case Push():
            return _push(event, rules)
        case Nightly() | Manual():
            return _by_ref(event.ref, rules)
        case PullRequest():
            return _pull_request(event, rules)
        case Comment():
            return _comment(event, rules)


def watched(repo: RepositoryUrl, rules: LaneRules) -> RepositoryUrl:
    """Return the address of a repository in the settings, or else the event's own."""
    return next((known for known in rules.repositories if known.host_and_path == repo.host_and_path), repo)


def key(*parts: str) -> str:
    """Return a hash of the parts, 32 hexadecimal digits; different lists of parts have different hashes."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def small(login: str) -> str:
    """Return a login in small letters, as forges compare them: of ASCII alone, since other letters become those."""
    return login.lower() if login.isascii() else login


def plain(text: str) -> str:
    """Return the text. Raises Refused if Argo would take it for a template, or cannot carry it."""
    _check_carried(text)
    if _is_template(text):
        raise Refused(
            "a name that Argo takes for a template", seen=repr(text[:200]), todo="use names without {{ and }}"
        )
    return str(text)


def patterns(text: str) -> tuple[str, ...]:
    """Return the patterns of a setting, separated by commas. Raises Misconfigured if no ref could match one."""
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    for pattern in names:
        if not _PATTERN.fullmatch(pattern):
            raise Misconfigured(
                "a pattern of protected refs is invalid", seen=repr(pattern), todo="write whole names, with * and **"
            )
    return names


def waiting(commit: str) -> str:
    """Return why a pull request's commit waits."""
    return f"a pull request from a fork: a maintainer must write /ok-to-test {commit}"


def late(ref: str, commit: str) -> str:
    """Return why a push of a commit that its ref has left behind is ignored; `commit` is what the ref names now."""
    return f"it is late: {ref} is at {commit} by now"


def newer(reason: str) -> str:
    """Return the commit that a late push's ref names, from the reason; empty for any other reason."""
    match = _LATE.fullmatch(reason)
    return match[1] if match else ""


def skipped(ref: str, message: str, rules: LaneRules) -> str:
    """Return why nothing runs for a commit at a branch or pull request, or an empty text: its message may ask for that.

    A tag is never skipped, and neither is a branch of a merge queue, which would wait for ever.
    """
    if rules.skip_ci == NEVER or ref.startswith(("refs/tags/", _QUEUE)):
        return ""
    asks = _SKIP.search(message)
    last = message.replace("\r", "").strip().rpartition("\n\n")[2].lower().splitlines()
    found = asks[0] if asks else next((line for line in last if re.fullmatch(r"skip-checks:\s*true\s*", line)), "")
    return f"its commit's message says {found.strip()}" if found else ""


def made(run: str, commit: str) -> str:
    """Return why a run has nothing to do for a commit that another run made of a person's."""
    return f"nothing to do: made by run {run} for commit {commit}"


def maker(reason: str) -> tuple[str, str]:
    """Return that other run and the person's commit, from the reason; two empty texts for any other reason."""
    match = _MADE.fullmatch(reason)
    return (match[1], match[2]) if match else ("", "")


def pull_ref(source: str, number: int) -> str:
    """Return the ref under which a forge keeps a pull request; raises Refused if the number is not positive."""
    if number < 1:
        raise Refused("a pull request without a number", seen=str(number), todo="see the forge's delivery log")
    return PULL_REFS[Sender(source)].format(number)


def _by_ref(ref: str, rules: LaneRules) -> LaneDecision:
    match = _REF.fullmatch(ref)
    kind, name = (match[1], match[2]) if match else ("", "")
    word, setting = ("tag", rules.protected_tags) if kind == "tags" else ("branch", rules.protected_branches)
    for pattern in setting:
        if _glob(pattern).fullmatch(name):
            return LaneDecision(lane=Lane.TRUSTED, reason=f"a protected {word}: it matches {pattern}")
    return LaneDecision(
        lane=Lane.UNTRUSTED, reason=f"the {word} is not protected: it matches none of {', '.join(setting)}"
    )


def _push(event: Push, rules: LaneRules) -> LaneDecision:
    if why := skipped(event.ref, event.message.replace(r"\r\n", "\n").replace(r"\n", "\n"), rules):
        return _ignored(why)
    found = _by_ref(event.ref, rules)
    is_checked = rules.branch_checks == PULL_REQUEST and event.ref.startswith("refs/heads/")
    if found.lane is Lane.UNTRUSTED and is_checked and not event.ref.startswith(_QUEUE):
        return _ignored(f"{found.reason}; its pull request checks it, says the setting branch-checks")
    return found


def _pull_request(event: PullRequest, rules: LaneRules) -> LaneDecision:
    if event.action in _CLOSED:
        return LaneDecision(lane=Lane.CLOSED, reason="the pull request was closed: its runs end")
    if event.draft == "true":
        return _ignored("a draft; it runs once it is ready for review")
    if event.head_repo_id == event.repo_id and rules.branch_checks == PUSH:
        return _ignored("a branch of the repository itself: its push checks it, says the setting branch-checks")
    if event.head_repo_id == event.repo_id:
        return LaneDecision(lane=Lane.UNTRUSTED, reason="a pull request from a branch of the repository itself")
    if why := _maintains(event, rules):
        return LaneDecision(lane=Lane.UNTRUSTED, reason=f"a pull request from a fork, by {why}")
    return LaneDecision(lane=Lane.WAITING, reason=waiting(event.head))


def _comment(event: Comment, rules: LaneRules) -> LaneDecision:
    asked = _COMMAND.match(event.text)
    if not asked and not _APPROVAL.match(event.text):
        return _ignored("the comment asks for nothing")
    why = _maintains(event, rules)
    if not why:
        return _ignored("the comment is by nobody who may ask: no maintainer")
    if not asked:
        return LaneDecision(lane=Lane.WAITING, reason="/ok-to-test needs all 40 digits of a commit")
    said = f"/ok-to-test for {asked[1]}" if asked[1] else "/retest"
    return LaneDecision(lane=Lane.UNTRUSTED, reason=f"{said}, by {why}")


def _maintains(event: PullRequest | Comment, rules: LaneRules) -> str:
    """Return what makes the author a maintainer, or an empty text."""
    if event.source == Sender.GITHUB and event.association in _MAINTAINING:
        return f"a maintainer: {event.association}"
    return "a maintainer whom the setting names" if small(event.author) in rules.maintainers else ""


def _ignored(reason: str) -> LaneDecision:
    return LaneDecision(lane=Lane.IGNORED, reason=reason)


def _deleted(event: Push) -> bool:
    return _ZEROS.fullmatch(event.head) is not None


def _repository(text: str) -> RepositoryUrl:
    try:
        url = RepositoryUrl(text)
    except Misuse as error:
        raise Refused("the event's repository is invalid", seen=error.seen, todo="see the forge's settings") from error
    _check_carried(text)
    if url.scheme == "file" or _is_template(text):
        raise Refused("the event's repository is invalid", seen=repr(text[:200]), todo="see the forge's settings")
    return url


def _ref(text: str) -> str:
    """Return the full name of a branch or a tag. Raises Refused if it is anything else.

    `{{` is refused although Git allows it: Argo expands templates in the values of arguments, so another name would
    reach the next step.
    """
    try:
        ref = Revision(text)
    except Misuse as error:
        raise Refused(
            "the event's ref is invalid", seen=error.seen, todo="give the branch or tag another name"
        ) from error
    _check_carried(ref)
    if not _REF.fullmatch(ref) or _is_template(ref):
        raise Refused("a ref that is never built", seen=repr(text[:200]), todo="give the branch or tag another name")
    return str(ref)


def _object(text: str) -> str:
    if not _OBJECT.fullmatch(text):
        raise Refused("the event's commit is invalid", seen=repr(text[:200]), todo="see the forge's delivery log")
    return text


def _check_carried(text: str) -> None:
    """Raise Refused for a name that Argo's substitution fails with, once the run has begun."""
    if character := printable.unprintable(text):
        raise Refused(
            f"a name with the character {character!a}, which Argo cannot pass on",
            seen=ascii(text[:200]),
            todo="give the branch, tag or repository another name",
        )


def _is_template(text: str) -> bool:
    return "{{" in text or "}}" in text


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    parts = (
        re.escape(part) if not part.startswith("*") else ".*" if len(part) > 1 else "[^/]*"
        for part in re.split(r"(\*+)", pattern)
    )
    return re.compile("".join(parts))
