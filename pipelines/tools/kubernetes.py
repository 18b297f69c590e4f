"""The Kubernetes API as a pod uses it: with the token of one account, over plain HTTPS.

The account is a folder with `token`, `ca.crt` and `namespace`, as the kubelet makes it for a pod; it replaces the token
before that ends. The caller chooses all names, so a request that is sent twice does no harm, and
each is tried again. pipelines.engines.cluster.api uses the login of a kubeconfig instead, and reads answers by the
functions here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured, ShipwayError, Transient

ARGO = "/apis/argoproj.io/v1alpha1"
METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
"""Asks for names, labels and annotations only, without specification and status."""
JSON = "application/json"
CONTENT_TYPES = {"POST": JSON, "PATCH": "application/merge-patch+json"}
"""What a request's document is, by the request's method."""
ANSWER_SECONDS = 30.0
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_LOG_LINES = 60
_LOG_BYTES = 128 * 1024
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""Of an object, as far as its name becomes a part of an address: a DNS subdomain of at most 253 characters."""
# Argo's executor adds lines to what the command writes, and after a command that failed a last one.
EXECUTOR_LINE = re.compile(r'(time="?|\{).*\bargo"?[=:] ?"?true\b.*')
EXECUTOR_LAST_LINE = re.compile(r"Error: exit status \d+")
Document = dict[str, Any]
Query = Mapping[str, str]


class Lost(Exception):
    """There was no answer, or one after which the same request may succeed."""


class Denied(ShipwayError):
    """The API refused a request, with a status and a message."""

    def __init__(self, request: str, *, status: int, message: str) -> None:
        super().__init__(
            f"the cluster refuses {request}",
            seen=f"{status}: {message}",
            todo="see the rights of the account in charts/shipway",
        )
        self.status = status
        self.message = message


def seen(error: Lost | Denied) -> str:
    """Return on one line what was seen of an answer."""
    return error.seen if isinstance(error, Denied) else str(error)


def check_answer(request: str, status: int, body: bytes) -> None:
    """Raise Denied if an answer, a Status or plain text, refuses a request; Lost if the server is busy or broken."""
    if status < 300:
        return
    message = body.decode(errors="replace").strip()
    with contextlib.suppress(ValueError, AttributeError):
        message = str(read_json(body, request).get("message") or message)
    if status in {408, 429} or status >= 500:
        raise Lost(f"{status}: {message[:500]}")
    raise Denied(request, status=status, message=message[:500])


def no_answer(error: Exception) -> Lost:
    """Return the error for a connection that failed."""
    return Lost(f"{type(error).__name__}: {error}"[:300])


class Kubernetes:
    """The API server of this pod's cluster, as one account, in one namespace."""

    def __init__(self, account: Path, *, server: str = "", pauses: tuple[float, ...] = _PAUSES) -> None:
        """Read the account; `server` is the API's address, by default the environment's. Raises Misconfigured."""
        try:
            self._account = account
            self._token()
            self.namespace = (account / "namespace").read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise Misconfigured(
                "no account for the cluster's API",
                seen=str(error),
                todo="run it as the installed chart does, which mounts it",
            ) from error
        authorities = account / "ca.crt"
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
        address = f"[{host}]" if ":" in host else host
        self._server = server or f"https://{address}:{os.environ.get('KUBERNETES_SERVICE_PORT_HTTPS', '443')}"
        self._pool = urllib3.PoolManager(
            ca_certs=str(authorities) if authorities.exists() else None, retries=False, timeout=ANSWER_SECONDS
        )
        self._pauses = pauses

    def _token(self) -> str:
        return (self._account / "token").read_text(encoding="ascii").strip()

    @property
    def workflows(self) -> str:
        """The path of this namespace's Workflows."""
        return f"{ARGO}/namespaces/{self.namespace}/workflows"

    def call(
        self, method: str, path: str, *, query: Query | None = None, body: Document | None = None, accept: str = JSON
    ) -> Document:
        """Return the document that answers a request; raises Denied, or Transient if no answer comes."""
        answer = self._request(method, path, query=query, body=body, accept=accept)
        value = read_json(answer, f"what the cluster answers to {method} {path}")
        return value if isinstance(value, dict) else {}

    def _request(
        self, method: str, path: str, *, query: Query | None, body: Document | None = None, accept: str
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": accept}
        headers |= {"Content-Type": CONTENT_TYPES[method]} if body is not None else {}
        lost: Lost | None = None
        for pause in (*self._pauses, None):
            try:
                answer = self._pool.request(
                    method,
                    f"{self._server}{path}",
                    fields=dict(query) if query else None,
                    body=None if body is None else json.dumps(body).encode(),
                    headers=headers,
                    redirect=False,
                )
                check_answer(f"{method} {path}", answer.status, answer.data)
                return bytes(answer.data)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                lost = no_answer(error)
            except Lost as error:
                lost = error
            if pause is not None:
                time.sleep(pause)
        raise Transient(f"the cluster's API does not answer {method} {path}", seen=str(lost), todo="try again")

    def metadata(self, name: str) -> Document:
        """Return the metadata of a Workflow."""
        return dict(self.call("GET", f"{self.workflows}/{name}", accept=METADATA.format(""))["metadata"])

    def workflow(self, name: str) -> Document:
        """Return a whole Workflow."""
        return self.call("GET", f"{self.workflows}/{name}")

    def log(self, pod: str, container: str) -> list[str]:
        """Return the last lines of a container without those of Argo's executor; raises Denied if it has gone."""
        query = {"container": container, "tailLines": str(_LOG_LINES), "limitBytes": str(_LOG_BYTES)}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{quote(pod)}/log"
        text = self._request("GET", path, query=query, accept="*/*").decode(errors="replace")
        added = (EXECUTOR_LINE, EXECUTOR_LAST_LINE)
        return [line for line in text.splitlines() if not any(pattern.fullmatch(line) for pattern in added)]

    def unfinished(self, selector: str) -> list[Document]:
        """Return the metadata of Workflows that a label selector matches and that have not ended, also pending ones."""
        query = {"labelSelector": f"{selector},workflows.argoproj.io/completed!=true"}
        listed = self.call("GET", self.workflows, query=query, accept=METADATA.format("List"))
        return [dict(item["metadata"]) for item in listed.get("items", ())]

    def patch(self, name: str, change: Document) -> Document:
        """Merge a change into a Workflow and return its metadata."""
        return dict(self.call("PATCH", f"{self.workflows}/{name}", body=change, accept=METADATA.format(""))["metadata"])

    def create(self, document: Document) -> bool:
        """Create a Workflow and return True, or False if one of its name exists."""
        try:
            self.call("POST", self.workflows, body=document, accept=METADATA.format(""))
        except Denied as error:
            if error.status != 409:
                raise
            return False
        return True
