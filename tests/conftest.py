"""What holds for every test: which tools it may need, and what the summary says of those that were left out."""

from __future__ import annotations

import pytest

from tests.left_out import VARIABLES, is_left_out

_DESELECTED = pytest.StashKey[dict[str, int]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests whose marker names a tool that is left out."""
    counts = config.stash.setdefault(_DESELECTED, {})
    for tool in filter(is_left_out, VARIABLES):
        without = [item for item in items if item.get_closest_marker(tool)]
        counts[tool] = len(without)
        items[:] = [item for item in items if not item.get_closest_marker(tool)]
        config.hook.pytest_deselected(items=without)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name each tool that is left out, and how many tests went with it."""
    for tool in filter(is_left_out, VARIABLES):
        count = config.stash.get(_DESELECTED, {}).get(tool, 0)
        terminalreporter.write_line(f"{VARIABLES[tool]}=1: {tool} is left out; {count} tests deselected", yellow=True)
