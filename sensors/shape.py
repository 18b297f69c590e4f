"""One shape of payload, and what a Sensor makes of it: the event of a run, its name, its labels and its annotations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.events import run_labels
from pipelines.events.event import Comment, Event, Manual, Nightly, PullRequest, Push, Sender
from pipelines.events.lanes import PULL_REFS
from pipelines.events.run_labels import LABEL, NOTE, PATH, SHORT, SLUGS
from sensors import target as targets

_TARGETS: Mapping[type[Event], str] = {
    PullRequest: targets.PROPOSAL,
    Comment: targets.PROPOSAL,
    Nightly: targets.NIGHTLY,
}
NAME_HASH = 16
"""Hexadecimal digits of the hash in a run's name: 64 bits, for events of one kind and slug."""
_REF_FIELDS: Mapping[type[Event], str] = {Push: "ref", PullRequest: "number", Comment: "number"}
"""The field that names the branch, tag or pull request, by which a run is found before it has started."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape of payload from one source."""

    source: Sender
    name: str
    """The kind of event; runs and dependencies are named after it."""
    event: type[Event]
    fields: Mapping[str, str]
    """An expression for every field of the event but `source`."""
    patterns: Mapping[str, str]
    """The pattern that the text at each path must match."""
    runs: str = ""
    """The beginning of its runs' names, if other than its own name: two shapes of the same event start one run."""
    why: tuple[str, ...] = ()
    """What started a run, for people: words with a %s for each of the expressions that follow."""
    commit: str = ""
    """An expression for the commit, if the event's `head` is not it."""

    def __post_init__(self) -> None:
        """Raise ValueError unless the fields are those of the event."""
        names = {field.name for field in dataclasses.fields(self.event)} - {"source"}
        if names != self.fields.keys():
            raise ValueError(f"{self.id}: the fields {sorted(names ^ self.fields.keys())} do not fit the event")

    @property
    def target(self) -> str:
        """The name of the WorkflowTemplate that it starts: no pull request starts one that can publish."""
        return _TARGETS.get(self.event, targets.NAME)

    @property
    def id(self) -> str:
        """The name of its dependency and of its trigger."""
        return f"{self.source}-{self.name}"

    @property
    def expression(self) -> str:
        """An expression in Go's templates for the event as JSON; it must be encoded before use."""
        return self._json(tuple(self.fields))

    @property
    def ref_expression(self) -> str:
        """An expression for the repository and its branch, tag or pull request as JSON; empty if the event has none."""
        field = _REF_FIELDS.get(self.event)
        return self._json(("repo_id", "repo", field)) if field else ""

    @property
    def ref(self) -> str:
        """An expression for the full name of the branch, the tag or the pull request."""
        form = run_labels.quoted(PULL_REFS[self.source].format("%d"))
        return f"(printf {form} {self.fields['number']})" if "number" in self.fields else self.fields["ref"]

    @property
    def run_name(self) -> str:
        """An expression for what follows the kind in a run's name: a slug, and a hash of the event."""
        repository, ref = map(run_labels.expression, SLUGS, (self.fields["repo"], self.ref))
        return f'printf "%s-%s-%s" {repository} {ref} ({self.expression} | sha256sum | trunc {NAME_HASH})'

    @property
    def labels(self) -> dict[str, str]:
        """Expressions for the labels that people find a run by; each gives a valid value, whatever the event says."""
        commit = self.commit or self.fields.get("head", "")
        number = f"(toString {self.fields['number']})" if "number" in self.fields else ""
        texts = {
            run_labels.REPOSITORY_LABEL: run_labels.expression(PATH, self.fields["repo"]),
            run_labels.REF_LABEL: run_labels.expression(SHORT, self.ref),
            # A request by hand may be for the head of a branch.
            run_labels.COMMIT_LABEL: "" if self.event is Manual else commit,
            run_labels.PULL_REQUEST_LABEL: number,
        }
        return {key: run_labels.expression(LABEL, text) for key, text in texts.items() if text}

    @property
    def notes(self) -> dict[str, str]:
        """Expressions for the annotations that the Argo UI shows."""
        names = ((PATH, self.fields["repo"]), (SHORT, self.ref))
        title = " ".join(run_labels.expression((*operations, *NOTE), text) for operations, text in names)
        words, *texts = self.why
        why = [run_labels.quoted(words), *(run_labels.expression(NOTE, text) for text in texts)]
        return {run_labels.TITLE: f'printf "`%s` `%s`" {title}', run_labels.DESCRIPTION: f"printf {' '.join(why)}"}

    def _json(self, names: tuple[str, ...]) -> str:
        pairs = " ".join(f'"{name}" {self.fields[name]}' for name in names)
        return f'dict "source" "{self.source}" {pairs} | toJson'
