"""The step `build` with the real builders: one digest whatever surrounds the build, and clear answers to bad input."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, Transient
from pipelines.images import build_context
from pipelines.images.build import NoBuilder
from pipelines.step import results
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Digest
from tests.build_workspace import COMMIT, Workspace, build, busybox, derived, each_builder
from tests.image_files import config, files, manifest, text

DOCKERFILE = """\
FROM base AS make
ARG WORD=one
ENV WORD=$WORD
COPY . /src
RUN cp -r /src/data /made && tar -cf /made/data.tar -C /src data && date +%s -r /src/data/a > /made/time
RUN --mount=type=bind,source=data,target=/mnt/data cat /mnt/data/a > /made/mounted

FROM base
RUN mkdir /new && echo "$(umask)" > /new/umask
COPY --from=make /made /made
ENV WORD=final
WORKDIR /work/there
LABEL own=1
"""


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Give the umask back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def prepared(root: Path, umask: int, mtime: int) -> Workspace:
    """Return a workspace whose files were made under a umask and bear one time."""
    os.umask(umask)
    made = Workspace(root)
    made.write({"Dockerfile": DOCKERFILE, "data/a": "a\n", "data/tool": "#!/bin/sh\n", ".git/HEAD": root.name})
    made.base()
    (made.source / "data" / "tool").chmod(0o777 & ~umask)
    (made.source / "data" / "link").symlink_to("a")
    for path in (made.source, *made.source.rglob("*")):
        os.utime(path, (mtime, mtime), follow_symlinks=False)
    return made


@each_builder
def test_one_digest(builder: str, tmp_path: Path) -> None:
    """An empty cache and one full of look-alikes, other folders, umasks and file times give one digest."""
    first = prepared(tmp_path / "first", 0o022, 1_000_000_000)
    digest = first.build(builder, tmp_path / "empty").digest

    full = tmp_path / "full"
    foreign = prepared(tmp_path / "foreign", 0o022, 1_500_000_000)
    foreign.build(builder, full, checkout=foreign.checkout(build_args=("WORD=two",)))
    foreign.write({"data/a": "other\n"}).build(builder, full)
    foreign.write({"data/a": "a\n", "Dockerfile": DOCKERFILE.replace("WORD=one", "WORD=three")}).build(builder, full)

    volume = tmp_path / "a" / "longer path"
    volume.mkdir(parents=True)
    volume.chmod(0o2775)  # as Kubernetes gives a pod its volumes: what is made below inherits the group, and the bit
    second = prepared(volume / "second", 0o077, 1_200_000_000)
    assert second.build(builder, full).digest == digest, "a cache with foreign entries"
    assert second.build(builder, full).digest == digest, "everything from the cache"
    assert second.build(builder, volume / "cache").digest == digest, "a cache on a volume"
    found = files(second.image)
    assert (found["/made/tool"].mode, found["/made/a"].mode) == ("0755", "0644")
    assert found["/made/time"].content == text("315532800\n")
    assert {entry.mtime for entry in found.values()} == {315532800}
    assert found["/new/umask"].content == text("0022\n")


@each_builder
def test_shared_folders_are_in_the_context_and_excluded_files_are_not(
    builder: str, tmp_path: Path, cache: Path
) -> None:
    """A shared folder lies under its own path, .dockerignore
    holds for it, and a second run finds it as the first left it.
    """
    made = Workspace(tmp_path / "workspace")
    made.write(
        {
            "core/app/run": "run",
            "core/app/run.log": "log",
            "core/other": "other",
            "apps/web/Dockerfile": "FROM scratch\nCOPY . /\n",
            "apps/web/.dockerignore": "**/*.log",
            "apps/web/values[1].yaml": "written by deployments",
            "apps/web/values1.yaml": "ours",
        }
    )
    (made.source / "core/app/link").symlink_to("run")
    checkout = made.checkout(path="apps/web", dockerfile="apps/web/Dockerfile")
    for _ in range(2):
        made.build(builder, cache, checkout=checkout, shared=("core/app",), exclude=("values[1].yaml",))
        found = {path for path, entry in files(made.image).items() if entry.kind != "folder"}
        assert found == {"/core/app/run", "/core/app/link", "/Dockerfile", "/.dockerignore", "/values1.yaml"}
    made.write({"apps/web/core/app/more": "its own"})
    with pytest.raises(Refused, match="has a core/app of its own"):
        made.build(builder, cache, checkout=checkout, shared=("core/app",))


@pytest.mark.parametrize(("link", "shared"), [("apps/web/core", "core/app"), ("leaves", "leaves")])
def test_shared_folders_follow_no_link(link: str, shared: str, tmp_path: Path) -> None:
    """Neither one in the way of the context's copy, nor one that leaves the checkout."""
    made = Workspace(tmp_path / "workspace").write({"core/app/x": "", "apps/web/Dockerfile": "FROM scratch\n"})
    (tmp_path / "outside").mkdir()
    (made.source / link).symlink_to(tmp_path / "outside")
    with pytest.raises(Refused):
        made.build(
            "buildah",
            tmp_path / "cache",
            checkout=made.checkout(path="apps/web", dockerfile="apps/web/Dockerfile"),
            shared=(shared,),
        )
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_is_no_shared_folder(tmp_path: Path) -> None:
    """It is told as the argument's fault, with its name."""
    made = Workspace(tmp_path / "workspace").write({"chart/values.yaml": "", "web/Dockerfile": "FROM scratch\n"})
    checkout = made.checkout(path="web", dockerfile="web/Dockerfile")
    with pytest.raises(Misuse, match=r"the shared folder chart/values\.yaml must be a folder"):
        made.build("buildah", tmp_path / "cache", checkout=checkout, shared=("chart/values.yaml",))


