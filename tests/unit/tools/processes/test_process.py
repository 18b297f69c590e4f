"""The one place where processes start."""

from __future__ import annotations

import sys

import pytest

from pipelines.errors import Refused
from pipelines.tools.processes import process

_TAKES = """\
import resource, sys
sys.stdin.read()
print(*resource.getrlimit(resource.RLIMIT_AS))
bytes(1 << 30)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else bounds another process")
def test_memory_is_bounded() -> None:
    """A command that takes more than it may gets none, and cannot
    raise the bound; without one, it gets what it asks for.
    """
    bound = 512 << 20
    done = process.run([sys.executable, "-c", _TAKES], timeout_seconds=60, stdin="go", memory_bytes=bound)
    assert done.stdout.split() == [str(bound)] * 2
    assert done.code == 1
    assert "MemoryError" in done.stderr
    assert process.run([sys.executable, "-c", _TAKES], timeout_seconds=60, stdin="go").code == 0


def test_a_command_that_ends_at_once_is_bounded_in_vain() -> None:
    """It may be gone before its bound is set."""
    for _ in range(20):
        assert process.run(["true"], timeout_seconds=60, memory_bytes=1 << 30).code == 0


@pytest.mark.parametrize("descriptor", [1, 2])
def test_output_is_bounded(descriptor: int) -> None:
    """A command that prints without end is ended, by either output, and one at the bound is read whole."""
    prints = "import os\nwhile True: os.write({}, b'x' * 65536)"
    with pytest.raises(Refused, match="prints too much"):
        process.run([sys.executable, "-c", prints.format(descriptor)], timeout_seconds=60, most_output=1000)
    words = [sys.executable, "-c", f"import os; os.write({descriptor}, b'x' * 1000)"]
    done = process.run(words, timeout_seconds=60, most_output=1000)
    assert (done.code, len(done.stdout) + len(done.stderr)) == (0, 1000)
