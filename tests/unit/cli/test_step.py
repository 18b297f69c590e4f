"""`shipway step NAME`: its help, and where its result goes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from pipelines.cli.main import main
from pipelines.cli.step import StepOptions, run
from pipelines.errors import Misuse
from pipelines.settings import REGISTRY_FLAG
from pipelines.step import signature
from pipelines.step.groups import ChartSettings
from pipelines.step.signature import Group
from tests.git_repositories import simple
from tests.lying_registry import lying_registry


@pytest.mark.parametrize("name", signature.STEPS)
def test_help_has_an_example_that_fits(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step's help ends its description with a command whose flags are all the step's own."""
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["step", name, "--help"])
    shown = capsys.readouterr().out
    example = re.search(rf"^Example:\n +shipway step {name} (.+)$", shown, re.MULTILINE)
    assert example, shown
    flags = {word.removeprefix("--").partition("=")[0] for word in shlex.split(example[1])}
    known = signature.describe(name).arguments
    assert flags <= {argument.name for argument in known} | {"outputs"}
    assert flags >= {argument.name for argument in known if argument.required}


def test_the_result_is_printed_or_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --outputs the result is one JSON object on stdout;
    with it the files are the result, and stdout is empty.
    """
    monkeypatch.chdir(tmp_path)
    repository = simple(tmp_path / "app")
    words = ["step", "clone", f"--repo={repository.path}"]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["commit"] == repository.git("rev-parse", "main")
    assert main([*words, "--outputs=out"]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "out" / "commit").read_text() == printed["commit"]


def test_arguments_may_come_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a JSON object a step takes what its own flags are, unless they are given; never a setting."""
    monkeypatch.chdir(tmp_path)
    repository = simple(tmp_path / "app")
    job = {"dockerfile": "Dockerfile.x", "build_args": ["A=1"], "moment": 0, "cache": "x", "registry": "x"}
    main(["step", "clone", f"--repo={repository.path}", f"--arguments={json.dumps(job)}"])
    assert "no file Dockerfile.x" in capsys.readouterr().err
    words = ["step", "clone", f"--repo={repository.path}", "--dockerfile=Dockerfile", "--outputs=out"]
    assert main([*words, f"--arguments={json.dumps(job)}"]) == 0
    assert (tmp_path / "out" / "build-args").read_text() == '["A=1"]'
    for text in ("[1]", "7", "{"):
        assert main([*words, f"--arguments={text}"]) == Misuse.exit_code


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["step", "clone"], "step clone lacks --repo\n  seen: no such flag\n  do:   give "),
        (["step", "clone", "--nope"], "seen: unrecognized arguments: --nope\n  do:   see shipway step clone --help\n"),
        (["plan", "--nope"], "seen: unrecognized arguments: --nope\n  do:   see shipway plan --help\n"),
    ],
)
def test_wrong_flags_lead_to_the_help_that_lists_the_right_ones(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help of all commands would not name them."""
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_a_name_that_is_no_text_is_shown_and_stored_escaped(tmp_path: Path) -> None:
    """A folder with a byte that is no UTF-8 in its name: the
    plan says so, on stdout and in files, and ends as it should.
    """
    repository = simple(tmp_path / "app")
    odd = os.fsencode(repository.path) + b"/im\xe9"
    os.mkdir(odd)  # noqa: PTH102 - a path that is no text
    Path(os.fsdecode(odd), "Dockerfile").write_text("FROM scratch\n")
    repository.git("add", "--all")
    repository.git("commit", "-qm", "an odd name")
    with lying_registry() as registry:
        addresses = {
            "SHIPWAY_REGISTRY": registry.address,
            "SHIPWAY_PLAIN_HTTP": registry.address,
            "SHIPWAY_SETTINGS": str(tmp_path / "settings.yaml"),
        }
        settings = tmp_path / "settings.yaml"
        settings.write_text(f"registry: {registry.address}\nplain-http: {registry.address}\n")
        to = [f"--repo={repository.path}", f"--outputs={tmp_path / 'out'}"]
        all_ended = [
            subprocess.run(
                [sys.executable, "-m", "pipelines", *words],
                cwd=tmp_path,
                env={**os.environ, **addresses, "PYTHONUTF8": "1", "PYTHONPATH": str(Path(__file__).parents[3])},
                capture_output=True,
                check=False,
                timeout=120,
            )
            for words in (["plan", str(repository.path)], ["step", "plan", *to])
        ]
    for ended in all_ended:
        assert b"Traceback" not in ended.stderr
        assert b"im\\udce9/Dockerfile:1: error" in ended.stdout + ended.stderr


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a step of these tests would publish."""

    images: str
    charts: str


def places(*, settings: Annotated[ChartSettings, Group()]) -> Places:
    """Return what the settings say."""
    return Places(images=settings.under, charts=settings.address)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that says where its settings lead, and settings in the environment."""
    monkeypatch.setitem(signature.STEPS, "places", f"{__name__}:places")
    for name, value in (("REGISTRY", "a.example.org"), ("PROJECT", "team"), ("CHART_REGISTRY", "c.example.org/x")):
        monkeypatch.setenv(f"SHIPWAY_{name}", value)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("flags", "images", "charts"),
    [
        ((), "a.example.org/team/", "c.example.org/x"),
        (("--registry=b.example.org",), "b.example.org/", "b.example.org/charts"),
        (("--registry=b.example.org/try/it",), "b.example.org/try/it/", "b.example.org/try/it/charts"),
        (("--registry=b.example.org", "--project=try"), "b.example.org/try/", "b.example.org/try/charts"),
        (("--registry=b.example.org/try", "--chart-registry=d.example.org/y"), "b.example.org/try/", "d.example.org/y"),
        (("--project=other",), "a.example.org/other/", "c.example.org/x"),
        (("--registry=",), "a.example.org/team/", "c.example.org/x"),
        (("--registry=", "--project=other"), "a.example.org/other/", "c.example.org/x"),
    ],
)
def test_a_registry_is_that_of_everything(
    flags: tuple[str, ...], images: str, charts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in every command, the flag names the place of images and charts, whatever the settings say of either.

    An empty one is as none.
    """
    assert run(StepOptions(step="places", rest=flags)) == 0
    assert json.loads(capsys.readouterr().out) == {"images": images, "charts": charts}


@pytest.mark.usefixtures("settings")
def test_a_step_has_one_project() -> None:
    """Two flags that name one are a mistake."""
    with pytest.raises(Misuse, match="two projects are named"):
        run(StepOptions(step="places", rest=("--registry=b.example.org/try", "--project=other")))


def test_a_registry_is_described_alike(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands and steps say the same of the flag."""
    monkeypatch.setenv("COLUMNS", "200")
    steps = [
        name for name in signature.STEPS if any(item.name == "registry" for item in signature.describe(name).arguments)
    ]
    commands = [
        "build",
        "charts",
        "check",
        "deploy",
        "impact",
        "plan",
        "promote",
        "release",
        "rollback",
        "submit",
        "where",
    ]
    assert {"push", "chart-publish", "plan"} < {*steps}
    for words in (*([name] for name in commands), *(["step", name] for name in steps)):
        with pytest.raises(SystemExit, match=r"^0$"):
            main([*words, "--help"])
        assert f"--registry HOST[/PROJECT] {REGISTRY_FLAG}" in " ".join(capsys.readouterr().out.split()), words
