"""What a chart renders, read as Kubernetes reads it and traced to its templates."""

from __future__ import annotations

from pipelines.charts import rendered

OUTPUT = """\
---
# Source: web/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  time: 22:22
  day: 2026-01-02
  sign: =
  octal: 0644
---
# Source: web/templates/b.yaml
# nothing but a comment
---
# Source: web/templates/b.yaml
kind: [
"""


def test_documents_and_their_templates() -> None:
    """Empty documents are none; one that is no YAML keeps its template and says where it breaks."""
    good, bad = rendered.documents(OUTPUT)
    assert (good.source, good.is_object, good.name) == ("web/templates/a.yaml", True, "ConfigMap a")
    assert good.value["data"] == {"time": "22:22", "day": "2026-01-02", "sign": "=", "octal": 0o644}
    assert (bad.source, bad.is_object, bool(bad.fault)) == ("web/templates/b.yaml", False, True)


def test_keys_that_stand_twice() -> None:
    """Only the last one counts for Helm, which says nothing about it."""
    [document] = rendered.documents("---\na:\n  b: 1\n  c: 2\n  b: 3\n")
    assert list(document.twice()) == [("b", "  b: 3")]


def test_lines_are_traced_where_that_is_certain() -> None:
    """A rendered line is that of the template which begins so; two that do are none."""
    template = "a: 1\nb: {{ .x }}\nc: {{ .y }}\n  d: {{ .z }}\n{{ range . }}\n  d: {{ . }}\n{{ end }}\ne: 1\ne: 1\n"
    lines = {
        text: rendered.source_line(text, template) for text in ("a: 1", "b: hello", "c:", "  d: 1", "e: 1", "f: 1")
    }
    assert lines == {"a: 1": 1, "b: hello": 2, "c:": 0, "  d: 1": 0, "e: 1": 0, "f: 1": 0}
