"""Hostile clients: whatever they do, the dashboard answers others and the engine takes rows in."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.python.engine_process import (
    Engine,
    receive_all,
    status_of,
    wait_until,
    websocket_frame,
    websocket_raw,
)


@pytest.fixture(scope="module")
def engine(sidewinder: Path) -> Iterator[Engine]:
    """An engine with a steady stream of rows over TCP and 50 aggregates' worth of output for whoever listens."""
    aggregates = ",".join(f"a{number}=mean(v)" for number in range(8))
    words = [
        "--source",
        "tcp://127.0.0.1:0",
        "--columns",
        "k,v",
        "--key",
        "k",
        "--window",
        "50ms",
        "--keep",
        "2000",
        "--aggregate",
        aggregates,
    ]
    with Engine(sidewinder, *words, "--listen", "127.0.0.1:0", "--host", "example.com") as running:
        port = running.source_port("tcp")
        over = threading.Event()

        def feed() -> None:
            with socket.create_connection(("127.0.0.1", port)) as sender:
                for number in itertools.count():
                    if over.is_set():
                        return
                    sender.sendall("".join(f"key {key},{number % 17}\n" for key in range(200)).encode())
                    time.sleep(0.01)

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        yield running
        over.set()
        feeder.join()
        assert running.stop() == 0, running.stderr


def alive(engine: Engine) -> None:
    """The dashboard answers while the hostile are there, and rows go on being counted."""
    assert engine.get("/health") == {"status": "ok"}
    rows = engine.rows_total()
    wait_until("more rows", lambda: engine.rows_total() > rows)


def test_slow_heads(engine: Engine) -> None:
    """Slowloris: many heads, each a byte at a time. They are cut off at the deadline for heads."""
    with ExitStack() as stack:
        clients = [stack.enter_context(engine.connect()) for _ in range(100)]
        head = b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Padding: " + b"a" * 100
        begin = time.monotonic()
        for byte in itertools.chain(head, itertools.repeat(ord("a"))):
            if time.monotonic() - begin > 11:
                break
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(bytes([byte]))
            time.sleep(0.05)
            if byte == ord(":"):
                alive(engine)
        for client in clients:
            answer = receive_all(client)
            assert answer == b"" or status_of(answer) == 408
    alive(engine)


def test_slow_body(engine: Engine) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(engine.connect())
            client.sendall(b"POST /ingest/nothing HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\nx")
        alive(engine)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com\r\n" + b"X: a\r\n" * 100_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: example.com\r\n" + b"a" * (1 << 20) + b": a\r\n\r\n",
        b"A" * (1 << 20),
    ],
    ids=["target", "value", "many headers", "name", "method"],
)
def test_oversized_heads(head: bytes, engine: Engine) -> None:
    with engine.connect() as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(head)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = receive_all(client)
    assert answer == b"" or status_of(answer) in (400, 414, 431, 501), answer[:100]
    alive(engine)


def test_pipelined_garbage(engine: Engine) -> None:
    """Good requests are answered in order up to the first bad byte, which ends the connection."""
    good = b"GET /health HTTP/1.1\r\nHost: example.com\r\n\r\n"
    for seed in range(20):
        garbage = random.Random(seed).randbytes(5000).replace(b"\n", b"")
        answer = engine.exchange(good * 5 + garbage + b"\r\n\r\n" + good * 5)
        codes = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
        assert answer.count(b'{"status":"ok"}') == 5
        assert codes[:5] == [200] * 5
        assert codes[5:] in ([400], [501]), seed
    for seed in range(50):
        with engine.connect() as client, contextlib.suppress(ConnectionError):
            client.sendall(bytes((seed * 7 + position * position) % 256 for position in range(2000)))
    alive(engine)


def test_thousands_of_pipelined_requests_without_reading(engine: Engine) -> None:
    before = engine.rss_bytes()
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(engine.connect(receive_buffer=4096))
            client.setblocking(False)
            request = b"GET /api/query?last=20 HTTP/1.1\r\nHost: example.com\r\n\r\n" * 500
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(request)
        alive(engine)
        time.sleep(1)
        alive(engine)
        assert engine.rss_bytes() - before < 300 << 20


def corpus(folder: Path) -> list[tuple[str, bytes]]:
    """Newlines are layout, escapes are bytes."""
    escapes = {b"\\r": b"\r", b"\\n": b"\n", b"\\0": b"\0", b"\\t": b"\t"}
    found = []
    for path in sorted(folder.glob("*.http")):
        text = path.read_bytes().replace(b"\n", b"")
        text = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match.group(1), 16)]), text)
        found.append((path.stem, re.sub(rb"\\[rn0t]", lambda match: escapes[match.group()], text)))
    return found


SMUGGLED = [
    b"POST /health HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\nGET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: example.com\nContent-Length: +44\n\nGET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: example.com\r\nX: a\r\n Content-Length: 44\r\n\r\nGET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", SMUGGLED, ids=[str(number) for number in range(len(SMUGGLED))])
def test_smuggling(request_bytes: bytes, engine: Engine) -> None:
    answer = engine.exchange(request_bytes)
    assert status_of(answer) in (400, 501), answer[:200]
    assert b"sidewinder_rows_total" not in answer


