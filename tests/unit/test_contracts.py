"""The house holds: each contract of pyproject.toml refuses what it is for, in every room."""

from __future__ import annotations

import fnmatch
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: dict[str, dict[str, Any]] = {contract["name"]: contract for contract in CONFIG["contracts"]}
PURE = CONTRACTS["what decides asks nobody"]
LAYERED = [contract for contract in CONTRACTS.values() if contract["type"] == "layers"]
ROOMS = [f"pipelines.{room}" for layer in LAYERED[0]["layers"] for room in layer.split(" | ")]
# What talks to users, programs and Hera decides nothing that a test could not see from outside.
WITHOUT_DECISIONS = {f"pipelines.{room}" for room in ("__main__", "cli", "compile", "tools", "workflows")}
EVERYWHERE = [*ROOMS, "pipelines.engines.embedded", "pipelines.engines.local", "sensors"]
# import-linter, which prints without colours and without folding: that takes rich longer than all the rest.
LINT = r"""
import re, sys
from importlinter.application import output
from importlinter.cli import lint_imports
output.console.print = lambda text="", end="\n": sys.stdout.write(re.sub(r"\[/?\w+\]", "", text) + end)
sys.exit(lint_imports(no_cache=True))
"""


def violations() -> list[tuple[str, str, str]]:
    """Return a contract, an importing room and what it must not import, for each contract and each room it binds."""
    found = [("sensors are for compile", room, "sensors") for room in ROOMS if room != "pipelines.compile"] + [
        ("sensors know events alone", "sensors", room) for room in ROOMS if room != "pipelines.events"
    ]
    for contract in LAYERED:
        [container] = contract["containers"]
        layers = [[f"{container}.{room}" for room in layer.split(" | ")] for layer in contract["layers"]]
        for above, layer in zip([[], *layers], layers, strict=False):
            found += [(contract["name"], low, high) for low in layer for high in above]
            found += [(contract["name"], one, other) for one in layer for other in layer if one != other]
    for name, modules, allowed in (
        ("Hera is for what is compiled", ["hera"], {"pipelines.compile", "pipelines.workflows", "sensors"}),
        ("Kubernetes is for the cluster's engine", ["kubernetes"], {"pipelines.engines.cluster"}),
        ("programs start at one door", CONTRACTS["programs start at one door"]["forbidden_modules"], set()),
    ):
        found += [(name, room, module) for module in modules for room in EVERYWHERE if room not in allowed]
    forbidden = itertools.cycle(PURE["forbidden_modules"])
    found += [(PURE["name"], module, next(forbidden)) for module in named_pure(imports().modules)]
    return found


@cache
def imports() -> grimp.ImportGraph:
    """Return what imports what, other packages included."""
    return grimp.build_graph("pipelines", include_external_packages=True, cache_dir=None)


def named_pure(modules: Iterable[str]) -> list[str]:
    """Return those that the contract about decisions names."""
    patterns = [pattern.replace("**", "*") for pattern in PURE["source_modules"]]
    return sorted(module for module in modules if any(fnmatch.fnmatchcase(module, pattern) for pattern in patterns))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with the project's packages and contracts."""
    for package in CONFIG["root_packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken(root: Path) -> dict[str, str]:
    """Return what import-linter says of each broken contract, by the contract's name."""
    ended = subprocess.run([sys.executable, "-c", LINT], cwd=root, capture_output=True, check=False, text=True)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    parts = re.split(r"^(.+)\n-+\n", ended.stdout.partition("Broken contracts")[2], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def add(root: Path, module: str, line: str) -> None:
    """Append a line to a module or package."""
    path = root.joinpath(*module.split("."))
    with (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).open("a") as file:
        file.write(line + "\n")


def test_each_contract_refuses_its_violation_in_each_room(copy: Path) -> None:
    """All are made in one copy and linted together; import-linter names every one of them under its own contract."""
    wanted = violations()
    assert {name for name, _, _ in wanted} == set(CONTRACTS)
    assert {module for name, _, module in wanted if name == PURE["name"]} == set(PURE["forbidden_modules"])
    for _, importer, imported in wanted:
        add(copy, importer, f"import {imported}")
    printed = broken(copy)
    assert [
        (name, importer, imported)
        for name, importer, imported in wanted
        if not re.search(
            rf"^-? +{re.escape(importer)} -> {re.escape(imported)} \(l", printed.get(name, ""), re.MULTILINE
        )
    ] == []


def test_a_new_room_has_to_be_put_in_its_place(copy: Path) -> None:
    """Nobody opens a room that no contract knows."""
    for contract in LAYERED:
        [container] = contract["containers"]
        add(copy, f"{container}.attic", "")
    printed = broken(copy)
    for contract in LAYERED:
        assert f"{contract['containers'][0]}.attic" in printed[contract["name"]]


def test_what_decides_asks_nobody_through_another_either(copy: Path) -> None:
    """A module that decides may not import one that asks."""
    add(copy, "pipelines.images.decide", "import pipelines.tools.git.repository")
    printed = broken(copy)["what decides asks nobody"]
    assert "pipelines.images.decide is not allowed to import subprocess" in printed
    assert "pipelines.tools.git.repository -> " in printed


def test_every_module_that_asks_nobody_is_named() -> None:
    """One that is new is added to the contract; one that begins to ask is taken out in plain sight."""
    graph = imports()
    asking = set(PURE["forbidden_modules"]).union(
        *(graph.find_downstream_modules(module) for module in PURE["forbidden_modules"] if module in graph.modules)
    )
    modules = {
        module
        for room in ROOMS
        if room not in WITHOUT_DECISIONS
        for module in graph.find_descendants(room) or {room}
        if not graph.find_children(module)
    }
    assert named_pure(modules) == sorted(modules - asking)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("from os import fork", "TID251"),
        ("os.fork()", "TID251"),
        ("os.forkpty()", "TID251"),
        ('os.posix_spawn("a", ["a"], {})', "TID251"),
        ('os.posix_spawnp("a", ["a"], {})', "TID251"),
        ("concurrent.futures.ProcessPoolExecutor()", "TID251"),
        ("from concurrent.futures.process import ProcessPoolExecutor", "TID251"),
        ("import urllib.request", "TID251"),
        ('os.execv("a", ["a"])', "S606"),
        ('os.spawnv(os.P_WAIT, "a", ["a"])', "S606"),
        ('os.system("a")', "S605"),
        ('os.popen("a")', "S605"),
    ],
)
def test_no_other_function_starts_a_program_or_asks(line: str, rule: str) -> None:
    """What no contract sees, as it is a part of a package, is a finding of ruff's outside the one door."""
    ended = subprocess.run(
        [
            Path(sys.executable).with_name("ruff"),
            "check",
            "--output-format=concise",
            "--stdin-filename=pipelines/images/x.py",
            "-",
        ],
        cwd=ROOT,
        input=f"import concurrent.futures\nimport os\n{line}\n",
        capture_output=True,
        check=False,
        text=True,
    )
    assert f" {rule} " in ended.stdout
