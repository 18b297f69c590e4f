"""One call of a forge's REST API: JSON there and back, and every answer that is no success told in words of ours."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from pipelines.errors import Misconfigured, Refused, ShipwayError
from pipelines.tools.registry.connection import Network, Timing, Unanswered, joined, retry_after

TIMING = Timing(answer_seconds=30, attempts=4)
_PAGE = 50
"""Gitea gives no more at once, whatever it is asked for; GitHub gives up to 100."""
_PAGES = 40
_REDIRECTS = 3
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_LIMIT = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
_RIGHT_MISSING = re.compile(r"permissions? requested", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ForgeResponse:
    """A whole answer: 2xx, or one of the statuses that the caller said it would judge itself."""

    status: int
    value: Any
    """The JSON, None where there is no body."""


class Taken(Refused):
    """There is one already: 409, or 422 in GitHub's words."""


class ForgeApi:
    """The API of one forge, for one repository, as one login."""

    def __init__(
        self,
        network: Network,
        *,
        base: str,
        repository: str,
        authorization: Callable[[], str],
        login: str,
        headers: Mapping[str, str],
    ) -> None:
        """Speak to `base`, an address without a slash at its end, and to no other.

        `authorization` returns the header's value, `login` says in words whose it is.
        """
        self.network = network
        self.base = base
        self.repository = repository
        self._authorization = authorization
        self._login = login
        self._headers = headers

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
        """Return the answer to one request, asked once; `what` tells of it in an error.

        Raises Unanswered, and as `tools.forge` says; statuses in `allow` are returned.
        """
        url = f"{self.base}{path}" + (f"?{urlencode(query)}" if query else "")
        secret = self._authorization()
        headers = {"Accept": "application/json", **self._headers, "Authorization": secret}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        status, text, found = 0, b"", {"": ""}
        for _ in range(_REDIRECTS):
            with self.network.open(method, url, headers=headers, body=data) as response:
                text = self.network.body(response, what=what)
                status, found = response.status, dict(response.headers)
            where = next((value for key, value in found.items() if key.lower() == "location"), "")
            # A renamed repository; 301 and 302 would make a GET of what is written.
            if status not in {301, 302, 307, 308} or (method not in {"GET", "HEAD"} and status < 307):
                break
            url = self._followed(url, where, what)
        if status < 300 or status in allow:
            return ForgeResponse(status=status, value=_json(text, what) if text.strip() else None)
        said = _said(text).replace(secret.partition(" ")[2] or secret, "***")
        raise self._error(what, status=status, said=said, headers={key.lower(): v for key, v in found.items()})

    def pages(
        self, path: str, *, query: Mapping[str, str] | None = None, inside: str = "", what: str
    ) -> Iterator[dict[str, Any]]:
        """Give the items of a list, page by page; `inside` names the field that holds it in an object."""
        for page in range(1, _PAGES + 1):
            # Each forge heeds its own word for the size of a page and overlooks the other's.
            asked = {**(query or {}), "per_page": str(_PAGE), "limit": str(_PAGE), "page": str(page)}
            value = self.call("GET", path, query=asked, what=what).value
            items = value.get(inside) if inside and isinstance(value, dict) else value
            if not items:
                return
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise Unanswered(what, seen=f"{self.base} answered with something that is no list")
            yield from items

    def _followed(self, url: str, where: str, what: str) -> str:
        target = joined(url, where, f"{what}: a redirect")
        if not where or urlsplit(target)[:2] != urlsplit(self.base)[:2]:
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
                seen=f"{seen}; asked with {self._login}",
                todo="put a token that has not ended into the Secret `shipway-forge`; see docs/reports.md",
            )
        if status == 403 or (status == 422 and _RIGHT_MISSING.search(said)):
            return Misconfigured(
                f"{what}: not allowed",
                seen=f"{seen}; asked with {self._login}",
                todo="give that login the rights that docs/reports.md lists",
            )
        if status == 404:
            return Misconfigured(
                f"{what}: not found, or not to be seen with this login",
                seen=f"{seen}; asked with {self._login}",
                todo=f"check that {self.repository} exists and that the login may see it",
            )
        if 300 <= status < 400:
            return Misconfigured(
                f"{what}: sent elsewhere", seen=seen, todo="write the repository's new address into the settings"
            )
        if status == 409 or (status == 422 and "already exists" in said):
            return Taken(what, seen=seen, todo="look at what is there")
        return Refused(what, seen=seen, todo="see the forge's own answer")


def fields(value: Any, what: str) -> dict[str, Any]:
    """Return an answer that has to be an object; raises Unanswered where it is none."""
    if not isinstance(value, dict):
        raise Unanswered(what, seen="the answer is no object")
    return value


def identity(value: Any, what: str) -> int:
    """Return the number of the object that an answer has to be; raises Unanswered where there is none."""
    found = fields(value, what).get("id")
    if not isinstance(found, int):
        raise Unanswered(what, seen="the answer is no object with a number")
    return found


def _wait(headers: Mapping[str, str]) -> float:
    """Return the seconds until a limit ends: Retry-After, or GitHub's time of the next hour."""
    reset = headers.get("x-ratelimit-reset", "")
    left = float(reset[:12]) - time.time() if reset.isascii() and reset.isdigit() else 0.0
    return retry_after(headers) or max(0.0, left)


def _json(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unanswered(what, seen="the answer is not JSON") from error


def _said(data: bytes) -> str:
    """Return what an answer says on one line: `message`, and the messages of GitHub's `errors`."""
    try:
        value = json.loads(data)
        further = value.get("errors") or ()
        words = [value.get("message"), *(map(_detail, further) if isinstance(further, list) else ())]
        text = "; ".join(str(word) for word in words if word)
    except (ValueError, AttributeError, RecursionError):
        text = re.sub(r"<[^>]*>", " ", data[:2000].decode(errors="replace"))
    return " ".join(_CONTROL.sub(" ", text).split())[:300]


def _detail(error: object) -> object:
    if isinstance(error, dict):
        return error.get("message") or f"{error.get('field', '')}: {error.get('code', '')}"
    return error
