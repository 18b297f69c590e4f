"""Compiling: the committed files are what the code says, and a wrong name fails here."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import pipelines.compile as compiling
from pipelines.engines.local import expressions
from pipelines.engines.local.expressions import Dialect
from pipelines.workflows.pod import TRANSIENT, Size, StepContainer, inputs, outputs

FILES = Path(__file__).parents[2] / "charts/shipway/files"
# What Argo says of a pod whose containers clone, build and main fail (tests/conformance/workflows/retry-*).
MESSAGES = (
    'build: Error (exit code 64): dependency "clone" exited with non-zero code: {}',
    "build: Error (exit code {})",
    "main: Error (exit code {})",
)
compiled = cache(compiling.compile_all)
"""What is compiled now, once for all tests: the same code gives the same, as tests/real/test_compile.py proves."""
SMALL = Size(cpu="1", memory="1Mi", most_cpu="1", most_memory="1Mi")


def test_committed_files_are_compiled_from_this_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody edits the compiled files, and nobody forgets to compile."""
    monkeypatch.setattr(compiling, "compile_all", compiled)
    assert compiling.check(FILES) == []


@pytest.mark.parametrize("message", MESSAGES)
def test_what_is_transient_is_retried_wherever_it_happens(message: str) -> None:
    """Exit codes 75 and 143 of any container are tried again, and no other code."""
    wanted = expressions.parse(TRANSIENT, Dialect.RETRY)
    for code, again in ((75, True), (143, True), (1, False), (175, False), (78, False), (137, False)):
        said = {"lastRetry.status": "Failed", "lastRetry.message": message.format(code)}
        assert expressions.evaluate(wanted, said) is again, said


def test_what_a_node_ends_for_its_own_sake_is_retried() -> None:
    """Memory or disk that the node lacks, its shutdown, a critical pod; but not a pod that took more than it may."""
    wanted = expressions.parse(TRANSIENT, Dialect.RETRY)
    said = {
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 92Mi. ": True,
        "Pod was terminated in response to imminent node shutdown.": True,
        "Preempted in order to admit critical pod": True,
        'Container build exceeded its local ephemeral storage limit "200Mi". ': False,
        'Usage of EmptyDir volume "workspace" exceeds the limit "50Gi". ': False,
        "build: OOMKilled (exit code 137)": False,
    }
    for message, again in said.items():
        seen = {"lastRetry.status": "Failed", "lastRetry.message": message}
        assert expressions.evaluate(wanted, seen) is again, message


def test_drift_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edited, a missing and a foreign file are each a difference; writing mends all three."""
    monkeypatch.setattr(compiling, "compile_all", compiled)
    compiling.write(tmp_path)
    [first, *_] = sorted(tmp_path.glob("*.yaml"))
    first.write_text(first.read_text().replace("activeDeadlineSeconds", "activeDeadline"))
    (tmp_path / "foreign.yaml").write_text("a: 1\n")
    drifts = compiling.check(tmp_path)
    assert any("-  activeDeadline:" in drift for drift in drifts)
    assert any("foreign.yaml" in drift for drift in drifts)
    assert sorted(path.name for path in compiling.write(tmp_path)) == sorted(["foreign.yaml", first.name])
    assert compiling.check(tmp_path) == []


def test_a_name_that_no_signature_has_fails() -> None:
    """An input, a missing argument, a setting and an output that the step does not have each fail at compile time."""
    container = StepContainer(step="clone", name="main", size=SMALL, inputs=("repos",))
    with pytest.raises(ValueError, match="no argument 'repos'"):
        container.arguments()
    with pytest.raises(ValueError, match="needs repo"):
        StepContainer(step="clone", name="main", size=SMALL).arguments()
    with pytest.raises(ValueError, match="registry is a setting"):
        StepContainer(step="clone", name="main", size=SMALL, inputs=("repo", "registry")).arguments()
    with pytest.raises(ValueError, match="no output digests"):
        outputs(StepContainer(step="push", name="main", size=SMALL), ["digests"])


def test_inputs_follow_the_signature() -> None:
    """An argument without a default is an input without one; the others carry the function's own."""
    found = {
        p.name: p.default
        for p in inputs([StepContainer(step="clone", name="main", size=SMALL, inputs=("lfs", "repo", "revision"))])
    }
    assert found == {"repo": None, "lfs": "false", "revision": "HEAD"}
