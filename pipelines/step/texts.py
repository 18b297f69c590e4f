"""Texts between steps: which may travel through a workflow as they are, and which travel encoded.

Argo takes the value of an argument for a template. So a result that becomes one is a text of a narrow form, which is
checked before it is stored, or a `FreeText`, in which nothing of Argo's can occur: a reader decodes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from pipelines.errors import Misuse, Refused
from pipelines.step.printable import unprintable

# What Go's strconv.Quote writes in a form that is not JSON: \a, \v and \x…; it knows \b \f \n \r \t as JSON does.
_UNCARRIED = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_MARK = "%-"
_PLAIN = "".join(chr(number) for number in range(0x20, 0x7F) if chr(number) not in "%{}")
_ENCODED = re.compile(r"(?:[^%{}\x00-\x1f\x7f-\U0010ffff]|%[0-9A-F]{2})*")


BRIEF = {"brief": True}
"""Metadata of a result's field that is left out where it has its default."""


class Unfit(ValueError):
    """A text of another form than its type says; the message has not a word of it."""


@dataclass(frozen=True, kw_only=True)
class Narrow:
    """Marks a text that may be an argument: of one form alone, and nothing in it that Argo would evaluate."""

    what: str
    pattern: str = ".*"
    most: int = 4096
    """Characters."""
    controls: bool = False
    """Whether it may hold line breaks, tabs and other control characters that Argo passes on."""

    def check(self, text: str) -> str:
        """Return the text. Raises Unfit if it has another form."""
        if len(text) > self.most:
            raise Unfit(f"longer than {self.most} characters")
        if why := uncarried(text):
            raise Unfit(why)
        if not self.controls and _CONTROLS.search(text):
            raise Unfit("it holds a control character")
        if "}}" in text or text.startswith(_MARK) or not re.fullmatch(self.pattern, text, re.DOTALL):
            raise Unfit(f"not {self.what}")
        return text


@dataclass(frozen=True, kw_only=True)
class Within:
    """Marks a number that lies between two others."""

    least: int
    most: int

    def check(self, number: int) -> int:
        """Return the number. Raises Unfit if it lies elsewhere."""
        if not self.least <= number <= self.most:
            raise Unfit("a number beyond what it can be")
        return number


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Marks what travels encoded: a text, whatever it holds, or a value with such texts in it."""


FreeText: TypeAlias = Annotated[str, Encoded()]
"""What people, builds and programs wrote."""
PLAIN = Narrow(what="a text without {{ and }}")
Plain: TypeAlias = Annotated[str, PLAIN]
"""A name that Git, Docker or a forge let people choose: an address, a ref, a path."""
BUILD_ARGUMENT = Narrow(what="a text without {{ and }}", most=128_000, controls=True)
BuildArgument: TypeAlias = Annotated[str, BUILD_ARGUMENT]
Address: TypeAlias = Annotated[str, Narrow(what="an image's address", pattern=r"[A-Za-z0-9._+:/@\[\]-]*")]
"""With a tag or a digest."""
Name: TypeAlias = Annotated[str, Narrow(what="a name", pattern=r"[A-Za-z0-9._+:/ -]*", most=512)]
"""An image, a chart, a version, an environment, a stage, a run."""
ObjectId: TypeAlias = Annotated[str, Narrow(what="a full commit id", pattern=r"(?:[0-9a-f]{40}(?:[0-9a-f]{24})?)?")]
Hash: TypeAlias = Annotated[str, Narrow(what="a hash", pattern=r"[0-9a-f]{0,64}")]
LATEST = 253_402_300_799
"""The end of the year 9999: no date of the usual form is later."""
Seconds: TypeAlias = Annotated[int, Within(least=0, most=LATEST)]
"""Since 1970."""
ContentDigest: TypeAlias = Annotated[str, Narrow(what="a digest", pattern=r"(?:sha256:[0-9a-f]{64})?")]
Packed: TypeAlias = Annotated[str, Narrow(what="base64", pattern=r"[A-Za-z0-9+/=]*", most=128_000)]
Words: TypeAlias = Annotated[str, Narrow(what="words of ours", pattern=r"[\w .,:;/()*'+-]*", most=512)]
"""One line that a step makes of its own words, numbers and names."""


def uncarried(value: str) -> str:
    """Return why a value may not travel through a workflow as it is, or an empty text."""
    if "{{" in value:
        return "it holds `{{`, which Argo would evaluate"
    match = _UNCARRIED.search(value)
    if character := match[0] if match else unprintable(value):
        return f"it holds the character {character!a}, which Argo cannot pass on"
    return ""


def refusal(value: str) -> type[Misuse | Refused]:
    """Return the error for a value that is `uncarried`: Refused for a character that people may well use in names."""
    return Refused if unprintable(value) else Misuse


def encode(text: str) -> str:
    """Return a text in printable ASCII without braces: whatever else is in it becomes %XX, a byte of UTF-8 each.

    `%-` stands before a text that is not as it was, and before no `Narrow` one.
    """
    encoded = quote(text, safe=_PLAIN, errors="backslashreplace")
    return encoded if encoded == text else _MARK + encoded


def decode(text: str) -> str:
    """Return what `encode` encoded. Raises Unfit for anything else."""
    encoded = text.removeprefix(_MARK)
    if not _ENCODED.fullmatch(encoded) or (encoded == text and "%" in text):
        raise Unfit("not a text as a step before encodes it")
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise Unfit("not UTF-8") from None


def shown(output: str) -> str:
    """Return an output as people read it: decoded if it is encoded, else as it is."""
    return decode(output) if output.startswith(_MARK) and _ENCODED.fullmatch(output[2:]) else output
