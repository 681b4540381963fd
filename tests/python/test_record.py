"""`sidewinder record` on programs whose stacks are known, on every CPython there is.

No assertion depends on how fast or busy the machine is. What must turn up in a profile is recorded again, for longer each
time, until it does; what must not turn up is asserted of every recording.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.python.interpreters import PATIENCE_S, Interpreter, every_interpreter, interpreters

FRAME = re.compile(r"(?P<name>.*?)(?: \((?P<file>[^()]*?)(?::(?P<line>\d+))?\))?")

KNOWN = """\
import sys
def leaf(n):
    total = 0
    for i in range(n):
        total += i
    return total
def short():
    return leaf(200)
def recursive(n):
    if n:
        return recursive(n - 1)
    return leaf(300)
def generated():
    for i in range(3):
        yield leaf(100)
def main():
    print("up", flush=True)
    while True:
        short()
        recursive(5)
        for x in generated():
            pass
main()
"""
"""Lines that may be executed in each function, and who may call it."""
KNOWN_LINES = {
    "<module>": {*range(1, 24)},
    "leaf": {2, 3, 4, 5, 6},
    "short": {7, 8},
    "recursive": {9, 10, 11, 12},
    "generated": {13, 14, 15},
    "main": {16, 17, 18, 19, 20, 21, 22},
}
KNOWN_CALLERS = {
    "main": {("<module>", 23)},
    "short": {("main", 19)},
    "recursive": {("main", 20), ("recursive", 11)},
    "generated": {("main", 21)},
    "leaf": {("short", 8), ("recursive", 12), ("generated", 15)},
}

THREADS = """\
import sys, threading, time
lock = threading.Lock()
lock.acquire()
is_parking = threading.Event()
def parked():
    is_parking.set()
    lock.acquire()
def spin():
    while True:
        for i in range(1000):
            pass
threading.Thread(target=parked, daemon=True).start()
is_parking.wait()
for i in range(int(sys.argv[1]) - 1):
    threading.Thread(target=spin, daemon=True).start()
print("up", flush=True)
spin()
"""

ECHO = """\
import sys, threading
def spin():
    while True:
        for i in range(1000):
            pass
threading.Thread(target=spin, daemon=True).start()
print("up", flush=True)
for line in sys.stdin:
    print("echo", line.strip(), flush=True)
