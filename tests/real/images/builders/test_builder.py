"""One suite of Dockerfiles for both builders: the files and the configuration of the image are the same.

What differs, and why it stays, is written in DIFFERENCES.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from pipelines.errors import Refused, Transient
from tests.build_workspace import BUILDERS, Workspace, busybox, derived, each_builder, without_runtime
from tests.image_files import config, files, text
from tests.real.images.builders.cases import CASES, DOCKERFILES, SECRET, Case, prepared

DIFFERENCES = {
    # BuildKit takes away what it mounts a container's files on; buildah leaves these, empty, where the base lacks them.
    "": {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"},
    # BuildKit gives --chmod to folders too, copied ones and those it makes on the way; buildah to files alone.
    "copy": {"/usr/local", "/usr/local/bin", "/owned/folder", "/owned/folder/deep"},
    # BuildKit also takes away the folders above a mount that it made.
    "mounts": {"/mnt", "/run/secrets", "/var/cache"},
    "cached-stage": {"/ba", "/c", "/n", "/b"},
    "spellings": {"/m"},
    # Buildah makes the folder of a VOLUME; BuildKit leaves that to the runtime. A last WORKDIR is the other way round.
    "settings": {"/data", "/work"},
}
"""For a case (the empty name stands for all): paths that differ between the builders."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with the images that the Dockerfiles of the table name."""
    return prepared(tmp_path / "workspace")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_builders_agree(case: Case, workspace: Workspace, cache: Path) -> None:
    """Both builders make the same files and the same configuration of a Dockerfile, and the ones it describes."""
    workspace.copy(DOCKERFILES / case.name)
    (workspace.source / ".git").mkdir()
    (workspace.source / ".git" / "HEAD").write_text("never part of an image")
    checkout = workspace.checkout(build_args=case.build_args, target=case.target)
    seen = []
    for builder in BUILDERS:
        workspace.build(builder, cache, checkout=checkout, secret_ids=("token",))
        found = files(workspace.image)
        for path, wanted in case.files.items():
            entry = found.get(path)
            assert entry is not None, f"{builder}: {path} is missing"
            assert (entry.kind, entry.mode, entry.owner, entry.content) == wanted, f"{builder}: {path}"
        assert not [path for path in case.absent if path in found], builder
        fields = config(workspace.image)["config"]
        assert {name: fields.get(name) for name in case.config} == case.config, builder
        blobs = [path.read_bytes() for path in (workspace.image.path / "blobs" / "sha256").iterdir()]
        assert not any(SECRET.encode() in blob for blob in blobs), builder
        timeless = {
            path: (entry.kind, entry.mode, entry.owner, entry.content)
            for path, entry in found.items()
            if path not in DIFFERENCES[""] | DIFFERENCES.get(case.name, set())
        }
        seen.append((timeless, fields))
    assert seen[0][0] == seen[-1][0]
    assert seen[0][1] == seen[-1][1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_isolation_leaves_no_trace(
    case: Case, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container of a runtime and a chroot give one digest: nothing of what either sets up is in a layer."""
    workspace.copy(DOCKERFILES / case.name)
    checkout = workspace.checkout(build_args=case.build_args, target=case.target)

    def digest(isolation: str) -> str:
        cache = tmp_path / isolation
        built = workspace.build("buildah", cache, checkout=checkout, secret_ids=("token",), isolation=isolation)
        return str(built.digest)

    sandboxed = digest("sandbox")
    without_runtime(tmp_path / "bin", monkeypatch)
    assert digest("chroot") == sandboxed


@each_builder
def test_siblings(builder: str, workspace: Workspace, cache: Path) -> None:
    """Each way to write an image's name gives the image fetched for it, and no two of them are mixed up."""
    workspace.copy(DOCKERFILES / "siblings")
    below = busybox(workspace.layout)
    names = [
        "base",
        "base:1.0",
        "docker.io/library/base",
        "registry.example:5000/team/base:2.0",
        "registry.example:5000/team/base@sha256:" + "a" * 64,
        "team/base",
        "registry.example:5000/team/tools:1.2",
        "registry.example:5000/team/direct:3",
    ]
    workspace.bases.clear()
    for name in names:
        workspace.base(name, derived(workspace.layout, below, {"marker": name}), sibling=True)
    workspace.build(builder, cache)
    found = files(workspace.image)
    assert [found[f"/{letter}"].content for letter in "abcdefgh"] == [text(name) for name in names]
    assert config(workspace.image)["config"]["Labels"]["org.opencontainers.image.base.name"] == "base"


@each_builder
def test_inherited_configuration(builder: str, workspace: Workspace, cache: Path) -> None:
    """A base's shell is used, its triggers run once and end with the child, its health check stays."""
    workspace.copy(DOCKERFILES / "triggers")
    below = busybox(workspace.layout)
    check = {"Test": ["CMD", "true"], "Retries": 4}
    workspace.bases.clear()
    workspace.base(
        "base",
        derived(
            workspace.layout,
            below,
            {"marker": "base"},
            Shell=["/bin/sh", "-fc"],
            OnBuild=["COPY input.txt /given", "RUN echo trigger /b* >> /order"],
            Healthcheck=check,
            Labels={"org.opencontainers.image.title": "the base", "kept": "yes"},
        ),
    )
    workspace.build(builder, cache)
    found, fields = files(workspace.image), config(workspace.image)["config"]
    assert found["/given"].content == text("data\n")
    assert found["/order"].content == text("trigger /b*\nown\n"), "the shell's option -f leaves patterns alone"
    assert (fields["Shell"], fields["Healthcheck"], fields.get("OnBuild")) == (["/bin/sh", "-fc"], check, None)
    assert fields["Labels"]["org.opencontainers.image.title"] == "app"
    assert fields["Labels"]["kept"] == "yes"


@pytest.mark.buildkit
def test_heredoc_with_buildkit(workspace: Workspace, cache: Path) -> None:
    """BuildKit runs the lines of a heredoc."""
    workspace.copy(DOCKERFILES / "heredoc").build("buildkit", cache)
    found = files(workspace.image)
    assert (found["/one"].content, found["/two"].content) == (text("one\n"), text("two\n"))
    assert found["/file"].content == text("$literal\n")


def test_heredoc_with_buildah(workspace: Workspace, cache: Path) -> None:
    """An older buildah, which would run the lines of a heredoc as instructions, is not even started."""
    workspace.copy(DOCKERFILES / "heredoc")
    with pytest.raises(Refused, match=r"Dockerfile:2: buildah 1\.28\S* does not know heredocs"):
        workspace.build("buildah", cache)
    assert not workspace.image.path.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY --link a /a", "does not know COPY --link"),
        ("COPY --exclude=*.x . /a", "does not know COPY --exclude"),
        ("COPY --chmod=u+x a /a", "only octal modes"),
        ("ADD --checksum=sha256:" + "0" * 64 + " https://x.invalid/y /y", "does not know ADD --checksum"),
        ("RUN --mount=type=secret,id=token,env=TOKEN true", "secrets as files only"),
    ],
)
def test_unknown_to_buildah(line: str, message: str, workspace: Workspace, cache: Path) -> None:
    """What buildah lacks is refused with the line and the builder's version, before the build."""
    workspace.write({"Dockerfile": f"FROM base\nRUN true\n{line}\n", "a": "a"})
    with pytest.raises(Refused, match=f"^Dockerfile:3: .*{message}"):
        workspace.build("buildah", cache, secret_ids=("token",))


