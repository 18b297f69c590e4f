"""The errors for a registry's refusals, each with what the user can do.

Bodies have the form of distribution-spec, "Error Codes"; the texts about quotas and immutable tags are those of Harbor,
GitLab, Quay and the clouds' registries, which have no common status for them.
"""

from __future__ import annotations

import json
import re

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured, Refused, ShipwayError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_QUOTA = re.compile(r"quota|exceed|upper limit|insufficient storage|no space|disk full|storage limit", re.IGNORECASE)
_IMMUTABLE = re.compile(r"immutab|cannot be overwritten|ImageTagAlreadyExists", re.IGNORECASE)
_READ_ONLY = re.compile(r"read[- ]?only|maintenance", re.IGNORECASE)


def codes(data: bytes) -> tuple[str, ...]:
    """Return the codes of an error body, NAME_UNKNOWN or DENIED; none if the body has another form."""
    return tuple(code for code, _ in _errors(data))


def said(data: bytes) -> str:
    """Return the text of an error body, on one line and without control characters."""
    errors = _errors(data)
    if errors:
        text = "; ".join(f"{code}: {message}" if message else code for code, message in errors)
    else:
        text = data[:2000].decode("utf-8", errors="replace")
        text = re.sub(r"<[^>]*>", " ", text)
    return " ".join(_CONTROL.sub(" ", text).split())[:400]


def refusal(
    what: str, *, status: int, data: bytes, registry: str, repository: str, login: str, file: str
) -> ShipwayError:
    """Return the error for a complete answer that refuses a request; `file` is where a login is to be written."""
    text = said(data)
    seen = f"{registry} answered {status}" + (f": {text}" if text else "")
    if status < 500 and _IMMUTABLE.search(text):
        return Refused(
            f"{what}: the registry keeps that tag as it is",
            seen=seen,
            todo="release under a new version, or take the tag out of the registry's immutability rule",
        )
    if status == 507 or (status in {400, 403, 412, 413} and _QUOTA.search(text)):
        return Misconfigured(
            f"{what}: the storage of {registry}/{repository} is full",
            seen=seen,
            todo="delete images there or run its garbage collection, or have the quota raised",
        )
    if status == 412:
        return Refused(
            f"{what}: a rule of the registry forbids it",
            seen=seen,
            todo="look at the rules of its project: immutable tags, signatures, vulnerabilities",
        )
    if status == 413:
        return Misconfigured(
            f"{what}: too large for {registry}",
            seen=seen,
            todo="raise the body size of the proxy before it (nginx: client_max_body_size 0), or make smaller layers",
        )
    if status == 401:
        return Misconfigured(
            f"{what}: {registry} wants another login",
            seen=f"{seen}; asked {login}",
            todo=f"put a login for {registry} into {file}; some registries answer so, too, "
            "for a project or a name that does not exist",
        )
    if status == 405 or (status == 403 and _READ_ONLY.search(text)):
        return Misconfigured(
            f"{what}: {registry} takes nothing in",
            seen=seen,
            todo="end its read-only mode, or set `registry` to one that is not a mirror",
        )
    if status == 403:
        return Misconfigured(
            f"{what}: not allowed",
            seen=f"{seen}; asked {login}",
            todo=f"give that user the right to pull and push in {repository.partition('/')[0]}, "
            "or check that it exists",
        )
    if status == 404:
        return Misconfigured(
            f"{what}: {registry} does not know {repository}",
            seen=seen,
            todo=f"create the project {repository.rpartition('/')[0] or repository} there, or correct the settings "
            "`registry` and `project`",
        )
    if 300 <= status < 400:
        return Misconfigured(
            f"{what}: sent elsewhere", seen=seen, todo="set `registry` to the address that it sends to"
        )
    return ShipwayError(what, seen=seen, todo="see the registry's own log")


def _errors(data: bytes) -> list[tuple[str, str]]:
    try:
        errors = read_json(data, "the answer")["errors"]
        return [(str(e.get("code", "UNKNOWN")), str(e.get("message") or "") + _detail(e.get("detail"))) for e in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _detail(value: object) -> str:
    return f" ({json.dumps(value)[:200]})" if value else ""
