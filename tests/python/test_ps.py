"""`sidewinder ps` over every CPython that is here, and over what it may not read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.python.interpreters import PATIENCE_S, Interpreter, Target, every_interpreter, interpreters

NOBODY = 65534

THREADS = """
import sys, threading
gate = threading.Event()
for _ in range(3):
    threading.Thread(target=gate.wait, daemon=True).start()
print("up", flush=True)
sys.stdin.read()
"""

BUSY = """
print("up", flush=True)
while True:
    pass
"""

SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
kept = interpreters.create()
print("up", flush=True)
sys.stdin.read()
"""


def ps(sidewinder: Path, *arguments: str | int) -> subprocess.CompletedProcess[str]:
    words = [str(sidewinder), "ps", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def rows(sidewinder: Path, *arguments: str | int) -> list[dict[str, Any]]:
    done = ps(sidewinder, "--json", *arguments)
    if done.returncode != 0 and "ptrace_scope" in done.stderr:
        pytest.skip("other processes may not be read here: " + done.stderr.strip())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seconds"] >= 0
    processes: list[dict[str, Any]] = found["processes"]
    return processes


def row(sidewinder: Path, pid: int, duration: str = "0") -> dict[str, Any]:
    found = rows(sidewinder, "--for", duration, pid)
    assert [one["pid"] for one in found] == [pid]
    assert found[0]["error"] is None
    return found[0]


def row_until(condition: Callable[[dict[str, Any]], bool], sidewinder: Path, pid: int) -> dict[str, Any]:
    """Looks again until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = row(sidewinder, pid, "20ms")
        if condition(found) or time.monotonic() > deadline:
            return found


def task_ids(pid: int) -> list[int]:
    return sorted(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())


@every_interpreter
def test_version_and_threads(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(THREADS) as target:
        target.expect("up")
        found = row(sidewinder, target.pid)
        assert found["version"] == interpreter.version_text
        assert found["threads"] == 4
        assert sorted(found["thread_ids"]) == task_ids(target.pid)
        assert found["thread_ids"][-1] == target.pid  # newest first
        assert found["os_threads"] == 4
        assert found["interpreters"] == 1
        assert found["rss_bytes"] > 1 << 20
        assert "target.py" in found["command"]
        assert found["gil_percent"] is None
        assert found["cpu_percent"] is None


@every_interpreter
def test_gil_load(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(BUSY) as busy, interpreter.running(THREADS) as idle:
        busy.expect("up")
        idle.expect("up")
        load = row(sidewinder, busy.pid, "50ms")
        if interpreter.is_free_threaded:
            assert load["gil_percent"] is None
            return
        assert load["gil_looks"] >= 2
        # With no other thread to wait for it, the GIL is never let go, even while the thread itself is off the CPU.
        load = row_until(lambda one: one["gil_percent"] == 100, sidewinder, busy.pid)
        assert load["gil_percent"] == 100
        rest = row_until(lambda one: one["gil_percent"] == 0, sidewinder, idle.pid)
        assert rest["gil_percent"] == 0


@every_interpreter
def test_cpu_time(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(BUSY) as busy:
        busy.expect("up")
        assert row_until(lambda one: one["cpu_percent"] > 0, sidewinder, busy.pid)["cpu_percent"] > 0


@every_interpreter
def test_subinterpreters(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(SUBINTERPRETER) as target:
        target.expect("up")
        assert row(sidewinder, target.pid)["interpreters"] == 2


@every_interpreter
def test_all_processes(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(THREADS) as target:
        target.expect("up")
        row(sidewinder, target.pid)  # may it be read at all?
        found = {one["pid"]: one for one in rows(sidewinder, "--for", "0")}
        assert found[target.pid]["version"] == interpreter.version_text
        assert 1 not in found or "python" in found[1]["command"]


def test_table_and_sorting(sidewinder: Path) -> None:
    interpreter = interpreters()[0]
    with interpreter.running(THREADS) as first, interpreter.running(THREADS) as second:
        first.expect("up")
        second.expect("up")
        row(sidewinder, first.pid)
        done = ps(sidewinder, "--for", "0", "--sort", "pid", second.pid, first.pid)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        head, *lines = done.stdout.splitlines()
        assert head.split() == ["PID", "VERSION", "THREADS", "CPU", "RSS", "GIL", "SWITCH/S", "COMMAND"]
        assert [int(line.split()[0]) for line in lines] == sorted([first.pid, second.pid])
        for line in lines:
            assert line[: head.index("COMMAND")].split()[1:] == [
                interpreter.version_text,
                "4",
                "-",
                *line.split()[4:6],
                "-",
                "-",
            ]
            assert line.split()[5] == "MiB"
            assert "target.py" in line[head.index("COMMAND") :]


def test_wrong_usage(sidewinder: Path) -> None:
    for words in (["--sort", "size"], ["--for", "soon"], ["--for", "2h"], ["none"], ["0"], ["--nothing"]):
        done = ps(sidewinder, *words)
        assert done.returncode == 2, words
        assert done.stdout == ""
        assert done.stderr.startswith("sidewinder: ")


def test_what_is_no_python_process(sidewinder: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        try:
            done = ps(sidewinder, sleeper.pid)
        finally:
            sleeper.kill()
    assert done.returncode == 1
    assert f"process {sleeper.pid} is not a Python process" in done.stderr or "ptrace_scope" in done.stderr
    done = ps(sidewinder, sleeper.pid)
    assert done.returncode == 1
    assert f"there is no process {sleeper.pid}" in done.stderr


def static_python() -> str:
    """A CPython that is one file: it still runs when that file is gone."""
    for interpreter in interpreters():
        if interpreter.root is None and interpreter.executable.startswith("/usr/bin/"):
            linked = subprocess.run(["ldd", interpreter.executable], capture_output=True, text=True, check=False)
            if linked.returncode == 0 and "libpython" not in linked.stdout:
                return interpreter.executable
    pytest.skip("no CPython here is a single file")


def test_deleted_executable(sidewinder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "renamed"
    shutil.copy(static_python(), copy)
    environment = {**os.environ, "PYTHONHOME": "/usr"}
    words = [str(copy), "-c", THREADS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            target = Target(process)
            target.expect("up")
            copy.unlink()
            assert row(sidewinder, process.pid)["threads"] == 4
        finally:
            process.kill()


def test_other_pid_namespace(sidewinder: Path) -> None:
    """A container, seen from the host: the ids in its memory are not those of the host."""
    words = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", THREADS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            try:
                Target(process).expect("up")
            except AssertionError:
                pytest.skip("pid namespaces cannot be made here")
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            pid = int(children[0])
            found = row(sidewinder, pid)
            assert sorted(found["thread_ids"]) == task_ids(pid)
        finally:
            process.kill()


@pytest.fixture
def public_sidewinder(sidewinder: Path) -> Iterator[Path]:
    """A copy of the command where every user may run it. Needs root, who alone can become others."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run the command as another user")
    with tempfile.TemporaryDirectory(prefix="sidewinder-") as folder:
        Path(folder).chmod(0o755)
        copy = Path(folder) / "sidewinder"
        shutil.copy(sidewinder, copy)
        copy.chmod(0o755)
        yield copy


