"""`sidewinder watch` on programs that do what it waits for.

No assertion depends on how fast the machine is: tests wait for what the recorder says, and conditions are such that they
become true sooner or later, or can never become true.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.python.interpreters import PATIENCE_S, Interpreter, Target, every_minor, interpreters

BUSY = """
import threading
def burn():
    while True:
        pass
threading.Thread(target=burn, daemon=True).start()
print("up", flush=True)
burn()
"""

LOOP = """
import asyncio, time
def stall():
    time.sleep(0.5)
async def main():
    print("up", flush=True)
    while True:
        await asyncio.sleep(2)
        stall()
asyncio.run(main())
"""

IDLE_LOOP = """
import asyncio
async def main():
    print("up", flush=True)
    await asyncio.sleep(100000)
asyncio.run(main())
"""

ON_COMMAND = """
import sys
print("up", flush=True)
kept = []
for line in sys.stdin:
    if line.strip() == "end":
        break
    kept.append(b"x" * int(line))
    print("done", flush=True)
"""

PLAIN = [one for one in interpreters() if not one.is_free_threaded and not one.root][-1]


class Watch:
    """A recorder under test."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.text = b""
        self.said = ""

    def line(self) -> str:
        """The next line on stdout; "" when it has ended."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self.text:
            ready, _, _ = select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"it said nothing for {PATIENCE_S:.0f} s"
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                return ""
            self.text += got
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()

    def saved(self) -> tuple[Path, str]:
        """Waits for the next saved file, and why it was saved."""
        line = self.line()
        if not line:
            self.end()
            if "ptrace_scope" in self.said or "CAP_SYS_PTRACE" in self.said:
                pytest.skip("reading another process is not permitted here: " + self.said.strip())
        path, _, reason = line.partition("\t")
        assert path, self.said
        return Path(path), reason

    def told(self, wanted: str) -> None:
        """Waits until this was said on stderr."""
        assert self.process.stderr is not None
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.said:
            ready, _, _ = select.select([self.process.stderr], [], [], max(deadline - time.monotonic(), 0))
            got = os.read(self.process.stderr.fileno(), 65536) if ready else b""
            assert got, self.said
            self.said += got.decode()

    def end(self, number: int | None = None) -> int:
        """Sends the signal, if any, and waits for the end; the exit code."""
        if number is not None:
            self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=PATIENCE_S)
        self.said += rest.decode()
        return self.process.returncode


@contextmanager
def watching(sidewinder: Path, folder: Path, pid: int, *words: str) -> Iterator[Watch]:
    argv = [str(sidewinder), "watch", str(pid), "-o", str(folder), *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield Watch(process)
        finally:
            process.kill()


def run(sidewinder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [str(sidewinder), "watch", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def names(profile: dict[str, Any]) -> set[str]:
    return {frame["name"].rpartition(".")[2] for frame in profile["frames"]}


def started(watch: Watch) -> None:
    watch.told("Ctrl-C ends")


@contextmanager
def target(text: str, interpreter: Interpreter = PLAIN) -> Iterator[Target]:
    with interpreter.running(text) as made:
        made.expect("up")
        yield made


@every_minor
def test_a_condition_saves_what_led_to_it(interpreter: Interpreter, sidewinder: Path, tmp_path: Path) -> None:
    with (
        target(BUSY, interpreter) as busy,
        watching(sidewinder, tmp_path, busy.pid, "--when", "cpu>1%", "--max-saves", "1") as watch,
    ):
        path, reason = watch.saved()
        assert watch.end() == 0
        assert path.parent == tmp_path
        profile = json.loads(path.read_text())
        assert reason.startswith("cpu>1%: ")
        assert profile["about"]["reason"] == reason
        assert profile["about"]["what"] == "wall"
        assert "burn" in names(profile)
        assert {track["pid"] for track in profile["tracks"]} == {busy.pid}
        assert len(profile["samples"]) == sum(total[2] for total in profile["totals"])
        assert "own CPU" in watch.said
        assert "1 saved" in watch.said
        assert not list(tmp_path.glob("*.ring")), "the ring is left behind"
        assert busy.process.poll() is None


@every_minor
def test_loop_lag(interpreter: Interpreter, sidewinder: Path, tmp_path: Path) -> None:
    """A busy machine may hold the loop up elsewhere too, so the stall is waited for."""
    with (
        target(LOOP, interpreter) as loop,
        watching(sidewinder, tmp_path, loop.pid, "--when", "loop_lag>100ms", "--cooldown", "0") as watch,
    ):
        seen: set[str] = set()
        while "stall" not in seen:
            path, reason = watch.saved()
            assert reason.startswith("loop_lag>100ms: ")
            seen = names(json.loads(path.read_text()))


def test_a_loop_that_waits_has_no_lag(sidewinder: Path, tmp_path: Path) -> None:
    """Once it has come to wait, for a second."""
    words = ("--when", "loop_lag<=0ms", "--max-saves", "1")
    with target(IDLE_LOOP) as loop, watching(sidewinder, tmp_path, loop.pid, *words) as watch:
        _, reason = watch.saved()
        assert reason == "loop_lag<=0ms: 0.0 ms"


def test_what_is_not_measured_fires_nothing(sidewinder: Path, tmp_path: Path) -> None:
    """There is no loop, so no condition on it can be true; the other one tells that both were looked at."""
    words = ("--when", "loop_lag>=0ms", "--when", "loop_lag<=0ms", "--when", "threads>0", "--max-saves", "1")
    with target(BUSY) as busy, watching(sidewinder, tmp_path, busy.pid, *words) as watch:
        _, reason = watch.saved()
        assert reason.startswith("threads>0: 2")
        assert "loop_lag" not in reason


@every_minor
def test_gil_conditions(interpreter: Interpreter, sidewinder: Path, tmp_path: Path) -> None:
    words = ("--when", "gil_held>1%", "--when", "gil_wait_p99>0.1ms", "--cooldown", "0", "--max-saves", "2")
    with target(BUSY, interpreter) as busy, watching(sidewinder, tmp_path, busy.pid, *words) as watch:
        if interpreter.is_free_threaded:
            assert watch.end() == 1
            assert "GIL" in watch.said
            return
        reasons = ""
        while "gil_held" not in reasons or "gil_wait_p99" not in reasons:
            reasons += watch.saved()[1]


def test_memory(sidewinder: Path, tmp_path: Path) -> None:
    words = ("--when", "rss>200MiB", "--max-saves", "1")
    with target(ON_COMMAND) as program, watching(sidewinder, tmp_path, program.pid, *words) as watch:
        started(watch)
        program.send(str(256 << 20))
        _, reason = watch.saved()
        assert reason.startswith("rss>200MiB: ")


def test_the_end_of_the_process(sidewinder: Path, tmp_path: Path) -> None:
    words = ("--when", "exit", "--format", "html")
    with target(ON_COMMAND) as program, watching(sidewinder, tmp_path, program.pid, *words) as watch:
        started(watch)
        watch.process.send_signal(signal.SIGUSR1)
        first, reason = watch.saved()  # so it has looked
        assert reason == "SIGUSR1"
        program.send("end")
        program.process.wait(PATIENCE_S)
        path, reason = watch.saved()
        assert reason == "exit: ended"
        assert path != first
        assert path.read_text().lstrip().lower().startswith("<!doctype html")
        assert watch.end() == 0
        assert "until the process ended" in watch.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_cleanly(sidewinder: Path, tmp_path: Path, number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # what is ignored here (nohup) is ignored by what is started too
    with target(BUSY) as busy, watching(sidewinder, tmp_path, busy.pid) as watch:
        signal.signal(number, before)
        started(watch)
        assert list(tmp_path.glob("*.ring"))
        assert watch.end(number) == 0
        assert "0 saved" in watch.said
        assert not list(tmp_path.iterdir())


def test_what_a_killed_recorder_leaves_is_recovered(sidewinder: Path, tmp_path: Path) -> None:
    with target(BUSY) as busy, watching(sidewinder, tmp_path, busy.pid, "--keep", "20s") as watch:
        started(watch)
        [ring] = tmp_path.glob("*.ring")
        assert ring.stat().st_mode & 0o777 == 0o600
        deadline = time.monotonic() + PATIENCE_S
        recovered: dict[str, Any] = {"frames": []}
        while "burn" not in names(recovered):  # a ring that is being written can be read too
            assert time.monotonic() < deadline
            done = run(sidewinder, "--recover", ring, "-o", tmp_path)
            assert done.returncode == 0, done.stderr
            recovered = json.loads(ring.with_suffix(".json").read_text())
        watch.process.kill()
        watch.process.wait(PATIENCE_S)
        done = run(sidewinder, "--recover", ring, "-o", tmp_path)
        assert done.returncode == 0, done.stderr
        profile = json.loads(ring.with_suffix(".json").read_text())
        assert "burn" in names(profile)
        assert len(profile["samples"]) >= len(recovered["samples"])
        assert profile["about"]["command"] == recovered["about"]["command"]
        assert busy.process.poll() is None


def test_recover_refuses_what_is_no_ring(sidewinder: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange.ring"
    strange.write_bytes(b"SWFLIGHT" + bytes(100000))
    done = run(sidewinder, "--recover", strange, "-o", tmp_path)
    assert done.returncode == 1
    assert "no whole ring" in done.stderr
    assert run(sidewinder, "--recover", tmp_path / "none", "-o", tmp_path).returncode == 1


def test_usage(sidewinder: Path, tmp_path: Path) -> None:
    cases = {
        (): "process id",
        ("x",): "no process id",
        ("1", "2"): "one process at a time",
        ("1", "--when", "cpu>90"): "a percentage such as 90%",
        ("1", "--when", "heat>90%"): "there is no metric 'heat'",
        ("1", "--keep", "10ms"): "at least a second",
        ("1", "--rate", "0"): "from 1 to 10000",
        ("1", "--ring", "1KiB"): "from 8MiB to 4GiB",
        ("1", "--max-saves", "0"): "from 1 on",
        ("1", "--format", "bmp"): "svg",
        ("1", "--recover", "a"): "not both",
        ("1", "-o", str(tmp_path / "file")): "no folder",
    }
    (tmp_path / "file").touch()
    for words, said in cases.items():
        done = run(sidewinder, *words)
        assert done.returncode == 2, (words, done.stderr)
        assert said in done.stderr, (words, done.stderr)


def test_failures(sidewinder: Path, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as other:
        done = run(sidewinder, str(other.pid), "-o", tmp_path)
        other.kill()
    assert done.returncode == 1
    assert not list(tmp_path.iterdir())
    done = run(sidewinder, str(other.pid), "-o", tmp_path / "none")
    assert done.returncode == 1
    assert "cannot use the folder" in done.stderr
