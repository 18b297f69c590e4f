"""What a pod's containers find on this machine, and what they leave."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.engines.local import documents as local_documents
from pipelines.engines.local import engine as local_engine
from pipelines.engines.local.nodes import Phase, RunResult
from pipelines.engines.local.pod_folder import expanded
from pipelines.engines.local.reporter import PlainReporter

POD = """
kind: WorkflowTemplate
metadata: {name: flow}
spec:
  entrypoint: pod
  templates:
  - name: pod
    outputs: {parameters: [{name: y, valueFrom: {path: /shipway/work/y}}]}
    volumes:
    - {name: work, emptyDir: {}}
    - {name: login, secret: {secretName: login}}
    - {name: none, secret: {secretName: none, optional: true}}
    containerSet:
      volumeMounts:
      - {name: work, mountPath: /shipway/work}
      - {name: login, mountPath: /shipway/login}
      - {name: none, mountPath: /shipway/none}
      containers:
      - {name: main, image: busybox, workingDir: /shipway/work, command: []}
"""


def run(tmp_path: Path, *command: str, keep: bool = False, **changes: Any) -> tuple[RunResult, str]:
    """Run a pod of one command and return its outcome and what was told."""
    (tmp_path / "secrets/login").mkdir(parents=True)
    (tmp_path / "secrets/login/password").write_text("s3cr$t")
    document = yaml.safe_load(POD)
    container = document["spec"]["templates"][0]["containerSet"]["containers"][0]
    container.update({"command": list(command), **changes})
    (tmp_path / "flow.yaml").write_text(json.dumps(document))
    told = io.StringIO()
    outcome = local_engine.run(
        local_documents.load([tmp_path / "flow.yaml"]),
        "flow",
        {},
        config_maps={},
        secrets=tmp_path / "secrets",
        folder=tmp_path / "run",
        jobs=1,
        reporter=PlainReporter(told),
        keep=keep,
    )
    return outcome, told.getvalue()


def test_paths_relative_to_the_working_folder_lead_to_volumes(tmp_path: Path) -> None:
    """A Secret is a folder of files beside the workspace, an optional one that is missing an empty folder."""
    outcome, _ = run(tmp_path, "sh", "-c", "cat ../login/password > y; ls -A ../none >> y")
    assert outcome.outputs == {"y": "s3cr$t"}


def test_no_copy_of_a_secret_is_made(tmp_path: Path) -> None:
    """However a run ends, even with its folder kept, the secret stands in one place alone."""
    run(tmp_path, "sh", "-c", ": > y", keep=True)
    copies = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and not path.is_symlink()]
    assert copies
    assert not [path for path in copies if "s3cr$t" in path.read_text()]
    assert (tmp_path / "secrets/login/password").read_text() == "s3cr$t"


def test_the_folder_goes_even_when_it_was_closed(tmp_path: Path) -> None:
    """Folders that a command made read-only are removed with the rest, and what links point to is not."""
    outcome, _ = run(tmp_path, "sh", "-c", "mkdir -p a/b; : > a/b/c; chmod 500 a/b a; ln -s ../login l; : > y")
    assert outcome.phase is Phase.SUCCEEDED
    assert list((tmp_path / "run/pods").iterdir()) == []
    assert (tmp_path / "secrets/login/password").exists()


def test_an_output_is_not_read_through_a_link_out_of_the_pod(tmp_path: Path) -> None:
    """A command that was tricked into linking its output elsewhere gives nothing of this machine away."""
    (tmp_path / "private").write_text("mine")
    outcome, _ = run(tmp_path, "ln", "-s", str(tmp_path / "private"), "y")
    assert outcome.phase is Phase.ERROR
    assert outcome.outputs == {}


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    """It fails its container with Argo's code and names itself."""
    outcome, _ = run(tmp_path, "no-such-program")
    assert outcome.phase is Phase.FAILED
    assert outcome.message.startswith("main: Error (exit code 64): cannot start no-such-program")


def test_the_environment_is_this_process_and_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's variables win; the running Python's programs come first."""
    monkeypatch.setenv("FROM_HERE", "here")
    monkeypatch.setenv("BOTH", "here")
    ref = {"secretKeyRef": {"name": "login", "key": "password"}}
    missing = {"secretKeyRef": {"name": "login", "key": "none", "optional": True}}
    env = [{"name": "BOTH", "value": "there"}, {"name": "P", "valueFrom": ref}, {"name": "M", "valueFrom": missing}]
    outcome, _ = run(tmp_path, "sh", "-c", 'echo "$FROM_HERE $BOTH $P ${M-unset}" > y; command -v python', env=env)
    assert outcome.outputs == {"y": "here there s3cr$t unset"}


def test_output_goes_to_a_file_and_to_whoever_listens(tmp_path: Path) -> None:
    """Both streams, in order, lines without an end and bytes that are no text included."""
    script = r"echo one; echo two >&2; printf 'thr\377ee' ; : > y"
    outcome, told = run(tmp_path, "sh", "-c", script)
    (log,) = (tmp_path / "run/logs").iterdir()
    assert log.read_bytes() == b"one\ntwo\nthr\xffee"
    assert "main | one\nmain | two\nmain | thr�ee\n" in told
    assert [node.log for node in outcome.nodes if node.log] == [log]


def test_the_run_says_what_differs_from_a_cluster(tmp_path: Path) -> None:
    """Commands run here and not in the image: nobody has to find out."""
    _, told = run(tmp_path, "sh", "-c", ": > y")
    assert "not in the image" in told


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(B)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("a$$b$$", "a$b$"),
        ("$()", "$()"),
        ("", ""),
    ],
)
def test_dollars(text: str, result: str) -> None:
    """As the kubelet does it, so that a command gets the same words here and there."""
    assert expanded(text, {"A": "1"}) == result
