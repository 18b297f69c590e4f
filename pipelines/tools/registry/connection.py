"""One HTTP exchange with a server, bounded in time and size; the caller interprets the answer.

An exchange without a complete answer raises Unanswered: the state of the server is then unknown, which is never the
same as absent. Only whole exchanges are retried, since neither an upload nor a half-read body can be resumed; urllib3's
own retries are therefore off.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from pipelines.errors import Misconfigured, Transient

if TYPE_CHECKING:
    import ssl

    import urllib3

MEBIBYTE = 1 << 20
SMALL = 4 * MEBIBYTE
"""The limit of an answer in memory, and of manifests (distribution-spec: at least 4 MiB)."""
PARALLEL = 4
"""Parallel transfers: more would only share the line."""
QUESTIONS = 16
"""Parallel small requests: each is one round trip."""
_CHUNK = 1 * MEBIBYTE
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long to wait for a registry, and how often to retry."""

    connect_seconds: float = 10
    answer_seconds: float = 60
    """The longest silence, and the longest time for a whole small answer."""
    commit_seconds: float = 600
    """The longest time that a registry may take to store a blob."""
    slowest_bytes_per_second: float = 16 * 1024
    """A download that is slower on average is given up."""
    attempts: int = 5
    backoff_seconds: float = 0.5
    """The wait before the second attempt; it doubles with each further one."""
    longest_wait_seconds: float = 60
    """The most that a server may ask for by Retry-After."""


class Unanswered(Transient):
    """There was no complete answer: the state of the server is unknown."""

    def __init__(
        self, what: str, *, seen: str = "", todo: str = "", silent: bool = False, wait_seconds: float = 0
    ) -> None:
        super().__init__(what, seen=seen, todo=todo or "run it again when the server is well")
        self.silent = silent
        """Whether the server did not answer at all, so that other requests are pointless."""
        self.wait_seconds = wait_seconds
        """The wait that the server asked for."""


class UnknownHost(Unanswered):
    """There is no host of that name: whoever asks again is told the same."""

    exit_code = Misconfigured.exit_code


