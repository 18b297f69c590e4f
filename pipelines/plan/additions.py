"""What a build fetches by itself without saying what it must be, so that no key knows when it changes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipelines.declared.finding import WARNING, Finding
from pipelines.errors import Misuse
from pipelines.plan.dockerfile import Dockerfile, Instruction
from pipelines.plan.variables import expand

RULE = "add"
_URL = re.compile(r"(?:https?|ftp|git|ssh)://|git@[^:/]+:", re.IGNORECASE)
_PINNED_REPOSITORY = re.compile(r"(?:[^#]+\.git|(?:git://|ssh://|git@)[^#]+)#[0-9a-f]{40,64}(?::.*)?", re.IGNORECASE)
_CHECKS = {
    "buildkit": "add --checksum=sha256:…",
    "buildah": "fetch it in a RUN that ends with sha256sum -c",
}
"""What each builder knows to hold a file against its checksum."""


def find(
    file: Dockerfile, reached: Collection[int], *, scope: Mapping[str, str], build_args: Sequence[str], builder: str
) -> Iterator[Finding]:
    """Find each ADD of an address without a checksum, or without a commit; `scope` has what stands before the first FROM."""
    given = dict(arg.partition("=")[::2] for arg in build_args)
    for number in sorted(reached):
        known: dict[str, str] = {}
        for instruction in file.stages[number].instructions:
            if instruction.name == "ARG":
                _declare(instruction, known, given, scope)
            elif instruction.name == "ENV":
                known |= {n: _expanded(v, known) for n, v in zip(*[iter(instruction.words)] * 2, strict=False)}
            elif instruction.name == "ADD" and not instruction.flag("checksum"):
                for word in instruction.words[:-1]:
                    source = _expanded(word, known)
                    if _URL.match(source) and not _PINNED_REPOSITORY.fullmatch(source):
                        yield Finding(
                            path=file.where,
                            line=instruction.line,
                            level=WARNING,
                            rule=RULE,
                            text=f"ADD fetches {source} and nothing says what it must be",
                            todo=f"{_CHECKS[builder]}, or set max-age in shipway.yaml so that it is fetched anew",
                        )


def _declare(
    instruction: Instruction, known: dict[str, str], given: Mapping[str, str], scope: Mapping[str, str]
) -> None:
    """Take in an ARG of a stage: what is given goes before its default, and that before the one above the first FROM."""
    for word in instruction.words:
        name, equals, default = word.partition("=")
        if name in given:
            known[name] = given[name]
        elif equals:
            known[name] = _expanded(default, known)
        elif name in scope:
            known[name] = scope[name]


def _expanded(text: str, known: Mapping[str, str]) -> str:
    """Return a text with its variables replaced, as it is written where one has a value that only the build knows."""
    with contextlib.suppress(Misuse):
        return expand(text, known, "")
    return text
