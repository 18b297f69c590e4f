"""The table of docs/trust.md: what each container of the compiled pods holds, reads and writes.

`python -m tests.laws.trust` writes it; a test compares it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.laws.documents import Document, containers, templates
from tests.laws.workflows import ancestors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "trust.md"
BEGIN, END = "<!-- containers -->\n", "<!-- end -->\n"


def table() -> str:
    """Return the table in Markdown."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for path in sorted((ROOT / "charts/shipway/files").glob("*.yaml")):
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for row in _rows(document):
            rows.setdefault(row, []).append(path.stem)
    lines = [
        "| pod | container | credentials | reads | writes | in |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(row)} | {', '.join(names)} |" for row, names in sorted(rows.items())),
    ]
    return "\n".join(lines) + "\n"


def _rows(document: Document) -> Iterator[tuple[str, ...]]:
    for template in templates(document):
        secrets = {
            volume["name"]: volume["secret"]["secretName"] if "secret" in volume else template["serviceAccountName"]
            for volume in template.get("volumes", ())
            if "secret" in volume or "projected" in volume
        }
        earlier = ancestors(template)
        for container in containers(template):
            holds = [secrets[mount["name"]] for mount in container["volumeMounts"] if mount["name"] in secrets]
            reads, writes = (
                [
                    mount["name"]
                    for mount in container["volumeMounts"]
                    if mount["name"] not in secrets and bool(mount.get("readOnly")) is read_only
                    if mount["mountPath"] != "/tmp"
                ]
                for read_only in (True, False)
            )
            name = f"{len(earlier[container['name']]) + 1} `{container['name']}`, `{container['args'][1]}`"
            yield (
                f"`{template['name']}`",
                name,
                *(", ".join(f"`{one}`" for one in who) or "-" for who in (holds, reads, writes)),
            )


def page(text: str) -> str:
    """Return the page with the table of now."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
