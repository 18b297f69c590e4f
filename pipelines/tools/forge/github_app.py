"""A GitHub App's tokens: a signed statement of who it is, changed for a token that lasts an hour.

The token is asked for one repository and the named rights alone, whatever else the App was given. The statement is RFC
7519's, signed with RS256, and lasts ten minutes at most (docs.github.com/apps, "Generating a JSON Web Token").
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pipelines.errors import Misconfigured
from pipelines.tools.forge.http import ForgeApi, fields, identity
from pipelines.tools.forge.rest import HEADERS
from pipelines.tools.registry.connection import Network, Unanswered

_SKEW_SECONDS = 60
"""The statement begins so long ago: clocks differ."""
_LIFETIME_SECONDS = 540
_MARGIN_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class App:
    """Who an App is."""

    id: str
    """Its number, or its client id."""
    private_key: str = field(repr=False)
    """As PEM."""

    def statement(self, now: float) -> str:
        """Return the signed statement; raises Misconfigured for a key that cannot sign, without a word of it."""
        claims = {"iat": int(now) - _SKEW_SECONDS, "exp": int(now) - _SKEW_SECONDS + _LIFETIME_SECONDS, "iss": self.id}
        signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
        signature = self._key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_text(signature)}"

    def _key(self) -> rsa.RSAPrivateKey:
        try:
            key = serialization.load_pem_private_key(self.private_key.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Misconfigured(
                "the App's private key cannot be used",
                seen="it is no RSA key in PEM, or it has a password",
                todo="put the file that GitHub gave for the App into the Secret `shipway-forge` as it is",
            ) from None
        return key


class AppTokens:
    """Tokens of one App for one repository, fetched when they are needed."""

    def __init__(self, network: Network, app: App, *, base: str, repository: str, rights: Mapping[str, str]) -> None:
        """`rights` are the permissions that a token is asked for, in GitHub's words."""
        self._app = app
        self._rights = rights
        self._what = f"App {app.id} gets no token for {repository}"
        self._token, self._until, self._slug = "", 0.0, ""
        self._api = ForgeApi(
            network,
            base=base,
            repository=repository,
            authorization=lambda: f"Bearer {app.statement(time.time())}",
            login=f"the key of App {app.id}",
            headers=HEADERS,
        )

    def authorization(self) -> str:
        """Return the header's value; raises as `tools.forge` says."""
        if self._until < time.time():
            self._token, self._until = self._fetched()
        return f"Bearer {self._token}"

    def name(self) -> str:
        """Return the App's name as it stands before `[bot]`."""
        self._slug = self._slug or str(self._ask("GET", "/app").get("slug") or "")
        return self._slug

    def _fetched(self) -> tuple[str, float]:
        repository = self._api.repository
        installation = identity(self._ask("GET", f"/repos/{quote(repository)}/installation"), self._what)
        body = {"repositories": [repository.rpartition("/")[2]], "permissions": dict(self._rights)}
        made = self._ask("POST", f"/app/installations/{installation}/access_tokens", body)
        try:
            ends = datetime.fromisoformat(str(made["expires_at"])).timestamp()
            return str(made["token"]), ends - _MARGIN_SECONDS
        except (KeyError, ValueError) as error:
            raise Unanswered("GitHub gave no token", seen=f"{self._api.base} answered without one") from error

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        return fields(self._api.call(method, path, body=body, what=self._what).value, self._what)


def _part(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    """Return base64 without padding, in the alphabet for addresses (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
