"""What holds for every document of Argo Events, said without the checks that the compiler makes itself."""

from __future__ import annotations

import re

from tests.laws.documents import Document, texts, walk

_TEMPLATE = re.compile(r"spec\.triggers\[\d+\](?:\.dlqTrigger)?\.template\.k8s\.parameters\[\d+\]\.src\.dataTemplate")
_ENCODED = ("| b64enc }}", "| sha256sum | trunc 32 }}")
_NOTE = '(default "(none)" (trimAll " " (regexReplaceAll "[\\u0000-\\u001f`{}'
_READABLE = (
    ("metadata.name", r'\{\{ printf "%s-%s-%s" \(default "x" .+ \(default "x" .+ \| sha256sum \| trunc 16\) \}\}'),
    (
        "metadata.labels.",
        r'\{\{ \(default "none" \(trimAll "-\._" \(trunc 63 \(regexReplaceAll "\[\^A-Za-z0-9\._-\]\+" .+\)\)\)\) \}\}',
    ),
    ("metadata.annotations.", rf'\{{\{{ printf "[^"\\]+"( {re.escape(_NOTE)}((?!{re.escape(_NOTE)}).)+)* \}}\}}'),
)
"""What people read, by the beginning of its place: of a narrow form whatever the event says."""
_SECRETS = {"webhookSecret", "secretToken", "accessToken", "authSecret"}


def stray_templates(document: Document) -> list[str]:
    """Templates stand where values of an event are encoded or made harmless, one action each, and nowhere else."""
    places = {path: value for path, value in walk(document) if path.endswith(".dest")}
    broken = []
    for path, text in texts(document):
        if "{{" not in text:
            continue
        place = places.get(path.removesuffix(".src.dataTemplate") + ".dest", "")
        forms = [form for begin, form in _READABLE if place.startswith(begin) and "shipway-ref" not in place]
        is_safe = re.fullmatch(forms[0], text, re.DOTALL) if forms else text.endswith(_ENCODED)
        if not (_TEMPLATE.fullmatch(path) and is_safe and text.count("{{") == text.count("}}") == 1):
            broken.append(f"{path} = {text}")
    return broken


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
