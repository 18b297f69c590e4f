"""A port that counts the connections to it, in front of a server or in place of a proxy."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator


class Door(socketserver.ThreadingTCPServer):
    """Passes each connection on to HOST:PORT, or closes it without one."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        self.target = target
        self.count = 0
        super().__init__(("127.0.0.1", 0), _Passing)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Passing(socketserver.BaseRequestHandler):
    server: Door

    def handle(self) -> None:
        """Count, and pass bytes both ways until either side ends."""
        self.server.count += 1
        if not self.server.target:
            return
        host, _, port = self.server.target.rpartition(":")
        with socket.create_connection((host, int(port))) as beyond:
            back = threading.Thread(target=_pass, args=(beyond, self.request), daemon=True)
            back.start()
            _pass(self.request, beyond)
            back.join()


@contextlib.contextmanager
def counting(target: str = "") -> Iterator[Door]:
    """Count connections for the length of the block."""
    with Door(target) as door:
        thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield door
        finally:
            door.shutdown()
            thread.join()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
