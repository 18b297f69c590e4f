"""The table of Dockerfiles that the tests of builders build, each a folder of `dockerfiles`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.images.model import Built
from tests.build_workspace import Workspace, derived
from tests.image_files import text

DOCKERFILES = Path(__file__).parent / "dockerfiles"
SECRET = "canary-7f3a9c"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SIBLINGS = (
    "base",
    "base:1.0",
    "docker.io/library/base",
    "registry.example:5000/team/base:2.0",
    "registry.example:5000/team/base@sha256:" + "a" * 64,
    "team/base",
    "registry.example:5000/team/tools:1.2",
    "registry.example:5000/team/direct:3",
)
"""Each way to write an image's name."""


@dataclass(frozen=True)
class BaseOfCase:
    """An image that a Dockerfile is based on: busybox with some more files and some other fields."""

    files: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    sibling: bool = False


def _bases() -> dict[str, BaseOfCase]:
    return {"base": BaseOfCase(), "tools": BaseOfCase({"marker": "tools"})}


@dataclass(frozen=True)
class Case:
    """A folder of `dockerfiles`, and some of what its image must have."""

    name: str
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """For a path: kind, mode, owner, and a file's text or a link's target."""
    absent: tuple[str, ...] = ()
    config: dict[str, object] = field(default_factory=dict)
    build_args: tuple[str, ...] = ()
    target: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    """Some of the labels."""
    earlier: dict[str, str] = field(default_factory=dict)
    """Files of the context as they were in an earlier commit: as long as they are now."""
    earlier_args: tuple[str, ...] | None = None
    """The build arguments of that commit, if others."""
    bases: dict[str, BaseOfCase] = field(default_factory=_bases)
    builders: tuple[str, ...] = ("buildah", "buildkit")
    """Those that can build it."""


def plain(content: str, mode: str = "0644", owner: str = "0:0") -> tuple[str, ...]:
    """Return what a file of that text looks like."""
    return ("file", mode, owner, text(content))


def folder(mode: str = "0755", owner: str = "0:0") -> tuple[str, ...]:
    """Return what a folder looks like."""
    return ("folder", mode, owner, "")


NO_OPTIONS: Mapping[str, object] = {}

