"""Authentication to a registry: Basic logins, and tokens from the server that the registry names.

Challenges follow RFC 9110, section 11.6.1; the token exchange follows distribution's spec/auth/token.md and
spec/auth/oauth.md, as every registry with tokens does. A login is sent to its own registry and to the token server that
this registry names, and to nobody else.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured
from pipelines.tools.registry.connection import Network, Unanswered, retry_after, shown
from pipelines.tools.registry.credentials import Credentials, Login

_SCHEME = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|(?=,)|$)(?!=)")
_PARAMETER = re.compile(r'[\s,]*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN = re.compile(r"[\x21-\x7e]+")
# The specification's default if a token server names no lifetime, and the part of a lifetime that is not used.
_LIFETIME_SECONDS = 60.0
_MARGIN_SECONDS = 10.0

Scopes = tuple[str, ...]


class Authorization:
    """The Authorization header for each registry, learnt from its challenges and kept for later requests."""

    def __init__(self, credentials: Credentials, network: Network) -> None:
        self._credentials = credentials
        self._network = network
        self._basic: set[str] = set()
        self._wants: set[str] = set()
        """Registries that asked for a login: a helper of docker's is not run for others."""
        self._tokens: dict[tuple[str, Scopes], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def headers(self, registry: str, repository: str, scopes: Scopes) -> dict[str, str]:
        """Return the header for a request; empty until a challenge says which one the registry needs."""
        login = self._login(registry, repository)
        if login and login.registry_token:
            return {"Authorization": f"Bearer {login.registry_token}"}
        if registry in self._basic and login:
            return {"Authorization": login.basic}
        # A token to push is also valid for reading.
        for known in (scopes, tuple(f"{scope},push" for scope in scopes)):
            token, until = self._tokens.get((registry, known), ("", 0.0))
            if until > time.monotonic():
                return {"Authorization": f"Bearer {token}"}
        return {}

    def answer(
        self, registry: str, repository: str, scopes: Scopes, *, challenge: str, sent: Mapping[str, str]
    ) -> bool:
        """Do what a 401 asks for; return whether the request should be sent again.

        `sent` are the headers that were rejected. Raises Misconfigured if the login is refused, Unanswered.
        """
        offered = challenges(challenge)
        self._wants.add(registry)
        login = self._login(registry, repository)
        with self._lock:
            if self.headers(registry, repository, scopes).get("Authorization", "") not in {
                "",
                sent.get("Authorization", ""),
            }:
                return True  # Another thread has done it meanwhile.
            if "bearer" in offered:
                token = self._token(registry, repository, scopes, offered["bearer"], login)
                self._tokens[registry, scopes] = token
                return True
            if "basic" in offered and login and login.username and registry not in self._basic:
                self._basic.add(registry)
                return True
        return False

    def describe(self, registry: str, repository: str) -> str:
        """Return which login was used, as text for a message."""
        login = self._login(registry, repository)
        if login is None:
            return f"without a login: {self._credentials.source}" + (
                f" has none for {registry}" if self._credentials.logins or self._credentials.store else ""
            )
        return f"as {login.username or 'the holder of a token'}, from {self._credentials.source}"

    @property
    def file(self) -> str:
        """The file to write a login into."""
        return self._credentials.file

    def _login(self, registry: str, repository: str) -> Login | None:
        return self._credentials.login(registry, repository, ask=registry in self._wants)

    def _token(
        self, registry: str, repository: str, scopes: Scopes, challenge: Mapping[str, str], login: Login | None
    ) -> tuple[str, float]:
        """Return a token for the scopes, and the moment when it expires."""
        realm = self._network.check(challenge.get("realm", ""), f"the token server of {registry}")
        query = [("service", challenge["service"])] if challenge.get("service") else []
        query += [("scope", scope) for scope in scopes] or [("scope", s) for s in challenge.get("scope", "").split()]
        headers: dict[str, str] = {}
        body = None
        if login and login.identity_token:
            method, url = "POST", realm
            form = [("grant_type", "refresh_token"), ("client_id", "shipway"), ("refresh_token", login.identity_token)]
            # RFC 6749 has one scope parameter, its words separated by spaces.
            form += [q for q in query if q[0] != "scope"] + [("scope", " ".join(v for k, v in query if k == "scope"))]
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form).encode("ascii")
        else:
            method = "GET"
            if login and login.username:
                query.append(("account", login.username))
                headers["Authorization"] = login.basic
            url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        what = f"the token server of {registry} gave no token"
        with self._network.open(method, url, headers=headers, body=body) as response:
            data = self._network.body(response, what=what)
            status, wait = response.status, retry_after(response.headers)
        if status in {408, 429} or status >= 500:
            raise Unanswered(what, seen=f"{shown(realm)} answered {status}", wait_seconds=wait)
        if status != 200:
            raise Misconfigured(
                f"the token server of {registry} refused {repository or 'the login'}",
                seen=f"{shown(realm)} answered {status} when asked {self.describe(registry, repository)}",
                todo=f"check the user and the password in {self.file}, and what they may do",
            )
        try:
            value = read_json(data, what)
            token = value.get("token") or value.get("access_token")
            seconds = float(value.get("expires_in") or _LIFETIME_SECONDS)
        except (ValueError, TypeError, AttributeError):
            token, seconds = None, 0.0
        if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
            raise Unanswered(what, seen=f"{shown(realm)} answered 200 without one")
        # A token that expires at once is still valid for the request that it was fetched for.
        return token, time.monotonic() + max(seconds - _MARGIN_SECONDS, seconds / 2)


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the challenges of a WWW-Authenticate header: each scheme, in lower case, with its parameters."""
    found: dict[str, dict[str, str]] = {}
    position = 0
    while match := _SCHEME.match(header, position):
        parameters: dict[str, str] = {}
        position = match.end()
        while parameter := _PARAMETER.match(header, position):
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            position = parameter.end()
        found.setdefault(match[1].lower(), parameters)
    return found
