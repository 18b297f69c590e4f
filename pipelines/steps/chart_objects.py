"""The objects that a chart renders: whether Kubernetes can read them, and whether its schemas allow them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipelines.model.chart import WARNING, Finding, PlannedChart
from pipelines.plan import rendered
from pipelines.plan.rendered import Document
from pipelines.steps.chart_places import Places, finding_in
from pipelines.tools.kubernetes_schemas import KubernetesSchemas

_HOOK = "helm.sh/hook"


class Objects:
    """The checks of what Helm rendered."""

    def __init__(self, places: Places, schemas: KubernetesSchemas | None) -> None:
        self._places = places
        self._schemas = schemas

    @property
    def has_schemas(self) -> bool:
        """Whether schemas of Kubernetes are at hand."""
        return self._schemas is not None

    def check(self, chart: PlannedChart, documents: Sequence[Document], unknown: list[str]) -> Iterator[Finding]:
        """Give what is wrong with the objects that were rendered; kinds without a schema are added to `unknown`."""
        seen: dict[tuple[str, str, str, str], Document] = {}
        for document in documents:
            if document.fault:
                lines = document.text.split("\n")
                at = lines[document.fault_line - 1] if 0 < document.fault_line <= len(lines) else ""
                yield self._about(chart, document, at, "yaml", f"what it renders is not YAML: {document.fault}")
                continue
            if not document.is_object:
                yield self._about(chart, document, "", "object", "it renders something without apiVersion or kind")
                continue
            for key, at in document.twice():
                text = f"{document.name}: {key!r} stands twice in one mapping; the last one counts"
                yield replace(self._about(chart, document, at, "object", text), level=WARNING)
            yield from self._against_schema(chart, document, unknown)
            key_of = rendered.identity(document.value)
            is_hook = _HOOK in str(document.value.get("metadata"))
            if key_of in seen and key_of[3] and not is_hook:
                text = f"{document.name} is rendered twice, also by {seen[key_of].source}"
                yield replace(self._about(chart, document, "", "object", text), level=WARNING)
            seen.setdefault(key_of, document)

    def _against_schema(self, chart: PlannedChart, document: Document, unknown: list[str]) -> Iterator[Finding]:
        if self._schemas is None:
            return
        violations = self._schemas.check(document.value)
        if violations is None:
            unknown.append(f"{document.value['apiVersion']} {document.value['kind']}")
        for violation in violations or ():
            where = ".".join(map(str, violation.path))
            text = f"{document.name}: {where + ': ' if where else ''}{violation.text}"
            yield self._about(chart, document, document.line(*violation.path), "kubernetes", text)

    def _about(self, chart: PlannedChart, document: Document, line: str, rule: str, text: str) -> Finding:
        place = self._places.find(chart, document.source)
        if place.within:
            return finding_in(chart, place.path, 0, rule, f"{place.within}: {text}")
        return finding_in(chart, place.path, self._places.line_of(place.path, line) if line else 0, rule, text)
