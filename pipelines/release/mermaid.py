"""A plan as a Mermaid flowchart, which forges draw in their pages."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.declared.state import NOTHING, UNKNOWN, PlanRow
from pipelines.environments.image_uses import is_in
from pipelines.release.model import STUCK, Plan

_STYLES = {
    "todo": "fill:#fff3bf,stroke:#f08c00",
    "stuck": "fill:#ffc9c9,stroke:#e03131",
    "unknown": "fill:#e9ecef,stroke:#868e96",
    "outside": "fill:none,stroke-dasharray:3",
}


def flowchart(plan: Plan) -> str:
    """Return the flowchart's text: images, their bases and shared folders, charts, and the values that name images."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    ids: dict[tuple[str, str], str] = {}

    def id_of(kind: str, name: str) -> str:
        return ids.setdefault((kind, name), f"n{len(ids)}")

    yield "flowchart LR"
    for image in plan.images:
        action = "" if image.action == NOTHING else f"<br/>{image.action}"
        yield f'  {id_of("image", image.name)}("{_text(image.name)}{action}"){_style(image)}'
    for chart in plan.charts:
        action = "" if chart.action == NOTHING else f"<br/>{chart.action}"
        name = f"{_text(chart.name)} {_text(chart.version)}"
        yield f'  {id_of("chart", chart.path)}[/"{name}{action}"/]{_style(chart)}'
    for image in plan.images:
        for kind, names in (("image", image.parents), ("external", image.externals), ("shared", image.shared)):
            for name in names:
                if (kind, name) not in ids and kind != "image":
                    box = f'[("{_text(name)}")]' if kind == "external" else f'[["{_text(name)}/"]]'
                    yield f"  {id_of(kind, name)}{box}:::outside"
                yield f"  {id_of(kind, name)} --> {id_of('image', image.name)}"
    for chart in plan.charts:
        for path in chart.parents:
            yield f"  {id_of('chart', path)} --> {id_of('chart', chart.path)}"
        for name in chart.images:
            yield f"  {id_of('image', name)} -.-> {id_of('chart', chart.path)}"
    for follower in plan.followers:
        if ("file", follower.file) not in ids:
            yield f'  {id_of("file", follower.file)}>"{_text(follower.file)}"]:::outside'
            for path in (chart.path for chart in plan.charts if is_in(follower.file, chart.path)):
                yield f"  {id_of('file', follower.file)} -.-> {id_of('chart', path)}"
        yield f"  {id_of('image', follower.image)} -.-> {id_of('file', follower.file)}"
    yield from (f"  classDef {name} {style}" for name, style in _STYLES.items())


def _style(item: PlanRow) -> str:
    if item.state in STUCK:
        return ":::stuck"
    if item.state == UNKNOWN:
        return ":::unknown"
    return ":::todo" if item.action != NOTHING else ""


def _text(text: str) -> str:
    for sign, name in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, name)
    return text
