"""What Argo CD says of an application, whether that is what its files ask for, and which applications a question is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.deploy.status_model import LiveState, Whereabouts
from pipelines.errors import Misuse

SETTLED, BROKEN, WAITING = "settled", "broken", "waiting"
"""What an application is, measured by what its files ask for."""
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{7,64}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(/[a-z0-9]([a-z0-9-]*[a-z0-9])?)?")


def live_state(document: Mapping[str, Any]) -> LiveState:
    """Return what an Application's status says; what it lacks is empty."""
    status = document.get("status") or {}
    sync = status.get("sync") or {}
    operation = status.get("operationState") or {}
    compared = sync.get("comparedTo") or {}
    sources = compared.get("sources") or [compared.get("source") or {}]
    failed = operation.get("phase") in {"Failed", "Error"} or "Retrying" in str(operation.get("message"))
    told = [str(operation.get("message") or "")] if failed else []
    told += [
        str(item.get("message") or "") for item in status.get("conditions") or () if "Error" in str(item.get("type"))
    ]
    return LiveState(
        sync=str(sync.get("status") or ""),
        health=str((status.get("health") or {}).get("status") or ""),
        operation=str(operation.get("phase") or ""),
        message=" ".join(" ".join(told).split())[:300],
        revisions=tuple(map(str, sync.get("revisions") or filter(None, [sync.get("revision")]))),
        targets=tuple(str(source.get("targetRevision") or "") for source in sources),
        images=tuple(map(str, (status.get("summary") or {}).get("images") or ())),
    )


def standing(item: Whereabouts) -> str:
    """Return SETTLED, BROKEN or WAITING.

    An application is measured once Argo CD has compared it with its files: with their commit, or with their chart and images where a
    later commit took the place of theirs.
    """
    state = item.state
    if state is None:
        return WAITING
    seen = item.commit in state.revisions or (
        item.version in (*state.targets, *state.revisions)
        and all(image.runs for image in item.images)
        and bool(item.images)
    )
    if not seen or state.operation == "Running":
        # A sync that is tried again and again is told as running; its health shows what came of it.
        return BROKEN if seen and state.health == "Degraded" else WAITING
    if state.sync == "Synced" and state.health == "Healthy":
        return SETTLED
    if state.health == "Degraded" or state.operation in {"Failed", "Error"}:
        return BROKEN
    return WAITING


def about(rows: Iterable[Whereabouts], question: str, contained: Iterable[str] = ()) -> tuple[Whereabouts, ...]:
    """Return the applications that run a commit, a digest, or go by a name, `web` or `dev/web`; raises Misuse for anything else.

    `contained` are later commits that have the one that is asked for in their history.
    """
    if _DIGEST.fullmatch(question):
        return tuple(row for row in rows if any(digest.startswith(question) for digest in _digests(row)))
    named = tuple(row for row in rows if question in {row.application, f"{row.environment}/{row.application}"})
    if named or not _COMMIT.fullmatch(question):
        if not _NAME.fullmatch(question):
            raise Misuse(
                "neither a commit, nor a digest, nor an application",
                seen=repr(question[:100]),
                todo="give a commit of 7 digits or more, sha256:…, or a name: web, dev/web",
            )
        return named
    wanted = (question, *contained)
    return tuple(row for row in rows if any(commit.startswith(wanted) for commit in commits(row)))


def commits(row: Whereabouts) -> tuple[str, ...]:
    """Return the commits that an application comes from: its images', its chart's, and that of its files."""
    found = (*(image.revision for image in row.images), row.chart_revision, row.commit)
    return tuple(filter(None, found))


def is_commit(question: str) -> bool:
    """Whether a question is a whole commit id, whose history can be asked for."""
    return _COMMIT.fullmatch(question) is not None and len(question) in {40, 64}


def table(rows: Sequence[Whereabouts]) -> str:
    """Return applications as lines for a terminal, a line for each image."""
    head = ("APPLICATION", "CHART", "IMAGE", "DIGEST", "SOURCE", "ENVIRONMENTS", "SYNC", "HEALTH", "RUNS")
    lines = [head]
    for row in rows:
        state = row.state
        first = (f"{row.environment}/{row.application}", f"{row.chart.rpartition('/')[2]} {row.version[:12]}")
        last = (row.commit[:8], state.sync if state else "?", state.health if state else "?")
        for image in row.images or (None,):
            runs = {True: "yes", False: "no", None: "?"}[image.runs] if image else ""
            shown = (
                (image.image.rpartition("/")[2], image.digest[7:19] or "none", image.revision[:8] or "?")
                if image
                else ("", "", row.chart_revision[:8])
            )
            lines.append((*first, *shown, *last, runs))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = "".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )
    faults = [f"{row.environment}/{row.application}: {row.fault}" for row in rows if row.fault]
    faults += [
        f"{row.environment}/{row.application}: {row.state.message}" for row in rows if row.state and row.state.message
    ]
    return text + "".join(f"{fault}\n" for fault in faults)


def _digests(row: Whereabouts) -> tuple[str, ...]:
    state = row.state
    live = tuple(image.partition("@")[2] for image in state.images) if state else ()
    return (*(image.digest for image in row.images), row.chart_digest, *live)
