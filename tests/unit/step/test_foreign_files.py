"""Files of another container: whatever a build made of them, they are read as regular files or refused at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pipelines.charts.model import ChartReport
from pipelines.check.model import BuildReport
from pipelines.cli.main import main
from pipelines.engines.local.definition import OutputParameter, Pod
from pipelines.engines.local.plan import WorkflowPlan
from pipelines.engines.local.pod_folder import NoOutput, PodFolder
from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.images.model import Checkout
from pipelines.impact.model import Impact
from pipelines.step import foreign_files, results
from pipelines.tools.registry.layout import INDEX, Descriptor, Layout
from pipelines.tools.registry.reference import Digest

PASSWORD = "hunter2-hunter2"
CHECKOUT = Checkout(
    repo="https://git.example.com/team/shop.git",
    revision="main",
    ref="refs/heads/main",
    commit="c" * 40,
    time=1,
    tree="d" * 40,
    path="web",
    dockerfile="web/Dockerfile",
    target="",
    build_args=(),
    platform="",
    bases=(),
)

IMPACT = Impact(
    commit="", base="", changed=1, unchanged=0, broken=0, masked=0, rendered=0, cached=0, markdown="# a", impact=()
)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The result of a step in the workspace that is the current folder, with a login beside it."""
    (tmp_path / "git").mkdir()
    (tmp_path / "git/password").write_text(PASSWORD)
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    results.store(CHECKOUT, Path("out/clone"))
    return Path("out/clone")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (lambda path: path.symlink_to("../../../git/password"), "a link, not a regular file"),
        (lambda path: path.symlink_to("commit"), "a link, not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "a link, not a regular file"),
        (os.mkfifo, "a FIFO, not a regular file"),
        (bound_socket, "a socket, not a regular file"),
        (lambda path: path.mkdir(), "a folder, not a regular file"),
        (sparse, "more than"),
    ],
)
@pytest.mark.parametrize("name", ["tree", "time", "repo", "bases"])
def test_what_is_no_regular_file_of_its_size_is_refused_at_once(
    clone: Path, name: str, make: Callable[[Path], object], seen: str
) -> None:
    """A link to a login is no field, and a FIFO does not hold the step until its deadline."""
    (clone / name).unlink()
    make(clone / name)
    with pytest.raises(Refused, match=f"out/clone/{name} is not read") as caught:
        results.load(Checkout, clone)
    assert caught.value.seen.startswith(seen)
    assert PASSWORD not in str(caught.value)
    assert caught.value.todo


def test_a_device_is_refused(clone: Path) -> None:
    """A device is not even opened."""
    with foreign_files.opened(Path("/dev")) as at, pytest.raises(Refused) as caught:
        foreign_files.open_file(at, "zero", most=1, path=Path("/dev/zero"))
    assert caught.value.seen == "a device, not a regular file"


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ("pass-on-images", BuildReport(report="{{é}}", built=1, failed=0)),
        ("pass-on-charts", ChartReport(checked=("a",), findings=(), errors=2, warnings=3, report="text")),
        ("pass-on-impact", IMPACT),
    ],
)
def test_outputs_of_a_strangers_container_are_passed_on_as_they_are_or_not_at_all(
    clone: Path, step: str, written: Any
) -> None:
    """Argo follows the links that it finds among outputs, with a token in its reach: `main` leaves none."""
    results.store(written, Path("build"))
    assert main(["step", step, "--result=build", "--outputs=main"]) == 0
    passed = {path.name: path.read_text() for path in Path("main").iterdir()}
    assert len(passed) == 3
    assert passed == {name: Path("build", name).read_text() for name in passed}
    for name in passed:
        kept = Path("build", name).rename("kept")
        Path("build", name).symlink_to("../../git/password")
        assert main(["step", step, "--result=build", f"--outputs=after-{name}"]) == 3
        assert not Path(f"after-{name}").exists()
        kept.rename(Path("build", name))
    text = next(name for name in passed if not passed[name].isdigit())
    Path("build", text).write_text("x" * 128_001)
    assert main(["step", step, "--result=build", "--outputs=large"]) == 3


