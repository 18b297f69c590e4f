"""The image that pods run: every step starts in it, as a
user without privileges, and what is in it is what is pinned.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.step import signature
from tests.e2e.installation import Installation
from tests.e2e.place import kubectl

TOP = Path(__file__).parents[2]
PROGRAMS = "buildah buildctl buildkitd git git-lfs helm newuidmap rootlesskit runc setpriv ssh unshare".split()
# Runs in the image: steps' helps, programs, versions, and files that would give somebody more rights.
LOOK = f"""
import glob, importlib.metadata, json, os, re, shutil, subprocess
def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    return [done.returncode, done.stdout]
print(json.dumps({{
    "steps": {{step: run("shipway", "step", step, "--help") for step in {list(signature.STEPS)!r}}},
    "lacking": [program for program in {PROGRAMS!r} if not shutil.which(program)],
    "user": [os.getuid(), os.getgid()],
    "helm": run("helm", "version", "--short"),
    "setuid": run("find", "/", "-xdev", "-type", "f", "-perm", "/6000")[1].split(),
    "packages": {{re.sub("[-_.]+", "-", d.metadata["Name"]).lower(): d.version
                  for d in importlib.metadata.distributions(path=glob.glob("/opt/shipway/lib/*/site-packages"))}},
}}))
"""


@pytest.fixture(scope="module")
def found(installation: Installation) -> dict[str, Any]:
    """Return what a pod of the image, under the strictest rules there are, finds in it."""
    strict = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {
        "name": "main",
        "image": installation.where.image,
        "imagePullPolicy": "Always",
        "command": ["python3", "-c", LOOK],
        "securityContext": {**strict, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "image"}, "spec": spec}
    kubectl(installation.namespace, "create", "-f", "-", given=document)
    kubectl(installation.namespace, "wait", "pod/image", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=300s")
    seen: dict[str, Any] = json.loads(installation.log("image", "main").splitlines()[-1])
    return seen


def test_every_step_starts(found: dict[str, Any]) -> None:
    """Each one's help is there, and so is every program that a step drives."""
    assert {step: text for step, (code, text) in found["steps"].items() if code or f"step {step}" not in text} == {}
    assert found["lacking"] == []


def test_nobody_becomes_root(found: dict[str, Any]) -> None:
    """The user has a number that Kubernetes can check, and no program changes it."""
    assert found["user"] == [1000, 1000]
    assert found["setuid"] == []


def test_what_is_in_it_is_pinned(found: dict[str, Any]) -> None:
    """Python packages are those of requirements/run.txt to the version, and Helm that of its go.mod."""
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (TOP / "requirements" / "run.txt").read_text(), re.MULTILINE))
    own = found["packages"]
    own.pop("shipway")
    assert own == {name: version for name, version in pinned.items() if name in own}
    assert {name for name in pinned if name not in own} <= {"pip", "setuptools", "wheel"}
    helm = re.search(r"helm\.sh/helm/v4 (v\d+\.\d+)", (TOP / "setup" / "helm" / "go.mod").read_text())
    assert helm
    assert found["helm"][1].startswith(helm[1])
