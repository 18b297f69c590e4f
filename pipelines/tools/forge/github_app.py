"""A GitHub App's tokens: the App signs a JSON Web Token and exchanges it for an installation token that lasts an hour.

The installation token is limited to one repository and the named rights, whatever else the App may do. The web token
(RFC 7519) is signed with RS256 and lasts ten minutes at most (docs.github.com/apps, "Generating a JSON Web Token").
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
from pipelines.tools.forge.forge import GITHUB_HEADERS
from pipelines.tools.forge.http import ForgeApi, fields, identity
from pipelines.tools.registry.connection import Network, Unanswered

_SKEW_SECONDS = 60
"""How far in the past the web token begins, since clocks differ."""
_LIFETIME_SECONDS = 540
_MARGIN_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class App:
    """The identity of a GitHub App."""

    id: str
    """Its number or its client id."""
    private_key: str = field(repr=False)
    """In PEM format."""

    def web_token(self, now: float) -> str:
        """Return a signed web token; raises Misconfigured, which never shows the key, if the key cannot sign."""
        claims = {"iat": int(now) - _SKEW_SECONDS, "exp": int(now) - _SKEW_SECONDS + _LIFETIME_SECONDS, "iss": self.id}
        signed = f"{_encoded({'alg': 'RS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        signature = self._key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def _key(self) -> rsa.RSAPrivateKey:
        try:
            key = serialization.load_pem_private_key(self.private_key.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Misconfigured(
                "the App's private key cannot be used",
                seen="it is not an RSA key in PEM, or it has a password",
                todo="put the file that GitHub gave for the App into the Secret `shipway-forge` as it is",
            ) from None
        return key


class AppTokens:
    """Installation tokens of one App for one repository, fetched when they are needed."""

    def __init__(self, network: Network, app: App, *, base: str, repository: str, rights: Mapping[str, str]) -> None:
        """`rights` are the permissions that tokens are requested with, in GitHub's terms."""
        self._app = app
        self._rights = rights
        self._what = f"App {app.id} gets no token for {repository}"
        self._token, self._until, self._slug = "", 0.0, ""
        self._api = ForgeApi(
            network=network,
            base=base,
            repository=repository,
            authorization=lambda: f"Bearer {app.web_token(time.time())}",
            login=f"the key of App {app.id}",
            headers=GITHUB_HEADERS,
        )

    def authorization(self) -> str:
        """Return the value of the header `Authorization`; raises what `forge` documents."""
        if self._until < time.time():
            self._token, self._until = self._fetched()
        return f"Bearer {self._token}"

    def name(self) -> str:
        """Return the App's name, which its comments show before `[bot]`."""
        self._slug = self._slug or str(self._ask("GET", "/app").get("slug") or "")
        return self._slug

    def _fetched(self) -> tuple[str, float]:
        repository = self._api.repository
        installation = identity(self._ask("GET", f"/repos/{quote(repository)}/installation"), self._what)
        body = {"repositories": [repository.rpartition("/")[2]], "permissions": dict(self._rights)}
        token = self._ask("POST", f"/app/installations/{installation}/access_tokens", body)
        try:
            ends = datetime.fromisoformat(str(token["expires_at"])).timestamp()
            return str(token["token"]), ends - _MARGIN_SECONDS
        except (KeyError, ValueError) as error:
            raise Unanswered("GitHub gave no token", seen=f"{self._api.base} answered without one") from error

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        return fields(self._api.call(method, path, body=body, what=self._what).value, self._what)


def _encoded(value: object) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    """Return base64 in the URL alphabet without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
