"""The words of a report: one line for a status, and one comment in Markdown.

Text from outside is shown as it is and changes nothing around it: inside code neither GitHub nor Gitea makes links,
images, headings or HTML, and a name after an @ notifies nobody.

What looks like a secret is masked, since more people read a forge than a run's log. This is the last net and not the
first: steps pass secrets to programs in files, and no step prints one. The patterns are the published beginnings of
tokens, the forms in which programs print a login, and keys in PEM.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipelines.release import result as release_result
from pipelines.release.failure import IN_LOG, is_told
from pipelines.release.result import FINDING, ReleaseResult
from pipelines.report.model import Failure

MASK = "***"
_WHOLE = re.compile(
    "|".join(
        (
            r"gh[a-z]_[A-Za-z0-9]{16,}",
            r"github_pat_[A-Za-z0-9_]{16,}",
            r"gl[a-z]{2,5}-[A-Za-z0-9_-]{16,}",
            r"npm_[A-Za-z0-9]{16,}",
            r"pypi-[A-Za-z0-9_-]{16,}",
            r"xox[a-z]-[A-Za-z0-9-]{10,}",
            r"sk-[A-Za-z0-9_-]{20,}",
            r"dckr_[a-z]+_[A-Za-z0-9_-]{16,}",
            r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
            r"\bAIza[A-Za-z0-9_-]{30,}",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
        )
    )
)
_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
# A line of a key whose first line is out of sight; a digest has hexadecimal digits alone.
_KEY_LINE = re.compile(r"^(?![0-9a-f]*$)[A-Za-z0-9+/]{60,76}={0,2}$", re.MULTILINE)
_AFTER = re.compile(
    r"(?P<before>\b(?:authorization|proxy-authorization)[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
    r"(?:(?:basic|bearer|token)\s{1,4})?"
    r"|(?:passwo?r?d|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)"
    r"[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
    r"|\b(?:bearer|basic)\s{1,4})"
    r"(?P<value>[^\s\"',;]{4,})",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@:]{0,200}:[^\s/@]{0,500}@", re.IGNORECASE)
_LONGEST_MASKED_LINE = 1000
"""The rest of a line is dropped before the search, which takes the square of a line's length."""
# Colours and cursor movements of terminals (ECMA-48), the controls, and what turns the direction of writing.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_FENCE = re.compile(r" {0,3}(`{3,})([a-z]*)[ \t]*")
_CODE = re.compile(r"(?<!`)(`+)(?!`)[^`]*(?<!`)\1(?!`)")
_DETAILS = re.compile(r"</?(?:details|summary)>")
_MEANING = re.compile(r"[@<>\[\]`\\]|://|^ {0,3}~~~|^(?: {4}|\t)|www\.", re.IGNORECASE)
_WORDS = {"success": "done", "failure": "failed", "error": "did not come to an end", "pending": "running"}
_MOST_ROWS = 40
_MOST_BLOCKS = 8
_MOST_LINES = 20
_LONGEST_LINE = 240
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._/:+, -]+")


def line(text: str) -> str:
    """Return a status's description: one line, masked and without control characters."""
    return " ".join(plain(masked(text)).split())


def headline(result: ReleaseResult | None, failures: Sequence[Failure], *, is_ours: bool = False) -> str:
    """Return in one line what failed in a run, or its verdict; `is_ours` says that no stranger chose its words."""
    bad = [part for part in result.parts if not part.is_good] if result else []
    if not bad and failures:
        title, told = _NOT_IN_A_NAME.sub("?", failures[0].title), failures[0].told
        return f"{title}: {told}" if told else f"{title} failed"
    if not bad:
        return result.verdict if result else ""
    is_whole = is_told(bad[0]) or (is_ours and bad[0].why not in {"", IN_LOG})
    alike = [bad[0]] if is_whole else [part for part in bad if part.result == bad[0].result][:4]
    # A finding's name is that of its rule.
    names = [_NOT_IN_A_NAME.sub("?", part.path if part.kind == FINDING else part.name)[:60] for part in alike]
    more = len(bad) + len(failures) - len(alike)
    whole = release_result.words(replace(bad[0], name=names[0], path=names[0]))
    told = whole if is_whole else f"{', '.join(names)}: {bad[0].result}"
    return f"{told}; and {more} more" if more else told


