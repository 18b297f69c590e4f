"""What every command prints with --json has the form that the package's schema promises.

Those that ask a cluster or write to environments are judged where they are tried: tests/unit/cli/test_on_cluster.py,
tests/real/cli/test_where.py and tests/real/deploy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipelines.cli.main import COMMANDS
from tests import json_output
from tests.shipway_process import Shipway

PAYLOAD = str(Path(__file__).parents[3] / "examples/payloads/github-push.json")
ALONE = [
    ("build", ["--examples", "--quiet"], 0),
    ("build", ["--examples", "--image", "nothing"], 2),
    ("plan", ["--examples"], None),
    ("plan", ["--examples", "--registry", "registry.example.com"], 3),
    ("images", ["--examples"], 0),
    ("images", ["--examples", "--revision", "gone"], 1),
    ("submit", ["clone-build-push", "-p", "repo=state/examples.git", "-p", "path=base", "--quiet"], 0),
    ("submit", ["clone-build-push", "-p", "repo=state/examples.git", "-p", "path=none", "--quiet"], None),
    ("deploy", ["--examples", "--quiet"], 0),
    ("embedded", ["status"], 0),
    ("simulate", [PAYLOAD, "--event", "push"], 0),
    ("where", [], 78),
    ("promote", ["web", "--from", "dev", "--to", "prod"], 78),
    ("rollback", ["web"], 78),
]
WITH_HELM = [
    ("release", ["--examples", "--quiet"], 0),
    ("release", ["--examples", "--quiet", "--ignore", "charts/site"], 0),
    ("charts", ["--examples", "--quiet"], 0),
    ("check", ["--examples", "--quiet"], 0),
    ("impact", ["--examples"], 0),
]


def judged(shipway: Shipway, command: str, words: list[str], code: int | None) -> dict[str, Any]:
    """Run a command and return its object."""
    done = shipway.run(command, *words, "--json")
    assert code is None or done.returncode == code, done.stderr
    assert done.stdout.count("\n") == 1, "one object on one line"
    return json_output.read(command, done.stdout)


@pytest.mark.parametrize(("command", "words", "code"), ALONE)
def test_the_promised_form(
    command: str, words: list[str], code: int | None, embedded: tuple[Shipway, dict[str, Any]]
) -> None:
    """Done, failed or refused."""
    value = judged(embedded[0], command, words, code)
    assert value["version"] == 1
    assert ("error" in value) == bool(code) or code is None


@pytest.mark.helm
@pytest.mark.parametrize(("command", "words", "code"), WITH_HELM)
def test_the_promised_form_of_charts(
    command: str, words: list[str], code: int, embedded: tuple[Shipway, dict[str, Any]]
) -> None:
    """Where Helm is needed."""
    judged(embedded[0], command, words, code)


def test_the_schema_has_every_command() -> None:
    """That takes --json; the schema is one itself."""
    Draft202012Validator.check_schema(json_output.SCHEMA)
    without = {"step", "compile", "logs", "stop", "completion"}
    assert {ref["$ref"].rpartition("/")[2] for ref in json_output.SCHEMA["anyOf"]} == COMMANDS.keys() - without
