"""What holds for every document of Argo Events, said without the checks that the compiler makes itself."""

from __future__ import annotations

import re

from tests.laws.documents import Document, texts, walk

_TEMPLATE = re.compile(r"spec\.triggers\[\d+\](?:\.dlqTrigger)?\.template\.k8s\.parameters\[\d+\]\.src\.dataTemplate")
_ENCODED = ("| b64enc }}", "| sha256sum | trunc 32 }}")
_SECRETS = {"webhookSecret", "secretToken", "accessToken", "authSecret"}


def stray_templates(document: Document) -> list[str]:
    """Templates stand where values of an event are encoded, one action each, and nowhere else."""
    return [
        f"{path} = {text}"
        for path, text in texts(document)
        if "{{" in text
        and not (_TEMPLATE.fullmatch(path) and text.endswith(_ENCODED) and text.count("{{") == text.count("}}") == 1)
    ]


def unsigned(document: Document) -> list[str]:
    """Whatever has an endpoint has a secret beside it, and every secret is a key of the one Secret for it."""
    broken = []
    for path, value in walk(document):
        if isinstance(value, dict) and ("endpoint" in value or "endpoint" in value.get("webhook", {})):
            outer = path.removesuffix(".webhook")
            holder = dict(walk(document))[outer]
            if not holder.keys() & _SECRETS:
                broken.append(f"{path}: no secret")
        if path.rpartition(".")[2] in _SECRETS and value.get("name") != "shipway-webhooks":
            broken.append(f"{path}: {value}")
    return broken


def headers_read(document: Document) -> list[str]:
    """Headers are not signed: no filter and no value looks at one, nor at the two that Argo writes into the body."""
    return [
        f"{path} = {text}"
        for path, text in texts(document)
        if re.search(r"\.Input\.headers?\b|^headers?\.|X-GitHub|\.Input \|", text)
        and not _whole_calendar(path, document)
    ]


def _whole_calendar(path: str, document: Document) -> bool:
    """A clock's event has no header; where it starts no run it is kept whole."""
    number = re.match(r"spec\.triggers\[(\d+)\]\.dlqTrigger\.", path)
    return number is not None and document["spec"]["triggers"][int(number[1])]["template"]["name"] == "calendar-nightly"


LAWS = (stray_templates, unsigned, headers_read)