def comment(
    *, state: str, reason: str, commit: str, link: str, result: ReleaseResult | None, failures: Sequence[Failure]
) -> str:
    """Return the comment's text. `link` is the run's address, or empty."""
    head = f"**Shipway: {_WORDS[state]}** at {code(commit[:12])}" + (f" · [the run]({link})" if link else "")
    parts = [head]
    verdict = result.verdict if result else ""
    parts += [code(masked(text), most=300) for text in dict.fromkeys((reason, verdict)) if text]
    if result and result.parts:
        shown = result.parts[:_MOST_ROWS]
        rows = [(part.kind, code(part.name, most=80), part.result, code(masked(part.why))) for part in shown]
        parts.append(table(("", "what", "result", "why"), rows))
        left = result.left_out + max(0, len(result.parts) - _MOST_ROWS)
        parts += [f"and {left} more, which are to be seen in the run"] if left else []
    blocks = [(part.name, part.lines) for part in (result.parts if result else ()) if part.lines and not part.is_good]
    blocks += [(f.title, f.lines or (f.message,)) for f in failures if f.lines or f.message]
    parts += [_block(name, lines) for name, lines in blocks[:_MOST_BLOCKS]]
    if len(blocks) > _MOST_BLOCKS:
        parts.append(f"and {len(blocks) - _MOST_BLOCKS} more logs, which are to be seen in the run")
    return "\n\n".join(parts)


def answer(reason: str) -> str:
    """Return the text that answers a command under a pull request which started nothing."""
    return f"**Shipway: nothing is started**\n\n{code(reason, most=300)}"


def impact(page: str, *, room: int) -> str:
    """Return the Markdown of the step `impact`, or its first line if there is no room for all.

    It is masked and checked here, because the pod that wrote it rendered what a stranger may have written.
    """
    text = masked(page.strip())
    if not text:
        return ""
    whole = f"### In the environments\n\n{tame(text)}"
    first = f"### In the environments\n\n{code(text.splitlines()[0], most=300)}; `shipway impact` shows it."
    return whole if len(whole) <= room else first


def _block(name: str, lines: Sequence[str]) -> str:
    # Masked as a whole: a private key has several lines.
    text = plain(masked("\n".join(lines)))
    shown = [one if len(one) <= _LONGEST_LINE else one[: _LONGEST_LINE - 1] + "…" for one in text.split("\n")]
    return f"{code(name, most=80)}\n\n{fenced(shown[-_MOST_LINES:])}"


def plain(text: str) -> str:
    """Return text without a terminal's escapes and without controls but tabs and line breaks."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def code(text: str, *, most: int = 200) -> str:
    """Return text as code in one line, also for a table's cell. Empty text stays empty."""
    line = " ".join(plain(text).split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    # A backtick would end the code, and no escape helps inside it; a bar would end the cell.
    line = line.replace("`", "'").replace("|", r"\|")
    # The table removes the backslash before a bar.
    return f"`{line}`" if line else ""


def fenced(lines: Iterable[str]) -> str:
    """Return lines as a block of code behind a fence longer than any of theirs."""
    text = plain("\n".join(lines)).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def tame(text: str) -> str:
    """Return the Markdown of an untrusted run's pod, all of it as code if it has more than it may.

    Outside of code it may have emphasis, lists, headings and details, but no links, images, other HTML or names after
    an @.
    """
    outside, fence = [], ""
    for line in text.split("\n"):
        ticks = _FENCE.fullmatch(line)
        if fence:
            if ticks and len(ticks[1]) >= len(fence) and not ticks[2]:
                fence = ""
        elif ticks:
            fence = ticks[1]
        else:
            outside.append(_CODE.sub("", _DETAILS.sub("", line)))
    if not fence and not any(_MEANING.search(line) for line in outside) and plain(text) == text:
        return text
    return fenced(text.split("\n"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. Its cells are Markdown of ours, or text from outside that `code` returned."""
    written = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)


def masked(text: str) -> str:
    """Return text with `***` for what looks like a password, a token or a private key; very long lines are cut."""
    text = "\n".join(line[:_LONGEST_MASKED_LINE] for line in text.split("\n"))
    text = _KEY.sub(MASK, text)
    text = _KEY_LINE.sub(MASK, text)
    text = _WHOLE.sub(MASK, text)
    text = _LOGIN.sub(rf"\g<before>{MASK}@", text)
    return _AFTER.sub(lambda match: match["before"] + MASK, text)