def ps_as_nobody(sidewinder: Path, pid: int) -> subprocess.CompletedProcess[str]:
    words = [str(sidewinder), "ps", "--for", "0", str(pid)]
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd="/",
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    )


def test_process_of_another_user(public_sidewinder: Path) -> None:
    with interpreters()[0].running(THREADS) as target:
        target.expect("up")
        done = ps_as_nobody(public_sidewinder, target.pid)
        assert done.returncode == 1
        assert f"cannot read process {target.pid}: it belongs to user root (uid 0)" in done.stderr
        assert "or as root, such as with sudo" in done.stderr
        assert str(target.pid) in done.stdout  # what everybody may see of it


def test_undumpable_process(public_sidewinder: Path) -> None:
    protect = "import ctypes; assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0\n"
    words = ["/usr/bin/python3", "-c", protect + THREADS]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=NOBODY, group=NOBODY, extra_groups=[]
    ) as process:
        try:
            Target(process).expect("up")
            done = ps_as_nobody(public_sidewinder, process.pid)
        finally:
            process.kill()
    assert done.returncode == 1
    assert f"cannot read process {process.pid}: it is protected" in done.stderr


def test_root_without_the_capability(public_sidewinder: Path) -> None:
    """As in a container: uid 0, but the kernel does not let it read others."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    drop = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
    with interpreters()[0].running(THREADS) as target:
        target.expect("up")
        words = [*drop, str(public_sidewinder), "ps", "--for", "0", str(target.pid)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if "setpriv" in done.stderr or done.returncode == 0:
            pytest.skip("the capability cannot be dropped here: " + done.stderr)
        assert done.returncode == 1
        assert "without CAP_SYS_PTRACE" in done.stderr
        assert "--cap-add=SYS_PTRACE" in done.stderr
