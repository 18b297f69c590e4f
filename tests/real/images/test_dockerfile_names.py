"""What FROM lines name, compared with BuildKit itself, which is asked for each line of a table."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from pipelines.errors import Misuse, ShipwayError
from pipelines.images import dockerfile, platforms
from pipelines.tools.registry.layout import CONFIG, INDEX, MANIFEST, Json, Layout
from pipelines.tools.registry.reference import Digest, Reference

pytestmark = pytest.mark.buildkit

DENY = {"version": 1, "rules": [{"action": "DENY", "selector": {"identifier": "docker-image://*"}}]}
HEAD = "ARG A=a\nARG E=\nARG U\nARG T=1.2.3-alpine\nARG Q=\"quoted\"\nARG S='x/y'\nARG N=${A:-${E}}b\nARG K=a*b?c\n"
NAMES = r"""
busybox
busybox:latest${UNSET}
busybox${U}
${U}busybox:1
${A:-${B}}
${B:-${A}}
${B:-${C:-${A}}}:${T}
${B:-$A}x
${B:-${A}-${E:-e}}
${E:-d}
${E-d}d
${E:+d}x
${A:+d}
${U-d}
${U:-"d"}
${UNSET:-'d'}
$N
${Q}
$S
"busybox"
'busybox'
"${A}"
'$A'
"$A"':1'
a\b
\$A
x:${T%-alpine}
x:${T%%.*}
x:${T%.*}
x:${T#*.}
x:${T##*.}
x:${T#1.}
x:${T##*}
x:${T%*}
x:${T/-alpine/}
x:${T/-alpine}
x:${T//./-}
x:${T/./-}
x:${T/./\/}
x:${T/*.3/y}
x:${T//[0-9]/y}
x:${T/?.2/y}
x:${T/#1/y}
x${K#a\*}
x${K%\?c}
x${K/\*/y}
x:${T:?is needed}
x:${U:?is needed}
x:${U?}
x:${E?}y
x:${E:?}
x:${T:1}
x:${T^^}
x:${T,}
${}
${:-x}
${A
${A:-
${A:#x}
${A:%x}
${!A}
x$1
x$
x${1:-y}
x$@
x:$TARGETARCH
x:${TARGETOS}-${TARGETVARIANT:-none}
x${TARGETVARIANT}
x:$TARGETOS${TARGETOSVERSION}
x:${BUILDARCH}
x/$BUILDOS
x:${BUILDVARIANT:-b}
${TARGETPLATFORM}
${U}
$UNSET
x:${UNSET}
${UNSET}/x
x:${UNSET}-alpine
x/${UNSET}/y
X
docker.io/x
localhost/x
a.b/x:1
library/x
x@sha256:0000000000000000000000000000000000000000000000000000000000000000
${É:-x}
""".strip().split("\n")
PLATFORMS = (
    "amd64 linux/amd64 linux AMD64 Linux/AMD64 x86_64 x86-64 linux/x86_64 linux/amd64/v1 linux/amd64/v2 arm64 aarch64"
    " linux/arm64 linux/arm64/v8 linux/aarch64 linux/arm64/8 arm linux/arm linux/arm/v7 linux/arm/7 linux/arm/v6 armhf"
    " linux/armhf armel linux/arm/6 i386 linux/386 386 linux/i386 riscv64 linux/riscv64 s390x windows/amd64 windows"
    ' $BUILDPLATFORM ${TARGETPLATFORM} $TARGETOS/$TARGETARCH ${P:-amd64} "amd64" linux/$TARGETARCH $UNSET foo linux/'
    " linux//amd64 linux/amd64/v1/x * linux/a+b linux/foo"
).split()


class BuildKit:
    """A daemon that may ask no registry, and says what it would have asked for."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        (folder / "policy.json").write_text(json.dumps(DENY))
        (folder / "context").mkdir()

    def build(self, text: str, *options: str) -> tuple[int, str]:
        """Return the exit code of a build, and what it said."""
        (self.folder / "context" / "Dockerfile").write_text(text)
        local = [f"--local={name}={self.folder / 'context'}" for name in ("context", "dockerfile")]
        policy = f"--source-policy-file={self.folder / 'policy.json'}"
        argv = ["buildctl", f"--addr={self.address}", "build", "--frontend=dockerfile.v0", *local, policy]
        argv += ["--progress=plain", "--opt=platform=linux/amd64", *options]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        return done.returncode, done.stderr

    def name(self, text: str) -> str:
        """Return the image that the only FROM names, or an empty string if it is an error."""
        code, said = self.build(text)
        assert code
        asked = re.search(r'source "docker-image://(\S+)" denied by policy', said)
        return asked[1] if asked else ""


def test_names_are_those_that_buildkit_reads(standing: str, tmp_path: Path) -> None:
    """Variables, quotes and short names: where BuildKit reads a name, it is the same one here, else an error."""
    (tmp_path / "judge").mkdir()
    judge = BuildKit(standing, tmp_path / "judge")
    wrong = {}
    for written in NAMES:
        text = f"{HEAD}FROM {written}\n"
        try:
            read = dockerfile.read(text, "Dockerfile").select(platform="linux/amd64").externals[0].name
            reference = Reference.parse(read)
            ours = str(reference if reference.tag or reference.digest else reference.with_tag("latest"))
        except ShipwayError:
            ours = ""
        if (theirs := judge.name(text)) != ours:
            wrong[written] = (ours, theirs)
    assert not wrong


def test_platforms_are_those_that_buildkit_reads(standing: str, tmp_path: Path) -> None:
    """Each form of --platform means the platform here that BuildKit takes the image of."""
    (tmp_path / "judge").mkdir()
    judge = BuildKit(standing, tmp_path / "judge")
    layout = Layout.create(tmp_path / "judge" / "bases")
    every = {"linux/amd64", "linux/amd64/v2", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "linux/386"}
    every |= {"linux/riscv64", "linux/s390x", "linux/foo", "windows/amd64"}
    entries = []
    for each in sorted(every):
        parts = dict(zip(("os", "architecture", "variant"), each.split("/"), strict=False))
        config: Json = {**parts, "config": {"Labels": {"is": each}}, "rootfs": {"type": "layers", "diff_ids": []}}
        described = layout.add(json.dumps(config).encode(), CONFIG).json()
        image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
        entries.append({**layout.add(json.dumps(image).encode(), MANIFEST).json(), "platform": parts})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    named = layout.add(json.dumps(index).encode(), INDEX)
    layout.name(named, "all")
    given = [f"--oci-layout=bases={layout.path}", f"--opt=context:base=oci-layout://bases@{named.digest}"]
    wrong = {}
    for number, written in enumerate(PLATFORMS):
        text = f"FROM --platform={written} base\n"
        read = dockerfile.read(text, "Dockerfile").select(platform="linux/amd64")
        out = tmp_path / "judge" / str(number)
        code, said = judge.build(text, *given, f"--output=type=oci,tar=false,dest={out}")
        theirs = ""
        if code == 0:
            made = Layout(out)
            config = made.json(Digest(made.json(made.named().digest)["config"]["digest"]))
            theirs = config["config"]["Labels"]["is"]
        try:
            ours = read.platform_of(read.file.stages[0])
        except Misuse:
            ours = ""
        if ours != theirs:
            wrong[written] = (ours, theirs, said[-200:] if not theirs else "")
    assert not wrong
    assert platforms.normalized(platforms.this_platform(), "") == platforms.this_platform()
