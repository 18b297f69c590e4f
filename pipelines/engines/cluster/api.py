"""The Kubernetes API of the cluster that the kubeconfig names: one request, or one stream of lines.

The generated client brings what kubeconfigs hold (certificates, tokens, plug-ins) and TLS; paths and documents are
plain, so that Argo's kinds and Kubernetes' own are spoken to alike.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3
import yaml
from kubernetes import config
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTResponse

from pipelines.engines.cluster import names
from pipelines.errors import Misconfigured

ANSWER_SECONDS = 30.0
CONNECTIONS = 64
"""Kept open at most; each log that is followed takes one."""
ANYTHING = "application/json, */*"
Document = dict[str, Any]
Query = Mapping[str, str | int | bool]


class Lost(Exception):
    """The cluster gave no answer, or none that counts: the same request may succeed later."""


class Denied(Exception):
    """The cluster answered and said no."""

    def __init__(self, status: int, body: bytes) -> None:
        """Read the answer's body, a Status document or plain text."""
        self.status = status
        self.details: Mapping[str, Any] = {}
        self.message = body.decode(errors="replace").strip()[:500]
        with contextlib.suppress(ValueError, AttributeError):
            document = json.loads(body)
            self.message = str(document.get("message") or self.message)
            self.details = document.get("details") or {}
        super().__init__(f"{status}: {self.message}")


class Api:
    """The API server, and the namespace that is meant."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        """Speak through a client; see `connect`."""
        self.client = client
        self.namespace = namespace

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.client.configuration.host)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Document | None = None,
        content_type: str = "application/json",
        accept: str = ANYTHING,
    ) -> Document:
        """Return the document that a request is answered with; raises Lost, Denied, or Misconfigured for TLS."""
        with self._open(method, path, query=query, body=body, content_type=content_type, accept=accept) as response:
            try:
                return dict(json.loads(response.response.data))
            except ValueError as error:
                raise Lost(f"{self.server} answers something that is not JSON") from error

    def lines(self, path: str, *, query: Query, silence_seconds: float) -> Iterator[str]:
        """Give a stream's lines as they come, until its end; raises as `call` does, Lost also after a long silence."""
        with self._open("GET", path, query=query, silence_seconds=silence_seconds) as response:
            rest = b""
            for chunk in response.response.stream(amt=None, decode_content=True):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
            if rest:
                yield rest.decode(errors="replace")

    @contextlib.contextmanager
    def _open(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Document | None = None,
        content_type: str = "",
        accept: str = ANYTHING,
        silence_seconds: float = ANSWER_SECONDS,
    ) -> Iterator[RESTResponse]:
        headers = {"Accept": accept} | ({"Content-Type": content_type} if body is not None else {})
        try:
            request = self.client.param_serialize(
                method,
                path,
                query_params=[(key, _word(value)) for key, value in (query or {}).items()],
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self.client.call_api(*request, _request_timeout=(ANSWER_SECONDS, silence_seconds))
        except ApiException as error:
            raise Misconfigured(
                f"the certificate of {self.server} is not trusted",
                seen=" ".join(str(error.reason).split())[:300],
                todo="set certificate-authority in the kubeconfig",
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Lost(_said(error)) from error
        try:
            if response.status >= 300:
                denied = Denied(response.status, response.response.data)
                if response.status in {408, 429} or response.status >= 500:
                    raise Lost(f"{self.server} answers {denied}")
                raise denied
            yield response
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise Lost(_said(error)) from error
        finally:
            # A connection whose stream was not read to its end cannot be used again.
            response.response.close()


def connect(namespace: str = "") -> Api:
    """Return the API of the kubeconfig's current context, and its namespace unless one is given; raises Misconfigured."""
    configuration = Configuration()
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        _, context = config.list_kube_config_contexts(files)
        config.load_kube_config(files, client_configuration=configuration)
    except (config.ConfigException, OSError, yaml.YAMLError, ValueError, TypeError) as error:
        raise Misconfigured(
            "no cluster to run on",
            seen=f"{files}: {' '.join(str(error).split())[:300]}",
            todo="set KUBECONFIG to a file with a current context",
        ) from error
    if not configuration.verify_ssl:
        # The kubeconfig says insecure-skip-tls-verify; a warning for each request would say it a hundred times more.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    # Who asks knows whether asking again is right, and tells the user.
    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS
    chosen = namespace or str(context["context"].get("namespace") or "default")
    return Api(ApiClient(configuration), names.check("namespace", chosen))


def _word(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
