"""engine_live - A small WebSocket client over a plain socket: for /live of a running engine, and for Chromium's own protocol.

It offers no compression and timestamps a message when its last byte has been read. Time is CLOCK_MONOTONIC, which all
processes of a machine share.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def http_get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return json.load(answer)


class WebSocket:
    """A client's connection. Messages are read whole."""

    def __init__(self, port: int, path: str, timeout_s: float = 30.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = bytearray()
        key = base64.b64encode(os.urandom(16))
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        request += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n"
        self.socket.sendall(request.encode())
        while b"\r\n\r\n" not in self.held:
            self._read()
        head, _, rest = bytes(self.held).partition(b"\r\n\r\n")
        self.held = bytearray(rest)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        if b" 101 " not in head.split(b"\r\n", 1)[0] or accept not in head:
            raise SystemExit(f"no WebSocket at port {port} {path}: {head.decode(errors='replace')}")

    def _read(self) -> None:
        got = self.socket.recv(1 << 20)
        if not got:
            raise ConnectionError("the peer closed the WebSocket")
        self.held += got

    def _take(self, count: int) -> bytes:
        while len(self.held) < count:
            self._read()
        taken = bytes(self.held[:count])
        del self.held[:count]
        return taken

    def _frame(self) -> tuple[int, bool, bytes]:
        first, second = self._take(2)
        size = second & 127
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        return first & 15, bool(first & 128), self._take(size)

    def _write(self, opcode: int, body: bytes) -> None:
        size = len(body)
        if size < 126:
            head = struct.pack(">BB", 128 | opcode, 128 | size)
        elif size < 65536:
            head = struct.pack(">BBH", 128 | opcode, 128 | 126, size)
        else:
            head = struct.pack(">BBQ", 128 | opcode, 128 | 127, size)
        self.socket.sendall(head + bytes(4) + body)  # a mask of zeros

    def send(self, message: Any) -> None:
        self._write(TEXT, json.dumps(message).encode())

    def receive(self) -> tuple[int, bytes, int]:
        """The next message: its opcode, its bytes, and when it was there."""
        opcode, body = 0, b""
        while True:
            kind, is_last, part = self._frame()
            if kind == PING:
                self._write(PONG, part)
            elif kind == CLOSE:
                raise ConnectionError(f"the peer closed the WebSocket: {part[2:].decode(errors='replace')}")
            elif kind != PONG:
                opcode, body = opcode or kind, body + part
                if is_last:
                    return opcode, body, time.monotonic_ns()

    def close(self) -> None:
        self.socket.close()


@dataclass
class Series:
    """A binary message of /live; values[series][aggregate][point], NaN where absent."""

    chart: int
    is_reset: bool
    times_ms: tuple[float, ...]
    values: list[list[tuple[float, ...]]]


def series_read(body: bytes) -> Series:
    kind, flags, chart, series, aggregates, points = struct.unpack_from("<BBHIII", body)
    if kind != 1:
        raise ValueError(f"a binary message of kind {kind}")
    at = 16
    times = struct.unpack_from(f"<{points}d", body, at)
    values = []
    for _ in range(series):
        of_series = []
        for _ in range(aggregates):
            at += 8 * points
            of_series.append(struct.unpack_from(f"<{points}d", body, at))
        values.append(of_series)
    expected = 16 + 8 * points * (1 + series * aggregates) + 4 * points * series
    if len(body) != expected:
        raise ValueError(f"a series frame of {len(body)} bytes, expected {expected}")
    return Series(chart, bool(flags & 1), times, values)
