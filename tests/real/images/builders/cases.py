"""The table of Dockerfiles that the tests of builders build, each a folder of `dockerfiles`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.build_workspace import Workspace, derived
from tests.image_files import text

DOCKERFILES = Path(__file__).parent / "dockerfiles"
SECRET = "canary-7f3a9c"


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
    earlier: dict[str, str] = field(default_factory=dict)
    """Files of the context as they were in an earlier commit."""


def plain(content: str, mode: str = "0644", owner: str = "0:0") -> tuple[str, ...]:
    """Return what a file of that text looks like."""
    return ("file", mode, owner, text(content))


def folder(mode: str = "0755", owner: str = "0:0") -> tuple[str, ...]:
    """Return what a folder looks like."""
    return ("folder", mode, owner, "")


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
    ),
    Case(
        "arguments",
        build_args=("SUFFIX=xyz", "UNUSED=1"),
        files={"/greeting": plain("good morning xyz\n"), "/srv/xyz/copied-xyz": plain("content\n")},
        config={"WorkingDir": "/srv/xyz"},
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
    ),
    Case(
        "ignore",
        files={
            "/all/kept.txt": plain("kept.txt\n"),
            "/all/build/keep.txt": plain("build/keep.txt\n"),
            "/all/deep/er/ok.txt": plain("deep/er/ok.txt\n"),
        },
        absent=("/all/app.log", "/all/build/x", "/all/deep/er/secret.txt", "/all/Dockerfile", "/all/.git"),
    ),
    Case("own-ignore", files={"/all/a.txt": plain("a\n")}, absent=("/all/b.txt", "/all/.dockerignore")),
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
]


def prepared(root: Path, *, marker: str = "tools") -> Workspace:
    """Return a workspace with busybox as `base`, busybox and a marker as `tools`, and one secret.

    Another marker stands for the bases of somebody else: `base` has a file more then, too.
    """
    made = Workspace(root)
    busybox = made.base()
    if marker != "tools":
        made.bases.clear()
        made.base("base", derived(made.layout, busybox, {"foreign": marker}, Env=["PATH=/bin:/usr/bin"]))
    made.base("tools", derived(made.layout, busybox, {"marker": marker}))
    (made.root / "secrets").mkdir(exist_ok=True)
    (made.root / "secrets" / "token").write_text(SECRET)
    return made
