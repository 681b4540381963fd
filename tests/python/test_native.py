"""C frames in dumps and recordings: their order between Python frames, and that no thread is ever left stopped."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.python.interpreters import PATIENCE_S, Interpreter, Target, every_interpreter, every_minor

Json = dict[str, Any]
SEED = 20261122
KILLS = 12

PROGRAM = r"""
import hashlib, os, sys, threading, time
try:
    import ctypes
except ImportError:
    print("no ctypes", flush=True)
    sys.exit(0)
libc = ctypes.CDLL(None)
comparator = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
lock = threading.Lock()
lock.acquire()
up = threading.Semaphore(0)

def in_sleep():
    up.release()
    time.sleep(100000)
def in_lock():
    up.release()
    lock.acquire()
def wait_key(value):
    up.release()
    time.sleep(100000)
def in_sort():
    sorted([2, 1], key=wait_key)
def wait_compare(left, right):
    up.release()
    time.sleep(100000)
    return 0
def in_callback():
    array = (ctypes.c_int * 4)(4, 3, 2, 1)
    libc.qsort(array, 4, ctypes.sizeof(ctypes.c_int), comparator(wait_compare))
def generate():
    up.release()
    time.sleep(100000)
    yield 1
def in_generator():
    list(generate())
def busy_hash():
    big = b"x" * (1 << 24)
    up.release()
    while True:
        hashlib.sha256(big).digest()
def busy_key(value):
    total = 0
    for i in range(50):
        total += i
    return -value
def busy_sort():
    up.release()
    while True:
        sorted(range(500), key=busy_key)
def busy_compare(left, right):
    total = 0
    for i in range(50):
        total += i
    return (left[0] > right[0]) - (left[0] < right[0])
def busy_callback():
    up.release()
    call = comparator(busy_compare)
    while True:
        array = (ctypes.c_int * 500)(*range(500, 0, -1))
        libc.qsort(array, 500, ctypes.sizeof(ctypes.c_int), call)

names = sys.argv[1:]
for name in names:
    threading.Thread(target=globals()[name], name=name, daemon=True).start()
for name in names:
    up.acquire()
print("up", flush=True)
input()
os._exit(7)
"""


def skip_unless_readable(sidewinder: Path, pid: int) -> None:
    done = subprocess.run(
        [sidewinder, "dump", str(pid)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if done.returncode == 1 and "ptrace" in done.stderr:
        pytest.skip("other processes may not be read here: " + done.stderr.strip())


@contextmanager
def running(sidewinder: Path, interpreter: Interpreter, *threads: str) -> Iterator[Target]:
    """The program with these threads, each in the function of its name."""
    with interpreter.running(PROGRAM, *threads) as target:
        if target.line() == "no ctypes":
            pytest.skip("this interpreter has no ctypes")
        skip_unless_readable(sidewinder, target.pid)
        yield target


def dump(sidewinder: Path, pid: int) -> Json:
    done = subprocess.run(
        [sidewinder, "dump", str(pid), "--native", "--json"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: Json = json.loads(done.stdout)
    return found


def dump_until(condition: Callable[[dict[str, Json]], bool], sidewinder: Path, pid: int) -> dict[str, Json]:
    """Threads by name, of a dump that satisfies the condition: threads may still be on their way to where they rest."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        threads = {thread["name"]: thread for thread in dump(sidewinder, pid)["threads"] if thread["name"]}
        if condition(threads):
            return threads
        assert time.monotonic() < deadline, json.dumps(threads, indent=1)


def merged(thread: Json) -> list[Json]:
    frames: list[Json] = thread["native"]["frames"]
    return frames


def between(frames: list[Json], inner: str, outer: str) -> list[Json]:
    """The C frames between two Python functions, the second of which called the first; innermost first."""
    names = [frame["name"] if frame["kind"] == "python" else None for frame in frames]
    assert {inner, outer} <= set(names), frames
    found = frames[names.index(inner) + 1 : names.index(outer)]
    assert all(frame["kind"] == "native" for frame in found), frames
    return found


def inside(frames: list[Json]) -> list[Json]:
    """The C frames that the innermost Python function called."""
    return frames[: [frame["kind"] for frame in frames].index("python")]


def python_of(frames: list[Json]) -> list[tuple[str, int]]:
    return [(frame["name"], frame["line"]) for frame in frames if frame.get("kind", "python") == "python"]


RESTING = {
    "in_sleep": "in_sleep",
    "in_lock": "in_lock",
    "in_sort": "wait_key",
    "in_callback": "wait_compare",
    "in_generator": "generate",
}


def all_rest(threads: dict[str, Json]) -> bool:
    """Each is asleep where it is to be, and was not running when its C frames were read."""
    return all(
        name in threads
        and threads[name]["native"] is not None
        and threads[name]["is_settled"]
        and not threads[name]["native"]["was_stopped"]
        and python_of(threads[name]["frames"])[:1] == python_of(merged(threads[name]))[:1]
        and threads[name]["frames"][0]["name"] == function
        for name, function in RESTING.items()
    )


