"""A line between a store and its server, which can be cut at any moment."""

import contextlib
import socket
import threading

HELLO = b"K\x00\x00\x00\x0c"  # BackendKeyData: the number of the server's process follows


class Line:
    """Forwards TCP to a server's socket, until it is told to lose something.

    Args:
        target: The server's socket.
        pooled: Tell another number of the server's process, as poolers do.
    """

    def __init__(self, target, *, pooled=False):
        self._target, self._pooled = str(target), pooled
        self._lock = threading.Lock()
        self._plan = self._left = None
        self._swallow = False
        self._open = []
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.blocked = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def lose(self, what, k):
        """Lose the `k`th thing that is `asked`, or what is `answered` to it, and the connection with it."""
        with self._lock:
            self._plan, self._left, self._swallow = what, k, False

    def cut(self):
        """End all connections."""
        with self._lock:
            pairs, self._open = self._open, []
        for each in (end for pair in pairs for end in pair):
            _end(each)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                if self.blocked:
                    raise ConnectionRefusedError
                server.connect(self._target)
            except OSError:
                _end(client)
                server.close()
                continue
            with self._lock:
                self._open.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink, sink is server), daemon=True).start()

    def _pump(self, source, sink, asks):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._loses(asks):
                    break
                if self._pooled and not asks and HELLO in data:
                    at = data.index(HELLO) + len(HELLO)
                    data = data[:at] + b"\x00\x00\x00\x07" + data[at + 4 :]
                sink.sendall(data)
        _end(source)
        _end(sink)

    def _loses(self, asks):
        with self._lock:
            if asks and self._plan is not None:
                self._left -= 1
                if self._left == 0:
                    lost, self._swallow, self._plan = self._plan == "asked", self._plan == "answered", None
                    self.lost += lost
                    return lost
            elif not asks and self._swallow:
                self._swallow = False
                self.lost += 1
                return True
            return False


def _end(each):
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
