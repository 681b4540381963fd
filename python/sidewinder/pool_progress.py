"""The progress bar of a pool's map: done, rate and time left, on stderr where that is a terminal."""

from __future__ import annotations

import sys
import time

__all__ = ["Bar"]

EVERY_NS = 100_000_000
WIDTH = 30


def _rate(per_second: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if per_second >= size:
            return f"{per_second / size:.1f}{unit}/s"
    return f"{per_second:.1f}/s"


def _span(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{whole // 60}:{whole % 60:02}"


class Bar:
    """Redraws itself at most ten times a second; draws nothing where stderr is not a terminal. `total` may be unknown."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.start_ns = time.monotonic_ns()
        self.next_ns = self.start_ns + EVERY_NS
        self.stream = sys.stderr
        self.is_shown = False
        self.is_terminal = self.stream is not None and self.stream.isatty()

    def text(self, done: int, now_ns: int) -> str:
        """One line: how it stands at `now_ns`."""
        seconds = max((now_ns - self.start_ns) / 1e9, 1e-9)
        rate = done / seconds
        if self.total is None:
            return f"{done} {_rate(rate)} {_span(seconds)}"
        share = done / self.total if self.total else 1.0
        left = _span((self.total - done) / rate) if done else "-"
        bar = ("#" * int(share * WIDTH)).ljust(WIDTH, ".")
        return f"{share:4.0%} [{bar}] {done}/{self.total} {_rate(rate)} ETA {left}"

    def show(self, done: int) -> None:
        """Draws the bar if it is time to."""
        now_ns = time.monotonic_ns()
        if now_ns >= self.next_ns:
            self.next_ns = now_ns + EVERY_NS
            self._draw(self.text(done, now_ns))

    def end(self, done: int | None = None) -> None:
        """Draws the last state and ends the line."""
        if done is not None and self.is_terminal:
            self._draw(self.text(done, time.monotonic_ns()))
        if self.is_shown:
            self.stream.write("\n")
            self.stream.flush()
            self.is_shown = False

    def _draw(self, text: str) -> None:
        if self.is_terminal:
            self.stream.write(f"\r{text}\x1b[K")
            self.stream.flush()
            self.is_shown = True
