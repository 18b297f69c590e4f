"""The Kubernetes API of the cluster that the kubeconfig names: one request, or one stream of lines.

The generated client reads kubeconfigs (certificates, tokens, plug-ins) and does TLS. Paths and documents are plain, so
Argo's kinds need no other code than Kubernetes' own.
"""

from __future__ import annotations

import contextlib
import http.client
import os
from collections.abc import Iterator, Mapping

import urllib3
import yaml
from kubernetes import config
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTResponse

from pipelines.bounds import read_json
from pipelines.engines.cluster import names
from pipelines.errors import Misconfigured
from pipelines.tools.kubernetes import ANSWER_SECONDS, CONTENT_TYPES, Document, Lost, check_answer, no_answer

CONNECTIONS = 64
"""The most that are kept open; each log that is followed takes one."""
ANYTHING = "application/json, */*"
Query = Mapping[str, str | int | bool]


class Api:
    """The API server, and the namespace of the runs."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        """Use a client; see `connect`."""
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
        accept: str = ANYTHING,
    ) -> Document:
        """Return the document that answers a request; raises Lost, Denied, or Misconfigured (TLS)."""
        with self._open(method, path, query=query, body=body, accept=accept) as response:
            try:
                return dict(read_json(response.response.data, self.server))
            except (TypeError, ValueError) as error:
                raise Lost(f"{self.server} answers something that is not JSON") from error

    def lines(self, path: str, *, query: Query, silence_seconds: float) -> Iterator[str]:
        """Yield a stream's lines as they come, until its end; raises as `call` does, Lost also after a long silence."""
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
        accept: str = ANYTHING,
        silence_seconds: float = ANSWER_SECONDS,
    ) -> Iterator[RESTResponse]:
        headers = {"Accept": accept} | ({"Content-Type": CONTENT_TYPES[method]} if body is not None else {})
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
            raise no_answer(error) from error
        try:
            if response.status >= 300:
                try:
                    check_answer(f"{method} {path}", response.status, response.response.data)
                except Lost as error:
                    raise Lost(f"{self.server} answers {error}") from error
            yield response
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise no_answer(error) from error
        finally:
            # A connection cannot be used again unless its stream was read to the end.
            response.response.close()


def connect(namespace: str = "") -> Api:
    """Return the API of the kubeconfig's current context, by default with its namespace; raises Misconfigured."""
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
        # The kubeconfig says insecure-skip-tls-verify; no warning for each request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    # The caller decides whether to ask again, and tells the user.
    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS
    chosen = namespace or str(context["context"].get("namespace") or "default")
    return Api(ApiClient(configuration), names.check("namespace", chosen))


def _word(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