"""


@dataclass
class Done:
    code: int
    stdout: str
    stderr: str

    @property
    def stacks(self) -> dict[tuple[str, ...], int]:
        return collapsed_parse(self.stdout)

    @property
    def names(self) -> set[str]:
        return {name for stack in self.stacks for name, _, _ in map(frame_parse, stack)}


def frame_parse(text: str) -> tuple[str, str, int]:
    """Name, file and line of a frame of collapsed text; the last two are "" and 0 for marks."""
    found = FRAME.fullmatch(text)
    assert found, text
    return found["name"].rpartition(".")[2], found["file"] or "", int(found["line"] or 0)


def collapsed_parse(text: str) -> dict[tuple[str, ...], int]:
    stacks = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        assert int(count) > 0
        stacks[tuple(stack.split(";"))] = int(count)
    return stacks


def refusal_skip(stderr: str) -> None:
    """Skips where this machine does not let one process read another at all."""
    if "ptrace_scope" in stderr or "CAP_SYS_PTRACE" in stderr:
        pytest.skip("reading another process is not permitted here: " + stderr.strip())


def run(sidewinder: Path, *words: str | Path, **how: Any) -> Done:
    done = subprocess.run([sidewinder, "record", *words], capture_output=True, timeout=PATIENCE_S, **how)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def record(sidewinder: Path, *words: str | Path) -> Done:
    """A recording that ends well; collapsed text on stdout unless the words say otherwise."""
    done = run(sidewinder, "-o", "-", *words)
    if done.code:
        refusal_skip(done.stderr)
    assert done.code == 0, done.stderr
    return done


def eventually(attempt: Callable[[float], Done], is_enough: Callable[[Done], bool]) -> Done:
    """The first attempt that is enough; each may take longer than the one before."""
    deadline = time.monotonic() + PATIENCE_S
    seconds = 0.2
    while True:
        done = attempt(seconds)
        if is_enough(done):
            return done
        assert time.monotonic() < deadline, f"never enough; the last was:\n{done.stdout}\n{done.stderr}"
        seconds = min(seconds * 2, 10)


@contextmanager
def recording(sidewinder: Path, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A recording that goes on. It is attached when this begins."""
    with subprocess.Popen([sidewinder, "record", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline().decode()
            refusal_skip(line)
            assert "recording process" in line, line
            yield process
        finally:
            process.kill()


def end_await(process: subprocess.Popen[bytes]) -> str:
    """The stderr of a recording that has to end by itself."""
    _, stderr = process.communicate(timeout=PATIENCE_S)
    return stderr.decode()


@pytest.fixture
def interpreter_here() -> Interpreter:
    """Some interpreter with a GIL, for what does not depend on the version."""
    return next(one for one in interpreters() if one.root is None and not one.is_free_threaded)


@every_interpreter
def test_stacks_of_a_known_program_are_legal(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(KNOWN) as target:
        target.expect("up")
        done = eventually(
            lambda seconds: record(sidewinder, str(target.pid), "-d", f"{seconds}s"),
            lambda done: set(KNOWN_LINES) <= done.names,
        )
    for stack in done.stacks:
        frames = [frame_parse(frame) for frame in stack if frame not in ("<in flux>", "<GC>")]
        assert frames[0][0] == "<module>", stack
        for name, file, line in frames:
            assert file.endswith("target.py"), stack
            assert line in KNOWN_LINES[name], stack
        for caller, called in itertools.pairwise(frames):
            assert (caller[0], caller[2]) in KNOWN_CALLERS[called[0]], stack


@every_interpreter
def test_what_is_recorded(interpreter: Interpreter, sidewinder: Path) -> None:
    """By default what runs, with --idle everything, with --gil one thread at a time, with --wait the others."""
    with interpreter.running(THREADS, "3") as target:
        target.expect("up")

        def of(*words: str) -> Callable[[float], Done]:
            return lambda seconds: record(sidewinder, str(target.pid), "-d", f"{seconds}s", *words)

        eventually(of("--idle"), lambda done: {"parked", "spin"} <= done.names)
        eventually(of(), lambda done: "spin" in done.names and "parked" not in done.names)
        if interpreter.is_free_threaded:
            refused = run(sidewinder, "-o", "-", str(target.pid), "--gil")
            assert refused.code == 1
            assert "free-threaded" in refused.stderr
            return
        gil = eventually(of("--gil"), lambda done: "spin" in done.names and "parked" not in done.names)
        looks = re.search(r"(\d+) looks .* (\d+) samples", gil.stderr)
        assert looks
        assert int(looks[2]) <= int(looks[1])
        eventually(of("--wait"), lambda done: "spin" in done.names and "parked" not in done.names)


@every_interpreter
def test_the_collector_is_marked(interpreter: Interpreter, sidewinder: Path) -> None:
    if interpreter.is_free_threaded:
        pytest.skip("the collector of a free-threaded build stops the world: no thread is its own")
    program = """\
import gc
things = [[i] for i in range(200000)]
print("up", flush=True)
while True:
    gc.collect()
"""
    with interpreter.running(program) as target:
        target.expect("up")
        done = eventually(
            lambda seconds: record(sidewinder, str(target.pid), "-d", f"{seconds}s"),
            lambda done: any(stack[-1] == "<GC>" for stack in done.stacks),
        )
    for stack in done.stacks:
        assert stack.count("<GC>") <= 1
        assert frame_parse(stack[0])[2] in (4, 5)


def test_lines_and_functions(interpreter_here: Interpreter, sidewinder: Path) -> None:
    with interpreter_here.running(KNOWN) as target:
        target.expect("up")
        lines = record(sidewinder, str(target.pid), "-d", "0.3s", "--lines")
        functions = record(sidewinder, str(target.pid), "-d", "0.3s", "--functions")
    assert lines.stacks
    assert all(frame_parse(frame)[2] for stack in lines.stacks for frame in stack if frame[0] != "<")
    assert functions.stacks
    assert not any(frame_parse(frame)[2] for stack in functions.stacks for frame in stack)


def test_threads_get_headings(interpreter_here: Interpreter, sidewinder: Path) -> None:
    with interpreter_here.running(THREADS, "2") as target:
        target.expect("up")
        tids = {int(path.name) for path in Path(f"/proc/{target.pid}/task").iterdir()}
        done = eventually(
            lambda seconds: record(sidewinder, str(target.pid), "-d", f"{seconds}s", "--idle", "--threads"),
            lambda done: len({stack[0] for stack in done.stacks}) == 3,
        )
    assert {int(stack[0].split()[1]) for stack in done.stacks} == tids


def test_several_processes_get_headings(interpreter_here: Interpreter, sidewinder: Path) -> None:
    with interpreter_here.running(KNOWN) as one, interpreter_here.running(KNOWN) as other:
        one.expect("up")
        other.expect("up")
        pids = {one.pid, other.pid}
        done = eventually(
            lambda seconds: record(sidewinder, str(one.pid), str(other.pid), "-d", f"{seconds}s"),
            lambda done: len({stack[0] for stack in done.stacks}) == 2,
        )
    for stack in done.stacks:
        assert int(stack[0].split()[1]) in pids
        assert frame_parse(stack[1])[0] == "<module>"


PARENT = """\
import subprocess, sys, time
child = '''
import time
def busy():
    while time.process_time() < SECONDS:
        for i in range(1000):
            pass
busy()
'''
def start():
    print("start", flush=True)
    subprocess.run([sys.executable, "-c", child.replace("SECONDS", sys.argv[1])])
start()
"""


@every_interpreter
def test_subprocesses_are_found_as_they_start(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.script(PARENT) as path:
        done = eventually(
            lambda seconds: record(sidewinder, "--subprocesses", "--", *interpreter.argv(path, str(seconds))),
            lambda done: "busy" in done.names,
        )
        headings = {stack[0] for stack in done.stacks if "busy" in {frame_parse(frame)[0] for frame in stack}}
        assert len(headings) == 1
        assert headings.pop().startswith("process ")
        alone = record(sidewinder, "--", *interpreter.argv(path, "0.05"))
        assert "busy" not in alone.names


def test_forked_workers_are_subprocesses(interpreter_here: Interpreter, sidewinder: Path) -> None:
    program = """\
import os, sys, time
def worker():
    while time.process_time() < float(sys.argv[1]):
        for i in range(1000):
            pass
pids = []
for i in range(3):
    pid = os.fork()
    if pid == 0:
        worker()
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
"""
    with interpreter_here.script(program) as path:
        eventually(
            lambda seconds: record(sidewinder, "--subprocesses", "--", *interpreter_here.argv(path, str(seconds))),
            lambda done: len({stack[0] for stack in done.stacks if "worker" in stack[-1]}) == 3,
        )


@every_interpreter
def test_a_command_is_recorded_from_its_start(interpreter: Interpreter, sidewinder: Path, tmp_path: Path) -> None:
    program = """\
import sys, time
def busy():
    while time.process_time() < float(sys.argv[1]):
        for i in range(1000):
            pass
    print("it ran")
busy()
sys.exit(3)
"""
    output = tmp_path / "out.collapsed"
    with interpreter.script(program) as path:

        def attempt(seconds: float) -> Done:
            done = run(sidewinder, "-o", output, "--", *interpreter.argv(path, str(seconds)))
            assert done.code == 0, done.stderr
            assert done.stdout == "it ran\n"
            return Done(0, output.read_text(), done.stderr)

        done = eventually(attempt, lambda done: "busy" in done.names)
    assert "ended with exit code 3" in done.stderr
    assert "the target has ended" in done.stderr


@pytest.mark.parametrize("script", ["exec {}", "{}; exit 7", "true; env A=1 {}; exit 7"])
def test_interpreters_behind_a_shell_are_found(
    script: str, interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path
) -> None:
    program = tmp_path / "busy.py"

    def attempt(seconds: float) -> Done:
        program.write_text(
            f"import time\ndef busy():\n    while time.process_time() < {seconds}:\n        pass\nbusy()\n"
        )
        words = " ".join(interpreter_here.argv(str(program)))
        return record(sidewinder, "--", "sh", "-c", script.format(words))

    done = eventually(attempt, lambda done: "busy" in done.names)
    assert ("exit code 7" in done.stderr) == ("exit 7" in script)


def test_commands_that_are_not_python(sidewinder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.svg"
    done = run(sidewinder, "-o", output, "--", "sh", "-c", "echo heard; exit 5")
    assert done.code == 1
    assert done.stdout == "heard\n"
    assert "no Python interpreter was seen in sh" in done.stderr
    assert "ended with exit code 5" in done.stderr
    assert list(tmp_path.iterdir()) == []
    done = run(sidewinder, "-o", output, "--", "/no/such/command")
    assert done.code == 1
    assert "cannot start /no/such/command" in done.stderr


def test_stdout_holds_nothing_but_the_profile(interpreter_here: Interpreter, sidewinder: Path) -> None:
    words = interpreter_here.argv("-c", "print('said by the command')")
    done = run(sidewinder, "-o", "-", "--", *words)
    assert "said by the command" not in done.stdout
    assert "said by the command" in done.stderr


def test_a_command_is_told_to_end_when_the_time_is_over(interpreter_here: Interpreter, sidewinder: Path) -> None:
    program = "import time\nwhile True:\n    time.sleep(0.01)\n"
    with interpreter_here.script(program) as path:
        done = record(sidewinder, "--idle", "-d", "0.2s", "--", *interpreter_here.argv(path))
    assert done.stacks
    assert f"signal {int(signal.SIGTERM)}" in done.stderr


def svg_check(data: bytes) -> None:
    assert ET.fromstring(data).tag.endswith("svg")
    assert b"recursive" in data


def html_check(data: bytes) -> None:
    text = data.decode()
    assert text.startswith("<!DOCTYPE html>") or text.startswith("<!doctype html>")
    assert "recursive" in text
    assert "http://" not in re.sub(r"http://www\.w3\.org/[\w/.]*", "", text)


def json_check(data: bytes) -> None:
    assert "recursive" in json.dumps(json.loads(data))


def speedscope_check(data: bytes) -> None:
    loaded = json.loads(data)
    assert "speedscope" in loaded["$schema"]
    frames = loaded["shared"]["frames"]
    for profile in loaded["profiles"]:
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample)
    assert "recursive" in {frame["name"] for frame in frames}


def pprof_check(data: bytes) -> None:
    assert b"recursive" in gzip.decompress(data)


def chrome_check(data: bytes) -> None:
    loaded = json.loads(data)
    events = loaded["traceEvents"] if isinstance(loaded, dict) else loaded
    assert "recursive" in json.dumps(events)


def collapsed_check(data: bytes) -> None:
    assert "recursive" in {frame_parse(frame)[0] for stack in collapsed_parse(data.decode()) for frame in stack}


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("p.svg", svg_check),
        ("p.html", html_check),
        ("p.json", json_check),
        ("p.speedscope.json", speedscope_check),
        ("p.pb.gz", pprof_check),
        ("p.trace.json", chrome_check),
        ("p.collapsed", collapsed_check),
    ],
)
def test_every_format(
    name: str, check: Callable[[bytes], None], interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path
) -> None:
    output = tmp_path / name

    def attempt(seconds: float) -> Done:
        done = run(sidewinder, str(target.pid), "-d", f"{seconds}s", "-o", output)
        refusal_skip(done.stderr)
        assert done.code == 0, done.stderr
        return done

    def is_good(done: Done) -> bool:
        try:
            check(output.read_bytes())
        except AssertionError:
            samples = re.search(r"(\d+) samples", done.stderr)
            assert samples
            if int(samples[1]) > 1000:
                raise
            return False
        return True

    with interpreter_here.running(KNOWN) as target:
        target.expect("up")
        eventually(attempt, is_good)
    assert list(tmp_path.iterdir()) == [output]


def test_the_file_has_a_name_when_none_is_given(
    interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path
) -> None:
    with interpreter_here.running(KNOWN) as target:
        target.expect("up")
        done = run(sidewinder, str(target.pid), "-d", "0.1s", cwd=tmp_path)
        refusal_skip(done.stderr)
        assert done.code == 0, done.stderr
        (made,) = tmp_path.iterdir()
        assert re.fullmatch(rf"sidewinder-{target.pid}-\d{{8}}-\d{{6}}\.svg", made.name)
        assert made.name in done.stderr
        made.unlink()
        done = run(sidewinder, str(target.pid), "-d", "0.1s", "--format", "json", cwd=tmp_path)
        (made,) = tmp_path.iterdir()
        assert made.suffix == ".json"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_recorded(
    number: signal.Signals, interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.collapsed"
    with interpreter_here.running(ECHO) as target:
        target.expect("up")

        def attempt(seconds: float) -> Done:
            with recording(sidewinder, str(target.pid), "-o", output) as process:
                time.sleep(seconds)
                process.send_signal(number)
                stderr = end_await(process)
            assert process.returncode == 0, stderr
            return Done(0, output.read_text(), stderr)

        eventually(attempt, lambda done: "spin" in done.names)
        target.send("still here")
        target.expect("echo still here")


def test_the_end_of_the_target_ends_the_recording(
    interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.collapsed"

    def attempt(seconds: float) -> Done:
        with interpreter_here.running(ECHO) as target:
            target.expect("up")
            with recording(sidewinder, str(target.pid), "-o", output) as process:
                time.sleep(seconds)
                target.process.kill()
                stderr = end_await(process)
        assert process.returncode == 0, stderr
        assert "the target has ended" in stderr
        return Done(0, output.read_text(), stderr)

    eventually(attempt, lambda done: "spin" in done.names)


def test_the_end_is_noticed_at_low_rates(interpreter_here: Interpreter, sidewinder: Path) -> None:
    with interpreter_here.running(ECHO) as target:
        target.expect("up")
        with recording(sidewinder, str(target.pid), "-r", "0.01", "-o", "-") as process:
            target.process.kill()
            assert "the target has ended" in end_await(process)


def test_the_target_outlives_a_killed_sidewinder(
    interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.svg"
    with interpreter_here.running(ECHO) as target:
        target.expect("up")
        for i in range(10):
            with recording(sidewinder, str(target.pid), "-r", "20000", "-o", output) as process:
                process.kill()
                process.wait()
            target.send(str(i))
            target.expect(f"echo {i}")
    assert list(tmp_path.iterdir()) == []


def test_exec_is_followed(interpreter_here: Interpreter, sidewinder: Path) -> None:
    """The same process becomes another interpreter: what it was stays in the profile, what it becomes joins it."""
    program = """\
import os, sys, time
def first():
    while time.process_time() < float(sys.argv[1]):
        pass
def second():
    while time.process_time() < 2 * float(sys.argv[1]):
        pass
if len(sys.argv) > 2:
    second()
else:
    first()
    os.execv(sys.executable, [sys.executable, *sys.argv, "again"])
"""
    with interpreter_here.script(program) as path:
        eventually(
            lambda seconds: record(sidewinder, "--", *interpreter_here.argv(path, str(seconds))),
            lambda done: {"first", "second"} <= done.names,
        )


def test_processes_that_are_not_python(sidewinder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.svg"
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            done = run(sidewinder, str(process.pid), "-o", output)
        finally:
            process.kill()
    refusal_skip(done.stderr)
    assert done.code == 1
    assert f"process {process.pid} is not a Python process" in done.stderr
    done = run(sidewinder, str(process.pid), "-o", output)
    assert done.code == 1
    assert f"{process.pid}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_permission_names_cause_and_remedy(interpreter_here: Interpreter, sidewinder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("it takes root to become another user")
    with tempfile.TemporaryDirectory() as folder, interpreter_here.running(ECHO) as target:
        target.expect("up")
        Path(folder).chmod(0o755)
        command = shutil.copy(sidewinder, Path(folder) / "sidewinder")
        done = run(Path(command), "-o", "-", str(target.pid), user=65534, group=65534, extra_groups=[])
        target.send("unharmed")
        target.expect("echo unharmed")
    assert done.code == 1
    assert done.stdout == ""
    assert re.search(r"another user|other user|user", done.stderr)
    assert re.search(r"sudo|root|as its user|as user", done.stderr), done.stderr


def test_outputs_that_cannot_be_written(interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path) -> None:
    with interpreter_here.running(KNOWN) as target:
        target.expect("up")
        pid = str(target.pid)
        missing = run(sidewinder, pid, "-o", tmp_path / "no" / "out.svg")
        assert missing.code == 1
        assert "cannot write" in missing.stderr
        folder = run(sidewinder, pid, "-o", tmp_path, "--format", "svg")
        assert folder.code == 2
        assert "directory" in folder.stderr
        full = run(sidewinder, pid, "-d", "0.1s", "-o", "/dev/full", "--format", "json")
        refusal_skip(full.stderr)
        assert full.code == 1
        assert "No space left on device" in full.stderr


def test_a_file_is_replaced_whole_or_not_at_all(
    interpreter_here: Interpreter, sidewinder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    output.write_text("what was there before")

    def files_limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    with interpreter_here.running(KNOWN) as target:
        target.expect("up")
        done = run(sidewinder, str(target.pid), "-d", "0.1s", "-o", output, preexec_fn=files_limit)
        refusal_skip(done.stderr)
        assert done.code == 1
        assert "cannot write" in done.stderr
        assert output.read_text() == "what was there before"
        assert list(tmp_path.iterdir()) == [output]
        done = run(sidewinder, str(target.pid), "-d", "0.1s", "-o", output)
        assert done.code == 0, done.stderr
        json.loads(output.read_text())


def test_attaching_and_killing_at_random_moments(sidewinder: Path) -> None:
    """The bench of the thousand rounds, made short."""
    script = Path(__file__).resolve().parent.parent.parent / "bench" / "probe" / "robust.py"
    done = subprocess.run(
        [sys.executable, script, "--rounds", "8", "--sidewinder", sidewinder],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
    )
    refusal_skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
