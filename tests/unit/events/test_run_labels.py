"""What people know a run by: whatever comes in, a label comes out, and Sensors make of it what Python makes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.events import event as events
from pipelines.events import run_labels
from pipelines.events.decode import LaneSettings, RunInputs, decode
from pipelines.events.event import Nightly, Sender
from pipelines.events.run_labels import LABEL, NOTE, PATH, SHORT, SLUGS, Operations, apply, expression
from pipelines.events.simulation import go_template, sensor, webhook
from sensors.payloads import MESSAGE
from tests.unit.cli.test_simulate import DOCUMENT, PAYLOADS

# What a person, a forge or an attacker writes, and where a cut falls within a character.
TEXTS = st.one_of(
    st.text(),
    st.text("aZ0-._/:@{}`\"'\\ \n\r\t\x00\x7f\u2028\u202e\ufeff\ufffdäß漢🚀", max_size=400),
    st.builds("{}{}".format, st.text("aä漢🚀", min_size=50, max_size=300), st.text()),
    st.from_regex(r"\A(https?|ssh)://[^/]{0,9}/[ -~]{0,80}(\.git)?/{0,2}\Z"),
    st.from_regex(r"\Arefs/(heads|tags|pull)/[ -~]{0,90}\Z"),
)
KUBERNETES_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
EVERY: dict[str, Operations] = {
    "path": PATH,
    "short": SHORT,
    "label": LABEL,
    "note": NOTE,
    "repository label": (*PATH, *LABEL),
    "ref label": (*SHORT, *LABEL),
    "repository slug": SLUGS[0],
    "ref slug": SLUGS[1],
    "message": MESSAGE,
}


@pytest.mark.parametrize(
    ("repo", "ref", "labels", "slug", "title"),
    [
        ("https://git.example.com/team/shop.git", "refs/heads/main", "team-shop main", "shop-main", "team/shop` `main"),
        ("git@github.com:team/shop.git", "refs/tags/v1.2.3", "team-shop v1.2.3", "shop-v1-2-3", "team/shop` `v1.2.3"),
        ("ssh://git@host:22/a/b/Shop", "refs/heads/a/B", "a-b-Shop a-B", "shop-a-b", "a/b/Shop` `a/B"),
        ("team/shop", "main", "team-shop main", "shop-main", "team/shop` `main"),
        ("https://h/x/", "refs/pull/7/head", "x pull-7-head", "x-pull-7-head", "x` `pull/7/head"),
        ("https://h/" + "long-" * 30, f"refs/heads/{'y' * 99}", f"{'long-' * 12}lon {'y' * 63}", None, None),
        ("", "refs/heads/漢字", "main", "x-x", "(none)` `漢字"),
        ("https://h/`{{=1+1}}`", "{{workflow.uid}}", "1-1 workflow.uid", "1-1-workflow-uid", "=1+1` `workflow.uid"),
    ],
)
def test_what_people_read(repo: str, ref: str, labels: str, slug: str | None, title: str | None) -> None:
    """The repository by its path, the ref by its short name."""
    made = run_labels.labels(repo, ref)
    if repo:
        assert list(made.values()) == labels.split()
    assert slug in {None, run_labels.slug(repo, ref)}
    assert title is None or run_labels.notes(repo, ref, "why") == {
        run_labels.TITLE: f"`{title}`",
        run_labels.DESCRIPTION: "why",
    }


def test_what_is_not_known_has_no_label() -> None:
    """A run by hand of a branch's head names no commit yet."""
    assert run_labels.labels("https://h/a", "main").keys() == {run_labels.REPOSITORY_LABEL, run_labels.REF_LABEL}
    assert run_labels.labels("https://h/a", "", commit="c" * 64, number=7, lane="trusted") == {
        run_labels.REPOSITORY_LABEL: "a",
        run_labels.COMMIT_LABEL: "c" * 63,
        run_labels.PULL_REQUEST_LABEL: "7",
        run_labels.LANE_LABEL: "trusted",
    }


@given(repo=TEXTS, ref=TEXTS, commit=TEXTS, number=st.integers(), lane=TEXTS)
def test_whatever_comes_in_kubernetes_takes_it(repo: str, ref: str, commit: str, number: int, lane: str) -> None:
    """Labels are valid, a name's middle is, and a note is one line without Markdown, template or control character."""
    for label in run_labels.labels(repo, ref, commit=commit, number=number, lane=lane).values():
        assert KUBERNETES_LABEL.fullmatch(label)
        assert label
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", slug := run_labels.slug(repo, ref))
    assert len(slug) <= 27
    note = apply(NOTE, repo)
    assert note
    assert not re.search(r"[`{}\x00-\x1f\x7f-\x9f\u2028-\u202e]", note)
    assert len(note.encode()) <= 200


