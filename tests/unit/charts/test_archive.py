"""Charts' archives: the same bytes for the same files, and no trust in what others packed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from pipelines.charts import archive as chart_archive
from pipelines.errors import Refused

CHART = b"apiVersion: v2\nname: web\nversion: 1.0.0\n"
LONG = f"templates/{'d' * 120}/{'e' * 120}/{'f' * 80}.yaml"


def made(*members: tarfile.TarInfo | str, data: bytes = b"x") -> bytes:
    """Return an archive of members by name, each with the same data, beside an honest Chart.yaml."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for item in ("web/Chart.yaml", *members):
            info = tarfile.TarInfo(item) if isinstance(item, str) else item
            info.size = 0 if info.issym() or info.isdev() else len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a member that is no file."""
    info = tarfile.TarInfo("web/values.yaml")
    info.type, info.linkname = kind, target
    return info


def test_the_bytes_are_the_files_alone() -> None:
    """Neither their order nor the hour nor the machine reaches an archive: its digest is written down here."""
    files = {"Chart.yaml": CHART, "templates/a.yaml": b"a" * 1000, "values.yaml": b""}
    packed = chart_archive.pack("web", files)
    assert packed == chart_archive.pack("web", dict(reversed(files.items())))
    assert hashlib.sha256(packed).hexdigest() == "361544593be828ae1c6173a258c12aa72ed624f603b0eb47bd3ffbf21c678cbb"


def test_archives_are_read_back_and_by_others() -> None:
    """Long names, signs of other languages and empty files come out as they went in, also of Python's own reader."""
    files = {"Chart.yaml": CHART, LONG: b"long", "templates/grün.yaml": b"", f"files/{'x' * 95}": b"y" * 513}
    packed = chart_archive.pack("web", files)
    found = chart_archive.unpack(packed, "web")
    assert (found.name, found.files, found.ours) == ("web", files, True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert {member.name for member in tar} == {f"web/{path}" for path in files}
        assert {(member.mode, member.uid, member.uname) for member in tar} == {(0o644, 0, "")}


def test_another_tools_archive_is_told_apart() -> None:
    """What was not packed here may hold the same files, and is known by its times."""
    assert not chart_archive.unpack(made(), "web").ours


@pytest.mark.parametrize(
    ("archive", "seen"),
    [
        (made("/etc/passwd"), "leads out"),
        (made("web/../../etc/passwd"), "leads out"),
        (made("web/templates/./a"), "leads out"),
        (made("../web/values.yaml"), "leads out"),
        (made("web/c:/windows"), "leads out"),
        (made("web\\..\\values.yaml"), "leads out"),
        (made(special(tarfile.SYMTYPE, "/etc/passwd")), "a link or a device"),
        (made(special(tarfile.LNKTYPE, "web/Chart.yaml")), "a link or a device"),
        (made(special(tarfile.CHRTYPE)), "a link or a device"),
        (made(special(tarfile.FIFOTYPE)), "a link or a device"),
        (made("web/values.yaml", "web/values.yaml"), "is duplicated"),
        (made("other/values.yaml"), "the one folder"),
        (made("web/a", "web/a/b"), "'a' is a file and a folder"),
        (made("web/" + "é" * 128), "a path that no disk has"),
        (made("web/" + "d/" * 100 + "f"), "a path that no disk has"),
        (made("web/caf\udce8"), "not a tar archive"),
        (made("web/large", data=bytes((5 << 20) + 1)), "5242881 bytes"),
        (gzip.compress(b"no tar" * 200, mtime=0), "not a tar archive"),
        (b"no gzip", "not gzip"),
        pytest.param(made()[:-20], "ends in the middle", id="cut"),  # the bytes hold the time, and an id must not
        (b"", "not a tar archive"),
    ],
)
def test_a_hostile_archive_is_refused(archive: bytes, seen: str) -> None:
    """Nothing that leads out of the chart's folder, is no file, or is not whole is ever read as a chart."""
    with pytest.raises(Refused, match="is not a chart archive") as caught:
        chart_archive.unpack(archive, "web-1.0.0.tgz")
    assert seen in caught.value.seen


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """A small stream of zeros is given up at the bound, however much more would come; so is a chain of streams."""
    piece = gzip.compress(bytes(60 << 20), 9)
    with pytest.raises(Refused) as caught:
        chart_archive.unpack(piece * 4, "bomb")
    assert "when unpacked" in caught.value.seen


def test_a_chart_that_helm_would_not_read_is_not_packed() -> None:
    """The bounds of Helm's reader hold for what is written, too."""
    with pytest.raises(Refused, match="larger than Helm reads") as caught:
        chart_archive.pack("web", {"Chart.yaml": CHART, "files/dump": bytes((5 << 20) + 1)})
    assert "files/dump" in caught.value.seen
