"""The engine a browser test looks at: `sidewinder run` as a child, and its API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0  # only what hangs takes so long, however busy the machine is


class Engine:
    """Listens on a port of its own choice, and on the same one after restart()."""

    def __init__(self, command: Path, arguments: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        self._command = command
        self._arguments = list(arguments)
        self._environment = dict(os.environ, **(environment or {}))
        self._listen = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._command, "run", "--listen", self._listen, *self._arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self._environment,
        )
        assert self._process.stderr is not None
        self._said: list[str] = []
        is_told = threading.Event()

        def listen() -> None:
            for line in self._process.stderr or ():
                self._said.append(line)
                if "http://" in line:
                    is_told.set()
            is_told.set()

        self._reader = threading.Thread(target=listen, daemon=True)
        self._reader.start()
        assert is_told.wait(PATIENCE_S), "the engine did not say where it serves"
        found = re.search(r"http://[\d.]+:\d+", "".join(self._said))
        assert found, f"the engine did not start: {''.join(self._said)}"
        self.url = found.group()
        self._listen = self.url.removeprefix("http://")

    def stop(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(PATIENCE_S)
        return code

    def get(self, path: str, **parameters: str | int) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}{path}?{query}", timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
