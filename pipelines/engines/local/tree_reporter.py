"""Shows a run as a live tree on a terminal, and leaves the finished tree."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from pipelines.engines.local.nodes import Node, NodeKind, Phase
from pipelines.engines.local.reporter import is_told
from pipelines.errors import visible

_MARKS = {
    Phase.PENDING: ("·", "dim"),
    Phase.SUCCEEDED: ("✔", "green"),
    Phase.SKIPPED: ("○", "dim"),
    Phase.OMITTED: ("○", "dim"),
    Phase.FAILED: ("✖", "red"),
    Phase.ERROR: ("✖", "red"),
}
_TAIL_RUNNING = 3
_TAIL_FAILED = 12
_UPDATES_PER_SECOND = 8


class TreeReporter:
    """A live tree of nodes, with the last lines of those that run or have failed."""

    def __init__(self, console: Console | None = None, *, unspoken: frozenset[str] = frozenset()) -> None:
        """Draw on a console, by default that of stderr; a tree goes if it has none but nodes that are `unspoken`."""
        # Not `sys.stderr`, which may write colours as escapes.
        self.console = console or Console(file=sys.__stderr__)
        self.unspoken = unspoken
        self.lock = threading.RLock()
        self.name = ""
        self.roots: list[Node] = []
        self.tails: dict[Node, deque[str]] = {}
        self.running: set[Node] = set()
        self.spinner = Spinner("dots")
        self.live: Live | None = None

    def run_started(self, name: str, notes: list[str]) -> None:
        """See pipelines.engines.local.reporter.Reporter."""
        self.name = name
        for text in notes:
            self.console.print(Text(visible(text), style="dim"))

    def node_started(self, node: Node) -> None:
        """See pipelines.engines.local.reporter.Reporter."""
        with self.lock:
            if node.parent is None:
                self.roots.append(node)
                self._close()
                self.live = Live(
                    get_renderable=self._draw, console=self.console, refresh_per_second=_UPDATES_PER_SECOND
                )
                self.live.start()
            self.running.add(node)

    def node_finished(self, node: Node) -> None:
        """See pipelines.engines.local.reporter.Reporter."""
        with self.lock:
            self.running.discard(node)
            if not node.phase.is_bad:
                self.tails.pop(node, None)
            if node.parent is None:
                if self.live and not any(is_told(each, self.unspoken) for each in node.walk()):
                    self.live.transient = True
                # An exit handler may follow; its tree is drawn below this one.
                self._close()
                if node not in self.roots:
                    self.console.print(self._tree(node))
                self.roots.clear()

    def run_ended(self) -> None:
        """See pipelines.engines.local.reporter.Reporter."""
        with self.lock:
            self._close()

    def line(self, node: Node, text: str) -> None:
        """See pipelines.engines.local.reporter.Reporter."""
        with self.lock:
            self.tails.setdefault(node, deque(maxlen=_TAIL_FAILED)).append(visible(text))

    def note(self, text: str) -> None:
        """See pipelines.engines.local.reporter.Reporter."""
        with self.lock:
            self.console.print(Text(visible(text), style="yellow"))

    def _close(self) -> None:
        if self.live is not None:
            self.live.stop()
        self.live = None

    def _draw(self) -> RenderableType:
        with self.lock:
            return Group(*(self._tree(root) for root in self.roots))

    def _tree(self, root: Node) -> Tree:
        tree = Tree(self._title(root), guide_style="dim")
        self._add(tree, root)
        return tree

    def _add(self, tree: Tree, node: Node) -> None:
        # The node of a retry shows its only attempt.
        shown = node.children[0] if node.kind is NodeKind.RETRY and len(node.children) == 1 else node
        for child in list(shown.children):
            self._add(tree.add(self._title(child)), child)
        tail = list(self.tails.get(shown, ()))
        for text in tail[-(_TAIL_FAILED if node.phase.is_bad else _TAIL_RUNNING) :]:
            tree.add(Text(text, style="dim", overflow="ellipsis", no_wrap=True))

    def _title(self, node: Node) -> RenderableType:
        row = Table.grid(padding=(0, 1))
        took = (node.finished or time.time()) - node.started if node.started else 0.0
        tries = f"attempt {len(node.children)}" if node.kind is NodeKind.RETRY and len(node.children) > 1 else ""
        words = Text.assemble(visible(node.label), (f" {took:.1f} s" if took >= 0.05 else "", "dim"))
        if tries:
            words.append(f" {tries}", style="yellow")
        if node.phase.is_bad and node.reason and not node.never_ran:
            words.append(f" {visible(node.reason.removeprefix(f'{node.step or node.display_name}: '))}", style="red")
        elif not node.phase.is_completed and node.message:
            words.append(f" {visible(node.message)}", style="dim")
        mark, style = _MARKS[Phase.OMITTED] if node.never_ran else _MARKS.get(node.phase, ("", ""))
        row.add_row(self.spinner if node in self.running else Text(mark, style=style), words)
        return row
