"""What a release costs the cluster's store: `python -m tests.unit.workflows.test_release` prints it by part."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from pipelines import compile as compiling
from tests.laws.documents import containers, templates
from tests.laws.stored import Run, size

MOST_BYTES = 88_000
"""Of the run below. With all that a run may come to, and with what it started stored twice, it had 178,000."""
REPO, COMMIT, HASH = "https://git.example.com/team/shop.git", "0123456789" * 4, "ab12" * 16
PARTS = ("storedTemplates", "storedWorkflowTemplateSpec", "nodes")


def release() -> Run:
    """Return the run of a push: one image is built, one environment is written, and Argo CD settles."""
    documents = {document["metadata"]["name"]: document for document in compiling.documents()}
    for template in (one for document in documents.values() for one in templates(document)):
        for container in containers(template):  # as the chart does
            container |= {"image": "registry.example.com/shipway/shipway:1.0.0", "imagePullPolicy": "IfNotPresent"}
            label = "app.kubernetes.io/component"
            template["metadata"] = {"labels": {"app.kubernetes.io/name": "shipway", label: template["name"]}}
    job = {
        "name": "shop",
        "title": "shop",
        "path": ".",
        "dockerfile": "Dockerfile",
        "version": "1.4.0",
        "platform": "linux/amd64",
        "key": HASH,
        "pins": [f"docker.io/library/alpine:3=sha256:{HASH}"],
    }
    started = {
        "kind": "push",
        "lane": "trusted",
        "reason": "the branch main is protected",
        "number": "0",
        "max-age": "",
        "repo": REPO,
        "revision": COMMIT,
        "head": COMMIT,
        "commit": COMMIT,
        "ref": "refs/heads/main",
        "mutex": HASH[:32],
        "group": HASH[:32],
        "now": "1796080000",
        "settled": "",
        "builder-version": "v0.23.2",
        "waves": "1",
        "wave-1": json.dumps([job]),
        "later": json.dumps([[]] * 7, separators=(",", ":")),
        "untagged": "0",
        "charts": "0",
        "deploys": "2",
        "builds": '["shop"]',
        "releases": "[]",
        "needs": "[]",
    }
    outputs = {
        "start": started,
        "clone-build-push": {
            "digest": f"sha256:{HASH}",
            "reference": f"registry.example.com/team/shop@sha256:{HASH}",
            "commit": COMMIT,
            "name": "shop",
            "size": "2345678",
            "tags": f'["main","git-{COMMIT}","key-{HASH}"]',
        },
        "deploy": {"commit": COMMIT, "summary": "s" * 200, "targets": "t" * 200, "applications": "a" * 300},
        "verdict": {"commit": COMMIT, "verdict": f"1 of 1 published at {COMMIT}", "summary": "s" * 600},
        "report-end-pod": {"state": "success", "reason": f"1 of 1 published at {COMMIT}"},
    }
    event = json.dumps({"source": "github", "repo": REPO, "ref": "refs/heads/main", "head": COMMIT, "rest": "r" * 300})
    arguments = {"event": event, "repo": "", "revision": "HEAD", "ref": "", "rebuild": "[]"}
    return Run(documents, "release", outputs, arguments)


def test_a_release_is_small() -> None:
    """The cluster's store holds a run once for each of its states, and every watcher gets all of it each time."""
    workflow = release().workflow()
    assert size(workflow) < MOST_BYTES
    stored = workflow["status"]["storedTemplates"]
    rare = {"check/check", "work/chart-release", "work/retag", "work/plan", "work/later-waves"}
    assert not {f"namespaced/{name}" for name in rare} & stored.keys()
    assert {"namespaced/work/deploy", "namespaced/work/report-end-pod"} <= stored.keys()
    pods = [node for node in workflow["status"]["nodes"].values() if node["type"] == "Pod"]
    assert len(pods) == 6


def test_the_documents_say_how_large_runs_are() -> None:
    """To a tenth, which the texts of a run may take."""
    root, run = Path(__file__).parents[3], release()
    workflow = run.workflow()
    status = workflow["status"]
    image = Run(run.documents, "clone-build-push", run.outputs, {}).workflow()
    pages = [(root / name).read_text(encoding="utf-8") for name in ("docs/operating.md", "DESIGN.md")]
    form = r"one image is an object of (\d+) kB, a release one of (\d+) kB, of which (\d+) kB .* are (\d+) MB of etcd"
    said = re.search(form, pages[0])
    also = re.search(r"A release of one image was .* and is some (\d+) kB", pages[1])
    assert said
    assert also
    stored = size(status["storedTemplates"]) + size(status["storedWorkflowTemplateSpec"])
    kilobytes = [each / 1000 for each in (size(image), size(workflow), stored, size(workflow), size(workflow))]
    assert [int(number) for number in (*said.groups(), also[1])] == [pytest.approx(each, rel=0.1) for each in kilobytes]


if __name__ == "__main__":
    status = release().workflow()["status"]
    for part in PARTS:
        sys.stdout.write(f"{size(status[part]):7} {part}\n")
    for found in (status["storedTemplates"], {node["name"]: node for node in status["nodes"].values()}):
        for key, value in sorted(found.items(), key=lambda pair: -size(pair[1])):
            sys.stdout.write(f"{size(value):7} {key[:100]}\n")
