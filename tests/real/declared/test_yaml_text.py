"""Which texts need quotes in YAML: asked of the real Helm, with many values in one file."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.charts import helm
from pipelines.declared import yaml_edit, yaml_text
from pipelines.declared.yaml_text import KubernetesLoader

KNOWN = (
    "7e10 7204e31 08 y Y n N 1e3 0o17 0O17 0b11 0B11 0x1F 0X1f -0b1 +0x1 1_000 1__0 1_ 0_x1f 0x_1 _1 .5 .5e3 1. 1.e3 "
    "+.5 ~ null Null NULL nULL yes on off Off oFF true tRUE 2024-01-01 2001-12-14t21:59:43.10-05:00 1:30 190:20:30 = "
    "100000000000000000000 -0 +0 00 007 0o8 08_1 1e+3 1E-3 12e03 + . .. 0x 0b 0b2 0o 1.2.3 1.10 v1 .1e2 .e5 0x1p3 inf "
    "nan NaN +inf 1,000 main git-0a1b2c3 26.0.0.Final 1.2.3-rc1"
).split()
WORDS = "y n yes no on off true false null inf nan e x o b".split()
TAGS = st.one_of(
    st.from_regex(r"[0-9]{1,3}[eE_.xobXOB+-]?[0-9a-f_]{0,4}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,6}", fullmatch=True),
    st.builds(lambda word, big: "".join(c.upper() if big[i % 3] else c for i, c in enumerate(word)),
              st.sampled_from(WORDS), st.tuples(st.booleans(), st.booleans(), st.booleans())),
)  # fmt: skip


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart that shows its value `v` as JSON."""
    folder = tmp_path_factory.mktemp("chart")
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: x\nversion: 1.0.0\n")
    (folder / "templates" / "x.yaml").write_text("shown: {{ .Values.v | toJson }}\n")
    return folder


def read_by_helm(chart: Path, values: bytes) -> list[Any]:
    """Return what Helm reads as the list `v` of a values file."""
    file = chart / "given.yaml"
    file.write_bytes(values)
    done = subprocess.run([helm.find(), "template", "r", chart, "-f", file], capture_output=True, check=True, text=True)
    found = re.search(r"^shown: (.*)$", done.stdout, re.MULTILINE)
    assert found
    value: list[Any] = json.loads(found[1])
    return value


def test_helm_and_the_loader_agree(chart: Path) -> None:
    """Each text that Helm reads as a number, a truth value or nothing is that here, and no other is."""
    text = "v:\n" + "".join(f"- {value}\n" for value in KNOWN)
    theirs = read_by_helm(chart, text.encode())
    ours = yaml_text.load(text, "x.yaml", KubernetesLoader)["v"]
    assert dict(zip(KNOWN, ours, strict=True)) == dict(zip(KNOWN, theirs, strict=True))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(TAGS, min_size=250, max_size=400))
@example(values=[*KNOWN, ".inf", "-.INF", ".nan"])
def test_helm_reads_the_text_that_is_written(chart: Path, values: Sequence[str]) -> None:
    """Whatever is written in place of a plain scalar is a text for Helm, and that very text."""
    old = yaml_text.read(("v:\n" + "- old\n" * len(values)).encode(), "values.yaml")
    new = yaml_edit.replaced(old, {("v", number): value for number, value in enumerate(values)})
    assert read_by_helm(chart, new.encode()) == list(values)
