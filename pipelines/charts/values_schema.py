"""The schemas of charts' values, which Helm reads before it renders: none of them may lead out of its chart.

Helm follows every `$ref` of a values.schema.json, to a file of this machine or to any host, and of each chart that is
packed inside. It has no option against that, so each reference is looked at before Helm is started.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.bounds import NotJson, read_json
from pipelines.charts import archive
from pipelines.errors import Refused, ShipwayError

NAME = "values.schema.json"
_MOST_ARCHIVES = 10
"""Archives inside each other; Helm itself sets no bound."""
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef", "$schema"})
_DRAFTS = re.compile(
    r"https?://json-schema\.org/(draft-0[467]/schema#?|draft/(2019-09|2020-12)/(schema|meta/[a-z-]+)#?|schema#?)"
)
"""The schemas of JSON Schema itself, which Helm has built in."""
_NEWEST = re.compile(r"https?://json-schema\.org/draft/(2019-09|2020-12)/schema#?")
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_PAIR = re.compile(rf"(?P<key>{_STRING})\s*:\s*(?P<value>{_STRING})|{_STRING}", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class SchemaFault:
    """Something in a chart's schema for which Helm is not started."""

    file: str
    """Its path in the chart; of one in an archive, the archive's."""
    line: int
    text: str
    todo: str

    def error(self, chart: str) -> Refused:
        """Return it as an error about a chart."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return Refused(f"{chart}: {place}: {self.text}", todo=self.todo)


def faults(folder: Path) -> list[SchemaFault]:
    """Return what is wrong with the schemas of a chart's folder and of all charts in its `charts/`."""
    paths = sorted(path for path in folder.rglob("*") if _is_read(path.relative_to(folder).as_posix()))
    return [
        fault
        for path in paths
        if path.is_file()
        for fault in _of_file(path.relative_to(folder).as_posix(), path.read_bytes(), 0)
    ]


def _is_read(path: str) -> bool:
    """Whether Helm may take a file of a chart for a schema, or for an archive of a chart with another one."""
    parts = path.split("/")
    return parts[-1] == NAME or (len(parts) > 1 and parts[-2] == "charts" and parts[-1].endswith(".tgz"))


def _of_file(path: str, data: bytes, depth: int) -> Iterator[SchemaFault]:
    if path.rpartition("/")[2] == NAME:
        yield from of_text(path, data)
        return
    if depth == _MOST_ARCHIVES:
        todo = "take archives out of archives"
        yield SchemaFault(file=path, line=0, text="it has too many archives inside each other", todo=todo)
        return
    try:
        files: Mapping[str, bytes] = archive.unpack(data, path).files
    except ShipwayError as error:
        yield SchemaFault(file=path, line=0, text=f"it cannot be unpacked ({error.seen})", todo=error.todo)
        return
    for inner in sorted(filter(_is_read, files)):
        for fault in _of_file(inner, files[inner], depth + 1):
            line = f":{fault.line}" if fault.line else ""
            yield SchemaFault(file=path, line=0, text=f"{fault.file}{line}: {fault.text}", todo=fault.todo)


def of_text(path: str, data: bytes) -> list[SchemaFault]:
    """Return what is wrong with one schema: that it is not JSON, or each reference that leaves it, with its line."""
    try:
        schema = read_json(data, "it")
    except NotJson as error:
        return [SchemaFault(file=path, line=error.line, text=f"{error.what}: {error.seen}", todo=error.todo)]
    text = data.decode()
    own = _own(schema)
    found = []
    for match in _PAIR.finditer(text):
        if match["key"] is None or (key := json.loads(match["key"])) not in _REFERENCES:
            continue
        to = str(json.loads(match["value"]))
        stays = _DRAFTS.fullmatch(to) or (key != "$schema" and (to[:1] in {"", "#"} or to.partition("#")[0] in own))
        if not stays:
            line = text.count("\n", 0, match.start("key")) + 1
            todo = (
                "name a draft of json-schema.org"
                if key == "$schema"
                else "write what it leads to into `$defs`, and refer to that as `#/$defs/…`"
            )
            found.append(
                SchemaFault(file=path, line=line, text=f"{key} leads out of the chart, to {to[:200]}", todo=todo)
            )
    return found


def _own(schema: Any) -> frozenset[str]:
    """Return the addresses that a bundled schema holds itself: `$id` of its own `$defs`, in drafts that know both."""
    if not isinstance(schema, dict) or not _NEWEST.fullmatch(str(schema.get("$schema", ""))):
        return frozenset()
    definitions = schema.get("$defs")
    inner = definitions.values() if isinstance(definitions, dict) else ()
    return frozenset(
        str(item["$id"])
        for item in inner
        if isinstance(item, dict) and "$schema" not in item and re.match(r"https?://[^#]+$", str(item.get("$id")))
    )