_UNSEALED = """\
#!/bin/sh
# The real buildah, but for its first starts of a build: they say what it says where Linux refuses to seal the copy.
if [ "$1" = build ] && [ "$(wc -l < {count})" -lt {failures} ]; then
    echo >> {count}
    echo "Close_Fd sealing memfd copy: Device or resource busy" >&2
    echo 'Error: building at STEP "RUN true": exit status 1' >&2
    exit 1
fi
exec {buildah} "$@"
"""


@pytest.mark.parametrize("failures", [2, 100])
def test_buildah_that_could_not_start_itself(
    failures: int, workspace: Workspace, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started again, a few times; then it is the builder's failure, which may pass, and not the instruction's."""
    count, program = tmp_path / "count", tmp_path / "bin" / "buildah"
    count.touch()
    program.parent.mkdir()
    buildah = shutil.which("buildah")
    assert buildah
    program.write_text(_UNSEALED.format(count=shlex.quote(str(count)), failures=failures, buildah=buildah))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    workspace.write({"Dockerfile": "FROM base\nRUN echo built > /made\n"})
    if failures > 2:
        with pytest.raises(Transient, match="buildah could not start itself anew"):
            workspace.build("buildah", cache)
        assert len(count.read_text()) == 5
    else:
        workspace.build("buildah", cache)
        assert files(workspace.image)["/made"].content == text("built\n")
