"""Classifies Git's failures by their messages: temporary, missing login, fault of the repository.

Git exits with 128 for all of them, so the text decides, which is always English (LC_ALL). The order of the checks
matters: a message that names the cause comes with general ones, such as that the remote end hung up.
"""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from urllib.parse import urlsplit

from pipelines.errors import Misconfigured, Refused, ShipwayError, Transient
from pipelines.tools.git.address import ForeignUrl, RepositoryUrl
from pipelines.tools.processes.process import Completed

_UNPRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SHOWN_LINES = 12

# Texts, compiled when Git has failed: that takes 2 ms, and every start of a step would pay it.
_LOGIN = (
    r"Authentication failed|could not read (?:Username|Password)|returned error: 40[13]|HTTP Basic: Access denied"
    r"|Permission denied \(|Invalid username or (?:password|token)|returned error: 407"
    r"|Authorization error:|Authentication required:"  # git-lfs
)
_HOST_KEY = r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED"
_CERTIFICATE = r"certificate (?:problem|verif)|unable to get local issuer|SSL certificate|CAfile"
_MISSING = (
    r"repository '.*' not found|Repository not found|returned error: 404|does not appear to be a git repository"
    r"|repository .* does not exist|not found: did you run git update-server-info|No such (?:repository|project)"
)
_HOSTILE = r"fsck error in packed object|invalid path '|fsck error|unpack_trees.*invalid path|bad tree object"
_TRANSIENT = (
    r"Could not resolve|Failed to connect|Couldn't connect|[Tt]imed out"
    r"|[Cc]onnection (?:refused|reset|timed out|closed)"
    r"|timeout|returned error: (?:408|425|429|5\d\d)|early EOF|unexpected disconnect|hung up unexpectedly|RPC failed"
    r"|transfer closed|Operation too slow|Empty reply|No route to host|Network is unreachable|Name or service not known"
    r"|Temporary failure in name resolution|kex_exchange_identification|TLS connection was non-properly terminated"
    r"|SSL_ERROR_SYSCALL|gnutls_handshake|invalid index-pack output|unexpected flush packet|expected flush"
    r"|protocol error: bad (?:line|band)|bad line length|did not send all necessary|Recv failure|Send failure"
    r"|end of file|invalid server response|read error|from HTTP (?:429|5\d\d)|Server error:"
)
_NO_ADDRESS = r"Could not resolve host|Name or service not known"
_FULL = r"No space left on device|Disk quota exceeded"
_OVERTAKEN = (
    r"\[rejected\] \((?:stale info|fetch first|non-fast-forward|needs force|already exists)"
    # Two pushes at once: the server accepted both before it checked the ref again.
    r"|cannot lock ref|failed to update ref|reference already exists|incorrect old value provided|\(failed to lock\)"
    # The commit's parent is no longer reachable from any ref of the server.
    r"|shallow update not allowed"
)
_CHECKED_OUT = r"branch is currently checked out"
_PROTECTED = (
    r"protected branch|[Pp]rotected ref|hook declined|GH0(?:06|13)|not allowed to push|branch is currently checked out"
)
_UNWRITABLE = (
    r"Permission to \S+ denied|returned error: 403|insufficient permission|[Pp]ermission denied|denied to"
    r"|not authorized|service not enabled|read-only|unable to create temporary object directory|unpacker error"
)
_UNADVERTISED = r"not our ref|unadvertised object|want \w+ not valid|[Cc]ouldn't find remote ref"


def cleaned(text: str) -> str:
    """Return the last lines of a program's output, without control sequences."""
    lines = [line for line in (_UNPRINTABLE.sub("", line).rstrip() for line in text.splitlines()) if line]
    return _lines(*lines[-_SHOWN_LINES:])


def refuses_commit(done: Completed) -> bool:
    """Whether a fetch failed because the server does not serve, or does not have, an object by its id."""
    return done.code != 0 and re.search(_UNADVERTISED, done.stderr) is not None


def was_overtaken(done: Completed) -> bool:
    """Whether a push was rejected because the ref has moved."""
    return done.code != 0 and re.search(_OVERTAKEN, f"{done.stdout}\n{done.stderr}") is not None


def push_error(what: str, done: Completed, url: RepositoryUrl, login: str) -> ShipwayError:
    """Return the error for a failed push that was not overtaken."""
    # The ref's line is on standard output, the host's message on standard error.
    rejected = [line.lstrip("!\t ") for line in done.stdout.splitlines() if line.startswith("!")]
    seen = _lines(cleaned(done.stderr), *(cleaned(line) for line in rejected))
    text = f"{done.stdout}\n{done.stderr}"
    if re.search(_CHECKED_OUT, text):
        todo = "give the address that people push to, not a checkout of it"
        return Refused(what, seen="the branch is checked out there, and its files would be behind", todo=todo)
    if re.search(_PROTECTED, text):
        todo = "let deployments come as pull requests (shipway.yaml, `deploy`), or let the login push to that branch"
        return Refused(what, seen=seen, todo=todo)
    if re.search(_UNWRITABLE, text):
        return Misconfigured(
            what,
            seen=_lines(seen, login),
            todo="give a login that may write to the repository, by the Secret `shipway-git-write`",
        )
    return error(what, replace(done, stderr="\n".join((done.stderr, *rejected))), url, login)


def error(what: str, done: Completed, url: RepositoryUrl | None, login: str) -> ShipwayError:
    """Return the error for a failed call of Git; `login` says which credential was used."""
    text = done.stderr
    seen = cleaned(text) or f"git exited with {done.code} and said nothing"
    if re.search(_HOST_KEY, text):
        todo = (
            "put the host's keys (ssh-keyscan, compared with what the host publishes) into known_hosts beside the key"
        )
        return Misconfigured(what, seen=seen, todo=todo)
    if re.search(_CERTIFICATE, text):
        return Misconfigured(what, seen=seen, todo="name the host's certificate authority in the setting ca-file")
    if re.search(_LOGIN, text) and isinstance(url, ForeignUrl):
        todo = f"name a repository of the host that was asked for, or one that {url.origin} lets anybody read"
        return Refused(what, seen=_lines(seen, login), todo=todo)
    if re.search(_LOGIN, text):
        todo = "give a login that may read the repository, and check the address: hosts answer so for unknown ones, too"
        return Misconfigured(what, seen=_lines(seen, login), todo=todo)
    if re.search(_MISSING, text):
        todo = "check the address, and that the login may read it: private repositories look missing to others"
        return ShipwayError(what, seen=_lines(seen, login), todo=todo)
    if re.search(_HOSTILE, text):
        return Refused(what, seen=seen, todo="repair the repository: `git fsck --strict` names the objects")
    if re.search(_FULL, text):
        return ShipwayError(what, seen=seen, todo="free disk space, or give the workspace more")
    host = urlsplit(url.origin).hostname if url is not None else None
    if host and re.search(_NO_ADDRESS, text) and _is_unknown(host):
        return Misconfigured(what, seen=seen, todo=f"correct the host's name, {host}, or let it be found from here")
    if re.search(_TRANSIENT, text) or done.code < 0:
        todo = f"check that {url.origin} is up, then run it again" if url is not None and url.origin else "run it again"
        return Transient(what, seen=seen, todo=todo)
    return ShipwayError(what, seen=seen)


def _is_unknown(host: str) -> bool:
    """Whether there is no host of that name. Git says the same where no server of names answers, which may pass."""
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror as error:
        return error.errno != socket.EAI_AGAIN
    return False


def _lines(*lines: str) -> str:
    return "\n        ".join(filter(None, lines))