@every_interpreter
def test_order_of_blocked_threads(interpreter: Interpreter, sidewinder: Path) -> None:
    with running(sidewinder, interpreter, *RESTING) as target:
        threads = dump_until(all_rest, sidewinder, target.pid)
    for name in RESTING:
        native = threads[name]["native"]
        assert native["is_matched"], native
        assert native["is_complete"], native
        assert python_of(native["frames"]) == python_of(threads[name]["frames"])
        assert inside(native["frames"]), native
        assert not any("_PyEval_EvalFrameDefault" == frame["name"] for frame in native["frames"])
        assert native["frames"][-1]["kind"] == "python", native  # the start of a thread is left out
    assert inside(merged(threads["in_sleep"]))[0]["module"].startswith("libc")
    assert between(merged(threads["in_sort"]), "wait_key", "in_sort")
    assert between(merged(threads["in_generator"]), "generate", "in_generator")
    modules = [
        frame["module"] or "" for frame in between(merged(threads["in_callback"]), "wait_compare", "in_callback")
    ]
    libc = [i for i, module in enumerate(modules) if module.startswith("libc")]
    ffi = [i for i, module in enumerate(modules) if "ffi" in module or "ctypes" in module]
    assert libc, modules
    assert ffi, modules
    assert min(ffi) < min(libc) <= max(libc) < max(ffi), modules  # closure, qsort, call


@every_interpreter
def test_names_of_c_functions(interpreter: Interpreter, sidewinder: Path) -> None:
    with running(sidewinder, interpreter, *RESTING) as target:
        threads = dump_until(all_rest, sidewinder, target.pid)
    named = [frame["name"] for frame in inside(merged(threads["in_sleep"]))]
    assert any(name and ("nanosleep" in name or "select" in name) for name in named), named
    named = [frame["name"] for frame in between(merged(threads["in_callback"]), "wait_compare", "in_callback")]
    assert any(name and "qsort" in name for name in named), named


def hash_runs(threads: dict[str, Json]) -> bool:
    native = threads.get("busy_hash", {}).get("native")
    if not native or not native["was_stopped"] or not native["is_matched"]:
        return False
    modules = {frame["module"] for frame in inside(native["frames"])}
    return any(re.search("libcrypto|_hashlib|_sha", module or "") for module in modules)


def sort_runs(threads: dict[str, Json]) -> bool:
    native = threads.get("busy_sort", {}).get("native")
    if not native or not native["was_stopped"] or not native["is_matched"]:
        return False
    names = [name for name, _ in python_of(native["frames"])]
    return names[:2] == ["busy_key", "busy_sort"] and bool(between(native["frames"], "busy_key", "busy_sort"))


@every_interpreter
def test_running_threads(interpreter: Interpreter, sidewinder: Path) -> None:
    with running(sidewinder, interpreter, "busy_hash", "busy_sort") as target:
        dump_until(hash_runs, sidewinder, target.pid)
        dump_until(sort_runs, sidewinder, target.pid)
        assert_released(target.pid)


