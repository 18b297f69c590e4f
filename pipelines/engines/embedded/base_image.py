"""The base image of the example repository, made of the distribution's static busybox: no image need be pulled.

The same binary gives the same digest on every machine and at any time: the compressor is the pinned package `deflate`,
since Python's gzip writes another header in each version, and what zlib packs differs by machine.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import deflate

from pipelines.errors import Misconfigured
from pipelines.tools.processes import process
from pipelines.tools.registry.layout import CONFIG, LAYER, LAYER_TIME, MANIFEST, Descriptor, Layout
from pipelines.tools.registry.reference import Digest

FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "usr/sbin", "var")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"  # noqa: S105 - a file
_LEVEL = 6
GROUP = "root:x:0:\nnobody:x:65534:\n"


def write(layout: Layout, busybox: Path) -> Descriptor:
    """Store the image in a layout and return its manifest's descriptor."""
    applets = (
        process.run([busybox, "--list"], timeout_seconds=30).check("busybox does not list its applets").stdout.split()
    )
    tar = _layer(busybox.read_bytes(), sorted(set(applets) - {"busybox"}))
    layer = layout.add(bytes(deflate.gzip_compress(tar, _LEVEL)), LAYER + "+gzip")
    config = {
        "architecture": "amd64",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "created": "1980-01-01T00:00:00Z",
        "history": [{"created": "1980-01-01T00:00:00Z", "created_by": "static busybox of the distribution"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar))]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(_json(config), CONFIG).json(),
        "layers": [layer.json()],
    }
    return layout.add(_json(manifest), MANIFEST)


def find_busybox() -> Path:
    """Return the busybox of this machine; raises Misconfigured if there is none or it needs libraries."""
    found = shutil.which("busybox")
    if found is None:
        raise Misconfigured("no busybox on this machine", todo="apt-get install busybox-static")
    if b"/lib64/ld-linux" in Path(found).read_bytes():
        raise Misconfigured("this machine's busybox needs libraries", seen=found, todo="apt-get install busybox-static")
    return Path(found)


def _layer(busybox: bytes, applets: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in FOLDERS:
            _add(tar, folder, kind=tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        _add(tar, "bin/busybox", data=busybox, mode=0o755)
        for applet in applets:
            _add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, link="busybox", mode=0o777)
        for name, text in (("etc/group", GROUP), ("etc/passwd", PASSWD)):
            _add(tar, name, data=text.encode())
    return buffer.getvalue()


def _add(
    tar: tarfile.TarFile,
    name: str,
    *,
    kind: bytes = tarfile.REGTYPE,
    data: bytes = b"",
    mode: int = 0o644,
    link: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.mode, entry.linkname, entry.mtime = kind, len(data), mode, link, LAYER_TIME
    tar.addfile(entry, io.BytesIO(data))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