CASES = [
    Case(
        "multi-stage",
        files={
            "/opt/out/deep/result": plain("HELLO\n"),
            "/opt/verdict": plain("tested\n"),
            "/home/file": plain("new\n"),
            "/opt/out/deep": folder(),
        },
        absent=("/src", "/bin/vi"),
        config={"Cmd": ["/bin/sh"]},
        earlier={"main.txt": "hello, world\n"},
    ),
    Case(
        "arguments",
        build_args=("SUFFIX=xyz", "UNUSED=1"),
        files={"/greeting": plain("good morning xyz\n"), "/srv/xyz/copied-xyz": plain("content\n")},
        config={"WorkingDir": "/srv/xyz"},
        earlier={"file.txt": "CONTENT\n"},
        earlier_args=("SUFFIX=abc", "GREETING=good night"),
    ),
    Case(
        "argument-of-a-setting",
        build_args=("WORD=two",),
        config={"Env": [PATH, "WORD=two"]},
        earlier_args=("WORD=one",),
    ),
    Case("syntax", files={"/two": plain("two\n")}),
    Case(
        "mounts",
        files={
            "/context": plain("from-context\n"),
            "/stage": plain("from-stage\n"),
            "/image": plain("tools"),
            "/cache": plain("kept\n"),
            "/secret-length": plain(f"{len(SECRET)}\n{len(SECRET)}\n"),
        },
        earlier={"folder/file": "FROM-CONTEXT\n"},
    ),
    Case(
        "copy",
        files={
            "/usr/local/bin/script": ("file", "0750", "0:0", text("#!/bin/sh\necho ran\n")),
            "/owned/script": ("file", "0755", "10:20", text("#!/bin/sh\necho ran\n")),
            "/owned/folder/deep/b": plain("b\n", "0600", "65534:65534"),
            "/many/a": plain("a\n"),
            "/many/deep/b": plain("b\n"),
            "/glob/script.sh": ("file", "0755", "0:0", text("#!/bin/sh\necho ran\n")),
            "/unpacked/t/inner": plain("inner\n"),
            "/spaces in name/with space.txt": plain("s\n"),
            "/ran": plain("ran\n"),
        },
        absent=("/unpacked/archive.tar",),
        earlier={"script.sh": "#!/bin/sh\necho old\n", "folder/deep/b": "c\n"},
    ),
    Case(
        "links",
        files={
            "/etc/outside": ("link", "0777", "0:0", "/etc/shadow"),
            "/etc/dangling": ("link", "0777", "0:0", "nowhere"),
            "/opt/current": ("link", "0777", "0:0", "real"),
            "/absolute": ("link", "0777", "0:0", "/etc/passwd"),
            "/opt/real/file": plain("f\n"),
        },
        absent=("/etc/shadow",),
        earlier={"rootfs/opt/real/file": "g\n"},
    ),
    Case(
        "ignore",
        files={
            "/all/kept.txt": plain("kept.txt\n"),
            "/all/build/keep.txt": plain("build/keep.txt\n"),
            "/all/deep/er/ok.txt": plain("deep/er/ok.txt\n"),
        },
        absent=("/all/app.log", "/all/build/x", "/all/deep/er/secret.txt", "/all/Dockerfile", "/all/.git"),
        earlier={"kept.txt": "KEPT.TXT\n", ".dockerignore": "kept.txt\n"},
    ),
    Case(
        "own-ignore",
        files={"/all/a.txt": plain("a\n")},
        absent=("/all/b.txt", "/all/.dockerignore"),
        earlier={"Dockerfile.dockerignore": "a.txt\n"},
    ),
    Case(
        "user",
        files={
            "/data/uid": plain("1000\n", owner="1000:1000"),
            "/data/private": folder("0700", "1000:1000"),
            "/data/copied.txt": plain("x\n"),
            "/data/where": plain("/data/made\n", owner="1000:1000"),
            "/tmp/name": plain("nobody\n", owner="65534:65534"),
        },
        config={"User": "nobody", "WorkingDir": "/data/made"},
        earlier={"file.txt": "y\n"},
    ),
    Case(
        "settings",
        files={"/done": plain("done\n")},
        absent=("/triggered",),
        config={
            "Shell": ["/bin/sh", "-ec"],
            "ExposedPorts": {"443/tcp": {}, "53/udp": {}, "80/tcp": {}},
            "Volumes": {"/data": {}},
            "StopSignal": "SIGUSR1",
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Timeout": 3_000_000_000, "Retries": 2},
            "OnBuild": ["RUN echo triggered > /triggered"],
            "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": ["echo hi"],
            "User": "5:6",
            "WorkingDir": "/work",
        },
    ),
    Case("scratch", files={"/etc/x": plain("x\n")}, absent=("/bin",), config={"Cmd": ["/etc/x"]}),
    Case("no-layers", config={"Env": [PATH, "WORD=one"]}),
    Case("plain", files={"/bin/sh": ("link", "0777", "0:0", "busybox")}),
    Case(
        "cached-stage",
        files={
            "/dst/foo": plain("foo\n"),
            "/dst/common": plain("common\n"),
            "/number": plain("foo\n"),
            "/of-cache": plain("foo\n"),
            "/below": plain("foo\n"),
            "/other": plain("new\n"),
        },
        earlier={"other": "old\n"},
    ),
    Case(
        "spellings",
        files={f"/{name}": plain("tools") for name in ("capitals", "quotes", "small", "lines")},
        absent=("/not-run",),
    ),
    Case("own-triggers", files={"/order": plain("trigger\nown\n")}),
    Case("target", target="wanted", files={"/wanted": plain("wanted\n")}),
    Case(
        "siblings",
        files={f"/{letter}": plain(name) for letter, name in zip("abcdefgh", SIBLINGS, strict=True)},
        labels={"org.opencontainers.image.base.name": "base"},
        bases={name: BaseOfCase({"marker": name}, sibling=True) for name in SIBLINGS},
    ),
    Case(
        "triggers",
        # The shell's option -f leaves patterns alone.
        files={"/given": plain("data\n"), "/order": plain("trigger /b*\nown\n")},
        config={"Shell": ["/bin/sh", "-fc"], "Healthcheck": {"Test": ["CMD", "true"], "Retries": 4}, "OnBuild": None},
        labels={"org.opencontainers.image.title": "app", "kept": "yes"},
        bases={
            "base": BaseOfCase(
                {"marker": "base"},
                {
                    "Shell": ["/bin/sh", "-fc"],
                    "OnBuild": ["COPY input.txt /given", "RUN echo trigger /b* >> /order"],
                    "Healthcheck": {"Test": ["CMD", "true"], "Retries": 4},
                    "Labels": {"org.opencontainers.image.title": "the base", "kept": "yes"},
                },
            )
        },
        earlier={"input.txt": "atad\n"},
    ),
    Case(
        "heredoc",
        files={"/one": plain("one\n"), "/two": plain("two\n"), "/file": plain("$literal\n")},
        builders=("buildkit",),
    ),
]


