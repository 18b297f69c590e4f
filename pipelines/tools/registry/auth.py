"""Who we are to a registry: Basic logins, and tokens from the server that the registry names.

The challenge is RFC 9110's (section 11.6.1); the token exchange is the one of distribution's spec/auth/token.md and
spec/auth/oauth.md, which every registry with tokens follows. A login goes to the registry that it belongs to and to the
token server which that registry itself names, to nobody else.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from pipelines.errors import Misconfigured
from pipelines.tools.registry.connection import Network, Unanswered, retry_after, shown
from pipelines.tools.registry.credentials import Credentials, Login

_SCHEME = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|(?=,)|$)(?!=)")
_PARAMETER = re.compile(r'[\s,]*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN = re.compile(r"[\x21-\x7e]+")
# The specification's own default where a token server names no lifetime, and the part of it that is not used.
_LIFETIME_SECONDS = 60.0
_MARGIN_SECONDS = 10.0

Scopes = tuple[str, ...]


class Authorization:
    """The headers that open each registry, learnt from its challenges and kept for the next request."""

    def __init__(self, credentials: Credentials, network: Network) -> None:
        self._credentials = credentials
        self._network = network
        self._basic: set[str] = set()
        self._tokens: dict[tuple[str, Scopes], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def headers(self, registry: str, repository: str, scopes: Scopes) -> dict[str, str]:
        """Return the header for a request, as far as the registry's wishes are known; none at first."""
        login = self._credentials.login(registry, repository)
        if login and login.registry_token:
            return {"Authorization": f"Bearer {login.registry_token}"}
        if registry in self._basic and login:
            return {"Authorization": login.basic}
        # A token to push is good for reading, too.
        for known in (scopes, tuple(f"{scope},push" for scope in scopes)):
            token, until = self._tokens.get((registry, known), ("", 0.0))
            if until > time.monotonic():
                return {"Authorization": f"Bearer {token}"}
        return {}

    def answer(
        self, registry: str, repository: str, scopes: Scopes, *, challenge: str, sent: Mapping[str, str]
    ) -> bool:
        """Do what a 401 asks for; return whether asking again makes sense.

        `sent` are the headers that were turned down. Raises Misconfigured when the login is refused, Unanswered.
        """
        wanted = challenges(challenge)
        login = self._credentials.login(registry, repository)
        with self._lock:
            if self.headers(registry, repository, scopes).get("Authorization", "") not in {
                "",
                sent.get("Authorization", ""),
            }:
                return True  # Another thread has been there meanwhile.
            if "bearer" in wanted:
                token = self._token(registry, repository, scopes, wanted["bearer"], login)
                self._tokens[registry, scopes] = token
                return True
            if "basic" in wanted and login and login.username and registry not in self._basic:
                self._basic.add(registry)
                return True
        return False

    def describe(self, registry: str, repository: str) -> str:
        """Return which login was used, in words for a message."""
        login = self._credentials.login(registry, repository)
        if login is None:
            return f"without a login: {self._credentials.source}" + (
                f" has none for {registry}" if self._credentials.logins or self._credentials.store else ""
            )
        return f"as {login.username or 'the holder of a token'}, from {self._credentials.source}"

    def _token(
        self, registry: str, repository: str, scopes: Scopes, wanted: Mapping[str, str], login: Login | None
    ) -> tuple[str, float]:
        """Return a token for the scopes, and the moment when it ends."""
        realm = self._network.check(wanted.get("realm", ""), f"the token server of {registry}")
        query = [(key, wanted[key]) for key in ("service",) if wanted.get(key)]
        query += [("scope", scope) for scope in scopes] or [("scope", s) for s in wanted.get("scope", "").split()]
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
                todo="check the user and the password in the registry credential, and what they may do",
            )
        try:
            value = json.loads(data)
            token = value.get("token") or value.get("access_token")
            seconds = float(value.get("expires_in") or _LIFETIME_SECONDS)
        except (ValueError, TypeError, AttributeError):
            token, seconds = None, 0.0
        if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
            raise Unanswered(what, seen=f"{shown(realm)} answered 200 without one")
        # One that ends at once is still good for the request it was fetched for.
        return token, time.monotonic() + max(seconds - _MARGIN_SECONDS, seconds / 2)


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the challenges of a WWW-Authenticate header: each scheme, in lower case, with its parameters."""
    found: dict[str, dict[str, str]] = {}
    place = 0
    while match := _SCHEME.match(header, place):
        parameters: dict[str, str] = {}
        place = match.end()
        while parameter := _PARAMETER.match(header, place):
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            place = parameter.end()
        found.setdefault(match[1].lower(), parameters)
    return found