def states(pid: int) -> list[tuple[str, str]]:
    """State and tracer of each thread."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, tracer = re.search(r"State:\t(.)", text), re.search(r"TracerPid:\t(\d+)", text)
        assert state, text
        assert tracer, text
        found.append((state.group(1), tracer.group(1)))
    return found


def assert_released(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(state in "tT" or tracer != "0" for state, tracer in states(pid)):
        assert time.monotonic() < deadline, states(pid)
        time.sleep(0.001)


def frame_of(text: str) -> str:
    return text.rsplit(" (", 1)[0]


@every_minor
def test_record(interpreter: Interpreter, sidewinder: Path) -> None:
    command = [str(sidewinder), "record", "--native", "-r", "500", "-d", "1s", "--format", "collapsed", "-o", "-"]
    deadline = time.monotonic() + PATIENCE_S
    with running(sidewinder, interpreter, "busy_sort", "busy_callback", "in_sleep") as target:
        wanted = {"busy_key", "busy_compare"}
        while wanted:
            assert time.monotonic() < deadline, wanted
            done = subprocess.run(
                [*command, str(target.pid)], capture_output=True, text=True, timeout=PATIENCE_S, check=True
            )
            told = re.search(r"(\d+) samples with C frames, (\d+) of Python frames only", done.stderr)
            total = re.search(r"(\d+) samples: ", done.stderr)
            assert told, done.stderr
            assert total, done.stderr
            assert int(told.group(1)) + int(told.group(2)) == int(total.group(1))
            for line in done.stdout.splitlines():
                frames = line.rsplit(" ", 1)[0].split(";")
                names = [frame_of(frame) for frame in frames]
                has_line = [bool(re.search(r":\d+\)$", frame)) for frame in frames]
                for inner, outer in (("busy_key", "busy_sort"), ("busy_compare", "busy_callback")):
                    if inner in names and not all(has_line):
                        assert outer in names[: names.index(inner)], line
                        gap = has_line[names.index(outer) + 1 : names.index(inner)]
                        if gap and not any(gap):
                            wanted.discard(inner)
        assert_released(target.pid)


@every_minor
def test_record_idle_names_where_threads_wait(interpreter: Interpreter, sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "idle.json"
    with running(sidewinder, interpreter, "in_sleep", "in_callback") as target:
        dump_until(lambda found: found.get("in_callback", {}).get("state") == "idle", sidewinder, target.pid)
        subprocess.run(
            [sidewinder, "record", "--native", "--idle", "-r", "100", "-d", "300ms", "-o", path, str(target.pid)],
            capture_output=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
    frames = json.loads(path.read_text())["frames"]
    native = {frame["name"] for frame in frames if frame["kind"] == "native"}
    assert any("qsort" in name for name in native), native
    assert any("nanosleep" in name or "select" in name for name in native), native


@every_minor
def test_killed_sidewinder_leaves_no_thread_stopped(interpreter: Interpreter, sidewinder: Path) -> None:
    moments = random.Random(SEED)
    with running(sidewinder, interpreter, "busy_hash", "busy_sort", "busy_callback") as target:
        for _ in range(KILLS):
            with subprocess.Popen(
                [sidewinder, "record", "--native", "-r", "20000", "--format", "json", "-o", "/dev/null", str(target.pid)],
                stderr=subprocess.PIPE, text=True,
            ) as recorder:  # fmt: skip
                assert recorder.stderr is not None
                assert "recording process" in recorder.stderr.readline()
                time.sleep(moments.uniform(0, 0.03))
                recorder.kill()
            assert_released(target.pid)
        target.send("")
        assert target.process.wait(PATIENCE_S) == 7


@every_minor
def test_killed_target_is_seen_by_its_parent(interpreter: Interpreter, sidewinder: Path) -> None:
    moments = random.Random(SEED + 1)
    for _ in range(3):
        with (
            running(sidewinder, interpreter, "busy_hash", "busy_sort") as target,
            subprocess.Popen(
                [sidewinder, "record", "--native", "-r", "20000", "--format", "json", "-o", "/dev/null", str(target.pid)],
                stderr=subprocess.PIPE, text=True,
            ) as recorder,
        ):  # fmt: skip
            assert recorder.stderr is not None
            assert "recording process" in recorder.stderr.readline()
            time.sleep(moments.uniform(0, 0.03))
            target.process.kill()
            assert target.process.wait(PATIENCE_S) == -signal.SIGKILL
            said = recorder.communicate(timeout=PATIENCE_S)[1]
            assert recorder.returncode == 0, said
            assert "the target has ended" in said


@every_minor
def test_exit_code_of_a_command(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.script(PROGRAM) as path:
        argv = interpreter.argv(path, "busy_sort", "busy_hash")
        with subprocess.Popen(
            [sidewinder, "record", "--native", "-r", "5000", "--format", "json", "-o", "/dev/null", "--", *argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as recorder:  # fmt: skip
            assert recorder.stderr is not None
            assert recorder.stdout is not None
            line = recorder.stderr.readline()
            if recorder.stdout.readline() == "no ctypes\n":
                pytest.skip("this interpreter has no ctypes")
            assert "recording process" in line
            said = recorder.communicate("\n", timeout=PATIENCE_S)[1]
            assert recorder.returncode == 0, said
    assert "ended with exit code 7" in said


TRACER = r"""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
for tid in sys.argv[1:]:
    if libc.ptrace(0x4206, int(tid), None, None) != 0:
        sys.exit("PTRACE_SEIZE: errno %d" % ctypes.get_errno())
print("up", flush=True)
input()
"""


def test_threads_that_another_traces(sidewinder: Path) -> None:
    with Interpreter("/usr/bin/python3", (3, 0, 0), "", False, None).running(PROGRAM, "busy_hash") as target:
        target.expect("up")
        skip_unless_readable(sidewinder, target.pid)
        tids = [task.name for task in Path(f"/proc/{target.pid}/task").iterdir()]
        with subprocess.Popen(
            [sys.executable, "-c", TRACER, *tids], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as tracer:
            assert tracer.stdout is not None
            assert tracer.stdout.readline() == "up\n"
            threads = dump_until(lambda found: found["busy_hash"]["native_absent"] == "refused", sidewinder, target.pid)
            assert threads["busy_hash"]["native"] is None
            assert threads["busy_hash"]["frames"]
            assert threads["MainThread"]["native"] is not None  # it sleeps: nothing needs to be stopped
            done = subprocess.run(
                [sidewinder, "record", "--native", "-d", "300ms", "-o", "-", str(target.pid)],
                capture_output=True, text=True, timeout=PATIENCE_S, check=True,
            )  # fmt: skip
            assert re.search(r"sidewinder: 0 samples with C frames, \d+ of Python frames only", done.stderr)
            tracer.kill()