def of(builder: str) -> list[Case]:
    """Return the cases that a builder can build."""
    return [case for case in CASES if builder in case.builders]


def prepared(root: Path, case: Case, *, foreign: bool = False, earlier: bool = False) -> Workspace:
    """Return a workspace with a case's Dockerfile, the images that it is based on, and one secret.

    What is `foreign` has other bases: of the same layers with another configuration, or of other layers. What is
    `earlier` has the files of an earlier commit.
    """
    made = Workspace(root).copy(DOCKERFILES / case.name)
    busybox = made.base()
    made.bases.clear()
    for name, base in case.bases.items():
        changed = {"Labels": {"somebody": "else"}, **base.config} if foreign else base.config
        files = {path: text.swapcase() for path, text in base.files.items()} if foreign else base.files
        made.base(name, derived(made.layout, busybox, files, **changed), sibling=base.sibling)
    (made.root / "secrets").mkdir(exist_ok=True)
    (made.root / "secrets" / "token").write_text(SECRET)
    return made.write(case.earlier) if earlier else made


def name_at(made: Workspace, address: str) -> dict[str, str]:
    """Name the bases, in the Dockerfile and in what `clone` returns, as images of a registry; return the new names."""
    path = made.source / "Dockerfile"
    text, names = path.read_text(), {}
    for number, base in enumerate(made.bases):
        whole = names[base.name] = f"{address}/team/base-{number}:1"
        before = r"(?i:(?:(?<=FROM )|(?<=from=)|(?<=from=\")|(?<=ARG BASE=)|(?<=ARG TOOLS=)|(?<=\$TARGETPLATFORM )))"
        text = re.sub(rf"{before}{re.escape(base.name)}(?=[\s,\"`])", whole, text)
        made.bases[number] = type(base)(**{**vars(base), "name": whole, "reference": whole})
    assert address in text or "base" not in text
    path.write_text(text)
    return names


def build(
    made: Workspace,
    case: Case,
    builder: str,
    cache: Path,
    *,
    earlier: bool = False,
    options: Mapping[str, object] = NO_OPTIONS,
) -> Built:
    """Build a prepared case, with the arguments of an earlier commit or those of now."""
    arguments = case.earlier_args if earlier and case.earlier_args is not None else case.build_args
    checkout = made.checkout(build_args=arguments, target=case.target)
    return made.build(builder, cache, checkout=checkout, secret_ids=("token",), **options)
