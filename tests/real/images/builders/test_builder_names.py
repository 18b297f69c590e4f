"""No builder resolves a name: nothing is asked of a registry, whatever a Dockerfile says and wherever it says it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines.errors import Refused, ShipwayError
from pipelines.images import platforms
from pipelines.images.builders.builder import BuildRequest
from pipelines.images.builders.choice import choose_builder
from pipelines.step.groups import BuildSettings
from pipelines.tools.registry.layout import LAYER_TIME
from pipelines.tools.registry.reference import Digest
from tests.build_workspace import Workspace, derived, each_builder
from tests.counting_door import Door
from tests.real.images.builders.cases import build, name_at, of, prepared

UNPINNED = {
    "from": "FROM {name}\n",
    "from-short": "FROM busybox\n",
    "copy": "FROM {base}\nCOPY --from={name} / /x\n",
    "bind": "FROM {base}\nRUN --mount=type=bind,from={name},target=/m true\n",
    "cache": "FROM {base}\nRUN --mount=type=cache,from={name},target=/m true\n",
    "capitals": "FROM {base}\nRUN --mount=type=bind,FROM={name},target=/m true\n",
    "variable": "FROM {base}\nARG N=/m,from={name}\nRUN --mount=type=bind,target=$N true\n",
    "trigger": "FROM {base} AS a\nONBUILD COPY --from={name} / /x\nFROM a\nRUN true\n",
    "syntax": "# syntax={name}\nFROM {base}\nRUN true\n",
    "slashes": "// syntax={name}\nFROM {base}\nRUN true\n",
    "shebang": "#!/usr/bin/x\n# syntax={name}\nFROM {base}\nRUN true\n",
    "json": '{{"syntax": "{name}"}}\n',
}
"""Texts that no step hands to a builder: {name} is an image of the registry, {base} one that the builder is given."""
HARMLESS = {"buildah": {"syntax", "slashes", "shebang"}, "buildkit": {"variable"}}
"""What names nothing to a builder: a comment, an instruction before FROM, or where a folder is mounted."""


@pytest.mark.buildkit
def test_the_whole_table_with_a_standing_buildkitd(
    doors: tuple[Door, Door], standing: str, tmp_path: Path, cache: Path
) -> None:
    """A buildkitd that others use, too, asks nobody for us, where it would for somebody who sends no source policy."""
    asked, outside = doors
    for case in of("buildkit"):
        made = prepared(tmp_path / case.name, case)
        name_at(made, asked.address)
        build(made, case, "buildkit", cache, options={"buildkit_host": standing})
        assert (asked.count, outside.count) == (0, 0), case.name
    assert _build_without_policy(standing, tmp_path, asked) != 0
    assert (asked.count > 0, outside.count) == (True, 0)
    asked.count = 0


def _build_without_policy(standing: str, folder: Path, asked: Door) -> int:
    """Build, as somebody else would, a name that the registry lacks; return the client's exit code."""
    context = folder / "somebody"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {asked.address}/team/base:1\n")
    local = [f"--local=context={context}", f"--local=dockerfile={context}"]
    argv = ["buildctl", f"--addr={standing}", "build", "--frontend=dockerfile.v0", *local]
    return subprocess.run(argv, check=False, capture_output=True).returncode


@each_builder
@pytest.mark.parametrize("spelling", UNPINNED)
def test_a_name_that_was_overlooked(
    builder: str, spelling: str, doors: tuple[Door, Door], tmp_path: Path, cache: Path
) -> None:
    """A builder that gets a name after all fails, and asks nobody."""
    _overlook(_settings(builder, cache), spelling, doors, tmp_path)


@pytest.mark.buildkit
def test_names_that_a_standing_buildkitd_gets(doors: tuple[Door, Door], standing: str, tmp_path: Path) -> None:
    """So does a buildkitd that others use, too."""
    settings = BuildSettings(builder="buildkit", cache=tmp_path, buildkit_host=standing)
    for spelling in UNPINNED:
        _overlook(settings, spelling, doors, tmp_path / spelling)


def _overlook(settings: BuildSettings, spelling: str, doors: tuple[Door, Door], folder: Path) -> None:
    """Hand a builder a text with a name, and see it fail unless the name is harmless there."""
    asked, outside = doors
    made = Workspace(folder / "workspace")
    alias, base = "shipway.invalid/base:1", made.base().digest
    text = UNPINNED[spelling].format(name=f"{asked.address}/team/other:1", base=alias)
    work = folder / "work"
    work.mkdir()
    request = BuildRequest(
        context=made.source,
        dockerfile=text,
        ignore="",
        bases=made.layout,
        images={alias: Digest(base)},
        build_args=(),
        secrets={},
        platform=platforms.this_platform(),
        layer_time=LAYER_TIME,
        at_hand=frozenset(),
        keep=lambda digest, content: content.read(),
        has_steps=True,
        work=work,
    )
    program = choose_builder(settings, folder / settings.builder)
    if spelling in HARMLESS[settings.builder]:
        program.build(request)
    else:
        with pytest.raises(ShipwayError):
            program.build(request)
    assert (asked.count, outside.count) == (0, 0), spelling


@each_builder
@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ("COPY --from={name} / /x", "names an image or a stage"),
        ("RUN --mount=type=bind,FROM={name},target=/m true", "names an image or a stage"),
        ("RUN true\nFROM {name}", "is not one instruction"),
        ("FROM {name}", "is not one instruction"),
    ],
)
def test_triggers_of_a_base(
    builder: str, trigger: str, message: str, doors: tuple[Door, Door], tmp_path: Path, cache: Path
) -> None:
    """A trigger in a base's configuration that names an image is refused with the line of the FROM."""
    asked, _ = doors
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": "# one\nFROM base\nRUN true\n"})
    below = made.base("tools")
    text = trigger.format(name=f"{asked.address}/team/other:1")
    made.base("base", derived(made.layout, below, {"marker": "base"}, OnBuild=[text]))
    with pytest.raises(Refused, match=rf"^Dockerfile:2: a trigger of the image {message}"):
        made.build(builder, cache)
    made.write({"Dockerfile": "FROM tools\n\nCOPY --from=base /marker /marker\n"})
    with pytest.raises(Refused, match=rf"^Dockerfile:3: a trigger of the image {message}"):
        made.build(builder, cache)


def _settings(builder: str, cache: Path) -> BuildSettings:
    return BuildSettings(builder=builder, cache=cache)
