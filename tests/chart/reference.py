"""docs/values.md, made of the chart's schema and defaults: `python -m tests.chart.reference` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
CHART = TOP / "charts" / "shipway"
PAGE = TOP / "docs" / "values.md"
HEAD = """# Values of the chart

Made of `charts/shipway/values.schema.json` and `values.yaml` by `python -m tests.chart.reference`; a test compares them.
Unknown values are refused, and so are those of another form.

| value | default | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    schema = json.loads(CHART.joinpath("values.schema.json").read_text())
    defaults = yaml.safe_load(CHART.joinpath("values.yaml").read_text())
    return HEAD + "".join(f"{row}\n" for row in _rows("", schema, defaults))


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
    PAGE.write_text(page())
