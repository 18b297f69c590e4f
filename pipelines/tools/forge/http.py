"""Calls of a forge's REST API: JSON requests and responses, and an error of Shipway's for each failed one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured, Refused, ShipwayError
from pipelines.tools.registry.connection import Network, Timing, Unanswered, joined, retry_after

TIMING = Timing(answer_seconds=30, attempts=4)
_PAGE = 50
"""The most that Gitea returns at once; GitHub returns up to 100."""
_PAGES = 40
_REDIRECTS = 3
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_LIMIT = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
_RIGHT_MISSING = re.compile(r"permissions? requested", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ForgeResponse:
    """A whole response: 2xx, or one of the statuses that the caller allowed."""

    status: int
    value: Any
    """The parsed JSON; None if there is no body."""


class AlreadyExists(Refused):
    """The object exists already: status 409, or GitHub's 422."""


@dataclass(frozen=True, kw_only=True)
class ForgeApi:
    """The API of one forge, for one repository, with one login."""

    network: Network
    base: str
    """The only address that requests are sent to, without a slash at its end."""
    repository: str
    authorization: Callable[[], str] = field(repr=False)
    """Returns the header's value."""
    login: str
    """Describes the login in error messages."""
    headers: Mapping[str, str]

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        allow: tuple[int, ...] = (),
        what: str,
    ) -> ForgeResponse:
        """Return the response to one request, which is not retried; `what` describes a failure in an error.

        Raises Unanswered and what `forge` documents; statuses in `allow` are returned.
        """
        url = f"{self.base}{path}" + (f"?{urlencode(query)}" if query else "")
        secret = self.authorization()
        headers = {"Accept": "application/json", **self.headers, "Authorization": secret}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        status, text, answered = 0, b"", {"": ""}
        for _ in range(_REDIRECTS):
            with self.network.open(method, url, headers=headers, body=data) as response:
                text = self.network.body(response, what=what)
                status = response.status
                answered = {key.lower(): value for key, value in dict(response.headers).items()}
            # A renamed repository redirects; 301 and 302 would turn a write into a GET.
            if status not in {301, 302, 307, 308} or (method not in {"GET", "HEAD"} and status < 307):
                break
            url = self._followed(url, answered.get("location", ""), what)
        if status < 300 or status in allow:
            return ForgeResponse(status=status, value=_json(text, what) if text.strip() else None)
        said = _message(text).replace(secret.partition(" ")[2] or secret, "***")
        raise self._error(what, status=status, said=said, headers=answered)

    def pages(
        self, path: str, *, query: Mapping[str, str] | None = None, inside: str = "", what: str
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page; `inside` names the field of an object that holds the list."""
        for page in range(1, _PAGES + 1):
            # GitHub reads `per_page`, Gitea reads `limit`, and each ignores the other.
            paged = {**(query or {}), "per_page": str(_PAGE), "limit": str(_PAGE), "page": str(page)}
            value = self.call("GET", path, query=paged, what=what).value
            items = value.get(inside) if inside and isinstance(value, dict) else value
            if not items:
                return
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise Unanswered(what, seen=f"{self.base} answered with something that is not a list")
            yield from items

    def _followed(self, url: str, location: str, what: str) -> str:
        target = joined(url, location, f"{what}: a redirect")
        if not location or urlsplit(target)[:2] != urlsplit(self.base)[:2]:
            raise Misconfigured(
                f"{what}: sent elsewhere",
                seen=f"{self.base} sends to {urlsplit(target).netloc or 'nowhere'}",
                todo="write the address that it sends to into the setting `forges`, if that is meant",
            )
        return target

    def _error(self, what: str, *, status: int, said: str, headers: Mapping[str, str]) -> ShipwayError:
        seen = f"{self.base} answered {status}" + (f": {said}" if said else "")
        limited = status == 429 or (
            status == 403
            and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or _LIMIT.search(said))
        )
        if limited:
            return Unanswered(
                f"{what}: too many calls", seen=seen, todo="it is tried again later", wait_seconds=_wait(headers)
            )
        if status == 408 or status >= 500:
            return Unanswered(what, seen=seen, wait_seconds=retry_after(headers))
        if status == 401:
            return Misconfigured(
                f"{what}: the login is not accepted",
                seen=f"{seen}; asked with {self.login}",
                todo="put a token that has not ended into the Secret `shipway-forge`; see docs/reports.md",
            )
        if status == 403 or (status == 422 and _RIGHT_MISSING.search(said)):
            return Misconfigured(
                f"{what}: not allowed",
                seen=f"{seen}; asked with {self.login}",
                todo="give that login the rights that docs/reports.md lists",
            )
        if status == 404:
            return Misconfigured(
                f"{what}: not found, or not to be seen with this login",
                seen=f"{seen}; asked with {self.login}",
                todo=f"check that {self.repository} exists and that the login may see it",
            )
        if 300 <= status < 400:
            return Misconfigured(
                f"{what}: sent elsewhere", seen=seen, todo="write the repository's new address into the settings"
            )
        if status == 409 or (status == 422 and "already exists" in said):
            return AlreadyExists(what, seen=seen, todo="look at what is there")
        return Refused(what, seen=seen, todo="see the forge's own answer")


def fields(value: Any, what: str) -> dict[str, Any]:
    """Return a response's value; raises Unanswered if it is not an object."""
    if not isinstance(value, dict):
        raise Unanswered(what, seen="the answer is not an object")
    return value


def identity(value: Any, what: str) -> int:
    """Return the number of a response's object; raises Unanswered if it has none."""
    number = fields(value, what).get("id")
    if not isinstance(number, int):
        raise Unanswered(what, seen="the answer is not an object with a numeric id")
    return number


def _wait(headers: Mapping[str, str]) -> float:
    """Return the seconds until a rate limit ends: Retry-After, or the time that GitHub sends."""
    reset = headers.get("x-ratelimit-reset", "")
    left = float(reset[:12]) - time.time() if reset.isascii() and reset.isdigit() else 0.0
    return retry_after(headers) or max(0.0, left)


def _json(text: bytes, what: str) -> Any:
    try:
        return read_json(text, what)
    except ValueError as error:
        raise Unanswered(what, seen="the answer is not JSON") from error


def _message(data: bytes) -> str:
    """Return an error response's message on one line: `message`, and the messages of GitHub's `errors`."""
    try:
        value = read_json(data, "the answer")
        further = value.get("errors") or ()
        words = [value.get("message"), *(map(_detail, further) if isinstance(further, list) else ())]
        text = "; ".join(str(word) for word in words if word)
    except (ValueError, AttributeError):
        text = re.sub(r"<[^>]*>", " ", data[:2000].decode(errors="replace"))
    return " ".join(_CONTROL.sub(" ", text).split())[:300]


def _detail(error: object) -> object:
    if isinstance(error, dict):
        return error.get("message") or f"{error.get('field', '')}: {error.get('code', '')}"
    return error
