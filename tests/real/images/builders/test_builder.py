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
from tests.build_workspace import BUILDERS, Workspace
from tests.counting_door import Door
from tests.image_files import config, files, text
from tests.real.images.builders.cases import CASES, DOCKERFILES, SECRET, Case, build, name_at, prepared

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
    """A workspace with busybox and a secret."""
    made = Workspace(tmp_path / "workspace")
    made.base()
    (made.root / "secrets").mkdir()
    (made.root / "secrets" / "token").write_text(SECRET)
    return made


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if "buildah" in case.builders else pytest.mark.buildkit) for case in CASES],
    ids=lambda case: case.name,
)
def test_builders_agree(case: Case, doors: tuple[Door, Door], tmp_path: Path, cache: Path) -> None:
    """Both builders make the same files and the same configuration of a Dockerfile, and the ones it describes.

    Neither asks the registry that its bases are named at, nor anybody else.
    """
    workspace = prepared(tmp_path / "workspace", case)
    names = name_at(workspace, doors[0].address)
    (workspace.source / ".git").mkdir()
    (workspace.source / ".git" / "HEAD").write_text("never part of an image")
    seen = []
    for builder in (name for name in BUILDERS if name in case.builders):
        build(workspace, case, builder, cache)
        assert [door.count for door in doors] == [0, 0], builder
        found = files(workspace.image)
        for path, wanted in case.files.items():
            entry = found.get(path)
            assert entry is not None, f"{builder}: {path} is missing"
            assert (entry.kind, entry.mode, entry.owner, entry.content) == wanted, f"{builder}: {path}"
        assert not [path for path in case.absent if path in found], builder
        fields = config(workspace.image)["config"]
        assert {name: fields.get(name) for name in case.config} == case.config, builder
        labels = {label: names.get(text, text) for label, text in case.labels.items()}
        assert fields["Labels"].items() >= labels.items(), builder
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


_ROOTLESS = """\
#!/bin/sh
# The real buildah, as it is for an ordinary user: in a user namespace, which it believes to have made itself.
export _CONTAINERS_USERNS_CONFIGURED=done _CONTAINERS_ROOTLESS_UID=1000
exec {buildah} "$@"
"""


def test_storage_of_an_ordinary_user(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a build leaves is in the cache, where the next one finds it, and not beside the image, where it would stay.

    Files there belong to users of its namespace, whom an ordinary user cannot remove.
    """
    _replace_buildah(_ROOTLESS, tmp_path, monkeypatch)
    workspace.write({"Dockerfile": "FROM base\nRUN head -c 9 /dev/urandom > /made\n"})
    made = [workspace.build("buildah", tmp_path / "cache", isolation="chroot").digest for _ in range(2)]
    assert made[0] == made[1], "from the cache"
    assert list((tmp_path / "cache" / "buildah" / "root").iterdir())
    assert sorted(path.name for path in workspace.root.iterdir()) == ["bases", "image", "secrets", "source"]


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
    count = tmp_path / "count"
    count.touch()
    _replace_buildah(_UNSEALED, tmp_path, monkeypatch, count=shlex.quote(str(count)), failures=failures)
    workspace.write({"Dockerfile": "FROM base\nRUN echo built > /made\n"})
    if failures > 2:
        with pytest.raises(Transient, match="buildah could not start itself anew"):
            workspace.build("buildah", cache)
        assert len(count.read_text()) == 5
    else:
        workspace.build("buildah", cache)
        assert files(workspace.image)["/made"].content == text("built\n")


def _replace_buildah(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    """Put a script that is named buildah before the real one."""
    program, buildah = folder / "bin" / "buildah", shutil.which("buildah")
    assert buildah
    program.parent.mkdir()
    program.write_text(script.format(buildah=buildah, **values))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
