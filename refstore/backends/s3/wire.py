"""GET requests over kept-alive connections, with as little work for each as a small object deserves.

This speaks the plain core of HTTP/1.1 alone (https://www.rfc-editor.org/rfc/rfc9112): an answer of a known length. For
anything else `Broken` is raised, and the caller asks by way of the client library, which knows the rest.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass

CONNECT_SECONDS = 10
READ_SECONDS = 60
IDLE = 64
"""So many connections are kept for the next requests."""

_HEAD = 32 << 10
_FIELD = re.compile(r"\r\n([^\s:]+):[ \t]*([^\r\n]*)(?=\r\n|\Z)")
_FRESH = 1.0  # a connection that rested longer is looked at before it is used


class Broken(Exception):
    """The connection failed, or the answer is none that is understood here."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests are sent.

    Attributes:
        tls: Whether by https.
        name: The host's name or address.
        port: Its port.
    """

    tls: bool
    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Head:
    """The first part of an answer.

    Attributes:
        status: The HTTP status.
        headers: By lower-case name.
    """

    status: int
    headers: dict[str, str]


class Connection:
    """One connection. One thread uses it at a time.

    Raises:
        Broken: It can't be made.
    """

    def __init__(self, origin: Origin, context: ssl.SSLContext | None) -> None:
        try:
            made = socket.create_connection((origin.name, origin.port), CONNECT_SECONDS)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket = context.wrap_socket(made, server_hostname=origin.name) if context else made
            # to come back from each call with what is there costs a wait for the interpreter every time
            self._whole = socket.MSG_WAITALL if context is None and sys.platform == "linux" else 0
            # unlike Python's own timeout this costs no system call for each read
            self._socket.settimeout(None)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", READ_SECONDS, 0))
        except OSError as error:
            raise Broken(str(error)) from error
        self._buffer = bytearray(_HEAD)
        self._view = memoryview(self._buffer)
        self._early = memoryview(b"")
        self._kept = True
        self.left = 0
        self.rested = time.monotonic()

    def ask(self, request: bytes) -> Head:
        """Send a request, and read the answer up to its body.

        Raises:
            Broken: No answer came, or one that is not understood.
        """
        try:
            self._socket.sendall(request)
            have, end = 0, -1
            while end < 0:
                if have == _HEAD:
                    raise Broken("a head without end")
                got = self._socket.recv_into(self._view[have:])
                if not got:
                    raise Broken("closed")
                have += got
                end = self._buffer.find(b"\r\n\r\n", max(0, have - got - 3), have)
        except OSError as error:
            raise Broken(str(error)) from error
        head = parsed(self._buffer[:end].decode("latin-1"))
        self._kept = head.headers.get("connection", "").lower() != "close"
        length = head.headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in head.headers or head.status < 200:
            raise Broken("an answer of unknown length")
        self.left = int(length)
        self._early = self._view[end + 4 : have]
        if len(self._early) > self.left:
            raise Broken("more than was announced")
        return head

    def readinto(self, target: memoryview) -> int:
        """Read the next bytes of the body into a buffer, until one of the two is at its end; how many.

        Raises:
            Broken: The body ended before its end.
        """
        wanted = min(len(target), self.left)
        have = min(wanted, len(self._early))
        if have:
            target[:have] = self._early[:have]
            self._early = self._early[have:]
        try:
            while have < wanted:
                got = self._socket.recv_into(target[have:wanted], 0, self._whole)
                if not got:
                    break
                have += got
        except OSError as error:
            if not have:
                raise Broken(str(error)) from error
        self.left -= have
        if wanted and not have:
            raise Broken("closed")
        return have

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end, and another may follow it."""
        return self._kept and not self.left

    def rests(self) -> bool:
        """Whether nothing came, and nobody hung up, since the last answer."""
        if time.monotonic() - self.rested < _FRESH:
            return True
        look = select.poll()
        look.register(self._socket, select.POLLIN)
        return not look.poll(0)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._socket.close()


class Connections:
    """Connections that are at rest, the last used first. Safe to share between threads."""

    def __init__(self) -> None:
        self._idle: deque[tuple[Origin, Connection]] = deque()
        self._closed = False
        self._lock = threading.Lock()

    def take(self, origin: Origin) -> Connection | None:
        """One that rests, if there is one."""
        while True:
            with self._lock:
                if self._idle and self._idle[-1][0] is origin:
                    _, connection = self._idle.pop()
                else:
                    at = next((n for n in range(len(self._idle) - 1, -1, -1) if self._idle[n][0] == origin), None)
                    if at is None:
                        return None
                    _, connection = self._idle[at]
                    del self._idle[at]
            if connection.rests():
                return connection
            connection.close()

    def give(self, origin: Origin, connection: Connection) -> None:
        """Put one back that was used; it is closed if nothing more can come of it."""
        if not connection.reusable:
            connection.close()
            return
        connection.rested = time.monotonic()
        with self._lock:
            self._idle.append((origin, connection))
            old = self._idle.popleft()[1] if self._closed or len(self._idle) > IDLE else None
        if old is not None:
            old.close()

    def close(self) -> None:
        """Close all that rest, and those that are given back later."""
        with self._lock:
            self._closed = True
            idle, self._idle = list(self._idle), deque()
        for _, connection in idle:
            connection.close()


def parsed(text: str) -> Head:
    """The first part of an answer, without the empty line at its end.

    Raises:
        Broken: It is not understood.
    """
    if not text.startswith("HTTP/1.1 ") or not text[9:12].isdecimal():
        raise Broken("no HTTP/1.1")
    pairs = _FIELD.findall(text)
    headers: dict[str, str] = {name.lower(): value.rstrip() for name, value in pairs}
    several = len(headers) < len(pairs) and [name.lower() for name, _ in pairs].count("content-length") > 1
    if several or len(pairs) < text.count("\r\n"):
        raise Broken("a malformed head")
    return Head(int(text[9:12]), headers)
