"""Requests to one repository of a registry: its login, its redirects, and which answers count."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pipelines.errors import ShipwayError
from pipelines.tools.registry import errors
from pipelines.tools.registry.auth import Authorization, Scopes
from pipelines.tools.registry.connection import SMALL, Network, Unanswered, joined, retry_after, shown
from pipelines.tools.registry.reference import DOCKER_HUB

if TYPE_CHECKING:
    import urllib3

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_AGAIN = frozenset({408, 425, 429})
_HUB_ADDRESS = "registry-1.docker.io"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RegistryResponse:
    """A complete answer with its body."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)
    url: str


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One repository in one registry, with the scopes of the requests."""

    registry: str
    name: str
    """Its path in the registry."""
    scopes: Scopes
    network: Network
    authorization: Authorization
    attempts: int = 0
    """How often a request is tried; 0 for the timing's own number."""

    def url(self, path: str) -> str:
        """Return the address of a path in this repository: `manifests/latest`, `blobs/sha256:…`."""
        return f"{self.root}/v2/{self.name}/{path}"

    @property
    def root(self) -> str:
        """Scheme and host of the registry; for Docker Hub, the host that serves its API."""
        return self.network.base(_HUB_ADDRESS if self.registry == DOCKER_HUB else self.registry)

    def persist(self, call: Callable[[], T]) -> T:
        """Return the result of a call, repeated while the registry does not answer."""
        return self.network.persist(call, self.attempts)

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Callable[[], IO[bytes]] | None = None,
        silence_seconds: float = 0,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Give the answer to a request, its body unread, after a login and redirects if needed.

        The login is sent to this registry alone. Raises Unanswered without an answer, and for 429 and 5xx; any other
        status is returned.
        """
        challenged = False
        address = url
        for _ in range(_MOST_REDIRECTS + 2):
            ours = _origin(address) == _origin(self.root)
            login = self.authorization.headers(self.registry, self.name, self.scopes) if ours else {}
            with contextlib.ExitStack() as opened:
                data = opened.enter_context(body()) if callable(body) else body
                response = opened.enter_context(
                    self.network.open(
                        method,
                        address,
                        headers={**(headers or {}), **login},
                        body=data,
                        silence_seconds=silence_seconds,
                    )
                )
                if response.status == 401 and ours and not challenged:
                    challenged = True
                    refused = self.network.body(response, what=what)
                    challenge = response.headers.get("WWW-Authenticate", "")
                    if not self.authorization.answer(
                        self.registry, self.name, self.scopes, challenge=challenge, sent=login
                    ):
                        raise self.refusal(what, 401, refused)
                    continue
                if response.status in _REDIRECTS and method in {"GET", "HEAD"} and "Location" in response.headers:
                    why = f"a redirect of {self.registry}"
                    address = self.network.check(joined(address, response.headers["Location"], why), why)
                    continue
                if response.status in _AGAIN or (response.status >= 500 and response.status not in {501, 507}):
                    raise self._busy(what, response)
                yield response
                return
        raise Unanswered(what, seen=f"{self.registry} redirects without end, at last to {shown(address)}")

    def ask(
        self,
        method: str,
        url: str,
        *,
        what: str,
        expect: frozenset[int] = frozenset({200}),
        headers: Mapping[str, str] | None = None,
        body: bytes | Callable[[], IO[bytes]] | None = None,
        limit: int = SMALL,
        silence_seconds: float = 0,
    ) -> RegistryResponse:
        """Return the complete answer to one request.

        Raises as `open` does, and the refusal for an unexpected status.
        """
        with self.open(method, url, what=what, headers=headers, body=body, silence_seconds=silence_seconds) as response:
            data = self.network.body(response, what=what, limit=limit)
            if response.status not in expect:
                raise self.refusal(what, response.status, data)
            return RegistryResponse(status=response.status, headers=response.headers, data=data, url=url)

    def refusal(self, what: str, status: int, data: bytes) -> ShipwayError:
        """Return the error for a status and its body."""
        return errors.refusal(
            what,
            status=status,
            data=data,
            registry=self.registry,
            repository=self.name,
            login=self.authorization.describe(self.registry, self.name),
            file=self.authorization.file,
        )

    def follow(self, answer: RegistryResponse, what: str) -> str:
        """Return the address in an answer's Location; raises Unanswered, Misconfigured.

        A registry behind a proxy that ends TLS often names itself with http; for its own host the scheme stays.
        """
        location = answer.headers.get("Location", "")
        if not location:
            raise Unanswered(what, seen=f"{self.registry} answered {answer.status} without a Location")
        why = f"an upload to {self.registry}"
        url = joined(answer.url, location, why)
        parts, root = urlsplit(url)._replace(fragment=""), urlsplit(self.root)
        if parts.netloc.lower() == root.netloc.lower():
            return parts._replace(scheme=root.scheme).geturl()
        return self.network.check(parts.geturl(), why)

    def _busy(self, what: str, response: urllib3.BaseHTTPResponse) -> Unanswered:
        text = errors.said(self.network.body(response, what=what))
        todo = ""
        if response.status == 429:
            todo = "wait, use a login with a higher limit, or set a mirror in the setting `mirrors`"
        return Unanswered(
            what,
            seen=f"{self.registry} answered {response.status}" + (f": {text}" if text else ""),
            todo=todo,
            wait_seconds=retry_after(response.headers),
        )


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
