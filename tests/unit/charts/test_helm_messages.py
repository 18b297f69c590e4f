"""What Helm says, taken apart: each form it has gives a file, a line and a text of one line."""

from __future__ import annotations

import pytest

from pipelines.charts import helm_messages
from pipelines.charts.helm_messages import Message

CHAIN = """\
web/templates/a.yaml:3:11
  executing "a" at <include "h" .>:
    error calling include:
web/templates/_h.tpl:2:3
  executing "h" at <.Values.a.b>:
    nil pointer"""


def _only(output: str) -> Message:
    [found] = helm_messages.lint(output)
    return found


@pytest.mark.parametrize(
    ("said", "file", "line", "text"),
    [
        (
            "parse error at (web/templates/a.yaml:4): missing value for if",
            "web/templates/a.yaml",
            4,
            "missing value for if",
        ),
        (
            (
                'web/templates/a.yaml:4:18\n  executing "web/templates/a.yaml" at <.Values.a.b>:\n'
                "    nil pointer evaluating b"
            ),
            "web/templates/a.yaml",
            4,
            'executing "web/templates/a.yaml" at <.Values.a.b>: nil pointer evaluating b',
        ),
        (
            CHAIN,
            "web/templates/_h.tpl",
            2,
            'executing "h" at <.Values.a.b>: nil pointer (called from web/templates/a.yaml:3)',
        ),
        (
            (
                'template: web/templates/a.yaml:2:6: executing "web/templates/a.yaml" at <index .Values.l 7>: error '
                "calling index"
            ),
            "web/templates/a.yaml",
            2,
            'executing "web/templates/a.yaml" at <index .Values.l 7>: error calling index',
        ),
        (
            (
                "cannot load values.yaml: cannot unmarshal yaml document: error converting YAML to JSON: yaml: line "
                "9: no key"
            ),
            "values.yaml",
            9,
            "not YAML: no key",
        ),
        ("something new\n  of two lines", "", 0, "something new of two lines"),
    ],
)
def test_both_commands_say_it_alike(said: str, file: str, line: int, text: str) -> None:
    """Lint and template wrap the same text differently, and give the same place."""
    linted = _only(f"==> Linting web\n[INFO] Chart.yaml: icon is recommended\n[ERROR] templates/: {said}\n\n")
    [failed] = helm_messages.failure(
        f'level=WARN msg="a warning"\nError: {said}\n\nUse --debug flag to render out invalid YAML\n'
    )
    assert (linted.file or "", linted.line, linted.text) == (file or "templates", line, text)
    assert (failed.file, failed.line, failed.text) == (file, line, text)


def test_a_line_of_what_was_rendered_is_no_line_of_the_template() -> None:
    """Helm numbers the lines of what a template rendered."""
    yaml = "error converting YAML to JSON: yaml: line 4: did not find expected key"
    linted = _only(f"[ERROR] templates/a.yaml: unable to parse YAML: {yaml}\n")
    [failed] = helm_messages.failure(f"Error: YAML parse error on web/templates/a.yaml: {yaml}\n")
    assert (linted.file, linted.line, linted.rendered_line) == ("templates/a.yaml", 0, 4)
    assert (failed.file, failed.line, failed.rendered_line) == ("web/templates/a.yaml", 0, 4)
    assert linted.text == failed.text


def test_each_value_that_a_schema_refuses() -> None:
    """A list of violations is as many messages, with the value each is about; a missing one is asked for."""
    body = "- at '': missing property 'tag'\n- at '/image': got object, want array\n"
    wrapped = f"values don't meet the specifications of the schema(s) in the following chart(s):\nweb:\n{body}"
    linted = helm_messages.lint(f"[ERROR] values.yaml: {body}\n[ERROR] templates/: {wrapped}\n")
    assert [(m.file, m.pointer, m.wants_values) for m in linted] == [
        ("values.yaml", "", True),
        ("values.yaml", "/image", False),
        ("web/values.yaml", "", True),
        ("web/values.yaml", "/image", False),
    ]


def test_a_chart_that_asks_for_values() -> None:
    """`required` and `fail` are the chart's own words."""
    [failed] = helm_messages.failure("Error: execution error at (web/templates/a.yaml:9:11): give: a host\n")
    assert (failed.line, failed.text, failed.wants_values) == (9, "give: a host", True)


def test_warnings_count_and_remarks_do_not() -> None:
    """Under --strict a warning fails the chart; an [INFO] in between belongs to nothing."""
    found = helm_messages.lint(
        "==> Linting x\n[WARNING] templates/: directory does not exist\n[INFO] x: y\n\n"
        "1 chart(s) linted, 0 chart(s) failed\n"
    )
    assert [(m.file, m.text) for m in found] == [("templates", "directory does not exist")]


def test_a_message_without_end_is_read_in_its_time() -> None:
    """A template writes what `fail` says, a megabyte of slashes among it."""
    (message,) = helm_messages.failure("Error: template: " + "/" * 1_000_000)
    assert message.text.startswith("template: ///")
