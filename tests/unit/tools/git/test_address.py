"""Addresses, revisions and paths: which reach Git, and which never do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Misuse, Refused
from pipelines.tools.git.address import ForeignUrl, RepositoryUrl, Revision, TreePath, named_in_file


@pytest.mark.parametrize(
    ("text", "scheme", "origin", "name"),
    [
        ("https://example.org/team/Web_App.git", "https", "https://example.org", "web_app"),
        ("https://ada@example.org:8443/app/", "https", "https://example.org:8443", "app"),
        ("http://127.0.0.1:3000/a/b", "http", "http://127.0.0.1:3000", "b"),
        ("http://[::1]:3000/a/b", "http", "http://[::1]:3000", "b"),
        ("ssh://git@example.org:2222/a/b.git", "ssh", "ssh://example.org:2222", "b"),
        ("git@example.org:a/b.git", "ssh", "ssh://example.org", "b"),
        ("example.org:b", "ssh", "ssh://example.org", "b"),
        ("git@[::1]:a/b", "ssh", "ssh://[::1]", "b"),
        ("/srv/git/app", "file", "", "app"),
        ("file:///srv/git/app.git", "file", "", "app"),
        ("./some:where", "file", "", "some-where"),
        ("/srv/git/a/../My  Repo (2)/", "file", "", "my-repo-2"),
        ("https://example.org/-/.git", "https", "https://example.org", "image"),
    ],
)
def test_an_address_says_its_transport_origin_and_name(text: str, scheme: str, origin: str, name: str) -> None:
    """Each form that Git accepts is read as Git reads it."""
    url = RepositoryUrl(text)
    assert (url.scheme, url.origin, url.name) == (scheme, origin, name)
    assert bool(url.local_path) is (scheme == "file")
    assert url.is_ssh is (scheme == "ssh")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=touch x",
        "--upload-pack=touch x",
        "ext::sh -c touch% x",
        "ext::sh -c [x]",
        "fd::3",
        "transport::https://example.org/x",
        "https://example.org/a\nb",
        "https://example.org/a\rb",
        "https://example.org/\x1b[31m",
        "https://example.org/\x00",
        "ftp://example.org/a",
        "git://example.org/a",
        "https://",
        "https:///a",
        "https://[example.org/a",
        "https://example.org:http/a",
        "https://example.org:0/a",
        "https://ex ample.org/a",
        "ssh://-oProxyCommand=touch/x",
        "ssh://-oProxyCommand=touch@example.org/x",
        "ssh://-v@example.org/x",
        "ssh://example.org/-oProxyCommand=x",
        "-v@example.org:x",
        "-oProxyCommand=x:y",
        "git@-oProxyCommand=x:y",
        "example.org:-oProxyCommand=x",
        "git@exa mple:x",
        "file://example.org/etc",
        "file://",
    ],
)
def test_an_address_that_git_could_misread_is_misuse(text: str) -> None:
    """Options, transports that run programs, control characters and odd hosts never reach Git."""
    with pytest.raises(Misuse):
        RepositoryUrl(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:hunter2@example.org/a",
        "https://ada:@example.org/a",
        "ssh://ada:hunter2@example.org/a",
        "https://ghp_hunter2@example.org/a",
        "https://github_pat_hunter2@example.org/a",
        "https://glpat-hunter2@example.org/a",
        "https://hunter2$@example.org/a",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    """A password or token in the address would stand in logs; the message does not add to them."""
    with pytest.raises(Misuse) as caught:
        RepositoryUrl(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("parent", "written", "meant"),
    [
        ("https://example.org/team/app.git", "../lib.git", "https://example.org/team/lib.git"),
        ("https://example.org/team/app", "../../other/lib", "https://example.org/other/lib"),
        ("https://example.org/team/app/", "./sub", "https://example.org/team/app/sub"),
        ("git@example.org:team/app.git", "../lib.git", "git@example.org:team/lib.git"),
        ("git@[::1]:team/app.git", "../lib.git", "git@[::1]:team/lib.git"),
        ("ssh://git@example.org:22/team/app.git", "../lib.git", "ssh://git@example.org:22/team/lib.git"),
        ("https://example.org/team/app.git", "https://other.org/lib", "https://other.org/lib"),
        ("/srv/app", "https://other.org/lib", "https://other.org/lib"),
    ],
)
def test_a_submodules_address_is_taken_from_its_parents(parent: str, written: str, meant: str) -> None:
    """A relative address in .gitmodules stays on the parent's host; a complete one is used as it is."""
    assert RepositoryUrl(parent).submodule(written) == meant


