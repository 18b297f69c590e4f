"""A step's signature is its interface: flags, files and hand-over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from pipelines import settings
from pipelines.errors import Misuse
from pipelines.images.model import Base, Checkout
from pipelines.step import results, signature
from pipelines.step.signature import Arg, Group
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
    tree="d" * 40,
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
    results.store(CHECKOUT, tmp_path)
    assert results.load(Checkout, tmp_path) == CHECKOUT
    assert (tmp_path / "commit").read_text() == "c" * 40
    assert (tmp_path / "build-args").read_text() == '["A=1\\n2","B={{x}}"]'


def test_missing_output_names_the_file(tmp_path: Path) -> None:
    """A folder that is not a step's outputs is one error that says what to do."""
    results.store(CHECKOUT, tmp_path)
    (tmp_path / "tree").unlink()
    with pytest.raises(Misuse, match="does not hold the outputs of the step before") as caught:
        results.load(Checkout, tmp_path)
    assert "tree" in caught.value.seen


def test_positional_parameters_are_refused() -> None:
    """A function whose parameters have no flag cannot be a step."""

    def bad(repo: str) -> Result:
        raise NotImplementedError(repo)

    with pytest.raises(TypeError, match="keyword-only and Annotated"):
        signature.read("bad", bad)


@dataclass(frozen=True, kw_only=True)
class PlaceGroup:
    """A group of the steps of these tests."""

    registry: Annotated[str, Arg("where to", setting="registry")]
    depth: Annotated[int, Arg("how far")] = 1
    plain_http: Annotated[str, Arg("without TLS", setting="plain-http")] = "localhost"


@dataclass(frozen=True, kw_only=True)
class Host:
    """Another one, which has an argument of the first."""

    registry: Annotated[str, Arg("where to", setting="registry")] = ""


def grouped(
    *,
    repo: Annotated[str, Arg("the address")],
    place: Annotated[PlaceGroup, Group()],
    deep: Annotated[bool, Arg("whether")] = False,
) -> Result:
    """Return what it was called with."""
    return Result(commit_id=f"{repo} {place}", count=place.depth, done=deep)


def test_a_group_is_spelled_out_in_its_place() -> None:
    """Its fields are arguments like those that the signature writes
    itself: name, text, setting, default, and whether it is required.
    """
    assert [(a.name, a.help, a.variable, a.default, a.required) for a in signature.read("s", grouped).arguments] == [
        ("repo", "the address", "", None, True),
        ("registry", "where to", "SHIPWAY_REGISTRY", None, True),
        ("depth", "how far", "", 1, False),
        ("plain-http", "without TLS", "SHIPWAY_PLAIN_HTTP", "localhost", False),
        ("deep", "whether", "", False, False),
    ]


def test_a_step_receives_its_group_as_one_object() -> None:
    """Built from the values of its fields; those left out keep their defaults."""
    step = signature.read("s", grouped)
    called = step.call({"repo": "r", "registry": "example.org", "depth": 3})
    assert called == Result(commit_id=f"r {PlaceGroup(registry='example.org', depth=3)}", count=3, done=False)
    with pytest.raises(TypeError, match="registry"):
        step.call({"repo": "r"})


def test_a_step_takes_no_field_that_it_goes_without() -> None:
    """There is no flag and no variable for it, and it has its default."""

    def less(*, place: Annotated[PlaceGroup, Group(without=("plain_http", "depth"))]) -> Result:
        """Return what it was called with."""
        return Result(commit_id=place.plain_http, count=place.depth, done=False)

    step = signature.read("less", less)
    assert [argument.name for argument in step.arguments] == ["registry"]
    assert step.call({"registry": "example.org"}) == Result(commit_id="localhost", count=1, done=False)


def test_a_group_is_read_from_settings() -> None:
    """By the keys of its fields; an empty setting is none, and other keys are for others."""
    values = {"registry": "example.org", "plain-http": "", "builder": "buildkit"}
    assert signature.from_settings(PlaceGroup, values) == PlaceGroup(registry="example.org")


def test_groups_that_cannot_be_spelled_out_are_refused() -> None:
    """Two arguments of one name, a field that is not there or has no text, and a class that can change."""

    def twice(*, place: Annotated[PlaceGroup, Group()], host: Annotated[Host, Group()]) -> Result:
        raise NotImplementedError(place, host)

    def again(*, registry: Annotated[str, Arg("where to")], host: Annotated[Host, Group()]) -> Result:
        raise NotImplementedError(registry, host)

    def unknown(*, place: Annotated[PlaceGroup, Group(without=("mirrors",))]) -> Result:
        raise NotImplementedError(place)

    def needed(*, place: Annotated[PlaceGroup, Group(without=("registry",))]) -> Result:
        raise NotImplementedError(place)

    def bare(*, place: Annotated[Result, Group()]) -> Result:
        raise NotImplementedError(place)

    def loose(*, place: Annotated[str, Group()]) -> Result:
        raise NotImplementedError(place)

    for function, told in (
        (twice, "has the argument registry twice"),
        (again, "has the argument registry twice"),
        (unknown, "PlaceGroup has no field mirrors"),
        (needed, "cannot go without registry"),
        (bare, "commit_id must be Annotated with Arg"),
        (loose, "is not a frozen dataclass"),
    ):
        with pytest.raises(TypeError, match=told):
            signature.read("bad", function)


def test_every_setting_of_a_step_is_a_key_of_the_settings() -> None:
    """A field with a setting that no file of settings may name would never be set."""
    taken = {item.setting for name in signature.STEPS for item in signature.describe(name).arguments} - {""}
    assert {"registry", "chart-registry", "builder"} <= taken <= settings.KEYS.keys()
