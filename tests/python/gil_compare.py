"""Runs the program of gil_oracle.py under `sidewinder gil` and puts what both say side by side."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.python.interpreters import Interpreter

PROGRAM = Path(__file__).resolve().parent / "gil_oracle.py"
Span = tuple[int, int]


@dataclass
class Row:
    """One thread: nanoseconds in which it held the GIL and waited, as it says itself and as seen from outside.

    Where it had no CPU on its way back from C is left out on both sides: whether that was a wait nobody knows.
    """

    role: str
    held: int
    waited: int
    unsure: int
    """Time in which the thread had no CPU for a while, and cannot tell so well."""
    seen_held: int
    seen_waited: int | None
    """None: it could not be seen."""


@dataclass
class Comparison:
    report: dict[str, Any]
    rows: list[Row]

    @property
    def held_error(self) -> float:
        """All differences in held time, as a share of it."""
        return sum(abs(row.seen_held - row.held) for row in self.rows) / max(sum(row.held for row in self.rows), 1)

    @property
    def waited_error(self) -> float:
        rows = [(row.waited, row.seen_waited) for row in self.rows if row.seen_waited is not None]
        return sum(abs(seen - waited) for waited, seen in rows) / max(sum(waited for waited, _ in rows), 1)


@cache
def helper() -> str:
    """The C library that the program wants, in base64; skips the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    text = PROGRAM.read_text()
    source = text[text.index('HELPER = r"""') + len('HELPER = r"""') :].partition('"""')[0]
    with TemporaryDirectory() as folder:
        made = Path(folder) / "helper.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(made)]
        subprocess.run(command, input=source, text=True, check=True)
        return base64.b64encode(made.read_bytes()).decode()


def clipped(spans: list[Span], start: int, end: int) -> int:
    return sum(max(0, min(last, end) - max(first, start)) for first, last in spans)


def without(spans: list[Span], cuts: list[Span]) -> list[Span]:
    """The spans but for what the cuts, which are in order, cover."""
    left = []
    for first, last in spans:
        at = first
        for start, end in cuts:
            if end > at and start < last:
                left.append((at, max(at, start)))
                at = max(at, end)
        left.append((at, max(at, last)))
    return left


def watch(sidewinder: Path, pid: int, *arguments: str) -> dict[str, Any]:
    """What `sidewinder gil` says of a process; skips where reading it is not permitted."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "gil.json"
        command = [str(sidewinder), "gil", str(pid), "-o", str(output), "-q", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode == 1 and ("ptrace" in done.stderr or "permi" in done.stderr.lower()):
            pytest.skip("reading another process is not permitted here: " + done.stderr.strip())
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(output.read_text())
        return report


def compare(sidewinder: Path, interpreter: Interpreter, pattern: str, duration: str) -> Comparison:
    """Watches the pattern for that long. The program goes on until the watching is over."""
    with interpreter.running(PROGRAM.read_text(), pattern) as target:
        target.send(helper())
        pid = int(target.line())
        report = watch(sidewinder, pid, "-d", duration)
        assert target.process.stdin is not None
        target.process.stdin.close()
        logs = json.loads(target.line())
    start = report["start_mono_ns"]
    end = start + report["duration_ns"]
    seen = {thread["tid"]: thread for thread in report["threads"]}
    rows = []
    for log in logs:
        thread, cuts = seen[log["tid"]], sorted(log["starved"])

        def total(spans: list[Span], offset: int, cuts: list[Span] = cuts) -> int:
            return clipped(without([(first + offset, last + offset) for first, last in spans], cuts), start, end)

        rows.append(
            Row(
                log["role"],
                total(log["held"], 0),
                total(log["waited"], 0),
                clipped(log["unsure"] + cuts, start, end),
                total(thread["held"], start),
                total(thread["waited"], start) if thread["waited"] is not None else None,
            )
        )
    return Comparison(report, rows)