@pytest.mark.parametrize("link", ["out", "out/clone"])
def test_a_link_on_the_way_is_not_followed(clone: Path, link: str) -> None:
    """A folder may not lead elsewhere either."""
    Path(link).rename("elsewhere")
    Path(link).symlink_to(Path("elsewhere").resolve())
    with pytest.raises(Refused) as caught:
        results.load(Checkout, clone)
    assert "is a link, not a folder" in caught.value.seen


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("commit", f"{PASSWORD}\n".encode()),
        ("tree", PASSWORD.encode()),
        ("time", PASSWORD.encode()),
        ("time", b"-1"),
        ("time", b"253402300800"),
        ("time", b"9" * 63),
        ("time", b"1_0"),
        ("time", b" 1"),
        ("time", "\u0661".encode()),
        ("repo", f"{{{{{PASSWORD}}}}}".encode()),
        ("repo", f"{PASSWORD}\x1b[31m".encode()),
        ("ref", f"{PASSWORD}\x00".encode()),
        ("path", PASSWORD.encode() + b"\xff"),
        ("bases", PASSWORD.encode()),
        ("bases", f'"{PASSWORD}"'.encode()),
        ("bases", f'[{{"{PASSWORD}": 1}}]'.encode()),
        ("bases", f'[{{"name": "{PASSWORD}", "digest": "{PASSWORD}"}}]'.encode()),
        ("bases", b"[" * 100_000),
        ("bases", b'[{"name":' * 100_000),
        ("bases", b"[" * 40 + b"]" * 40),
        ("build-args", b'[["A=1"]]'),
        ("build-args", b'{"A": "1"}'),
    ],
)
def test_no_error_quotes_a_word_of_a_field(clone: Path, name: str, content: bytes) -> None:
    """What is not of the field's form may be anything, a secret too."""
    (clone / name).write_bytes(content)
    with pytest.raises(Misuse, match="does not hold the outputs of the step before") as caught:
        results.load(Checkout, clone)
    assert caught.value.seen.startswith(f"{name}: ")
    assert PASSWORD not in str(caught.value)


def test_a_folder_above_may_be_a_link(clone: Path, tmp_path: Path) -> None:
    """Where a person names a whole path, what lies above the folder is theirs."""
    (tmp_path / "link").symlink_to(tmp_path / "workspace/out")
    assert results.load(Checkout, tmp_path / "link/clone") == CHECKOUT


def test_blobs_of_a_layout_are_regular_files(tmp_path: Path) -> None:
    """No link in a layout leads a reader to a login, and none is sent to a registry."""
    (tmp_path / "password").write_text(PASSWORD)
    layout = Layout.create(tmp_path / "image")
    secret, absent = Digest.of(PASSWORD.encode()), Digest.of(b"absent")
    layout.blob(secret).symlink_to(tmp_path / "password")
    os.mkfifo(layout.blob(absent))
    for digest in (secret, absent):
        with pytest.raises(Refused, match="is not read"):
            layout.read(digest)
        with pytest.raises(Refused, match="is not read"):
            layout.open(digest)
    (tmp_path / "image/blobs/sha256").rename(tmp_path / "elsewhere")
    (tmp_path / "image/blobs/sha256").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="is not read"):
        layout.has(layout.add(b"{}", INDEX).digest) and layout.read(Digest.of(b"{}"))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (os.mkfifo, Refused),
        (sparse, Refused),
        (lambda path: path.symlink_to("/etc/hostname"), Refused),
        (lambda path: path.write_bytes(b'{"manifests":' * 100_000), ShipwayError),
        (lambda path: path.write_text(f'{{"manifests": ["{PASSWORD}"]}}'), ShipwayError),
        (lambda path: path.write_text(f'{{"manifests": [{{"digest": "{PASSWORD}"}}]}}'), ShipwayError),
    ],
)
def test_an_index_that_is_none_is_refused(
    tmp_path: Path, make: Callable[[Path], object], error: type[ShipwayError]
) -> None:
    """It names the image to publish, and no word of it is told."""
    layout = Layout.create(tmp_path / "image")
    (tmp_path / "image/index.json").unlink()
    make(tmp_path / "image/index.json")
    with pytest.raises(error) as caught:
        layout.named()
    assert PASSWORD not in str(caught.value)


def test_what_a_builder_keeps_is_taken_if_it_is_a_file(tmp_path: Path) -> None:
    """Builds write into the folder that bases are taken from; what is there may be anything."""
    kept, layout = Layout.create(tmp_path / "kept"), Layout.create(tmp_path / "bases")
    whole = kept.add(b"whole", INDEX)
    pipe = Descriptor(media_type=INDEX, digest=Digest.of(b"pipe"), size=4)
    os.mkfifo(kept.blob(pipe.digest))
    assert layout.take(kept, whole)
    assert layout.read(whole.digest) == b"whole"
    assert not layout.take(kept, pipe)
    assert not layout.has(pipe.digest)


@pytest.mark.parametrize("make", [os.mkfifo, sparse, lambda path: path.symlink_to("/etc/hostname")])
def test_an_output_of_a_pod_is_a_regular_file(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """The engine of this machine reads them, beside the logins of whoever started it."""
    nothing = cast("WorkflowPlan", None)  # only volumes need a plan
    folder = PodFolder(tmp_path / "pod", Pod(containers=(), is_set=True, volumes=()), nothing)
    (tmp_path / "pod/out").mkdir()
    make(tmp_path / "pod/out/report")
    with pytest.raises(NoOutput, match="/out/report: "):
        folder.outputs((OutputParameter(name="report", path="/out/report"),))
