"""Validated input for Git: a repository's address, a revision in it, a path in its tree.

Git reads a word with a leading dash as an option and runs programs for some transports (`ext::`). These types accept
neither: see the advisories CVE-2017-1000117 and CVE-2018-17456.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import PurePosixPath
from typing import Self
from urllib.parse import urlsplit

from pipelines.errors import Misuse, Refused

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCP = re.compile(
    r"(?P<login>(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])):(?P<path>[^:-].*)"
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]*")
# Prefixes of GitHub's and GitLab's tokens, which people paste in place of a user name.
_TOKEN = re.compile(r"gh[a-z]_|github_pat_|glpat-|gldt-")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# git-check-ref-format(1), rules 3 to 10.
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|[/.]$|^/|^@$")
_MAX_REF = 1024
# A component of a repository's name in a registry: distribution-spec, "Pulling manifests".
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_TODO = "give https://host/path, ssh://user@host/path, user@host:path, or a folder"


class RepositoryUrl(str):
    """An https, http or ssh address, the short form `user@host:path`, or a folder of this machine."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Return `text`; raises Misuse if it is not an address that Git may be given."""
        if not text or text.startswith("-") or _CONTROL.search(text):
            raise Misuse("not a repository's address", seen=repr(text[:200]), todo=_TODO)
        if re.match(r"[A-Za-z0-9+.-]+::", text):
            raise Misuse("a transport that runs programs is not used", seen=repr(text[:200]), todo=_TODO)
        if "://" in text:
            _check_parts(text)
        elif ":" in text.split("/", 1)[0] and not _SCP.fullmatch(text):
            raise Misuse("not a repository's address", seen=repr(text[:200]), todo=_TODO)
        return super().__new__(cls, text)

    @property
    def scheme(self) -> str:
        """The transport that Git uses: https, http, ssh or file."""
        if "://" in self:
            return urlsplit(self).scheme
        return "ssh" if _SCP.fullmatch(self) else "file"

    @property
    def origin(self) -> str:
        """Scheme, host and port of a network address, without the user; a login is valid for this origin alone."""
        if self.scheme == "file":
            return ""
        if "://" in self:
            parts = urlsplit(self)
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        match = _SCP.fullmatch(self)
        return f"ssh://{match['login'].rpartition('@')[2]}" if match else ""

    @property
    def path(self) -> str:
        """The path of a network address, without slashes at its ends; empty for a folder."""
        return _split(self)[1]

    @property
    def local_path(self) -> str:
        """The folder that this address names; empty for a network address."""
        if self.scheme != "file":
            return ""
        return urlsplit(self).path if "://" in self else str(self)

    @property
    def is_ssh(self) -> bool:
        """Whether Git connects over ssh."""
        return self.scheme == "ssh"

    @property
    def name(self) -> str:
        """The last part of the address, in lower case and in characters that an image's name may have; never empty."""
        # abspath, since resolving would name the folder that a link leads to.
        path = os.path.abspath(self.local_path) if self.local_path else self.rpartition(":")[2]  # noqa: PTH100
        last = path.rstrip("/").rpartition("/")[2].removesuffix(".git").lower()
        return last if _NAME.fullmatch(last) else _NOT_IN_A_NAME.sub("-", last).strip("-") or "image"

    @property
    def host_and_path(self) -> str:
        """Host and path, equal for the https and the ssh form of an address; a folder as it is written."""
        if self.scheme == "file":
            return str(self)
        host = self.origin.partition("://")[2].lower()
        if self.is_ssh:  # ssh has another port than https at the same forge
            host = re.sub(r":\d+$", "", host)
        path = self.partition("://")[2].partition("/")[2] if "://" in self else self.rpartition(":")[2]
        return f"{host}/{path.strip('/').removesuffix('.git')}"

    def submodule(self, url: str) -> RepositoryUrl:
        """Return the address that `url` in a .gitmodules of this repository means.

        A relative one is resolved against this address (gitsubmodules(7)), any other is a ForeignUrl at another host.
        Raises Refused for a folder of this machine and for a relative address that leaves the host, and Misuse if it
        is not an address.
        """
        if not url.startswith(("./", "../")):
            address = named_in_file(url, self)
        else:
            head, path = _split(self)
            joined = posixpath.normpath(posixpath.join(path, url))
            if not path or joined in {".", ".."} or joined.startswith("../"):
                raise Refused(
                    "a submodule's address leaves its host",
                    seen=f"{url!r} from {self}",
                    todo="write the submodule's whole address into .gitmodules",
                )
            address = type(self)(head + joined)
        if address.scheme == "file":
            raise Refused(
                "a submodule names a folder of this machine",
                seen=repr(url[:200]),
                todo="give the submodule an https or ssh address in .gitmodules",
            )
        return address


class ForeignUrl(RepositoryUrl):
    """An address that a file names, at a host that nobody asked for: no password is sent there."""

    __slots__ = ()


