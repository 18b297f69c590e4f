"""What a failure of Git means, where its words alone do not say."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pipelines.errors import Misconfigured, Transient
from pipelines.tools.git import errors
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.processes.process import Completed


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://git.example.org/a.git", "fatal: unable to access 'x': Could not resolve host: git.example.org"),
        ("git@git.example.org:a.git", "ssh: Could not resolve hostname git.example.org: Name or service not known"),
    ],
)
def test_a_host_that_is_not_there_is_no_passing_trouble(url: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git says the same where no server of names answers, and only that is worth another attempt."""
    done = Completed(argv=("git",), code=128, stdout="", stderr=text)

    def lookup(number: int) -> None:
        def fail(host: str, *_: Any) -> None:
            assert host == "git.example.org"
            raise socket.gaierror(number, "no")

        monkeypatch.setattr(socket, "getaddrinfo", fail)

    lookup(socket.EAI_NONAME)
    error = errors.error("cannot read", done, RepositoryUrl(url), "")
    assert isinstance(error, Misconfigured)
    assert "git.example.org" in error.todo
    lookup(socket.EAI_AGAIN)
    assert isinstance(errors.error("cannot read", done, RepositoryUrl(url), ""), Transient)
