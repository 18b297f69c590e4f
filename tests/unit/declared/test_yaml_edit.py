"""YAML read with its places, and changed in place."""

from __future__ import annotations

import pytest

from pipelines.declared import yaml_edit, yaml_text
from pipelines.declared.yaml_text import KubernetesLoader
from pipelines.errors import Refused, ShipwayError

TEXT = """\
# the front
apiVersion: v2
name:   web        # its name
version: "1.0.0"   # quoted
appVersion: 1.10
dependencies:
  - name: base
    version: ~1.0.0 # a range
    repository: 'file://../base'
"""


def test_a_change_keeps_every_other_character() -> None:
    """Comments, quotes and blanks belong to people."""
    read = yaml_text.read(TEXT.encode(), "Chart.yaml")
    changed = yaml_edit.replaced(
        read, {("version",): "1.0.1", ("appVersion",): "1.20", ("dependencies", 0, "version"): "~1.1.0"}
    )
    assert changed == TEXT.replace('"1.0.0"', '"1.0.1"').replace("1.10", '"1.20"').replace("~1.0.0", "~1.1.0")
    assert yaml_text.read(changed.encode(), "").scalar("appVersion") == "1.20"
    assert (read.line("dependencies", 0, "version"), read.line("dependencies", 7), read.line("none")) == (8, 7, 1)
    assert yaml_edit.replaced(yaml_text.read(("\ufeff" + TEXT).encode(), ""), {("name",): "api"}).startswith(
        "\ufeff# the"
    )


@pytest.mark.parametrize(
    "text", ["a: &x 1\nversion: *x\n", "version: &x 1\na: {b: *x}\n", "version: |\n  1.0.0\n", "name: web\n"]
)
def test_what_cannot_be_changed_in_place_is_not_changed(text: str) -> None:
    """A change of an alias would change something else, too."""
    with pytest.raises(ShipwayError, match="cannot be changed in place"):
        yaml_edit.replaced(yaml_text.read(text.encode(), "Chart.yaml"), {("version",): "2.0.0"})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"a: [\n", "Chart.yaml:2: not YAML"),
        (b"- a\n", "is not a mapping"),
        (b"", "is not a mapping"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: !!python/object/apply:os.system [id]\n", "not YAML"),
        (b"a: 2020-99-99\n", "not YAML"),
    ],
)
def test_what_is_no_yaml_is_reported(data: bytes, error: str) -> None:
    """The line where there is one; nothing in a document is ever run."""
    with pytest.raises(ShipwayError, match=error):
        yaml_text.read(data, "Chart.yaml")


def test_aliases_of_aliases_are_refused() -> None:
    """A document of 1 KB that would have a billion values is given up before anything walks through it."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(Refused, match="too many values"):
        yaml_text.read("\n".join(lines).encode(), "Chart.yaml")
    with pytest.raises(Refused, match="too large"):
        yaml_text.read(bytes(2 << 20), "Chart.yaml")


def test_kubernetes_reads_scalars_its_own_way() -> None:
    """Times, numbers to the base of sixty and a lone sign are text there; a number may have an exponent alone."""
    text = "[2026-01-02, 22:22, =, 1e3, 0644, off, ~]"
    assert yaml_text.load(text, "x.yaml", KubernetesLoader) == ["2026-01-02", "22:22", "=", 1000.0, 0o644, False, None]
