"""A TCP port in front of a socket that can be cut off for a while, as networks are."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

_CHUNK = 1 << 16


class Proxy:
    """Passes on all that comes, until it is cut.

    Args:
        path: The socket behind it.

    Attributes:
        port: Where it listens, on this host.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Swallow what comes for so long, without a word; then the connections of before are gone."""
        self._open.clear()
        time.sleep(seconds)
        for pair in list(self._pairs):
            _close(*pair)
        self._open.set()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        for pair in list(self._pairs):
            _close(*pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        pair = client, server
        self._pairs.add(pair)
        try:
            self._open.wait()
            server.connect(self._path)
            threading.Thread(target=self._pass_on, args=(server, client), daemon=True).start()
            self._pass_on(client, server)
        except OSError:  # the server is away
            pass
        finally:
            self._pairs.discard(pair)
            _close(*pair)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while found := source.recv(_CHUNK):
                self._open.wait()
                target.sendall(found)
        _close(source, target)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
