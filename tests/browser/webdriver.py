"""A browser under test: Chromium through its own chromedriver, by the W3C WebDriver protocol over HTTP.

Only what the tests need, on the standard library alone: both programs are packaged together, so that their versions
agree, and nothing is downloaded.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PATIENCE_S = 60.0  # only what hangs takes so long, however busy the machine is
MOVED = ("stale element reference", "element click intercepted", "no such element")
KEYS = {"Escape": "\ue00c", "Enter": "\ue007", "Space": " ", "Tab": "\ue004"}


class BrowserError(Exception):
    """The browser refused a command."""


def until_true(what: str, condition: Callable[[], Any]) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    end = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)


def until_passes(check: Callable[[], None]) -> None:
    """Repeats `check` while it fails, as long as the page may still be about to show what is right."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def find_programs() -> tuple[str, str] | None:
    """Paths of Chromium ($SIDEWINDER_CHROMIUM, else on PATH) and chromedriver, or None."""
    names = (os.environ.get("SIDEWINDER_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    chromium = next((path for path in map(shutil.which, filter(None, names)) if path), None)
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


def process_tree(pid: int) -> Iterator[int]:
    """The process and all its descendants, those that are there now."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += parents.get(one, [])


def while_moved(act: Callable[[], None]) -> None:
    """Does it again as long as the page replaced or covered the element at that moment."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except BrowserError as error:
            if not any(reason in str(error) for reason in MOVED) or time.monotonic() > end:
                raise
        time.sleep(0.05)


class Browser:
    """One window. Leave it with close()."""

    def __init__(self, chromium: str, driver: str, profile: Path, environment: dict[str, str] | None = None) -> None:
        self._driver = subprocess.Popen(
            [driver, "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(os.environ, **(environment or {})),
        )
        self._base = f"http://127.0.0.1:{self._port()}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        arguments += ["--disable-background-networking", f"--user-data-dir={profile}", "--window-size=1440,900"]
        options = {"binary": chromium, "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BrowserError:
            self._driver.kill()
            raise
        self._base += f"/session/{session}"

    def _port(self) -> str:
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                return found.group(1)
        raise BrowserError("chromedriver did not start")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=3 * PATIENCE_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise BrowserError(f"{path}: {value['error']}: {value['message'].splitlines()[0]}") from None

    def close(self) -> None:
        with contextlib.suppress(BrowserError, OSError):
            self._call("DELETE", "")
        self._driver.terminate()
        self._driver.wait(PATIENCE_S)

    def goto(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def url(self) -> str:
        return str(self._call("GET", "/url"))

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs JavaScript; `return` gives its value."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str, *arguments: Any) -> Any:
        """Waits until the JavaScript expression is true, and gives its value."""
        return until_true(condition, lambda: self.run(f"return {condition}", *arguments))

    def find(self, css: str) -> dict[str, str]:
        found: dict[str, str] = self._call("POST", "/element", {"using": "css selector", "value": css})
        return found

    def click(self, css: str) -> None:
        """Waits for the element, and takes it again when the page replaced or covered it meanwhile: nothing was clicked then."""
        self.wait("document.querySelector(arguments[0])", css)

        def click() -> None:
            element = self.find(css)
            self.run("arguments[0].scrollIntoView({block: 'center'})", element)
            self._call("POST", f"/element/{element[ELEMENT]}/click")

        while_moved(click)

    def press(self, *keys: str) -> None:
        """Presses keys one after another, wherever the focus is: "Space", "Escape", or a character."""
        strokes = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def drag(self, css: str, start: float, end: float) -> None:
        """Drags inside an element, from one share of its width to another; again when the page replaced it meanwhile. A
        page that replaces it between two moves sees but a part of the drag."""

        def drag() -> None:
            element = self.find(css)
            self.run("arguments[0].scrollIntoView({block: 'center'})", element)
            width = self.run("return arguments[0].getBoundingClientRect().width", element)

            def move(share: float) -> dict[str, Any]:
                return {
                    "type": "pointerMove",
                    "duration": 80,
                    "origin": element,
                    "x": int(width * (share - 0.5)),
                    "y": 0,
                }

            steps = [move(start), {"type": "pointerDown", "button": 0}, move((start + end) / 2), move(end)]
            steps.append({"type": "pointerUp", "button": 0})
            pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
            self._call("POST", "/actions", {"actions": [pointer]})

        while_moved(drag)

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def messages(self) -> list[str]:
        """Warnings and errors of the console since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def signal(self, number: signal.Signals) -> None:
        """To the browser itself, not to its driver: SIGSTOP makes it a client that reads nothing."""
        for pid in list(process_tree(self._driver.pid))[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