class Network:
    """Connections to servers: which of them are used without TLS, and which certificate authorities are trusted."""

    def __init__(self, *, plain_http: frozenset[str], ca_file: Path | None, timing: Timing) -> None:
        self.timing = timing
        self._plain_http = frozenset(host.lower() for host in plain_http)
        self._ca_file = ca_file
        if ca_file is not None:
            _trust(ca_file)

    @cached_property
    def _plain(self) -> urllib3.PoolManager:
        return _pool(None)

    @cached_property
    def _tls(self) -> urllib3.PoolManager:
        # Reading the system's authorities takes longer than an empty push to this machine's own registry.
        return _pool(_trust(self._ca_file))

    def base(self, address: str) -> str:
        """Return the scheme and address of a registry: https unless the deployment lists it as plain HTTP."""
        return f"{'http' if address.lower() in self._plain_http else 'https'}://{address}"

    def check(self, url: str, why: str) -> str:
        """Return an address that a server redirects to.

        Raises Misconfigured if it leaves TLS, Unanswered if it is invalid.
        """
        parts = urlsplit(joined("", url, why))
        plain = parts.netloc.rpartition("@")[2].lower() in self._plain_http
        if parts.scheme == "https" or (parts.scheme == "http" and plain):
            return url
        raise Misconfigured(
            f"{why} leaves TLS",
            seen=shown(url),
            todo="have the registry send https addresses, or list that host in the setting plain-http",
        )

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None = None,
        silence_seconds: float = 0,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Give the answer to one request, its body unread; no redirect is followed.

        Raises Unanswered if there is none, also while the block reads the body; Misconfigured if TLS cannot work.
        """
        from urllib3 import Timeout, exceptions  # noqa: PLC0415 - slow to load, and many commands ask no registry

        host = urlsplit(joined("", url, f"a {method}")).netloc.rpartition("@")[2]
        what = f"{host} did not answer"
        response = None
        try:
            response = (self._plain if url.startswith("http:") else self._tls).request(
                method,
                url,
                headers={"User-Agent": "shipway", "Accept-Encoding": "identity", **headers},
                body=body,
                timeout=Timeout(
                    connect=self.timing.connect_seconds, read=silence_seconds or self.timing.answer_seconds
                ),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            yield response
        except exceptions.SSLError as error:
            raise _tls(host, error) from error
        except exceptions.NameResolutionError as error:
            # Where no server of names answers, it may exist.
            is_later = getattr(error.__cause__, "errno", None) == socket.EAI_AGAIN
            kind, todo = (Unanswered if is_later else UnknownHost), f"check the name {host}, or try later"
            raise kind(what, seen="its name is not known", todo=todo, silent=True) from error
        except exceptions.LocationValueError as error:
            raise Unanswered(f"{host} sent an invalid address", seen=str(error)[:200]) from error
        except exceptions.HTTPError as error:
            raise Unanswered(what, seen=f"{method}: {_said(error)}", silent=True) from error
        finally:
            if response is not None:
                # A connection whose answer was read to its end is back in the pool by now; any other is useless.
                response.close()

    def pieces(self, response: urllib3.BaseHTTPResponse, *, what: str, seconds: float) -> Iterator[bytes]:
        """Give a body piece by piece; raises Unanswered if all of it takes too long."""
        deadline = time.monotonic() + seconds
        while piece := response.read1(_CHUNK):
            yield piece
            if time.monotonic() > deadline:
                raise Unanswered(what, seen=f"the answer was not whole after {seconds:.0f} s")

    def body(self, response: urllib3.BaseHTTPResponse, *, what: str, limit: int = SMALL) -> bytes:
        """Return a small body; raises Unanswered if it is longer than the limit or too slow."""
        data = b""
        for piece in self.pieces(response, what=what, seconds=self.timing.answer_seconds):
            data += piece
            if len(data) > limit:
                raise Unanswered(what, seen=f"an answer of more than {limit} bytes")
        return data

    def persist(self, call: Callable[[], T], attempts: int = 0) -> T:
        """Return the result of a call, repeated with growing waits while it raises Unanswered."""
        for attempt in range(1, attempts or self.timing.attempts):
            try:
                return call()
            except UnknownHost:
                raise
            except Unanswered as error:
                jitter = random.uniform(1, 1.5)  # noqa: S311  no secret
                wait = self.timing.backoff_seconds * 2 ** (attempt - 1) * jitter
                wait = min(max(wait, error.wait_seconds), self.timing.longest_wait_seconds)
                sys.stderr.write(f"{error.what} ({error.seen}); trying again in {wait:.1f} s\n")
                time.sleep(wait)
        return call()


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a Retry-After header asks for, 0 if there is none (RFC 9110, section 10.2.3)."""
    import email.utils  # noqa: PLC0415 - few answers have it

    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:6])
    parsed = email.utils.parsedate_tz(text) if text else None
    return max(0.0, email.utils.mktime_tz(parsed) - time.time()) if parsed else 0.0


def joined(base: str, location: str, why: str) -> str:
    """Return an address from a server, which may be relative to `base`; raises Unanswered if it is invalid."""
    try:
        url = urljoin(base, location)
        urlsplit(url)
    except ValueError as error:
        raise Unanswered(f"{why} leads to an invalid address", seen=str(error)[:200]) from error
    return url


def shown(url: str) -> str:
    """Return an address without its secrets: the login, and the query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]


def _pool(context: ssl.SSLContext | None) -> urllib3.PoolManager:
    import urllib3  # noqa: PLC0415 - as above

    return urllib3.PoolManager(num_pools=16, maxsize=QUESTIONS + 1, ssl_context=context)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - as urllib3

    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"the certificate authorities {ca_file} cannot be read",
                seen=str(error),
                todo="let the setting ca-file name a PEM file",
            ) from error
    return context


def _tls(host: str, error: Exception) -> Misconfigured | Unanswered:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        todo = "put the authority that signed it into the file that the setting ca-file names"
        return Misconfigured(f"the certificate of {host} is not trusted", seen=_said(error), todo=todo)
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text or "record layer failure" in text:
        todo = f"add {host} to the setting plain-http, if that is meant"
        return Misconfigured(f"{host} does not speak TLS", seen=_said(error), todo=todo)
    return Unanswered(f"{host} broke off the TLS connection", seen=_said(error), silent=True)


def _said(error: Exception) -> str:
    """Return the text of urllib3's error without the object at its beginning."""
    text = str(error)
    return (text.partition("object at 0x")[2].partition(": ")[2] or text)[:300]
