"""Stands between a forge and whatever listens to it: passes webhooks on, or holds them until somebody lets them go."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_KEPT = ("content-type", "x-")
"""Beginnings of the headers that are passed on."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A webhook, byte for byte."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> str:
        """The forge's name of the event."""
        return self.headers.get("X-Gitea-Event", "")

    @property
    def content(self) -> dict[str, Any]:
        """The body, read."""
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def head(self) -> str:
        """The commit of a push, or an empty text."""
        return str(self.content.get("after") or "")


@dataclass
class HookRelay:
    """What came, and what becomes of it."""

    listens: Mapping[str, Callable[[Delivery], None]]
    """What to do with a delivery, by path."""
    address: str = ""
    is_holding: bool = False
    arrived: list[Delivery] = field(default_factory=list)
    held: list[Delivery] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    decide: Callable[[Delivery], Sequence[float]] | None = None
    """How many seconds to hold a delivery back, if that is to be decided for each; it is passed on once for each."""
    waiting: int = 0
    """Deliveries that are held back for some seconds."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, delivery: Delivery) -> None:
        """Take a delivery: pass it on at once, later, or hold it."""
        with self.lock:
            self.arrived.append(delivery)
            if self.is_holding and delivery.path == "/runs":
                self.held.append(delivery)
                return
            delays = self.decide(delivery) if self.decide and delivery.path == "/runs" else (0.0,)
            self.waiting += len(delays)
        for seconds in delays:
            if seconds:
                threading.Timer(seconds, self._pass_on, [delivery]).start()
            else:
                self._pass_on(delivery)

    def release(self, order: Callable[[Sequence[Delivery]], Sequence[Delivery]] = list) -> list[Delivery]:
        """Pass on what is held, in an order, and hold no more; return it."""
        with self.lock:
            self.is_holding = False
            held, self.held = list(order(self.held)), []
            self.waiting += len(held)
        for delivery in held:
            self._pass_on(delivery)
        return held

    def again(self, delivery: Delivery) -> None:
        """Pass a delivery on once more."""
        with self.lock:
            self.waiting += 1
        self._pass_on(delivery)

    def _pass_on(self, delivery: Delivery) -> None:
        try:
            self.listens[delivery.path](delivery)
        except (OSError, AssertionError) as error:
            self.faults.append(f"{delivery.path}: {error}")
        finally:
            with self.lock:
                self.waiting -= 1


def to(address: Callable[[], str]) -> Callable[[Delivery], None]:
    """Return what passes a delivery on to an address, with the headers that it came with."""

    def send(delivery: Delivery) -> None:
        request = urllib.request.Request(address(), data=delivery.body, headers=dict(delivery.headers), method="POST")
        with urllib.request.urlopen(request, timeout=60):
            pass

    return send


@contextlib.contextmanager
def relay(host: str, listens: Mapping[str, Callable[[Delivery], None]]) -> Iterator[HookRelay]:
    """Run a relay at an address of this machine, by path."""
    state = HookRelay(listens)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Keep the test's output clean."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower().startswith(_KEPT)}
            state.took(Delivery(path=self.path, headers=headers, body=body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer((host, 0), Handler) as server:
        state.address = f"http://{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
