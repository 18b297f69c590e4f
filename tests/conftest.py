"""What holds for every test: which tools it may need, where its files are, and that it leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import leftovers
from tests.left_out import VARIABLES, is_left_out

# How long an example takes says something of the machine, and nothing of the code. Each run draws other examples, so
# few are enough for each commit; SHIPWAY_EXAMPLES=1000 looks for longer.
_EXAMPLES = int(os.environ.get("SHIPWAY_EXAMPLES", "40"))
settings.register_profile(
    "shipway", max_examples=_EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shipway")
_DESELECTED = pytest.StashKey[dict[str, int]]()
_ENDING_SECONDS = 20.0
_NEW_OBJECTS = 20_000
"""After so many new ones, Python searches for garbage; by itself it does after 700."""


@pytest.fixture(scope="session", autouse=True)
def nothing_stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every temporary file in pytest's own folder, also those
    of programs that are killed; at the end, nothing runs there.
    """
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("DOCKER_CONFIG", str(folder / "docker"))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield
    all_folders = tmp_path_factory.getbasetemp()
    deadline = time.monotonic() + _ENDING_SECONDS
    while (running := leftovers.processes(all_folders)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running, "processes that no test ended"
    assert not leftovers.mounts(all_folders)


def pytest_configure() -> None:
    """Let what the tests start be interrupted: a shell has SIGINT ignored in whatever it starts in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start two processes for each processor, since real parts wait for one another; one for unit tests alone."""
    processors = len(os.sched_getaffinity(0))
    are_units = config.args and all("tests/unit" in argument for argument in config.args)
    return processors if are_units else 2 * processors


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let nobody search for garbage while modules are imported, nor ever again among what they made: it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS)
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests whose marker names a tool that is left out."""
    counts = config.stash.setdefault(_DESELECTED, {})
    for tool in filter(is_left_out, VARIABLES):
        without = [item for item in items if item.get_closest_marker(tool)]
        counts[tool] = len(without)
        items[:] = [item for item in items if not item.get_closest_marker(tool)]
        config.hook.pytest_deselected(items=without)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a process that has a share of the tests say what it deselected; each deselects from all of them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["deselected"] = session.config.stash.get(_DESELECTED, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what such a process said."""
    node.config.stash[_DESELECTED] = getattr(node, "workeroutput", {}).get("deselected", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name each tool that is left out, and how many tests went with it."""
    for tool in filter(is_left_out, VARIABLES):
        count = config.stash.get(_DESELECTED, {}).get(tool, 0)
        terminalreporter.write_line(f"{VARIABLES[tool]}=1: {tool} is left out; {count} tests deselected", yellow=True)