def named_in_file(text: str, *asked: RepositoryUrl) -> RepositoryUrl:
    """Return an address that a repository or a registry names; raises Misuse if it is not an address.

    It is a ForeignUrl unless it is at the host of an address that a person or a setting named.
    """
    url = RepositoryUrl(text)
    return url if any(_is_at_host_of(url, one) for one in asked) else ForeignUrl(text)


def _is_at_host_of(url: RepositoryUrl, asked: RepositoryUrl) -> bool:
    """Whether a login for one address may be sent to another: over the same transport, or by https in place of ssh."""
    if isinstance(asked, ForeignUrl):
        return False
    if asked.is_ssh and url.scheme == "https":
        return urlsplit(url.origin).netloc.lower() == (urlsplit(asked.origin).hostname or "")
    return url.origin.lower() == asked.origin.lower()


class Revision(str):
    """A branch, a tag, a full commit id, a ref such as `refs/pull/7/head`, or HEAD."""

    __slots__ = ()

    def __new__(cls, text: str) -> Revision:
        """Return `text`; raises Misuse if it cannot name a revision."""
        if not text or text.startswith("-") or len(text) > _MAX_REF or _BAD_REF.search(text):
            raise Misuse(
                "not a revision",
                seen=repr(text[:200]),
                todo="give a branch, a tag, a full commit id or refs/pull/N/head",
            )
        return super().__new__(cls, text)

    @property
    def is_commit(self) -> bool:
        """Whether it is a full commit id (SHA-1 or SHA-256)."""
        return _COMMIT.fullmatch(self) is not None


class TreePath(str):
    """A path inside a repository's tree, relative to its root; `.` is the root."""

    __slots__ = ()

    def __new__(cls, text: str) -> TreePath:
        """Return the normal form of `text`; raises Misuse if it leaves the tree."""
        path = PurePosixPath(text or ".")
        inside = not path.is_absolute() and not any(part == ".." or part.lower() == ".git" for part in path.parts)
        if not inside or _CONTROL.search(text) or "\\" in text:
            raise Misuse(
                "not a path inside the repository", seen=repr(text[:200]), todo="give a path relative to its root"
            )
        return super().__new__(cls, str(path))


def _check_parts(text: str) -> None:
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port != 0
    except ValueError as error:
        raise Misuse("not a repository's address", seen=f"{text[:200]!r}: {error}", todo=_TODO) from error
    if parts.password is not None:
        raise Misuse(
            "the address holds a password",
            seen="(not shown)",
            todo="put it into the Git credential instead; see README, Credentials",
        )
    if parts.username is not None and (not _USER.fullmatch(parts.username) or _TOKEN.match(parts.username)):
        raise Misuse(
            "the address has an invalid user name",
            seen="(not shown: it may be secret)",
            todo="leave it out, and put a token into the Git credential; see README, Credentials",
        )
    if parts.scheme not in {"https", "http", "ssh", "file"}:
        raise Misuse("not a transport that is used", seen=repr(text[:200]), todo=_TODO)
    if parts.scheme == "file" and (parts.netloc not in {"", "localhost"} or not parts.path.startswith("/")):
        raise Misuse("a file address names a folder of this machine", seen=repr(text[:200]), todo="give file:///folder")
    if parts.scheme != "file" and (not _HOST.fullmatch(parts.hostname or "") or not port_is_valid):
        raise Misuse("the address has no valid host", seen=repr(text[:200]), todo=_TODO)
    if parts.scheme == "ssh" and parts.path.startswith("/-"):
        raise Misuse("the path could be read as an option", seen=repr(text[:200]), todo=_TODO)


def _split(url: RepositoryUrl) -> tuple[str, str]:
    """Return an address's part before the path, separator included, and the path."""
    if url.scheme == "file":
        return "", ""
    if "://" in url:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}/", parts.path.strip("/")
    login, _, path = url.partition(":") if "[" not in url else url.partition("]:")
    return (f"{login}]:" if "[" in url else f"{login}:"), path.strip("/")


def public_address(repository: str) -> str:
    """Return a repository's address for a label: https for ssh, without user, password and `.git`.

    Returns an empty string for a folder, which means nothing on another machine, and for text that is not an address.
    """
    text = repository
    if "://" not in text and re.match(r"(?:[^@/]+@)?[^:/]+:[^/]", text):
        text = "ssh://" + text.replace(":", "/", 1)
    try:
        parts = urlsplit(text)
        number = parts.port
    except ValueError:  # unbalanced brackets, an invalid port
        return ""
    if parts.scheme not in {"https", "http", "ssh"} or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = "https" if parts.scheme == "ssh" else parts.scheme
    port = f":{number}" if number and parts.scheme != "ssh" else ""
    return f"{scheme}://{host}{port}{parts.path.rstrip('/').removesuffix('.git')}"
