"""Pages about the charts' values, made of schemas and defaults: `python -m tests.chart.reference` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
HEAD = """# Values of the chart{name}

Made of `charts/{chart}/values.schema.json` and `values.yaml` by `python -m tests.chart.reference`; \
a test compares them.
Unknown values are refused, and so are those of another form.

| value | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True)
class Reference:
    """A chart and the page about its values."""

    chart: Path
    page: Path
    name: str = ""


SHIPWAY = Reference(TOP / "charts" / "shipway", TOP / "docs" / "values.md")
ENVIRONMENTS = Reference(TOP / "charts" / "environments", TOP / "docs" / "environments-values.md", " environments")


def page(reference: Reference) -> str:
    """Return the page."""
    schema = json.loads(reference.chart.joinpath("values.schema.json").read_text())
    defaults = yaml.safe_load(reference.chart.joinpath("values.yaml").read_text())
    head = HEAD.format(name=reference.name, chart=reference.chart.name)
    return head + "".join(f"{row}\n" for row in _rows("", schema, defaults))


def _rows(path: str, schema: dict[str, Any], default: Any) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        whole = f"{path}{name}"
        value = default.get(name) if isinstance(default, dict) else None
        if "properties" in inner:
            yield f"| `{whole}` | | {inner['description']} |"
            yield from _rows(f"{whole}.", inner, value)
        else:
            yield f"| `{whole}` | {_written(value)} | {_meaning(inner)} |"
            yield from _rows(f"{whole}[].", inner.get("items", {}), None)


def _written(value: Any) -> str:
    return "" if value in (None, "", [], {}) else f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def _meaning(schema: dict[str, Any]) -> str:
    options = ", ".join(f"`{option}`" for option in schema.get("enum", ()))
    return f"{schema['description']}{f'; one of {options}' if options else ''}".replace("|", "\\|")


if __name__ == "__main__":
    for one in (SHIPWAY, ENVIRONMENTS):
        one.page.write_text(page(one))
