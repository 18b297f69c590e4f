"""A wheel works anywhere: the templates, the charts and the examples are in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.git_repositories import Repository

TOP = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Git knows of this project, in a folder of its own: building writes there."""
    folder = tmp_path_factory.mktemp("source") / "shipway"
    listed = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=TOP, capture_output=True, check=True)
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (TOP / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, folder / name, follow_symlinks=False)
    return folder


def wheel(source: Path, to: Path) -> Path:
    """Build a wheel without a network."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--no-index", "-w", str(to), str(source)], check=True)
    [made] = to.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    return wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel in it; what it depends on is that of these tests."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python), "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(built)], check=True)
    [packages] = (folder / "venv/lib").glob("python3*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    """A repository with one image."""
    repository = Repository(tmp_path / "shop")
    repository.write("web/Dockerfile", "FROM scratch\nCOPY page /\n").write("web/page", "1").commit()
    return repository


@pytest.fixture
def run(installed: Path, shop: Repository, tmp_path: Path) -> Iterator[object]:
    """Run the command far from any checkout of this project."""

    def shipway(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
        argv = [str(installed / "shipway"), *words]
        return subprocess.run(argv, cwd=shop.path, env=environment, capture_output=True, text=True, check=False)

    try:
        yield shipway
    finally:
        shipway("embedded", "clean")


def test_builds_and_submits(run: object, shop: Repository, installed: Path) -> None:
    """This folder's repository, as from a checkout."""
    assert callable(run)
    built = run("build", "--json", "--quiet")
    assert built.returncode == 0, built.stderr
    digest = json.loads(built.stdout)["images"]["web"]["digest"]
    submitted = run("submit", "clone-build-push", "-p", "path=web", "--quiet")
    assert submitted.returncode == 0, submitted.stderr
    assert digest in submitted.stdout
    where = subprocess.run(
        [str(installed / "python"), "-c", "import pipelines; print(pipelines.__file__)"],
        cwd=shop.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout).is_relative_to(installed.parent)


def test_compiles_where_it_is_told(run: object, shop: Repository, tmp_path: Path) -> None:
    """Outside a checkout it writes nothing, and says why; into a named folder it writes what this project has."""
    assert callable(run)
    for flags in ([], ["--check"]):
        done = run("compile", *flags)
        assert done.returncode == 2
        assert "this folder is no checkout of Shipway" in done.stderr
        [files] = [words.split(" are in ")[1] for words in done.stderr.splitlines() if " are in " in words]
        assert Path(files, "release.yaml").read_bytes() == (TOP / "charts/shipway/files/release.yaml").read_bytes()
    assert shop.git("status", "--porcelain") == ""
    assert run("compile", "--to", str(tmp_path / "files")).returncode == 0
    assert run("compile", "--check", "--to", str(TOP / "charts/shipway/files")).returncode == 0


def test_has_the_examples_and_the_sensors(run: object, tmp_path: Path) -> None:
    """The same commit as in a checkout, and an event meets the same Sensor."""
    assert callable(run)
    told = json.loads(run("images", "--examples", "--json").stdout)
    here = subprocess.run(
        [sys.executable, "-m", "pipelines", "images", "--examples", "--json", "--state", str(tmp_path / "state")],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told["commit"] == json.loads(here.stdout)["commit"]
    push = str(TOP / "examples/payloads/github-push.json")
    assert '"fires": true' in run("simulate", push, "--event", "push", "--json").stdout


def test_holds_what_a_checkout_has_beside_it(source: Path, built: Path, tmp_path: Path) -> None:
    """Every file of the charts and examples; an image is built without them, and so is its wheel."""
    with ZipFile(built) as made:
        names = set(made.namelist())
    for folder in ("charts", "examples"):
        beside = [path for path in (source / folder).rglob("*") if path.is_file()]
        assert {f"pipelines/data/{path.relative_to(source)}" for path in beside} <= names
    bare = tmp_path / "bare"
    shutil.copytree(source, bare, symlinks=True, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for folder in ("charts", "examples"):
        shutil.rmtree(bare / folder)
    (tmp_path / "wheels").mkdir()
    with ZipFile(wheel(bare, tmp_path / "wheels")) as made:
        assert not [name for name in made.namelist() if "/data/" in name]
