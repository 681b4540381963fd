"""engine_browser - The dashboard in headless Chromium: when does a frame show a value? Driven over Chromium's own protocol.

In each animation frame the page's `window.__sidewinder.state()` is looked at; what is new is kept with the time at which
that frame was done. Clock: Date.now(), so all times are whole milliseconds of the system clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine_live import WebSocket, http_get

START_S = 30.0
NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]
# Keeps [time, key, window start, value] of every value that the last frame did not show.
WATCH = """
(() => {
  const seen = new Map();
  const fresh = [];
  window.__shown = [];
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    const now = Date.now();
    for (const one of fresh) window.__shown.push([now, ...one]);
    fresh.length = 0;
  };
  const note = (key, start, value) => {
    const id = key + "|" + start;
    if (value === null || seen.get(id) === value) return;
    seen.set(id, value);
    fresh.push([key, start, value]);
  };
  const frame = () => {
    const charts = window.__sidewinder.state().charts.STREAM?.AGGREGATE ?? {};
    for (const [key, last] of Object.entries(charts)) {
      if (last.closed) note(key, last.closed[0], last.closed[1]);
      note(key, last.window_start_ms, last.value);
    }
    if (fresh.length > 0) channel.port2.postMessage(0);
    requestAnimationFrame(frame);
  };
  frame();
  return true;
})()
"""


def browser_find() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One page of the browser; evaluates JavaScript in it."""

    def __init__(self, port: int) -> None:
        target = next(one for one in http_get(port, "/json/list") if one["type"] == "page")
        self.socket = WebSocket(port, "/" + target["webSocketDebuggerUrl"].split("/", 3)[3])
        self.count = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        self.socket.send({"id": self.count, "method": method, "params": parameters})
        while True:
            message = json.loads(self.socket.receive()[1])
            if message.get("id") == self.count:
                if "error" in message:
                    raise SystemExit(f"Chromium refused {method}: {message['error']}")
                return dict(message["result"])

    def evaluate(self, script: str) -> Any:
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"the page failed: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, script: str) -> None:
        end = time.monotonic() + START_S
        while not self.evaluate(script):
            if time.monotonic() > end:
                raise SystemExit(f"the page did not get there within {START_S:.0f} s: {script}")
            time.sleep(0.1)


def port_await(folder: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((folder / "DevToolsActivePort").read_text().split()[0])
        time.sleep(0.05)
    raise SystemExit("Chromium did not start")


@contextlib.contextmanager
def browser_open(path: str) -> Iterator[Page]:
    """A headless browser with a profile of its own, ended with all its processes."""
    with tempfile.TemporaryDirectory(prefix="sidewinder-bench-", ignore_cleanup_errors=True) as name:
        words = [path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        words += [f"--user-data-dir={name}", "--remote-debugging-port=0", "--window-size=1280,900", "about:blank"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            yield Page(port_await(Path(name), process))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def dashboard_watch(page: Page, http_port: int, stream: str, aggregate: str) -> None:
    """Opens the dashboard and begins to note what its frames show."""
    page.call("Page.navigate", url=f"http://127.0.0.1:{http_port}/")
    page.until("typeof window.__sidewinder === 'object' && window.__sidewinder.state().connected")
    chart = f"window.__sidewinder.state().charts.{stream}?.{aggregate}"
    page.until(f"Object.keys({chart} ?? {{}}).length > 0")
    page.evaluate(WATCH.replace("STREAM", stream).replace("AGGREGATE", aggregate))


def shown_take(page: Page) -> list[tuple[float, str, float, float]]:
    """What was noted: epoch ms, key, window start in ms, value."""
    return [(one[0], one[1], one[2], one[3]) for one in page.evaluate("window.__shown")]