@pytest.mark.parametrize(
    ("parent", "written"),
    [
        ("https://example.org/app", "../../../etc"),
        ("https://example.org/app", ".."),
        ("https://example.org/app", "../"),
        ("https://example.org/app", "/etc"),
        ("https://example.org/app", "file:///etc"),
        ("https://example.org/app", "lib"),
        ("/srv/app", "../lib"),
        ("git@example.org:app", "../../../x"),
        ("https://example.org/app", "ext::sh -c true"),
        ("https://example.org/app", "-u./payload"),
        ("https://example.org/app", "../\n/x"),
    ],
)
def test_a_submodules_address_never_leaves_its_host_or_names_a_folder(parent: str, written: str) -> None:
    """Content of .gitmodules is untrusted."""
    with pytest.raises((Refused, Misuse)):
        RepositoryUrl(parent).submodule(written)


@pytest.mark.parametrize(
    "text", ["main", "feature/x", "v1.2.3", "refs/pull/7/head", "HEAD", "a" * 40, "ü", "a@b", "$(id)", "a'b", "{{x}}"]
)
def test_a_name_that_git_allows_is_a_revision(text: str) -> None:
    """Odd names are legal in Git, and are never pasted into anything."""
    assert Revision(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-x",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a~1",
            "a^{}",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a//b",
            "/a",
            "a/",
        ),
        *(
            "a.",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "@",
            "a@{1}",
            "a\nb",
            "a\x7f",
            "x" * 1025,
            "+a:b",
            "+refs/heads/a:b",
        ),
    ],
)
def test_a_name_that_git_forbids_is_misuse(text: str) -> None:
    """Refspecs, ranges, options and names that check-ref-format forbids are not revisions."""
    with pytest.raises(Misuse):
        Revision(text)


def test_only_a_full_id_is_a_commit() -> None:
    """Abbreviations and capitals are names, since a server cannot look them up."""
    assert Revision("0" * 40).is_commit
    assert Revision("0" * 64).is_commit
    assert not any(Revision(text).is_commit for text in ("0" * 39, "0" * 41, "A" * 40, "0" * 7))


@pytest.mark.parametrize(
    ("text", "normal"), [("", "."), (".", "."), ("a//b/./c/", "a/b/c"), ("a b", "a b"), ("-x", "-x")]
)
def test_a_path_has_one_normal_form(text: str, normal: str) -> None:
    """Two ways to write one folder are one path."""
    assert TreePath(text) == normal


@given(st.lists(st.sampled_from(["a", "..", ".", "", ".git", ".GIT", "b c", "\\", "\n"])), st.booleans())
def test_a_path_never_leaves_the_tree(parts: list[str], absolute: bool) -> None:
    """Whatever is accepted is relative and passes through neither `..` nor a .git folder."""
    text = ("/" if absolute else "") + "/".join(parts)
    try:
        path = TreePath(text)
    except Misuse:
        return
    assert not path.startswith("/")
    assert not {"..", ".git", ".GIT", "\\", "\n"} & set(path.split("/"))


@pytest.mark.parametrize(
    ("asked", "named", "is_foreign"),
    [
        ("https://git.example/a", "https://git.example/b", False),
        ("https://git.example/a", "https://ada@Git.Example/b", False),
        ("https://git.example/a", "https://git.example:8443/b", True),
        ("https://git.example/a", "http://git.example/b", True),
        ("https://git.example/a", "https://git.example.evil.example/b", True),
        ("https://git.example/a", "https://git.example@evil.example/b", True),
        ("https://git.example/a", "git@git.example:b", True),
        ("http://git.example/a", "https://git.example/b", True),
        ("git@git.example:a", "https://git.example/b", False),
        ("ssh://git@git.example:2222/a", "https://git.example/b", False),
        ("git@git.example:a", "https://git.example:8443/b", True),
        ("git@git.example:a", "http://git.example/b", True),
        ("git@git.example:a", "https://evil.example/b", True),
        ("/srv/a", "https://evil.example/b", True),
    ],
)
def test_an_address_in_a_file_gets_no_login_for_another_host(asked: str, named: str, is_foreign: bool) -> None:
    """Whoever may write .gitmodules, an environment or a label must not choose who gets the password."""
    own = RepositoryUrl(asked)
    for url in (named_in_file(named, own), own.submodule(named)):
        assert url == named
        assert isinstance(url, ForeignUrl) == is_foreign
        assert isinstance(url.submodule("../c"), ForeignUrl) == is_foreign
    foreign = ForeignUrl(named)
    assert isinstance(foreign.submodule(named), ForeignUrl)
    assert isinstance(foreign.submodule(asked) if ":" in asked else foreign, ForeignUrl)
