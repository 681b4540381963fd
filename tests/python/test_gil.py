"""`sidewinder gil PID` on programs that know themselves when they held the GIL and waited, on every CPython there is.

No assertion depends on how fast or busy the machine is: what neither side could observe for lack of a CPU, as either says
itself, widens the tolerance.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.python.gil_compare import compare, watch
from tests.python.interpreters import PATIENCE_S, Interpreter, every_interpreter, every_minor, interpreters

HOG = """
import threading, time
def hog():
    while True:
        sum(range(3000))
def beat():
    while True:
        time.sleep(0.001)
threading.Thread(target=beat, daemon=True).start()
print("up", flush=True)
hog()
"""
IDLE = 'import time; print("up", flush=True); time.sleep(600)'
SYSTEM = interpreters()[0]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.01)


def is_watching(process: subprocess.Popen[str], pid: int) -> bool:
    """It handles SIGINT, and has a file of one of the target's threads open, so that looks are being made."""
    if process.poll() is not None:
        raise AssertionError(process.communicate()[1])
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    assert caught is not None
    names = []
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            names.append(str(entry.readlink()))
        except OSError:
            continue
    return bool(int(caught.group(1), 16) >> (signal.SIGINT - 1) & 1) and any(f"/{pid}/task/" in name for name in names)


@every_interpreter
def test_agrees_with_the_program_itself(interpreter: Interpreter, sidewinder: Path) -> None:
    if interpreter.is_free_threaded:
        pytest.skip("no GIL")
    found = compare(sidewinder, interpreter, "mixed", "1500ms")
    duration = found.report["duration_ns"]
    # Each hand-over is placed within half the distance of two looks.
    slack = 0.06 * duration + found.report["blind_ns"] + sum(row.unsure for row in found.rows)
    for row in found.rows:
        assert abs(row.seen_held - row.held) <= slack, (row, found.report["blind_ns"])
        assert row.seen_waited is None or abs(row.seen_waited - row.waited) <= slack, (row, found.report["blind_ns"])
    assert found.report["held_ns"] + found.report["free_ns"] == pytest.approx(duration, rel=1e-6)


@every_minor
def test_names_the_function_that_holds(interpreter: Interpreter, sidewinder: Path) -> None:
    if interpreter.is_free_threaded:
        pytest.skip("no GIL")
    with interpreter.running(HOG) as target:
        target.expect("up")
        for seconds in (1, 2, 4, 8, 16):
            report = watch(sidewinder, target.pid, "-d", str(seconds))
            threads = {thread["tid"]: thread for thread in report["threads"]}
            main = threads.get(target.pid)
            if report["stack_looks"] >= 20 and report["handoffs"] >= 2 and main and main["function"]:
                break
        assert main is not None
        assert main["is_main"]
        assert main["held_ns"] > max(t["held_ns"] for t in report["threads"] if t["tid"] != target.pid)
        assert report["functions"][0]["function"]["name"] == "hog"
        assert report["functions"][0]["function"]["line"] in (4, 5)
        assert main["function"]["name"] == "hog"
        assert all(hold["end_ns"] >= hold["start_ns"] for hold in report["longest_holds"])
        entries = {thread["entry"].partition(" ")[0] for thread in report["threads"]}
        assert "beat" in entries or interpreter.minor < 11


@pytest.mark.parametrize("interpreter", [one for one in interpreters() if one.is_free_threaded], ids=str)
def test_free_threaded_has_none(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(IDLE) as target:
        target.expect("up")
        done = subprocess.run([sidewinder, "gil", str(target.pid)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "free-threaded" in done.stderr
    assert "no GIL" in done.stderr
    assert done.stdout == ""


def test_forms(sidewinder: Path, tmp_path: Path) -> None:
    with SYSTEM.running(HOG) as target:
        target.expect("up")
        report = watch(sidewinder, target.pid, "-d", "300ms")
        for form in ("png", "svg", "html"):
            command = [str(sidewinder), "gil", "-d", "200ms", f"--output={tmp_path}/t.{form}", str(target.pid)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
            assert done.returncode == 0, done.stderr
            assert f"The GIL of process {target.pid}" in done.stdout
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ET.parse(tmp_path / "t.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    page = (tmp_path / "t.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    data = json.loads(found.group(1))
    assert data["kinds"] == ["held", "waited"]
    assert len(data["lanes"]) == 2
    assert not re.search(r'(src|href)="?(https?:)?//', page), "the page wants the network"
    assert report["format"] == "sidewinder-gil-1"
    for thread in report["threads"]:
        for spans, total in ((thread["held"], thread["held_ns"]), (thread["waited"], thread["waited_ns"])):
            assert sum(end - start for start, end in spans) == total
            assert spans == sorted(spans)


def test_interrupt_keeps_what_was_recorded(sidewinder: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.json"
    with SYSTEM.running(HOG) as target:
        target.expect("up")
        watch(sidewinder, target.pid, "-d", "10ms")
        command = [str(sidewinder), "gil", str(target.pid), "-d", "1h", "-o", str(output)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_for(lambda: is_watching(process, target.pid), "the first look")
                process.send_signal(signal.SIGINT)
                stdout, stderr = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
        assert process.returncode == 0, stderr
        assert "ended early: interrupted" in stdout
        assert target.process.poll() is None
    assert json.loads(output.read_text())["ending"] == "interrupted"


def test_end_of_the_process(sidewinder: Path) -> None:
    with SYSTEM.running(HOG) as target:
        target.expect("up")
        watch(sidewinder, target.pid, "-d", "10ms")
        command = [str(sidewinder), "gil", str(target.pid), "-d", "1h"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_for(lambda: is_watching(process, target.pid), "the first look")
                target.process.kill()
                target.process.wait()
                stdout, stderr = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
    assert process.returncode == 0, stderr
    assert "ended early: the process ended" in stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "which process"),
        (["x"], "'x' is no process id"),
        (["1", "2"], "one process at a time"),
        (["1", "--rate", "5"], "--rate 5: expected looks a second"),
        (["1", "-d", "0"], "--duration 0"),
        (["1", "-d", "soon"], "--duration soon"),
        (["1", "-o", "x.gif"], "must be .png, .svg, .html or .json"),
    ],
)
def test_wrong_usage(words: list[str], wanted: str, sidewinder: Path) -> None:
    done = subprocess.run([sidewinder, "gil", *words], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert wanted in done.stderr
    assert done.stdout == ""


def test_no_such_process_and_no_python(sidewinder: Path, tmp_path: Path) -> None:
    done = subprocess.run([sidewinder, "gil", str(2**31 - 1)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert str(2**31 - 1) in done.stderr
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            done = subprocess.run(
                [sidewinder, "gil", str(process.pid)], capture_output=True, text=True, timeout=PATIENCE_S
            )
        finally:
            process.kill()
    assert done.returncode == 1
    assert str(process.pid) in done.stderr
    done = subprocess.run(
        [sidewinder, "gil", "1", "-o", str(tmp_path / "none" / "t.png")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "none/t.png" in done.stderr
