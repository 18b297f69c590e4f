"""The words of a report: one line for a status, and one comment in Markdown that text from outside cannot break out of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.model.report import Failure
from pipelines.plan import markdown
from pipelines.plan.markdown import code, fenced
from pipelines.plan.masking import masked
from pipelines.release.outcome import Outcome, Part

_WORDS = {"success": "done", "failure": "failed", "error": "did not come to an end", "pending": "running"}
_MOST_ROWS = 40
_MOST_BLOCKS = 8
_MOST_LINES = 20
_LONGEST_LINE = 240
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._/:+-]+")


def line(text: str) -> str:
    """Return a status's description: one line, masked, in letters that no forge makes more of."""
    return " ".join(markdown.plain(masked(text)).split())


def told(outcome: Outcome | None, failures: Sequence[Failure]) -> str:
    """Return in one line what became of a run that failed."""
    names = [part.name for part in outcome.parts if not part.is_good] if outcome else []
    if names:
        shown = ", ".join(_NOT_IN_A_NAME.sub("?", name)[:60] for name in names[:4])
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return f"{shown}{more}: {outcome.parts[0].result if outcome else ''}"
    if failures:
        return f"{_NOT_IN_A_NAME.sub('?', failures[0].title)} failed"
    return outcome.verdict if outcome else ""


def comment(
    *, state: str, reason: str, commit: str, link: str, outcome: Outcome | None, failures: Sequence[Failure]
) -> str:
    """Return the comment's text; `link` leads to the run, and may be empty."""
    head = f"**Shipway: {_WORDS[state]}** at {code(commit[:12])}" + (f" · [the run]({link})" if link else "")
    parts = [head]
    verdict = outcome.verdict if outcome else ""
    parts += [code(masked(text), most=300) for text in dict.fromkeys((reason, verdict)) if text]
    if outcome and outcome.parts:
        rows = [_row(part) for part in outcome.parts[:_MOST_ROWS]]
        parts.append(markdown.table(("", "what", "result", "why"), rows))
        left = outcome.left_out + max(0, len(outcome.parts) - _MOST_ROWS)
        parts += [f"and {left} more, which are to be seen in the run"] if left else []
    blocks = [(part.name, part.lines) for part in (outcome.parts if outcome else ()) if part.lines and not part.is_good]
    blocks += [(f.title, f.lines or (f.message,)) for f in failures if f.lines or f.message]
    parts += [_block(name, lines) for name, lines in blocks[:_MOST_BLOCKS]]
    if len(blocks) > _MOST_BLOCKS:
        parts.append(f"and {len(blocks) - _MOST_BLOCKS} more logs, which are to be seen in the run")
    return "\n\n".join(parts)


def impact(page: str, *, room: int) -> str:
    """Return what the step `impact` tells, which is Markdown without secrets, or its first line where there is no room for all.

    The pod that wrote it rendered what a stranger may have written, so it is looked at once more.
    """
    text = masked(page.strip())
    if not text:
        return ""
    whole = f"### In the environments\n\n{markdown.tame(text)}"
    first = f"### In the environments\n\n{code(text.splitlines()[0], most=300)}; `shipway impact` shows it."
    return whole if len(whole) <= room else first


def _row(part: Part) -> tuple[str, str, str, str]:
    return part.kind, code(part.name, most=80), part.result, code(masked(part.why))


def _block(name: str, lines: Sequence[str]) -> str:
    # Masked as a whole: a private key goes over several lines.
    text = markdown.plain(masked("\n".join(lines)))
    shown = [one if len(one) <= _LONGEST_LINE else one[: _LONGEST_LINE - 1] + "…" for one in text.split("\n")]
    return f"{code(name, most=80)}\n\n{fenced(shown[-_MOST_LINES:])}"
