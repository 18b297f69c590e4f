"""A step's signature is its interface: flags, files and hand-over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from pipelines.errors import Misuse
from pipelines.images.model import Base, Checkout
from pipelines.step import signature
from pipelines.step.signature import Arg
from pipelines.tools.registry.reference import Digest


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the step of these tests returns."""

    commit_id: str
    count: int
    done: bool


def example(
    *,
    repo: Annotated[str, Arg("the address")],
    build_args: Annotated[tuple[str, ...], Arg("arguments")] = (),
    deep: Annotated[bool, Arg("whether")] = False,
    registry: Annotated[str, Arg("where to", setting="registry")] = "",
) -> Result:
    """Say what it does.

    More about it.
    """
    return Result(commit_id=repo, count=len(build_args), done=deep)


CHECKOUT = Checkout(
    repo="r",
    revision="main",
    ref="refs/heads/main",
    commit="c" * 40,
    time=7,
    tree="t" * 40,
    path="web",
    dockerfile="web/Dockerfile",
    target="",
    build_args=("A=1\n2", "B={{x}}"),
    platform="linux/amd64",
    bases=(
        Base(
            name="base",
            reference="r/base:1",
            resolved=Digest("sha256:" + "0" * 64),
            digest=Digest("sha256:" + "1" * 64),
            sibling=True,
        ),
    ),
)


def test_signature_gives_names_defaults_and_settings() -> None:
    """Flags are the parameters in kebab case; what has no default is required; a setting names its variable."""
    step = signature.read("example", example)
    assert [(a.name, a.required, a.default, a.variable) for a in step.arguments] == [
        ("repo", True, None, ""),
        ("build-args", False, (), ""),
        ("deep", False, False, ""),
        ("registry", False, "", "SHIPWAY_REGISTRY"),
    ]
    assert step.outputs == ("commit-id", "count", "done")
    assert (step.summary, step.description) == ("Say what it does.", "More about it.")


def test_unknown_argument_names_those_there_are() -> None:
    """A name that the signature lacks is an error with the names it has."""
    with pytest.raises(KeyError, match="no argument 'repos'; it has repo, build-args"):
        signature.read("example", example).argument("repos")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("repo", "--upload-pack=x", "--upload-pack=x"),
        ("build-args", '["A=1","B=[2]"]', ("A=1", "B=[2]")),
        ("build-args", "", ()),
        ("deep", "true", True),
    ],
)
def test_arguments_are_read_by_their_types(name: str, text: str, value: object) -> None:
    """Text becomes the declared type; a leading dash is only text."""
    assert signature.read("example", example).argument(name).parse(text) == value


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("build-args", "A=1", "a JSON list of texts"),
        ("build-args", "[1]", "a JSON list of texts"),
        ("deep", "yes", "true or false"),
    ],
)
def test_unfit_argument_names_its_flag(name: str, text: str, form: str) -> None:
    """Text that is not of the type is one error that names the flag, and what it takes."""
    with pytest.raises(Misuse, match=f"--{name} cannot be read") as told:
        signature.read("example", example).argument(name).parse(text)
    assert told.value.todo.startswith(f"give {form}: ")


def test_results_survive_their_files(tmp_path: Path) -> None:
    """What one step stores, the next loads: equal, whatever characters it holds."""
    signature.store(CHECKOUT, tmp_path)
    assert signature.load(Checkout, tmp_path) == CHECKOUT
    assert (tmp_path / "commit").read_text() == "c" * 40
    assert (tmp_path / "build-args").read_text() == '["A=1\\n2","B={{x}}"]'


def test_missing_output_names_the_file(tmp_path: Path) -> None:
    """A folder that is not a step's outputs is one error that says what to do."""
    signature.store(CHECKOUT, tmp_path)
    (tmp_path / "tree").unlink()
    with pytest.raises(Misuse, match="does not hold the outputs of the step before") as caught:
        signature.load(Checkout, tmp_path)
    assert "tree" in caught.value.seen


def test_positional_parameters_are_refused() -> None:
    """A function whose parameters have no flag cannot be a step."""

    def bad(repo: str) -> Result:
        raise NotImplementedError(repo)

    with pytest.raises(TypeError, match="keyword-only and Annotated"):
        signature.read("bad", bad)
