"""Where a build comes from: the address of a Git repository, a revision in it, a path in its tree.

Git takes a word with a leading dash for an option and runs programs for some transports (`ext::`), so
these types let neither through: see the advisories CVE-2017-1000117 and CVE-2018-17456.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pipelines.errors import Misuse

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCP = re.compile(r"(?P<user>[A-Za-z0-9._-]+@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^:].*)")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]|[0-9A-Fa-f:]+")
_USER = re.compile(r"[A-Za-z0-9._~-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# git-check-ref-format(1), rules 3 to 10.
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|[/.]$|^/|^@$")
_MAX_REF = 1024


class RepositoryUrl(str):
    """An https, http or ssh address, the short form `user@host:path`, or a folder of this machine."""

    __slots__ = ()

    def __new__(cls, text: str) -> RepositoryUrl:
        """Return `text` when Git may be given it; raises Misuse."""
        todo = "give https://host/path, ssh://user@host/path, user@host:path, or a folder"
        if not text or text.startswith("-") or _CONTROL.search(text):
            raise Misuse("not a repository's address", seen=repr(text[:200]), todo=todo)
        if "::" in text.split("/", 1)[0] and "[" not in text:
            raise Misuse("a transport that runs programs is not used", seen=repr(text[:200]), todo=todo)
        if "://" in text:
            parts = urlsplit(text)
            if parts.scheme not in {"https", "http", "ssh", "file"}:
                raise Misuse("not a transport that is used", seen=repr(text[:200]), todo=todo)
            if parts.scheme != "file" and not _HOST.fullmatch(parts.hostname or ""):
                raise Misuse("the address has no valid host", seen=repr(text[:200]), todo=todo)
            if parts.username and not _USER.fullmatch(parts.username):
                raise Misuse("the address has no valid user name", seen="(not shown: it may be secret)", todo=todo)
            if parts.password:
                raise Misuse(
                    "the address holds a password",
                    seen="(not shown)",
                    todo="put it into the Git credential instead; see README, Credentials",
                )
        elif ":" in text.split("/", 1)[0] and not _SCP.fullmatch(text):
            raise Misuse("not a repository's address", seen=repr(text[:200]), todo=todo)
        return super().__new__(cls, text)

    @property
    def local_path(self) -> str:
        """The folder this address names, or an empty string for a remote one."""
        if self.startswith("file://"):
            return urlsplit(self).path
        return "" if "://" in self or _SCP.fullmatch(self) else str(self)

    @property
    def is_ssh(self) -> bool:
        """Whether Git starts ssh for it."""
        return self.startswith("ssh://") or ("://" not in self and _SCP.fullmatch(self) is not None)


class Revision(str):
    """A branch, a tag, a full commit id, a ref such as `refs/pull/7/head`, or HEAD."""

    __slots__ = ()

    def __new__(cls, text: str) -> Revision:
        """Return `text` when it can name a revision; raises Misuse."""
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
    """A folder or file inside a repository's tree, written relative to its root; `.` is the root."""

    __slots__ = ()

    def __new__(cls, text: str) -> TreePath:
        """Return the normal form of `text`; raises Misuse when it leaves the tree."""
        path = PurePosixPath(text or ".")
        if path.is_absolute() or ".." in path.parts or ".git" in path.parts or _CONTROL.search(text) or "\\" in text:
            raise Misuse(
                "not a path inside the repository", seen=repr(text[:200]), todo="give a path relative to its root"
            )
        return super().__new__(cls, str(path))
