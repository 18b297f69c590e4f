"""What holds for the files of this repository: their length and names, and the links of its documents."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted([*ROOT.glob("pipelines/**/*.py"), *ROOT.glob("sensors/*.py")])
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
MOST_LINES = 350
MOST_COLUMNS = 120


def test_no_module_is_long() -> None:
    """Whoever opens a file can read it to its end."""
    assert MODULES
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_line_is_wide() -> None:
    """Ruff lets a line pass that ends with a pragma, and reads no Makefile."""
    patterns = ["*.py", "*.sh", ":(glob)**/Makefile", ".ci/run"]
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]
    assert {ROOT / "Makefile", ROOT / ".ci/run", Path(__file__)} <= set(paths)
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > MOST_COLUMNS
    ]
    assert wide == []


@pytest.mark.parametrize("kind", ["unit", "real"])
def test_each_test_file_is_named_for_what_it_tests(kind: str) -> None:
    """In each room's folder: test_<module>.py or test_<module>_<topic>.py, so that a module leads to its tests."""
    folder = ROOT / "tests" / kind
    tests = sorted(folder.glob("*/**/test_*.py"))
    assert tests
    nameless = []
    for test in tests:
        room = test.parent.relative_to(folder)
        package = ROOT / room if room.parts[0] == "sensors" else ROOT / "pipelines" / room
        modules = [path.stem for path in package.glob("*") if path.suffix == ".py" or path.is_dir()]
        if not any(f"{test.stem}_".startswith(f"test_{module}_") for module in modules):
            nameless.append(str(test.relative_to(ROOT)))
    assert nameless == []


def test_no_class_name_is_there_twice() -> None:
    """One search finds a class, wherever it is used."""
    names = Counter(
        name for path in MODULES for name in re.findall(r"^ *class _*(\w+)", path.read_text(), re.MULTILINE)
    )
    assert {name: count for name, count in names.items() if count > 1} == {}


@cache
def anchors(page: Path) -> list[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of this repository, and to a heading where it names one."""
    broken = []
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_each_decision_is_in_the_index_once() -> None:
    """DESIGN.md is read by subject, and grows by date."""
    page = ROOT / "DESIGN.md"
    decisions = [anchor for anchor in anchors(page) if re.match(r"\d{4}-\d\d-\d\d--", anchor)]
    assert decisions == sorted(decisions, key=lambda anchor: anchor[:10])
    linked = re.findall(r"^- \d{4}-\d\d-\d\d \[.+\]\(#(.+)\)$", page.read_text(), re.MULTILINE)
    assert sorted(linked) == sorted(decisions)
