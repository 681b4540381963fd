"""`sidewinder run` as the tests of the engine drive it: whole jobs, and jobs that serve while a test talks to them."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

TIMEOUT_S = 120.0  # only what hangs takes so long, however busy the machine is

Row = dict[str, Any]


@dataclass
class Done:
    """A job that has ended."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def rows(self) -> list[Row]:
        return [json.loads(line) for line in self.stdout.splitlines()]


def clean_environment(**more: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "SIDEWINDER_TOKEN"}
    return environment | more


def run_job(
    sidewinder: Path, *words: str | Path, stdin: bytes = b"", cwd: Path | None = None, **environment: str
) -> Done:
    """Runs `sidewinder run WORDS` to its end."""
    done = subprocess.run(
        [sidewinder, "run", *words],
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
        cwd=cwd,
        env=clean_environment(**environment),
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def job_rows(sidewinder: Path, *words: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> list[Row]:
    """The rows of a job that ends well."""
    done = run_job(sidewinder, *words, "--sink", "jsonl:-", stdin=stdin, cwd=cwd)
    assert done.code == 0, done.stderr
    return done.rows


def without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {timeout_s} s in vain for: {what}"
        time.sleep(0.02)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Engine:
    """A running `sidewinder run`; use it in a with statement."""

    def __init__(self, sidewinder: Path, *words: str | Path, stdin: int | None = subprocess.DEVNULL,
                 stdout: int | None = subprocess.DEVNULL, cwd: Path | None = None, **environment: str) -> None:  # fmt: skip
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sidewinder, "run", *words],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=clean_environment(**environment),
        )
        self.reader = threading.Thread(target=self.read_stderr, daemon=True)
        self.reader.start()

    def read_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.reader.join()

    @property
    def stderr(self) -> str:
        return "\n".join(self.lines)

    def said(self, pattern: str) -> re.Match[str]:
        """Waits until stderr has a line in which `pattern` is found."""

        def find() -> re.Match[str] | None:
            found = re.search(pattern, self.stderr)
            if not found and self.process.poll() is not None:
                self.reader.join(TIMEOUT_S)
                found = re.search(pattern, self.stderr)
                assert found, f"it ended with {self.process.returncode} and never said {pattern!r}:\n{self.stderr}"
            return found

        match: re.Match[str] = wait_until(f"stderr with {pattern!r}", find)
        return match

    @property
    def port(self) -> int:
        return int(self.said(r"dashboard at http://[^/]*:(\d+)/").group(1))

    def source_port(self, kind: str) -> int:
        return int(self.said(rf"{kind} listens on \S*:(\d+)").group(1))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """The exit code, when the job has ended by itself or by a signal."""
        code = self.process.wait(timeout_s)
        self.reader.join()
        return code

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def request(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method=method, headers=names)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def get(self, path: str) -> Any:
        answer = self.request(path)
        assert answer.status == 200, (path, answer)
        return answer.json()

    def query(self, parameters: str = "") -> list[Row]:
        rows: list[Row] = self.get(f"/api/query?{parameters}")["rows"]
        return rows

    def metrics(self) -> dict[str, float]:
        """Sample name with labels, as it is written, to value."""
        text = self.request("/metrics").body.decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def rows_total(self) -> int:
        return int(self.metrics()["sidewinder_rows_total"])

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        """A raw connection to the dashboard."""
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(TIMEOUT_S)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def exchange(self, request: bytes) -> bytes:
        """What the server answers to raw bytes, up to its close."""
        with self.connect() as connection:
            connection.sendall(request)
            return receive_all(connection)

    def memory_bytes(self, name: str) -> int:
        """VmRSS, VmSize, ..."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")

    def rss_bytes(self) -> int:
        return self.memory_bytes("VmRSS")


def receive_all(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found, answer[:200]
    return int(found.group(1))


@contextmanager
def websocket_raw(engine: Engine, receive_buffer: int = 0) -> Iterator[socket.socket]:
    """A WebSocket whose opening handshake is done, as a plain socket."""
    with engine.connect(receive_buffer) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{engine.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(1)
            assert part, answer
            answer += part
        assert status_of(answer) == 101
        yield connection


def websocket_frame(text: str) -> bytes:
    """A masked text frame."""
    payload = text.encode()
    mask = os.urandom(4)
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
