"""Takes what looks like a secret out of text that goes where more people read than a run's own log.

It is the last net and not the first: steps give secrets to programs by files, and no step prints one. What is matched are the
published beginnings of tokens, the forms in which programs print a login, and keys in PEM.
"""

from __future__ import annotations

import re

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
    r"(?P<before>\b(?:authorization|proxy-authorization)[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:(?:basic|bearer|token)\s{1,4})?"
    r"|(?:passwo?r?d|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
    r"|\b(?:bearer|basic)\s{1,4})"
    r"(?P<value>[^\s\"',;]{4,})",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@:]{0,200}:[^\s/@]{0,500}@", re.IGNORECASE)
_LONGEST_LINE = 1000
"""What a line has more is dropped before anything is looked for: searching takes the square of a line's length."""


def masked(text: str) -> str:
    """Return text with `***` in place of what looks like a password, a token or a private key; very long lines are cut."""
    text = "\n".join(line[:_LONGEST_LINE] for line in text.split("\n"))
    text = _KEY.sub(MASK, text)
    text = _KEY_LINE.sub(MASK, text)
    text = _WHOLE.sub(MASK, text)
    text = _LOGIN.sub(rf"\g<before>{MASK}@", text)
    return _AFTER.sub(lambda match: match["before"] + MASK, text)