@each_builder
def test_rules_that_are_not_text(builder: str, tmp_path: Path, cache: Path) -> None:
    """A .dockerignore is bytes, as the names are that it takes out."""
    made = Workspace(tmp_path / "workspace").write(
        {"Dockerfile": "FROM scratch\nCOPY . /\n", "kept": "", "gone.log": ""}
    )
    (made.source / ".dockerignore").write_bytes(b"# gr\xfcn\n*.log\n")
    made.build(builder, cache)
    assert {"/kept", "/.dockerignore"} <= files(made.image).keys()
    assert "/gone.log" not in files(made.image)


LOGIN = "http://ada:hunter2@proxy.example:3128"


@pytest.mark.buildkit
def test_buildkit_gets_no_proxy_with_a_login(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its client is told proxies on the command line, which every user of the machine can read."""
    monkeypatch.setenv("https_proxy", LOGIN)
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    with pytest.raises(Misconfigured, match="a proxy with a login") as caught:
        made.build("buildkit", cache)
    assert "https_proxy" in str(caught.value)
    assert "hunter2" not in str(caught.value) + "".join(capfd.readouterr())


def test_buildah_gets_a_proxy_by_environment(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps see the proxy, its command line and the image do not."""
    monkeypatch.setenv("https_proxy", LOGIN)
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": "FROM base\nRUN echo $https_proxy > /seen\n"})
    made.base()
    made.build("buildah", cache)
    assert files(made.image)["/seen"].content == text(f"{LOGIN}\n")
    assert "hunter2" not in str(config(made.image))


@each_builder
def test_base_of_same_layers(builder: str, tmp_path: Path, cache: Path) -> None:
    """A base whose configuration alone changed gives the new configuration, with the same layers."""
    made = Workspace(tmp_path / "workspace")
    made.write({"Dockerfile": "FROM base\nRUN echo x > /x\n"})
    layers = []
    for word in ("one", "two"):
        made.bases.clear()
        made.base("base", derived(made.layout, busybox(made.layout), {"f": "f"}, Env=[f"WORD={word}"]))
        made.build(builder, cache)
        assert f"WORD={word}" in config(made.image)["config"]["Env"]
        layers.append(manifest(made.image)["layers"])
    assert layers[0] == layers[1]


@each_builder
def test_an_image_without_layers(builder: str, tmp_path: Path, cache: Path) -> None:
    """FROM scratch and nothing else is an image, too."""
    made = Workspace(tmp_path).write({"Dockerfile": "FROM scratch\nENV WORD=one\n"})
    made.build(builder, cache)
    assert manifest(made.image)["layers"] == []
    assert config(made.image)["rootfs"]["diff_ids"] == []
    assert "WORD=one" in config(made.image)["config"]["Env"]


@each_builder
def test_unchanged_layers_stay(builder: str, tmp_path: Path, cache: Path) -> None:
    """The next commit has the digests of the layers it did not change, and those of the base are the base's own."""
    made = Workspace(tmp_path / "workspace")
    made.write({"Dockerfile": "FROM base\nCOPY same /same\nRUN echo x > /x\nCOPY new /new\n", "same": "s", "new": "1"})
    base = made.layout.json(made.base().digest)
    made.build(builder, cache)
    before = manifest(made.image)
    made.write({"new": "2"}).build(builder, cache, checkout=made.checkout(commit="f" * 40, time=1_800_000_000))
    after = manifest(made.image)
    assert after["layers"][0] == base["layers"][0] == before["layers"][0]
    assert after["layers"][:-1] == before["layers"][:-1]
    assert after["layers"][-1] != before["layers"][-1]
    assert after["config"] != before["config"]


@pytest.mark.buildkit
def test_standing_buildkitd(standing: str, tmp_path: Path, cache: Path) -> None:
    """A standing daemon gives the digest that one of our own gives, and never a file that it got from someone else."""
    made = Workspace(tmp_path / "workspace")
    made.write({"Dockerfile": "FROM base\nCOPY file /file\n", "file": "1"}).base()
    for word in ("1", "2"):
        digest = made.write({"file": word}).build("buildkit", cache, buildkit_host=standing).digest
        assert files(made.image)["/file"].content == text(word)
        assert made.build("buildkit", cache).digest == digest
    with pytest.raises(Transient, match="does not answer"):
        made.build("buildkit", cache, buildkit_host="tcp://127.0.0.1:1")


@each_builder
def test_facts(builder: str, tmp_path: Path, cache: Path) -> None:
    """Labels and annotations say where the image comes from;
    the user's labels win over the Dockerfile's, facts over all.
    """
    made = Workspace(tmp_path / "workspace")
    dockerfile = (
        "FROM base\n"
        'LABEL mine=dockerfile org.opencontainers.image.title="My Web" org.opencontainers.image.revision=false\n'
    )
    base = made.write({"apps/Web/Dockerfile": dockerfile}).base()
    checkout = made.checkout(
        path="apps/Web", dockerfile="apps/Web/Dockerfile", repo="https://robot:t0ken@forge.example/team/app.git"
    )
    built = made.build(
        builder, cache, checkout=checkout, labels=("mine=user", "org.opencontainers.image.source=x"), version="1.2.3"
    )
    labels, annotations = config(made.image)["config"]["Labels"], manifest(made.image)["annotations"]
    prefix = "org.opencontainers.image."
    facts = {
        "created": "2023-11-14T22:13:20Z",
        "revision": COMMIT,
        "source": "https://forge.example/team/app",
        "version": "1.2.3",
        "ref.name": "web:1.2.3",
        "base.name": "docker.io/library/base",
        "base.digest": str(base.digest),
    }
    assert labels == {"mine": "user", prefix + "title": "My Web"} | {prefix + k: v for k, v in facts.items()}
    assert annotations == {prefix + "title": "web"} | {prefix + k: v for k, v in facts.items()}
    assert config(made.image)["created"] == facts["created"]
    assert (built.name, built.version, built.layers) == ("web", "1.2.3", 1)
    assert built.builder == builder
    assert made.image.named(built.digest).digest == built.digest
    assert not any(b"t0ken" in p.read_bytes() for p in made.image.path.rglob("*") if p.is_file())


@each_builder
def test_failing_step(builder: str, tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A failing step is named by file and line, with the last of its output, and nothing is left behind."""
    made = Workspace(tmp_path / "workspace")
    made.write(
        {
            "app/Dockerfile": (
                "FROM base\n\nRUN true\nRUN echo some words; \\\n    echo on the way; \\\n    exit 3\nRUN true\n"
            )
        }
    )
    made.base()
    with pytest.raises(ShipwayError) as caught:
        made.build(builder, cache, checkout=made.checkout(path="app", dockerfile="app/Dockerfile"))
    assert caught.value.exit_code == 1
    assert caught.value.what.startswith("the build failed at app/Dockerfile:4: RUN echo some words;")
    assert caught.value.seen.splitlines()[:2] == ["some words", "on the way"]
    assert re.fullmatch(r"(while running runtime: exit status|exit code:) 3", caught.value.seen.splitlines()[2])
    made.write({"app/Dockerfile": 'FROM base\nCOPY "missing": /y\n'})
    with pytest.raises(ShipwayError, match=r'^the build failed at app/Dockerfile:2: COPY "missing": /y') as caught:
        made.build(builder, cache, checkout=made.checkout(path="app", dockerfile="app/Dockerfile"))
    assert re.match(r'(copier: stat: "/missing:": |failed to compute cache key: .*"/missing:": )', caught.value.seen)
    assert "on the way" in capfd.readouterr().err
    assert sorted(p.name for p in made.root.iterdir()) == ["bases", "source"]


@each_builder
def test_bases_on_a_volume_that_is_not_ours(builder: str, tmp_path: Path, cache: Path) -> None:
    """Layers of a base are referred to where they are, and nothing is written there or into the checkout."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        made = Workspace(Path(other)).write({"Dockerfile": "FROM base\nCOPY file /\nRUN true\n", "file": "1"})
        base = made.layout.json(made.base().digest)["layers"][0]["digest"]
        assert Path(other).stat().st_dev != tmp_path.stat().st_dev
        build_context.prepare(made.source, made.source.resolve())
        before = {path: path.lstat() for path in Path(other).rglob("*")}
        image = Layout(tmp_path / "image")
        build(
            checkout=made.checkout(),
            source=made.source,
            bases=made.layout.path,
            builder=builder,
            cache=cache,
            into=image.path,
        )
        after = {path: path.lstat() for path in Path(other).rglob("*")}
        assert {path: (found.st_mtime_ns, found.st_ino) for path, found in after.items()} == {
            path: (found.st_mtime_ns, found.st_ino) for path, found in before.items()
        }
        assert image.blob(Digest(base)).is_symlink()
        assert files(image)["/file"].content == text("1")


@each_builder
def test_gzip(builder: str, tmp_path: Path, cache: Path) -> None:
    """With the setting compression=gzip new layers are gzip, and the same bytes each time."""
    made = Workspace(tmp_path / "workspace")
    made.write({"Dockerfile": "FROM base\nRUN echo gzip > /gzip\n"}).base()
    first = made.build(builder, cache, compression="gzip").digest
    assert manifest(made.image)["layers"][-1]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert made.build(builder, tmp_path / "other", compression="gzip").digest == first


@each_builder
def test_a_secret_is_optional(builder: str, tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is mounted without `required` and not declared is not there, whatever the folder of secrets holds."""
    mounts = "--mount=type=secret,id=one --mount=type=secret,id=two,required=false --mount=type=secret,id=declared"
    made = Workspace(tmp_path / "workspace")
    made.write({"Dockerfile": f"FROM base\nRUN {mounts} ls /run/secrets > /found\n"})
    made.base()
    (made.root / "secrets").mkdir()
    for name in ("one", "declared"):
        (made.root / "secrets" / name).write_text("secret")
    made.build(builder, cache, secret_ids=("declared",))
    assert files(made.image)["/found"].content == text("declared\n")
    assert "Dockerfile is built without the secrets one, two, which are not declared" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("dockerfile", "kind", "message"),
    [
        ("FROM base\nRUN --security=insecure true\n", Refused, "Dockerfile:2: RUN --security"),
        ("FROM base\nRUN --network=host true\n", Refused, "Dockerfile:2: RUN --network"),
        ("FROM base\nRUN --device=vendor.example/x true\n", Refused, "Dockerfile:2: RUN --device"),
        ("FROM base\nRUN --mount=type=ssh true\n", Refused, "Dockerfile:2: no build gets an SSH agent"),
        (
            "FROM base\nRUN --mount=type=secret,id=other,required=true true\n",
            Refused,
            "Dockerfile:2: the secret 'other' is required and not declared",
        ),
        ("FROM base\nRUN --mount=type=secret,id=token true\n", Misconfigured, "the secret token has no value here"),
        ("# syntax=attacker.example/frontend:1\nFROM base\n", Refused, "Dockerfile:1: the syntax line"),
        ("FROM elsewhere:1\n", Misuse, "Dockerfile:1: the image elsewhere:1 was not fetched"),
        ("FROM --platform=linux/riscv64 base\n", Refused, "Dockerfile:1: a stage of another platform"),
        ("RUN true\n", ShipwayError, "Dockerfile:1: there is no FROM"),
    ],
)
def test_bad_dockerfiles(dockerfile: str, kind: type[ShipwayError], message: str, tmp_path: Path, cache: Path) -> None:
    """What no build gets is refused with its line, before any builder starts."""
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": dockerfile})
    made.base()
    with pytest.raises(kind, match=message) as caught:
        made.build("buildah", cache, secret_ids=("token",))
    assert type(caught.value) is kind
    assert not made.image.path.exists()


def test_links_out_of_the_checkout(tmp_path: Path, cache: Path) -> None:
    """No Dockerfile, context or .dockerignore is read through a link that leaves the checkout."""
    made = Workspace(tmp_path / "workspace").write({"app/Dockerfile": "FROM base\n"})
    made.base()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "Dockerfile").write_text("FROM base\nCOPY . /\n")
    (made.source / "linked").symlink_to(tmp_path / "outside")
    (made.source / "app" / "Linked").symlink_to("../../../outside/Dockerfile")
    (made.source / "app" / "data").symlink_to("../.git")
    (made.source / ".git").mkdir()
    for changes in (
        {"dockerfile": "linked/Dockerfile", "path": "app"},
        {"dockerfile": "app/Linked", "path": "app"},
        {"dockerfile": "app/Dockerfile", "path": "linked"},
        {"dockerfile": "app/Dockerfile", "path": "app/data"},
    ):
        with pytest.raises(Refused, match="leaves the checkout"):
            made.build("buildah", cache, checkout=made.checkout(**changes))
    (made.source / "app" / ".dockerignore").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match=r"app/\.dockerignore leaves the checkout"):
        made.build("buildah", cache, checkout=made.checkout(path="app", dockerfile="app/Dockerfile"))


@pytest.mark.parametrize(
    ("changes", "options", "kind", "message"),
    [
        ({"dockerfile": "none/Dockerfile"}, {}, ShipwayError, "there is no Dockerfile none/Dockerfile"),
        ({"dockerfile": "../Dockerfile"}, {}, Misuse, "not a path inside the repository"),
        ({"target": "nowhere"}, {}, Misuse, "has no stage 'nowhere'"),
        ({"build_args": ("BUILDKIT_SYNTAX=attacker.example/x",)}, {}, Refused, "steers the builder"),
        ({"build_args": ("no equals",)}, {}, Misuse, "not NAME=value"),
        ({}, {"labels": ("=x",)}, Misuse, "a label is not name=value"),
        ({}, {"context": "Dockerfile"}, Misuse, "the context is not a folder"),
        ({}, {"compression": "lzma"}, Misconfigured, "compression is not known"),
        ({}, {"secret_ids": ("../x",)}, Misuse, "not a secret's id"),
    ],
)
def test_bad_arguments(
    changes: dict[str, object],
    options: dict[str, object],
    kind: type[ShipwayError],
    message: str,
    tmp_path: Path,
    cache: Path,
) -> None:
    """Arguments that cannot be meant, or are never done, are answered so, and nothing is written."""
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": "FROM base\n"})
    made.base()
    with pytest.raises(kind, match=message) as caught:
        made.build("buildah", cache, checkout=made.checkout(**changes), **options)
    assert type(caught.value) is kind
    assert not made.image.path.exists()


def test_a_platform_whose_steps_nothing_runs(tmp_path: Path, cache: Path) -> None:
    """Before the builder is started; what has no step is built for any platform."""
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": "FROM scratch\nRUN true\n", "file": "x"})
    with pytest.raises(NoBuilder, match="there is no builder for linux/riscv64 here") as caught:
        made.build("buildah", cache, checkout=made.checkout(platform="linux/riscv64"))
    assert "Dockerfile:2 runs a program" in caught.value.seen
    made.write({"Dockerfile": "FROM scratch\nCOPY file /\n"})
    made.build("buildah", cache, checkout=made.checkout(platform="linux/riscv64"))
    assert config(made.image)["architecture"] == "riscv64"


def test_unknown_builder(tmp_path: Path, cache: Path) -> None:
    """A builder that is not known is the settings' fault."""
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": "FROM base\n"})
    made.base()
    with pytest.raises(Misconfigured, match="builder is not known"):
        made.build("kaniko", cache)


@each_builder
def test_killed_and_run_again(builder: str, tmp_path: Path) -> None:
    """A build that is killed, with everything below it, leaves no image; the next one in its place succeeds."""
    made = Workspace(tmp_path / "workspace")
    made.write(
        {
            "Dockerfile": (
                "FROM base\nRUN echo before > /before\nRUN if [ -e /run/go ]; then sleep 100; fi\nRUN echo x > /x\n"
            )
        }
    )
    made.base()
    slow = made.source / "Dockerfile"
    quick = slow.read_text()
    slow.write_text(quick.replace("if [ -e /run/go ]; then sleep 100; fi", "echo sleeping; sleep 100"))
    results.store(made.checkout(), made.root / "clone")
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "step",
        "build",
        "--checkout=clone",
        f"--builder={builder}",
        "--cache=cache",
    ]
    child = subprocess.Popen(command, cwd=made.root, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert child.stderr is not None
    with child.stderr:
        assert any("sleeping" in line and "echo" not in line for line in child.stderr), "the slow step has begun"
        child.kill()
        child.wait()
    assert not made.image.path.exists()
    assert str(made.root) not in Path("/proc/mounts").read_text(), "no mount of the killed build is left"
    slow.write_text(quick)
    digest = made.build(builder, made.root / "cache").digest
    assert made.build(builder, tmp_path / "other").digest == digest
    assert not list(made.root.glob(".build-*"))


def test_step_by_hand(tmp_path: Path) -> None:
    """The step is a command: it reads the outputs of clone and stores each part of its result in a file."""
    made = Workspace(tmp_path / "workspace").write({"Dockerfile": "FROM base\n"})
    made.base()
    results.store(made.checkout(), made.root / "out" / "clone")
    command = [sys.executable, "-m", "pipelines", "step", "build", "--checkout=out/clone", "--outputs=out/build"]
    environment = {"PATH": os.environ["PATH"], "SHIPWAY_CACHE": str(tmp_path / "cache"), "SECRET_TOKEN": "canary"}
    done = subprocess.run(command, cwd=made.root, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == ""
    assert (made.root / "out" / "build" / "digest").read_text() == made.image.named().digest
