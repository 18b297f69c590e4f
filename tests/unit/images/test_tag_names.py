"""Tags of an image: legal, apart from each other, and named by the ref."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import Refused
from pipelines.images import tag_names
from pipelines.tools.registry.reference import built_of, built_tag, key_tag

LEGAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# What people and attackers call branches: words of ours, versions, slugs with hashes, and anything at all.
PIECES = st.sampled_from(
    "main latest git key pr sha256 branch - . _ / + 1 2.0 v1 1.2.3 0123456789ab Ä 日本 A feature".split()
)
BRANCHES = st.one_of(
    st.text(min_size=1, max_size=300),
    st.lists(PIECES, min_size=1, max_size=6).map("".join),
    st.builds(tag_names.branch_tag, st.text(min_size=1, max_size=40)),
)


@given(BRANCHES)
@example("a" * 300)
@example("---")
@example("-" + "a" * 127)
def test_branch_tag_is_legal(branch: str) -> None:
    """Every branch has a tag that every registry takes."""
    assert LEGAL.fullmatch(tag_names.branch_tag(branch))


@given(BRANCHES, BRANCHES)
@example("feature/x", "feature-x")
@example("feature/x", tag_names.branch_tag("feature/x"))
@example("1.2.3", tag_names.branch_tag("1.2.3"))
@example("a" * 128, "a" * 129)
def test_branches_never_share_a_tag(one: str, other: str) -> None:
    """Two branches have two tags, also where one is called like the other's tag."""
    assert (tag_names.branch_tag(one) == tag_names.branch_tag(other)) == (one == other)


@given(BRANCHES)
@example("git-" + COMMIT)
@example("key-" + "0" * 64)
@example(built_tag("0" * 64, 1_700_000_000))
@example("latest")
@example("LATEST")
@example("1.2.3")
@example("1.2.3/x")
@example("1.2.3+x")
@example("1")
@example("v1.2")
@example("0.0.0.0")
@example("pr-7-" + COMMIT)
@example("sha256-" + "0" * 64 + ".sig")
def test_no_branch_reaches_another_kind_of_tag(branch: str) -> None:
    """A branch's tag is never `latest`, a version, or in the namespaces of builds, commits, keys and pull requests."""
    tag = tag_names.branch_tag(branch)
    assert tag.lower() != "latest"
    assert not re.match(r"(built|git|key|pr|sha256)([-_.]|$)", tag, re.IGNORECASE)
    assert not re.fullmatch(r"v?\d+(\.\d+)*", tag)
    assert tag_names.version_of(tag) is None


@pytest.mark.parametrize("branch", ["main", "release-1.2", "1.x", "Feature_7", "gitlab", "keyboard", "2fa"])
def test_a_legal_free_name_stays(branch: str) -> None:
    """A branch whose name is a free and legal tag has that tag."""
    assert tag_names.branch_tag(branch) == branch


@pytest.mark.parametrize(
    ("branch", "slug"),
    [("feature/login", "feature-login"), ("1.2.3", "branch-1.2.3"), ("latest", "latest"), ("git-x", "branch-git-x")],
)
def test_another_name_becomes_a_slug_with_a_hash(branch: str, slug: str) -> None:
    """Any other name can still be read in its tag."""
    assert re.fullmatch(re.escape(slug) + "-[0-9a-f]{12}", tag_names.branch_tag(branch))


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("", tag_names.TagPlan(commit=f"git-{COMMIT}")),
        ("refs/heads/main", tag_names.TagPlan(commit=f"git-{COMMIT}", branch="main")),
        ("refs/tags/v1.2.3", tag_names.TagPlan(commit=f"git-{COMMIT}", version="1.2.3")),
        ("refs/tags/v1.2.3-rc.1+b.7", tag_names.TagPlan(commit=f"git-{COMMIT}", version="1.2.3-rc.1_b.7")),
        ("refs/tags/v1.2", tag_names.TagPlan(commit=f"git-{COMMIT}")),
        ("refs/tags/1.2.3", tag_names.TagPlan(commit=f"git-{COMMIT}")),
        ("refs/tags/v01.2.3", tag_names.TagPlan(commit=f"git-{COMMIT}")),
        ("refs/tags/nightly", tag_names.TagPlan(commit=f"git-{COMMIT}")),
        ("refs/pull/7/head", tag_names.TagPlan(commit=f"git-{COMMIT}", pull_request=f"pr-7-{COMMIT}")),
        ("refs/pull/x/head", tag_names.TagPlan(commit=f"git-{COMMIT}")),
    ],
)
def test_plan_follows_the_ref(ref: str, expected: tag_names.TagPlan) -> None:
    """Each ref gives the tags of its kind, and every image has its commit's."""
    assert tag_names.tag_plan(ref, COMMIT) == expected


@given(st.text(max_size=200))
def test_every_planned_tag_is_legal(name: str) -> None:
    """No Git tag makes a tag that a registry refuses."""
    plan = tag_names.tag_plan(f"refs/tags/{name}", COMMIT)
    assert all(LEGAL.fullmatch(tag) for tag in (plan.commit, plan.version, plan.released) if tag)


def test_a_version_can_be_told_to_be_a_commit_s() -> None:
    """By a tag of its own, which a branch at the same commit does not have."""
    assert tag_names.tag_plan("refs/tags/v1.2.3", COMMIT).released == f"git-{COMMIT}-1.2.3"
    assert tag_names.tag_plan("refs/heads/main", COMMIT).released == ""
    assert tag_names.tag_plan("refs/tags/v1.2.3-" + "a" * 110, COMMIT).released == ""


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 10**12 - 1))
def test_the_time_of_a_build_is_read_back_from_its_tag(key: str, seconds: int) -> None:
    """And from no other kind of tag."""
    assert LEGAL.fullmatch(built_tag(key, seconds))
    assert built_of(built_tag(key, seconds)) == (key, seconds)
    assert built_of(key_tag(key)) is None


def test_a_version_too_long_for_a_tag_is_refused() -> None:
    """A version that no tag can hold is refused, not cut."""
    with pytest.raises(Refused, match="too long"):
        tag_names.tag_plan("refs/tags/v1.2.3-" + "a" * 128, COMMIT)


def test_only_releases_reach_latest() -> None:
    """A pre-release and a branch never become `latest`."""
    assert tag_names.tag_plan("refs/tags/v1.2.3", COMMIT).is_release
    assert tag_names.tag_plan("refs/tags/v1.2.3+b", COMMIT).is_release
    assert not tag_names.tag_plan("refs/tags/v1.2.3-rc.1", COMMIT).is_release
    assert not tag_names.tag_plan("refs/heads/main", COMMIT).is_release


@given(st.integers(0, 9), st.integers(0, 9), st.from_regex(r"[0-9a-z]{1,5}", fullmatch=True))
def test_a_version_is_read_back_from_its_tag(minor: int, patch: int, build: str) -> None:
    """A tag says which version it is, build metadata with it."""
    version = f"1.{minor}.{patch}+{build}"
    assert str(tag_names.version_of(tag_names.version_tag(version))) == version
