"""The limits that docs/planning.md tells are those of the code."""

from __future__ import annotations

import inspect
from pathlib import Path

from pipelines import bounds
from pipelines.charts import archive, dependencies, helm
from pipelines.check import pass_on
from pipelines.declared import yaml_text
from pipelines.events import event
from pipelines.images import built_image, dockerfile_syntax, node, variables
from pipelines.impact import compare
from pipelines.release import plan, result
from pipelines.step import results, texts
from pipelines.tools.git import submodules, write_back
from pipelines.tools.git.remote import Git
from pipelines.tools.registry import connection, layout

PAGE = Path(__file__).parents[2] / "docs" / "planning.md"
HELM = inspect.signature(helm.Helm).parameters
UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "kB": 1000}


def test_the_page_has_the_limits_of_the_code() -> None:
    """Each row in its order; a limit that changes, changes there as well."""
    table = PAGE.read_text(encoding="utf-8").partition("<!-- limits -->\n")[2].partition("<!-- end -->")[0]
    told = [line.rstrip(" |").rpartition("| ")[2] for line in table.splitlines()[2:]]
    assert [number(text) for text in told] == [
        bounds.LARGEST,
        bounds.DEEPEST,
        yaml_text._MOST_NODES,
        bounds.LONGEST_NUMBER,
        dockerfile_syntax.MOST_LINES,
        variables._LONGEST,
        variables._LONGEST_MATCH,
        texts.BUILD_ARGUMENT.most,
        node.MOST_WAVES,
        submodules._MAX_DEPTH,
        archive.MOST_FILE_BYTES,
        archive.MOST_BYTES,
        archive._MOST_FILES,
        dependencies._LARGEST_INDEX,
        helm.MOST_OUTPUT,
        HELM["timeout_seconds"].default,
        HELM["memory_bytes"].default,
        connection.SMALL,
        built_image._MOST_BYTES,
        results.MOST_BYTES,
        plan.MOST_CHARACTERS,
        result.MOST_BYTES,
        compare.LARGEST_PAGE,
        pass_on._MOST,
        event.MOST_BYTES,
        write_back.MOST_SEARCHED,
        Git.fetch_seconds,
    ]
    assert layout.MOST_BYTES == results.MOST_BYTES


def number(text: str) -> int:
    """Return what a cell says in ones."""
    digits, _, unit = text.replace(",", "").partition(" ")
    return int(digits) * UNITS.get(unit, 1)
