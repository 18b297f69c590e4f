"""Checks of a Dockerfile before it is built: what no build may do, what its builder lacks, and what it fetches
unchecked.

What a builder lacks is refused with its line, because an older buildah misreads some of it: it runs the lines of a
heredoc as instructions. A file that is fetched without a checksum is a warning, because no key changes when it does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipelines.declared.finding import WARNING, Finding
from pipelines.errors import Misuse, Refused
from pipelines.images import dockerfile_syntax
from pipelines.images.dockerfile import Dockerfile, SelectedStages
from pipelines.images.dockerfile_syntax import Instruction, check_trigger
from pipelines.images.variables import expand

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
    """Raise Refused if a RUN asks for the host's network, devices, an SSH agent, privileges, or needs a secret.

    One that is declared is fine, and so is a mount without `required`: it is built without the secret then.
    """
    for instruction in dockerfile.instructions:
        _check_run(instruction, dockerfile.at(instruction), secrets)


def check_triggers(
    selected: SelectedStages, triggers: Mapping[str, Sequence[Instruction]], *, secrets: Collection[str]
) -> None:
    """Raise Refused if a trigger asks for what `check` refuses; `triggers` has those of images, by their names."""
    for use in selected.uses:
        if use.label == "FROM":
            stage = () if use.to is None else selected.file.stages[use.to].instructions
            at = selected.file.at(use.instruction)
            own = [check_trigger(each.trigger, at) for each in stage if each.name == "ONBUILD"]
            for trigger in own if use.to is not None else triggers.get(selected.external(use).id, ()):
                _check_run(trigger, at, secrets)


def _check_run(run: Instruction, at: str, secrets: Collection[str]) -> None:
    if run.name != "RUN":
        return
    for flag, allowed in (("network", {"", "default", "none"}), ("security", {"", "sandbox"}), ("device", {""})):
        if run.flag(flag) not in allowed:
            raise Refused(f"{at}: RUN --{flag} is not given to any build", seen=run.shown, todo="leave it out")
    for mount in run.mounts:
        if mount.get("type") == "ssh":
            raise Refused(f"{at}: no build gets an SSH agent", seen=run.shown, todo="mount a secret instead")
        is_required = mount.get("required", "false").lower() not in {"false", "f", "0"}
        if mount.get("type") == "secret" and is_required and secret_id(mount) not in secrets:
            raise Refused(
                f"{at}: the secret {secret_id(mount)!r} is required and not declared",
                seen=run.shown,
                todo="declare it: `secrets` of the image in shipway.yaml, or --secret-ids of the step; "
                f"declared: {', '.join(sorted(secrets)) or 'none'}",
            )


def check_platform(selected: SelectedStages) -> None:
    """Raise Refused if a stage that is built is for a third platform, Misuse if it names none."""
    for stage in (selected.file.stages[number] for number in selected.reached):
        if (asked := selected.platform_of(stage)) not in {selected.platform, selected.build_platform}:
            raise Refused(
                f"{selected.file.at(stage.base)}: a stage of another platform",
                seen=f"{asked}, where this build is for {selected.platform}, on {selected.build_platform}",
                todo="leave --platform out, or write --platform=$BUILDPLATFORM; a build is for one platform",
            )


def steps_on(selected: SelectedStages, triggers: Collection[str] = ()) -> dict[str, int]:
    """Return the platforms that RUN steps of the stages that are built may run on, each with the line of the first.

    The steps of a base that has `triggers` are those of the line that names it.
    """
    found: dict[str, int] = {}
    for number in selected.reached:
        stage = selected.file.stages[number]
        lines = [instruction.line for instruction in stage.instructions if instruction.name in {"RUN", "ONBUILD"}]
        lines += [
            use.instruction.line
            for use in selected.uses
            if use.stage == number and use.label == "FROM" and selected.external(use).id in triggers
        ]
        if lines:
            platform = selected.platform_of(stage)
            found[platform] = min(*lines, found.get(platform, lines[0]))
    return found


def triggers_of(selected: SelectedStages, triggers: Mapping[str, Sequence[str]]) -> dict[str, tuple[Instruction, ...]]:
    """Return what images run in the stages that are based on them, by the image's name in the Dockerfile.

    `triggers` has their ONBUILD texts by the same names. Raises Refused, with the line that names the image, for one
    that itself names an image or a stage: BuildKit looks that up even where the image is only copied from.
    """
    return {
        name: tuple(check_trigger(text, selected.file.at(use.instruction)) for text in triggers.get(name, ()))
        for use in selected.uses
        if use.to is None
        for name in [selected.external(use).id]
    }


def check_buildah(selected: SelectedStages, version: str) -> None:
    """Raise Refused if a Dockerfile needs what this version of buildah does not have, or reads as BuildKit does not."""
    dockerfile = selected.file
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    builder = f"buildah {version}"
    for instruction in dockerfile.instructions:
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
    if numbers < _HEREDOC_SINCE or "<<" not in dockerfile.text:
        _check_lines(dockerfile, builder)
    bases = {use.to for use in selected.uses if use.label == "FROM"}
    mounted = {use.to for use in selected.uses if use.label == "RUN --mount"}
    for number in selected.reached:
        for instruction, known in _with_variables(selected, number):
            for flag in (flag for flag in instruction.flags if flag.startswith("--mount=") and "$" in flag):
                # Buildah replaces variables before it splits the options: a value with a comma would be one more.
                value = _expanded(flag, known)
                if "$" in value or value.count(",") != flag.count(",") or re.search(r"[\"'\\]", value):
                    raise _refused(
                        dockerfile,
                        instruction,
                        f"{builder} would read {flag[:100]} as another mount",
                        "use a variable that an ARG or ENV of this stage gives a plain value, or build with BuildKit",
                    )
            mounts = number in bases and "--mount" in instruction.text
            if instruction.name == "ONBUILD" and (mounts or number in mounted):
                raise _refused(
                    dockerfile,
                    instruction,
                    f"{builder} would run this ONBUILD where it is not meant, or take it from its cache",
                    "write the instruction into the stage that needs it, or build with BuildKit",
                )


def _check_lines(dockerfile: Dockerfile, builder: str) -> None:
    """Raise Refused with the first line that is an instruction to buildah and not to BuildKit, or the reverse."""
    ours = {each.line for each in dockerfile.globals} | {each.line for each in dockerfile.instructions}
    ours |= {stage.base.line for stage in dockerfile.stages}
    for line in sorted(ours ^ dockerfile_syntax.starts_for_buildah(dockerfile.text)):
        what = "reads on over" if line in ours else "reads an instruction in"
        raise Refused(
            f"{dockerfile.where}:{line}: {builder} {what} this line",
            seen=dockerfile.text.split("\n")[line - 1].strip()[:200],
            todo="end the line before it with one escape character or none, without a heredoc, or build with BuildKit",
        )


def secret_id(mount: dict[str, str]) -> str:
    """Return the id of a secret mount: its source, its own, else the last part of where it is mounted."""
    target = mount.get("target") or mount.get("dst") or mount.get("destination") or ""
    return mount.get("source") or mount.get("src") or mount.get("id") or target.rsplit("/", 1)[-1]


def secret_ids(dockerfile: Dockerfile) -> frozenset[str]:
    """Return the ids of all secrets that the Dockerfile mounts."""
    mounts = (mount for instruction in dockerfile.instructions for mount in instruction.mounts)
    return frozenset(secret_id(mount) for mount in mounts if mount.get("type") == "secret")


def _refused(dockerfile: Dockerfile, instruction: Instruction, what: str, todo: str) -> Refused:
    return Refused(f"{dockerfile.where}:{instruction.line}: {what}", seen=instruction.shown, todo=todo)


RULE = "add"
_URL = re.compile(r"(?:https?|ftp|git|ssh)://|git@[^:/]+:", re.IGNORECASE)
_PINNED_REPOSITORY = re.compile(r"(?:[^#]+\.git|(?:git://|ssh://|git@)[^#]+)#[0-9a-f]{40,64}(?::.*)?", re.IGNORECASE)
_CHECKS = {
    "buildkit": "add --checksum=sha256:…",
    "buildah": "fetch it in a RUN that ends with sha256sum -c",
}
"""How to check a file with each builder."""


def unpinned_adds(selected: SelectedStages, *, builder: str) -> Iterator[Finding]:
    """Give a finding for each ADD of an address without a checksum, or without a commit."""
    for number in selected.reached:
        for instruction, known in _with_variables(selected, number):
            if instruction.name != "ADD" or instruction.flag("checksum"):
                continue
            for word in instruction.words[:-1]:
                source = _expanded(word, known)
                if _URL.match(source) and not _PINNED_REPOSITORY.fullmatch(source):
                    yield Finding(
                        path=selected.file.where,
                        line=instruction.line,
                        level=WARNING,
                        rule=RULE,
                        text=f"ADD fetches {source} and nothing says what it must be",
                        todo=f"{_CHECKS[builder]}, or set max-age in shipway.yaml so that it is fetched anew",
                    )


def _with_variables(selected: SelectedStages, number: int) -> Iterator[tuple[Instruction, Mapping[str, str]]]:
    """Give each instruction of a stage, with the variables that the stage has set before it."""
    known: dict[str, str] = {}
    for instruction in selected.file.stages[number].instructions:
        if instruction.name == "ARG":
            _declare(instruction, known, selected)
        elif instruction.name == "ENV":
            known |= {n: _expanded(v, known) for n, v in zip(*[iter(instruction.words)] * 2, strict=False)}
        yield instruction, known


def _declare(instruction: Instruction, known: dict[str, str], selected: SelectedStages) -> None:
    """Add the values of an ARG: a build argument's, else its default, else that of the ARG before the first FROM."""
    for word in instruction.words:
        name, equals, default = word.partition("=")
        if name in selected.values_by_name:
            known[name] = selected.values_by_name[name]
        elif equals:
            known[name] = _expanded(default, known)
        elif name in selected.scope:
            known[name] = selected.scope[name]


def _expanded(text: str, known: Mapping[str, str]) -> str:
    """Return a text with its variables replaced, or unchanged if only the build knows the value of one."""
    with contextlib.suppress(Misuse):
        expanded, unset = expand(text, known, "")
        return text if unset else expanded
    return text