def test_recorded_invalid_requests(engine: Engine, shared_data: Path) -> None:
    folder = shared_data / "http" / "invalid"
    if not folder.is_dir():
        pytest.skip("the recorded requests are not among the shared data sets")
    requests = corpus(folder)
    assert len(requests) > 50
    for name, data in requests:
        with engine.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = receive_all(client)
        codes = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
        assert all(code >= 400 for code in codes), (name, codes)
    alive(engine)


def subscription(charts: int) -> str:
    names = [f"a{number}" for number in range(8)]
    return json.dumps(
        {
            "type": "subscribe",
            "rate_hz": 60,
            "charts": [{"id": number, "stream": "stream", "aggregates": names, "top": 32} for number in range(charts)],
        }
    )


def test_websocket_that_never_reads(engine: Engine) -> None:
    """64 charts of 32 series each: more than is ever queued for one client."""
    wait_until("windows", lambda: len(engine.query("last=100000&limit=100000&aggregate=a0&key=key%201")) > 100)
    before = engine.rss_bytes()
    with ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(websocket_raw(engine, receive_buffer=4096))
            for _ in range(20):
                client.sendall(websocket_frame(subscription(64)))
        for _ in range(4):
            alive(engine)
            time.sleep(0.5)
        assert engine.rss_bytes() - before < 150 << 20
    wait_until("their end", lambda: engine.metrics()["sidewinder_clients"] == 0)


def test_events_that_are_never_read(engine: Engine) -> None:
    before = engine.rss_bytes()
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(engine.connect(receive_buffer=4096))
            client.sendall(b"GET /live HTTP/1.1\r\nHost: example.com\r\n\r\n")
        for _ in range(4):
            alive(engine)
            time.sleep(0.5)
        assert engine.rss_bytes() - before < 150 << 20
    wait_until("their end", lambda: engine.metrics()["sidewinder_clients"] == 0)


def test_idle_connections(engine: Engine) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2048)), hard))
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(engine.connect())
        alive(engine)


BAD_FRAMES: dict[str, Callable[[], bytes]] = {
    "not masked": lambda: b"\x81\x02{}",
    "reserved bit": lambda: b"\xf1\x80\0\0\0\0",
    "unknown opcode": lambda: b"\x83\x80\0\0\0\0",
    "huge length": lambda: b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"\0\0\0\0",
    "long ping": lambda: b"\x89\xfe\x00\x7e" + b"\0" * 130,
    "continuation of nothing": lambda: b"\x80\x80\0\0\0\0",
    "binary": lambda: b"\x82\x81\0\0\0\0x",
    "bad utf-8": lambda: b"\x81\x82\0\0\0\0\xff\xff",
    "not json": lambda: websocket_frame("{"),
    "wrong type": lambda: websocket_frame('{"type":"drop"}'),
    "wrong stream": lambda: websocket_frame(
        '{"type":"subscribe","charts":[{"id":1,"stream":"x","aggregates":["a0"]}]}'
    ),
    "wrong aggregate": lambda: websocket_frame(
        '{"type":"subscribe","charts":[{"id":1,"stream":"stream","aggregates":["x"]}]}'
    ),
    "too many charts": lambda: websocket_frame(subscription(65)),
    "deep nesting": lambda: websocket_frame('{"type":"subscribe","x":' + "[" * 20_000),
    "wrong types": lambda: websocket_frame(
        '{"type":"subscribe","charts":[{"id":"1","stream":7,"aggregates":"a0","key":[1],"top":-1}]}'
    ),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_websocket_frames(name: str, engine: Engine) -> None:
    """The connection is closed with a code; the others never notice."""
    with websocket_raw(engine) as client:
        client.sendall(BAD_FRAMES[name]())
        received = receive_until_close(client)
    assert 1002 <= received <= 1011
    alive(engine)


def receive_until_close(client: socket.socket) -> int:
    """The code of the close frame that ends what the server sends."""
    data = b""
    while True:
        part = client.recv(65536)
        assert part, "the connection ended without a close frame"
        data += part
        at = 0
        while len(data) >= at + 2:
            size, start = data[at + 1] & 0x7F, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(data[start : start + width], "big"), start + width
            if len(data) < start + size:
                break
            if data[at] & 0x0F == 8:
                return int.from_bytes(data[start : start + 2], "big")
            at = start + size
        data = data[at:]


def test_tcp_source_takes_garbage(engine: Engine) -> None:
    before = engine.metrics()
    with socket.create_connection(("127.0.0.1", engine.source_port("tcp"))) as sender:
        sender.sendall(random.Random(1).randbytes(300_000) + b"\n" + b"x" * (3 << 20) + b"\n" + b'"' * 1001)
    wait_until(
        "them to be counted",
        lambda: (
            engine.metrics()['sidewinder_rejected_rows_total{reason="length"}']
            > before['sidewinder_rejected_rows_total{reason="length"}']
        ),
    )
    alive(engine)


def test_connections_that_come_and_go(engine: Engine) -> None:
    for _ in range(300):
        engine.connect().close()
    for _ in range(50):
        with websocket_raw(engine) as client:
            client.sendall(websocket_frame(subscription(4)))
    wait_until("their end", lambda: engine.metrics()["sidewinder_clients"] == 0)
    alive(engine)
