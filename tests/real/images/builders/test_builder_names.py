"""No builder resolves a name: nothing is asked of a registry, whatever a Dockerfile says and wherever it says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from pipelines.errors import Refused, ShipwayError
from pipelines.images import platforms
from pipelines.images.builders.builder import BuildRequest
from pipelines.images.builders.choice import choose_builder
from pipelines.step.groups import BuildSettings
from pipelines.tools.registry.layout import LAYER_TIME
from pipelines.tools.registry.reference import Digest
from tests.build_workspace import Workspace, derived, each_builder
from tests.counting_door import Door, counting
from tests.real.images.builders.cases import CASES, DOCKERFILES, prepared
from tests.registry_process import registry

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
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


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Door, Door]]:
    """A registry, and what is set as proxy for every other host, each behind a door that counts."""
    with registry(tmp_path / "registry") as running, counting(running) as asked, counting() as outside:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://{outside.address}")
            monkeypatch.delenv(name.upper(), raising=False)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield asked, outside
        with urllib3.PoolManager(retries=False) as pool:
            assert pool.request("GET", f"http://{asked.address}/v2/").status == 200
        assert asked.count == 1, "the door counts, and nobody else came through"


@each_builder
def test_the_whole_table(builder: str, doors: tuple[Door, Door], tmp_path: Path, cache: Path) -> None:
    """Every Dockerfile of the table is built without a question to the registry that its bases are named at."""
    asked, outside = doors
    for case in CASES:
        made = prepared(tmp_path / case.name).copy(DOCKERFILES / case.name)
        _name_at(made, asked.address)
        checkout = made.checkout(build_args=case.build_args, target=case.target)
        made.build(builder, cache, checkout=checkout, secret_ids=("token",))
        assert (asked.count, outside.count) == (0, 0), case.name


@each_builder
@pytest.mark.parametrize("spelling", UNPINNED)
def test_a_name_that_was_overlooked(
    builder: str, spelling: str, doors: tuple[Door, Door], tmp_path: Path, cache: Path
) -> None:
    """A builder that gets a name after all fails, and asks nobody."""
    asked, outside = doors
    made = Workspace(tmp_path / "workspace")
    alias, base = "shipway.invalid/base:1", made.base().digest
    text = UNPINNED[spelling].format(name=f"{asked.address}/team/other:1", base=alias)
    work = tmp_path / "work"
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
    program = choose_builder(_settings(builder, cache), tmp_path / builder)
    if spelling in HARMLESS[builder]:
        program.build(request)
    else:
        with pytest.raises(ShipwayError):
            program.build(request)
    assert (asked.count, outside.count) == (0, 0)


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


def _name_at(made: Workspace, address: str) -> None:
    """Name the bases, in the Dockerfile and in what `clone` returns, as images of a registry."""
    path = made.source / "Dockerfile"
    text = path.read_text()
    for name in ("base", "tools"):
        whole = f"{address}/team/{name}:1"
        for before in ("FROM ", "from ", "from=", "FROM=", 'from="', "ARG BASE=", "$TARGETPLATFORM "):
            for after in ("\n", " ", ",", '"', "`"):
                text = text.replace(f"{before}{name}{after}", f"{before}{whole}{after}")
        made.bases[:] = [
            base if base.name != name else type(base)(**{**vars(base), "name": whole, "reference": whole})
            for base in made.bases
        ]
    path.write_text(text)


def _settings(builder: str, cache: Path) -> BuildSettings:
    return BuildSettings(builder=builder, cache=cache)
