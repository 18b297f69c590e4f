"""No schema of a chart's values makes Helm ask anybody: each reference that leaves the chart is refused before."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.charts import archive, values_schema
from pipelines.charts.helm import Helm
from pipelines.errors import Refused
from pipelines.tools.processes import process

_CHART = b"apiVersion: v2\nname: web\nversion: 1.0.0\n"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_X = {"x": {"type": "string"}}
_OUT = [
    {"$ref": "URL"},
    {"$ref": "URL#/definitions/x"},
    {"$ref": "file:///etc/passwd"},
    {"$ref": "../x.json"},
    {"$ref": "x.json"},
    {"$ref": "//127.0.0.1/x.json"},
    {"$ref": "HTTP://127.0.0.1/x.json"},
    {"$ref": "%2e%2e/x.json"},
    {"$ref": " #/definitions/x"},
    {"$dynamicRef": "URL"},
    {"$recursiveRef": "URL", "$schema": "https://json-schema.org/draft/2019-09/schema"},
    {"$schema": "URL"},
    {"$id": "URL", "$ref": "x.json"},
    {"$id": "URL", "$ref": "URL"},
    {"properties": {"a": {"items": {"$defs": {"b": {"$ref": "URL"}}}}}},
    {"default": {"$id": "URL"}, "$ref": "URL"},
    {"$defs": {"a": {"$id": "URL"}}, "$ref": "URL", "$schema": "http://json-schema.org/draft-07/schema#"},
    {
        "$defs": {"a": {"$id": "URL", "$schema": "http://json-schema.org/draft-04/schema#"}},
        "$ref": "URL",
        "$schema": _DRAFT,
    },
    {"allOf": [{"$ref": "https://json-schema.org.example/draft-07/schema"}]},
]
_WITHIN = [
    {"$ref": "#/definitions/x", "definitions": _X},
    {"$ref": "#/$defs/x", "$defs": _X, "$schema": _DRAFT},
    {"$ref": "#", "$schema": "http://json-schema.org/draft-07/schema#"},
    {"$id": "URL", "$ref": "#/$defs/x", "$defs": _X},
    {"$defs": {"a": {"$id": "URL", "type": "object"}}, "$ref": "URL", "$schema": _DRAFT},
    {"foo": {"$id": "URL", "properties": {"x": {"$ref": "#/y"}}, "y": True}, "$ref": "#/foo/properties/x"},
    {"properties": {"$ref": {"type": "string"}}},
    {"description": "see $ref: http://example.org"},
]


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """A server's address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/s.json", asked
        server.shutdown()
        thread.join()


def _chart(folder: Path, schema: str, where: str) -> Path:
    files = {"Chart.yaml": _CHART, "values.yaml": b"a: 1\n", "templates/x.yaml": b""}
    inner = {"Chart.yaml": _CHART.replace(b"web", b"sub"), "values.schema.json": schema.encode()}
    match where:
        case "chart":
            files["values.schema.json"] = schema.encode()
        case "folder":
            files |= {f"charts/sub/{path}": data for path, data in inner.items()}
        case "archive":
            files["charts/sub-1.0.0.tgz"] = archive.pack("sub", inner)
        case _:
            middle = {"Chart.yaml": _CHART.replace(b"web", b"mid"), "charts/sub-1.0.0.tgz": archive.pack("sub", inner)}
            files["charts/mid-1.0.0.tgz"] = archive.pack("mid", middle)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.parametrize("where", ["chart", "folder", "archive", "archive in an archive"])
@pytest.mark.parametrize("schema", _OUT, ids=lambda schema: json.dumps(schema)[:60])
def test_what_leads_out_is_refused_with_its_line(
    schema: dict[str, object], where: str, requests: tuple[str, list[str]], tmp_path: Path
) -> None:
    text = json.dumps(schema, indent=1).replace("URL", requests[0])
    found = values_schema.faults(_chart(tmp_path, text, where))
    assert found
    assert all("leads out of the chart" in fault.text for fault in found)
    assert all(fault.line > 1 for fault in found if where in {"chart", "folder"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"\\u0024ref": "http://127.0.0.1/s.json"}', "$ref leads out"),
        ('{"$ref": "http://127.0.0.1/s.json", "$ref": "#"}', "$ref leads out"),
        ('{"$ref": "#", "$ref": "http:\\/\\/127.0.0.1/s.json"}', "$ref leads out"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"maximum": ' + "9" * 1_000_000 + "}", "1000000 digits"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "\\ud800"}', "not UTF-8"),
        ("{", "not JSON"),
    ],
    ids=["escaped key", "the first of two", "the last of two", "lists", "objects", "digits", "NaN", "half", "no JSON"],
)
def test_one_fault_for_a_text_that_cannot_be_trusted(text: str, told: str) -> None:
    (fault,) = values_schema.of_text("values.schema.json", text.encode())
    assert told in fault.text


@pytest.mark.helm
@pytest.mark.parametrize("schema", [*_OUT, *_WITHIN], ids=lambda schema: json.dumps(schema)[:40])
def test_helm_asks_nobody(schema: dict[str, object], requests: tuple[str, list[str]], tmp_path: Path) -> None:
    """What leads out is refused before Helm starts, and what is within asks for nothing."""
    address, asked = requests
    chart = _chart(tmp_path / "web", json.dumps(schema).replace("URL", address), "chart")
    helm = Helm(tmp_path / "home")
    if schema in _OUT:
        with pytest.raises(Refused, match="leads out of the chart"):
            helm.lint(chart)
        with pytest.raises(Refused, match="leads out of the chart"):
            helm.template(chart)
    else:
        helm.lint(chart)
        assert helm.template(chart).code in {0, 1}
    assert asked == []


def test_a_command_that_is_offline_sees_no_interface_but_its_own_loopback() -> None:
    """Where the kernel forbids namespaces, it sees what this process sees."""
    seen = process.run(["cat", "/proc/net/dev"], timeout_seconds=10, offline=True).check("cat").stdout
    names = {line.partition(":")[0].strip() for line in seen.splitlines()[2:]}
    allowed = subprocess.run(["unshare", "--user", "--net", "true"], check=False, capture_output=True).returncode == 0
    assert names == ({"lo"} if allowed else {name for _, name in socket.if_nameindex()})


@pytest.mark.helm
@pytest.mark.parametrize("schema", _WITHIN, ids=lambda schema: json.dumps(schema)[:40])
def test_the_check_alone_lets_nothing_through(
    schema: dict[str, object], requests: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in pods that may not make a namespace."""
    monkeypatch.setattr("pipelines.tools.processes.process._without_network", tuple)
    address, asked = requests
    chart = _chart(tmp_path / "web", json.dumps(schema).replace("URL", address), "chart")
    Helm(tmp_path / "home").template(chart)
    assert asked == []