@pytest.mark.parametrize("operations", EVERY.values(), ids=list(EVERY))
@given(text=TEXTS)
def test_simulated_sensors_make_the_same(operations: Operations, text: str) -> None:
    """The simulation is of Go's templates; tests/real asks Go itself."""
    data = {"Input": {"text": text}}
    cut = "(.Input.text | toString)"
    assert go_template.evaluate(go_template.parse(f"{{{{ {expression(operations, cut)} }}}}"), data) == apply(
        operations, text
    )


@pytest.mark.parametrize("payload", sorted(path.stem for path in PAYLOADS.glob("*.json")))
def test_a_sensors_run_has_the_labels_of_its_event(payload: str) -> None:
    """Each trigger gives its run what Python gives for the event that it carries."""
    source = Sender(payload.partition("-")[0])
    event_source, name = webhook.SOURCES[source]
    data = webhook.event(source, (PAYLOADS / f"{payload}.json").read_bytes(), "push")
    for found in sensor.run(DOCUMENT, source=event_source, event=name, data=data):
        if found.workflow is None:
            continue
        metadata = found.workflow["metadata"]
        [given] = [p["value"] for p in found.workflow["spec"]["arguments"]["parameters"] if p["name"] == "event"]
        event = events.read(given)
        number = getattr(event, "number", 0)
        if payload == "github-hostile-branch":
            ref = event.ref  # type: ignore[union-attr]
        elif payload == "webhook-manual-without-id":
            continue
        else:
            ref = decode(inputs=RunInputs(event=given), rules=LaneSettings()).ref
        commit = "" if isinstance(event, Nightly) or source is Sender.WEBHOOK else getattr(event, "head", "")
        expected = run_labels.labels(event.repo, ref, commit=commit, number=number)
        assert {key: value for key, value in metadata["labels"].items() if "shipway.io/" in key} == expected
        assert metadata["annotations"][run_labels.TITLE] == run_labels.notes(event.repo, ref, "")[run_labels.TITLE]
        kind = metadata["name"][: -len(f"-{run_labels.slug(event.repo, ref)}-") - 16]
        assert metadata["name"].startswith(f"{kind}-{run_labels.slug(event.repo, ref)}-")
        assert kind in {"push", "tag", "pull-request", "comment", "nightly", "manual"}


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ("github-push", "push at `aaaaaaaaaa`: `Mend the chart`"),
        ("gitlab-push", "push at `aaaaaaaaaa`: `Mend the shop`"),
        ("github-tag", "tag at `aaaaaaaaaa`: `Release`"),
        ("gitlab-tag", "tag at `aaaaaaaaaa`: `(none)`"),
        ("github-pull-request", "pull request at `dddddddddd`: `Change the shop`"),
        ("gitea-ready-pull-request", "pull request at `eeeeeeeeee`: `Change the shop`"),
        ("github-comment-retest", "comment `/retest`: `Change the shop`"),
        ("calendar-nightly", "starts the runs of the night"),
        ("webhook-manual", "asked for as `after the move of the registry`"),
    ],
)
def test_the_description_says_what_started_a_run(payload: str, told: str) -> None:
    """In the words of the event; the subject is the commit's or the pull request's."""
    assert described(Sender(payload.partition("-")[0]), json.loads((PAYLOADS / f"{payload}.json").read_text())) == told


HOSTILE = "`[x](javascript:1)`\u202e{{=1+1}} <b>\x1b[31m\nSecond line"
BROKEN: list[Any] = [None, "x", 7, [], {}, ["x"], {"message": None}, {"message": HOSTILE}]


@pytest.mark.parametrize("head_commit", BROKEN, ids=repr)
def test_a_subject_that_cannot_be_read_loses_no_event(head_commit: object) -> None:
    """The run starts, and its description is one line in code, or says that it is unknown."""
    body = json.loads((PAYLOADS / "github-push.json").read_text()) | {"head_commit": head_commit}
    told = described(Sender.GITHUB, body)
    assert told == "unknown" or re.fullmatch(r"push at `a{10}`: `[^`{}\x00-\x1f\u202e]+`", told)
    if head_commit == {"message": HOSTILE}:
        assert told.endswith("`[x](javascript:1) =1+1  <b> [31m`")


def described(source: Sender, body: dict[str, Any]) -> str:
    """Return the description of the one run that a payload starts."""
    event_source, name = webhook.SOURCES[source]
    data = webhook.event(source, json.dumps(body).encode(), "push")
    made = sensor.run(DOCUMENT, source=event_source, event=name, data=data)
    [workflow] = [found.workflow for found in made if found.workflow]
    return str(workflow["metadata"]["annotations"][run_labels.DESCRIPTION])
