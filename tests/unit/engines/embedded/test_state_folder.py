"""The folder of this machine is no part of a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import run_folder
from pipelines.cli.main import main
from pipelines.engines.embedded import deployment, state_folder
from pipelines.engines.embedded.registry import EmbeddedRegistry
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from tests.git_repositories import Repository, simple

EXAMPLES = Path(__file__).parents[4] / "examples"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with an image, which is the current folder."""
    made = simple(tmp_path / "app")
    monkeypatch.chdir(made.path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return made


def first_registry(state: Path) -> None:
    """Start the registry where there is no program for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.which", lambda name: None)
        with pytest.raises(Exception, match="no registry program"):
            EmbeddedRegistry(state / "registry").start()


@pytest.mark.parametrize(
    "first",
    [
        lambda state: run_folder.new_folder(state, "build"),
        lambda state: deployment.publish_examples(state, EXAMPLES),
        first_registry,
    ],
)
def test_whatever_makes_it(first: object, app: Repository) -> None:
    """Git neither adds nor counts anything of it, also in a folder of the repository."""
    assert callable(first)
    (app.path / "sub").mkdir()
    for state in (Path(".shipway"), Path("sub/.shipway"), Path("other/state")):
        first(state)
        (state / "secrets/shipway-push").mkdir(parents=True)
        (state / "secrets/shipway-push/config.json").write_text("{}")
    assert app.git("status", "--porcelain") == ""
    app.git("add", "--all")
    assert app.git("diff", "--cached", "--name-only") == ""
    with Git(GitCredentials.read(app.path / "none")) as git:
        assert git.uncommitted(RepositoryUrl(str(app.path))) == 0


def test_logins_that_were_there_first(app: Repository) -> None:
    """A command that only reads keeps them out of the next commit, too."""
    Path(".shipway/secrets/shipway-git").mkdir(parents=True)
    Path(".shipway/secrets/shipway-git/password").write_text("x")
    assert app.git("status", "--porcelain") == "?? .shipway/"
    assert main(["images"]) == 0
    assert app.git("status", "--porcelain") == ""


def test_a_command_that_keeps_nothing_makes_none(app: Repository) -> None:
    """And no folder that somebody named and used before is hidden from Git, nor a file of its own overwritten."""
    assert main(["images"]) == 0
    assert not Path(".shipway").exists()
    Path("used").mkdir()
    for _ in range(2):
        run_folder.new_folder(Path("used"), "build")
    run_folder.new_folder(Path(), "build")
    assert not Path("used/.gitignore").exists()
    assert not Path(".gitignore").exists()
    Path(".shipway").mkdir()
    Path(".shipway/.gitignore").write_text("runs\n")
    assert state_folder.make(Path(".shipway")) == Path(".shipway")
    assert Path(".shipway/.gitignore").read_text() == "runs\n"


def test_clean_removes_it(app: Repository) -> None:
    """With its .gitignore, unless it holds what people put there."""
    deployment.publish_examples(Path(".shipway"), EXAMPLES)
    deployment.clean(Path(".shipway"))
    assert not Path(".shipway").exists()
    run_folder.new_folder(Path(".shipway"), "build")
    Path(".shipway/secrets").mkdir()
    deployment.clean(Path(".shipway"))
    assert sorted(path.name for path in Path(".shipway").iterdir()) == [".gitignore", "secrets"]
