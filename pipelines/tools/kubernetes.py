"""The Kubernetes API as a pod speaks to it: with the token of one account, over plain HTTPS.

The account is a folder with `token`, `ca.crt` and `namespace`: a Secret of the type kubernetes.io/service-account-token,
mounted. Every request here may be sent twice, since names are chosen by the caller; so each is tried again.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from pipelines.errors import Misconfigured, ShipwayError, Transient

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows"
METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
"""Asks for names, labels and annotations alone: nothing of a specification or a status comes."""
MERGE = "application/merge-patch+json"
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_ANSWER_SECONDS = 30.0
_LOG_LINES = 60
_LOG_BYTES = 128 * 1024
_EXECUTOR_LINE = re.compile(r'(time="?|\{).*\bargo"?[=:] ?"?true\b|Error: exit status \d+$')
Document = dict[str, Any]


class Denied(ShipwayError):
    """The API answered and said no."""

    def __init__(self, what: str, *, status: int, seen: str) -> None:
        super().__init__(what, seen=seen, todo="see the rights of the account in charts/shipway")
        self.status = status


class Kubernetes:
    """The API server of this pod's cluster, as one account, in one namespace."""

    def __init__(self, account: Path, *, server: str = "", pauses: tuple[float, ...] = _PAUSES) -> None:
        """Read the account; `server` is the API's address, by default the one that every pod is told. Raises Misconfigured."""
        try:
            self._token = (account / "token").read_text(encoding="ascii").strip()
            self.namespace = (account / "namespace").read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise Misconfigured(
                "no account for the cluster's API", seen=str(error), todo="install the chart, which makes its Secret"
            ) from error
        authorities = account / "ca.crt"
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
        address = f"[{host}]" if ":" in host else host
        self._server = server or f"https://{address}:{os.environ.get('KUBERNETES_SERVICE_PORT_HTTPS', '443')}"
        self._pool = urllib3.PoolManager(
            ca_certs=str(authorities) if authorities.exists() else None, retries=False, timeout=_ANSWER_SECONDS
        )
        self._pauses = pauses

    @property
    def workflows(self) -> str:
        """The path of this namespace's Workflows."""
        return WORKFLOWS.format(self.namespace)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Document:
        """Return the document that a request is answered with; raises Denied, or Transient where there is no answer."""
        answer = self._ask(method, path, query=query, body=body, content_type=content_type, accept=accept)
        return dict(json.loads(answer))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: Document | None = None,
        content_type: str = "",
        accept: str,
    ) -> bytes:
        last = ""
        for pause in (*self._pauses, None):
            try:
                answer = self._pool.request(
                    method,
                    f"{self._server}{path}",
                    fields=dict(query) if query else None,
                    body=None if body is None else json.dumps(body).encode(),
                    headers={
                        "Authorization": f"Bearer {self._token}",
                        "Accept": accept,
                        **({"Content-Type": content_type} if body is not None else {}),
                    },
                    redirect=False,
                )
                status, data = answer.status, answer.data
            except (urllib3.exceptions.HTTPError, OSError) as error:
                last = f"{type(error).__name__}: {error}"[:300]
            else:
                if status < 300:
                    return bytes(data)
                last = f"{status}: {_message(data)}"
                if status not in {408, 429} and status < 500:
                    raise Denied(f"the cluster refuses {method} {path}", status=status, seen=last)
            if pause is not None:
                time.sleep(pause)
        raise Transient(f"the cluster's API does not answer {method} {path}", seen=last, todo="try again")

    def metadata(self, name: str) -> Document:
        """Return the metadata of a Workflow."""
        return dict(self.call("GET", f"{self.workflows}/{name}", accept=METADATA.format(""))["metadata"])

    def workflow(self, name: str) -> Document:
        """Return a Workflow, all of it."""
        return self.call("GET", f"{self.workflows}/{name}")

    def log(self, pod: str, container: str) -> list[str]:
        """Return the last lines of what a container wrote, without those of Argo's executor; raises Denied where it is gone."""
        query = {"container": container, "tailLines": str(_LOG_LINES), "limitBytes": str(_LOG_BYTES)}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{quote(pod)}/log"
        text = self._ask("GET", path, query=query, accept="*/*").decode(errors="replace")
        return [line for line in text.splitlines() if not _EXECUTOR_LINE.match(line)]

    def unfinished(self, selector: str) -> list[Document]:
        """Return the metadata of the Workflows that labels select and that have not ended; pending ones are among them."""
        query = {"labelSelector": f"{selector},workflows.argoproj.io/completed!=true"}
        found = self.call("GET", self.workflows, query=query, accept=METADATA.format("List"))
        return [dict(item["metadata"]) for item in found.get("items", ())]

    def patch(self, name: str, change: Document) -> None:
        """Merge a change into a Workflow."""
        path = f"{self.workflows}/{name}"
        self.call("PATCH", path, body=change, content_type=MERGE, accept=METADATA.format(""))

    def create(self, document: Document) -> bool:
        """Make a Workflow and return True, or False where one of its name is there."""
        try:
            self.call("POST", self.workflows, body=document, accept=METADATA.format(""))
        except Denied as error:
            if error.status != 409:
                raise
            return False
        return True


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data).get("message", ""))[:500]
    except (ValueError, AttributeError):
        return data.decode(errors="replace").strip()[:300]
