"""What a Dockerfile may not ask for: of anybody, and of a builder that lacks it.

Refused before the build starts, with the line, because an older buildah takes some of these for something else: it runs
the lines of a heredoc as instructions.

What a build fetches by itself without saying what it must be, so that no key knows when it changes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipelines.declared.finding import WARNING, Finding
from pipelines.errors import Misuse, Refused
from pipelines.images.dockerfile import Dockerfile, Instruction, expand

_FILES = {"ADD", "COPY"}
_MODE = re.compile(r"[0-7]{3,4}")
_HEREDOC_SINCE = (1, 33)
"""Of buildah: its changelog, release 1.33.0."""
_UNKNOWN_TO_BUILDAH = {
    "link": "write it without --link; the files are the same",
    "parents": "name each file's folder in its destination",
    "exclude": "use .dockerignore",
    "checksum": "RUN sha256sum -c after the ADD",
    "keep-git-dir": "let the repository be cloned by Shipway",
    "unpack": "RUN tar after the ADD",
}


def check(dockerfile: Dockerfile, *, secrets: Collection[str]) -> None:
    """Refuse what no build gets: the host's network, its devices, an SSH agent, privileges, a secret not declared."""
    for instruction in _instructions(dockerfile):
        if instruction.name != "RUN":
            continue
        for flag, allowed in (("network", {"", "default", "none"}), ("security", {"", "sandbox"}), ("device", {""})):
            if instruction.flag(flag) not in allowed:
                raise _refused(dockerfile, instruction, f"RUN --{flag} is not given to any build", "leave it out")
        for mount in instruction.mounts:
            if mount.get("type") == "ssh":
                raise _refused(dockerfile, instruction, "no build gets an SSH agent", "mount a secret instead")
            if mount.get("type") == "secret" and secret_id(mount) not in secrets:
                raise _refused(
                    dockerfile,
                    instruction,
                    f"the secret {secret_id(mount)!r} is not declared",
                    "declare it: `secrets` of the image in shipway.yaml, or --secret-ids of the step; "
                    f"declared: {', '.join(sorted(secrets)) or 'none'}",
                )


def check_platform(
    dockerfile: Dockerfile, reached: Collection[int], *, scope: Mapping[str, str], platform: str
) -> None:
    """Refuse a stage of another platform among those that are built; `scope` has what FROM lines see."""
    for stage in (dockerfile.stages[number] for number in sorted(reached)):
        place = f"{dockerfile.where}:{stage.base.line}"
        asked = expand(stage.base.flag("platform"), scope, place)
        if asked not in {"", platform}:
            raise Refused(
                f"{place}: a stage of another platform",
                seen=f"{asked}, where this build is for {platform}",
                todo="leave --platform out; one build makes the image of one platform",
            )


def check_buildah(dockerfile: Dockerfile, version: str) -> None:
    """Refuse what buildah of that version does not have."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    builder = f"buildah {version}"
    for instruction in _instructions(dockerfile):
        if instruction.heredocs and numbers < _HEREDOC_SINCE:
            raise _refused(
                dockerfile,
                instruction,
                f"{builder} does not know heredocs",
                "build with BuildKit or buildah 1.33, or chain the commands with &&",
            )
        if instruction.name in _FILES:
            for flag in instruction.flags:
                name = flag.removeprefix("--").partition("=")[0]
                if name in _UNKNOWN_TO_BUILDAH:
                    raise _refused(
                        dockerfile,
                        instruction,
                        f"{builder} does not know {instruction.name} --{name}",
                        f"build with BuildKit, or {_UNKNOWN_TO_BUILDAH[name]}",
                    )
            mode = instruction.flag("chmod")
            if mode and not _MODE.fullmatch(mode):
                raise _refused(
                    dockerfile, instruction, f"{builder} knows only octal modes", "write --chmod=755 or the like"
                )
        for mount in instruction.mounts:
            if mount.get("type") == "secret" and "env" in mount:
                raise _refused(
                    dockerfile,
                    instruction,
                    f"{builder} gives secrets as files only",
                    "read the file /run/secrets/<id>, or build with BuildKit",
                )


def secret_id(mount: dict[str, str]) -> str:
    """Return the id of a secret mount: its own, else the last part of where it is mounted."""
    target = mount.get("target") or mount.get("dst") or mount.get("destination") or ""
    return mount.get("id") or target.rsplit("/", 1)[-1]


def secret_ids(dockerfile: Dockerfile) -> frozenset[str]:
    """Return the ids of all secrets that the Dockerfile mounts."""
    mounts = (mount for instruction in _instructions(dockerfile) for mount in instruction.mounts)
    return frozenset(secret_id(mount) for mount in mounts if mount.get("type") == "secret")


def _instructions(dockerfile: Dockerfile) -> Iterator[Instruction]:
    for stage in dockerfile.stages:
        yield from stage.instructions


def _refused(dockerfile: Dockerfile, instruction: Instruction, what: str, todo: str) -> Refused:
    shown = instruction.text.strip().splitlines()[0][:200]
    return Refused(f"{dockerfile.where}:{instruction.line}: {what}", seen=shown, todo=todo)


RULE = "add"
_URL = re.compile(r"(?:https?|ftp|git|ssh)://|git@[^:/]+:", re.IGNORECASE)
_PINNED_REPOSITORY = re.compile(r"(?:[^#]+\.git|(?:git://|ssh://|git@)[^#]+)#[0-9a-f]{40,64}(?::.*)?", re.IGNORECASE)
_CHECKS = {
    "buildkit": "add --checksum=sha256:…",
    "buildah": "fetch it in a RUN that ends with sha256sum -c",
}
"""What each builder knows to hold a file against its checksum."""


def unpinned_adds(
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
