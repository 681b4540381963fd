"""`sidewinder gil --workers` and `python -m sidewinder.gil`: the heartbeat experiment on real interpreters."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.python.interpreters import Interpreter, every_interpreter

PHASE = ["--duration", "300ms"]
WORKLOAD = Path(__file__).resolve().parent.parent.parent / "python" / "sidewinder" / "gil_workload.py"


def run(sidewinder: Path, *options: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sidewinder, "gil", *options], capture_output=True, text=True, timeout=timeout)


def report(sidewinder: Path, *options: str) -> dict[str, Any]:
    done = run(sidewinder, *options, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_phase(phase: dict[str, Any], sla_ns: int) -> None:
    """The figures of a phase follow from its latencies."""
    latency = sorted(phase["latency_ns"])
    assert len(latency) == phase["samples"] > 0
    assert phase["min_ns"] == latency[0] >= 0
    assert phase["max_ns"] == latency[-1]
    assert phase["mean_ns"] == pytest.approx(sum(latency) / len(latency))
    assert phase["p50_ns"] == latency[(len(latency) - 1) // 2]
    assert phase["sla_breaches"] == sum(late > sla_ns for late in latency)
    assert phase["missed"] < len(latency)


def test_phases_follow_the_plan(sidewinder: Path) -> None:
    found = report(sidewinder, "--workers", "2", *PHASE, "--switch-interval", "1ms,200us", "--sla", "7ms")
    (subject,) = found["interpreters"]
    assert subject["is_complete"]
    phases = subject["phases"]
    assert [phase["name"] for phase in phases] == ["baseline", "2 workers", "interval 1 ms", "interval 200 us"]
    assert [phase["switch_interval_ns"] for phase in phases] == [5_000_000, 5_000_000, 1_000_000, 200_000]
    assert [len(phase["threads"]) for phase in phases] == [1, 3, 3, 3]
    for phase in phases:
        check_phase(phase, 7_000_000)
        assert phase["samples"] == 30  # every deadline of 300 ms counts, however late
    assert phases[0]["units_per_s"] is None
    assert phases[1]["units_per_s"] > 0
    assert phases[1]["throughput_change"] is None
    assert phases[2]["throughput_change"] == pytest.approx(phases[2]["units_per_s"] / phases[1]["units_per_s"] - 1)
    assert phases[1]["times_slower"] == pytest.approx(phases[1]["mean_ns"] / phases[0]["mean_ns"])
    assert subject["recommendation"].endswith(".")


@pytest.mark.parametrize("work", ["python", "hash", "sleep", "release"])
def test_every_kind_of_work_is_done(sidewinder: Path, work: str) -> None:
    found = report(sidewinder, "--workers", "2", *PHASE, "--work", work)
    for phase in found["interpreters"][0]["phases"][1:]:
        assert all(thread["units"] > 0 for thread in phase["threads"][1:])


@every_interpreter
def test_workload_runs_on(interpreter: Interpreter) -> None:
    """The script, as each interpreter runs it."""
    duration, period, workers = 200_000_000, 10_000_000, 1
    cells = 16 + 2 * workers + duration // period + 2
    root = interpreter.root or Path("/")
    with tempfile.NamedTemporaryFile(dir=root / "tmp") as file, interpreter.script(WORKLOAD.read_text()) as script:
        file.write(bytes(cells * 8 * 2))
        file.flush()
        inside = "/" + str(Path(file.name).relative_to(root))
        phases = [f"a:0:0:{duration}", f"b:1:1000000:{duration}"]
        words = [script, inside, str(period), str(workers), "python", *phases]
        subprocess.run(interpreter.argv(*words), check=True, timeout=120)
        data = struct.unpack(f"={2 * cells}q", Path(file.name).read_bytes())
    for block in (data[:cells], data[cells:]):
        assert block[0] == 2
        assert block[1] == duration // period
    assert data[cells + 5] == 1_000_000
    assert data[cells + 17] > 0


def test_threads_are_seen_from_outside(sidewinder: Path) -> None:
    done = run(sidewinder, "--workers", "1", "--duration", "1", "--json", "--quiet")
    if "could not be watched" in done.stderr:
        pytest.skip(done.stderr.strip())
    phase = json.loads(done.stdout)["interpreters"][0]["phases"][1]
    worker = phase["threads"][1]
    assert worker["held_ns"] > 0
    assert worker["held_ns"] <= worker["observed_ns"]


@pytest.mark.parametrize(("name", "magic"), [("t.png", b"\x89PNG\r\n"), ("t.svg", b"<?xml")])
def test_picture(sidewinder: Path, tmp_path: Path, name: str, magic: bytes) -> None:
    picture = tmp_path / name
    done = run(sidewinder, "--workers", "1", *PHASE, "-o", str(picture))
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(magic)
    assert picture.stat().st_size > 2000
    assert "Recommendation: " in done.stdout


def test_interrupt_keeps_what_was_measured(sidewinder: Path) -> None:
    process = subprocess.Popen(
        [sidewinder, "gil", "--workers", "1", "--duration", "500ms", "--switch-interval", ",".join(["1ms"] * 20)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()  # the first phase is over
    assert "baseline" in line
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "cut short" in out
    assert "\nbaseline" in out


def test_subject_dies_with_the_command(sidewinder: Path) -> None:
    process = subprocess.Popen([sidewinder, "gil", "--workers", "1", "--duration", "60"], stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while not (found := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    while Path(f"/proc/{found[0]}").exists() and state_of(found[0]) != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert time.monotonic() < deadline


def state_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/nonexistent/python", "cannot start the interpreter /nonexistent/python"),
        ("true", "nothing was measured on true"),
        ("false", "false ended with exit code 1"),
    ],
)
def test_what_is_no_python_is_named(sidewinder: Path, python: str, message: str) -> None:
    done = run(sidewinder, "--workers", "1", *PHASE, "--python", python)
    assert done.returncode == 1
    assert message in done.stderr


def test_module_runs_the_command_with_this_interpreter(sidewinder: Path) -> None:
    """With the command in PATH, where the package is not installed beside this interpreter."""
    root = Path(__file__).resolve().parent.parent.parent
    path = os.pathsep.join([str(sidewinder.parent), os.environ["PATH"]])
    script = (
        f"import sys; sys.path.insert(0, {str(root / 'python' / 'sidewinder')!r}); import gil; gil.main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--workers", "1", *PHASE, "--json", "--quiet"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["interpreters"][0]["python"] == sys.executable
