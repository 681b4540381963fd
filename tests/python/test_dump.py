"""`sidewinder dump` on programs whose threads, locks, variables and tasks are known, on every CPython that is here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.python.interpreters import PATIENCE_S, Interpreter, Target, every_interpreter, every_minor

ROOT = Path(__file__).resolve().parent.parent.parent
UP = "print('up', flush=True)\n"
FOREVER = "import threading\nthreading.Event().wait()\n"

Dump = dict[str, Any]


def run(sidewinder: Path, *arguments: str | int) -> subprocess.CompletedProcess[str]:
    words = [str(sidewinder), "dump", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode == 1 and "ptrace" in done.stderr:
        pytest.skip("other processes may not be read here: " + done.stderr.strip())
    return done


def dump(sidewinder: Path, pid: int, *options: str) -> Dump:
    done = run(sidewinder, pid, "--json", *options)
    assert done.returncode == 0, done.stderr
    found: Dump = json.loads(done.stdout)
    return found


def dump_until(condition: Callable[[Dump], bool], sidewinder: Path, pid: int, *options: str) -> Dump:
    """The first dump for which it holds: a thread may need a while to get to where it waits."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = dump(sidewinder, pid, *options)
        if condition(found):
            return found
        assert time.monotonic() < deadline, json.dumps(found, indent=1)[:20000]


def by_name(found: Dump) -> dict[str, Dump]:
    return {one["name"] or one["os_name"]: one for one in found["threads"]}


def functions(frames: list[Dump]) -> list[str]:
    """Names of the functions, innermost first, without their classes and modules."""
    return [frame["name"].split(".")[-1] for frame in frames]


def circles(found: Dump, of: str) -> list[set[str]]:
    items = found["threads"] if of == "threads" else found["tasks"]
    return [{items[at]["name"] for at in one["members"]} for one in found["deadlocks"] if one["of"] == of]


LOCKS = (
    """
import threading
def pair(first, second, barrier):
    with first:
        barrier.wait()
        with second:
            raise SystemExit
def ring(make, count, prefix):
    locks = [make() for _ in range(count)]
    barrier = threading.Barrier(count)
    for i in range(count):
        arguments = (locks[i], locks[(i + 1) % count], barrier)
        threading.Thread(target=pair, args=arguments, name=prefix + str(i), daemon=True).start()
def alone():
    lock = threading.Lock()
    with lock:
        with lock:
            raise SystemExit
ring(threading.Lock, 2, "lock")
ring(threading.Lock, 3, "triple")
ring(threading.RLock, 2, "rlock")
ring(lambda: threading.Condition(threading.Lock()), 2, "condition")
victim = threading.Thread(target=alone, name="alone", daemon=True)
victim.start()
"""
    + UP
    + "victim.join()\n"
)

LOCK_CIRCLES = [
    {"lock0", "lock1"},
    {"triple0", "triple1", "triple2"},
    {"rlock0", "rlock1"},
    {"condition0", "condition1"},
    {"alone"},
]


@every_interpreter
def test_deadlocks(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(LOCKS) as target:
        target.expect("up")

        def is_complete(found: Dump) -> bool:
            return len(found["deadlocks"]) == len(LOCK_CIRCLES) and by_name(found)["MainThread"]["state"] == "thread"

        found = dump_until(is_complete, sidewinder, target.pid)
        assert sorted(map(sorted, circles(found, "threads"))) == sorted(map(sorted, LOCK_CIRCLES))
        assert all(one["is_certain"] for one in found["deadlocks"])
        threads = by_name(found)
        for name in ("lock0", "triple1", "rlock1", "condition0"):
            one = threads[name]
            assert one["state"] == "lock"
            assert one["is_settled"]
            assert not one["is_guess"]
            assert one["lock"]["kind"] == ("RLock" if name.startswith("rlock") else "Lock")
            blocker = found["threads"][one["blocked_by"]]
            assert functions(blocker["frames"])[one["blocked_by_frame"]] == "pair"
        main = threads["MainThread"]
        assert found["threads"][main["blocked_by"]]["name"] == "alone"
        text = run(sidewinder, target.pid)
        assert text.returncode == 0
        assert "is deadlocked" in text.stderr
        assert text.stdout.count("DEADLOCK: ") == len(LOCK_CIRCLES)
        assert "PROBABLE" not in text.stdout
        assert text.stdout.index("DEADLOCK") < text.stdout.index("\nThread ")


STATES = (
    """
import os, queue, select, subprocess, sys, threading, time
reading, writing = os.pipe()
taken, free_to_go = threading.Lock(), threading.Event()
condition, notified = threading.Condition(), threading.Event()
def read():
    os.read(reading, 1)
def sleep():
    time.sleep(100000)
def event():
    threading.Event().wait()
def wait_on_queue():
    queue.Queue().get()
def wait_on_simple_queue():
    queue.SimpleQueue().get()
def poll():
    poller = select.epoll()
    poller.poll()
def child():
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE).wait()
def takes():
    taken.acquire()
    free_to_go.set()
    threading.Event().wait()
def wants():
    taken.acquire()
def wants_in_time():
    taken.acquire(timeout=100000)
def wait_on_condition():
    with condition:
        condition.wait()
for function in (read, sleep, event, wait_on_queue, wait_on_simple_queue, poll, child, takes):
    threading.Thread(target=function, name=function.__name__, daemon=True).start()
free_to_go.wait()
for function in (wants, wants_in_time, wait_on_condition):
    threading.Thread(target=function, name=function.__name__, daemon=True).start()
"""
    + UP
    + "sys.stdin.readline()\n"
)

STATES_EXPECTED = {
    "MainThread": ("syscall", "fd 0 (pipe, written by process"),
    "read": ("syscall", "`read` on fd {reading} (pipe, written by itself"),
    "sleep": ("idle", "sleeping"),
    "event": ("idle", "Event.wait of <Event at 0x"),
    "wait_on_queue": ("idle", "Queue.get of <Queue at 0x"),
    "wait_on_simple_queue": ("idle", "SimpleQueue.get"),
    "poll": ("idle", "waiting for events (epoll_"),
    "child": ("syscall", "waiting for child process"),
    "takes": ("idle", "Event.wait"),
    "wants": ("lock", "probably held by thread"),
    "wants_in_time": ("lock", "with a time limit"),
    "wait_on_condition": ("idle", "Condition.wait of <Condition at 0x"),
}


@every_interpreter
def test_states(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(STATES) as target:
        target.expect("up")

        def is_complete(found: Dump) -> bool:
            threads = by_name(found)
            return all(threads[name]["state"] == state for name, (state, _) in STATES_EXPECTED.items())

        found = dump_until(is_complete, sidewinder, target.pid)
        threads = by_name(found)
        for name, (_, words) in STATES_EXPECTED.items():
            assert words.format(reading=threads["read"]["fd"]) in threads[name]["text"], threads[name]["text"]
        assert found["threads"][threads["wants"]["blocked_by"]]["name"] == "takes"
        assert threads["wants"]["is_guess"]
        assert found["deadlocks"] == []
        assert found["threads"][0]["name"] == "MainThread"
        assert found["threads"][0]["tid"] == target.pid
        assert found["python"] == interpreter.version_text
        assert found["pid"] == target.pid
        assert found["other_threads"] == []


SPIN = (
    """
import threading
def spin():
    while True:
        pass
threading.Thread(target=spin, name="one", daemon=True).start()
threading.Thread(target=spin, name="two", daemon=True).start()
"""
    + UP
    + FOREVER
)


@every_interpreter
def test_gil_wait_names_the_holder(interpreter: Interpreter, sidewinder: Path) -> None:
    if interpreter.is_free_threaded:
        pytest.skip("has no GIL")
    with interpreter.running(SPIN) as target:
        target.expect("up")

        def is_contended(found: Dump) -> bool:
            states = {name: one["state"] for name, one in by_name(found).items()}
            return sorted((states["one"], states["two"])) == ["gil", "running"]

        threads = by_name(dump_until(is_contended, sidewinder, target.pid))
        waiting, running = ("one", "two") if threads["one"]["state"] == "gil" else ("two", "one")
        assert threads[waiting]["blocked_by"] == threads[running]["index"]
        assert threads[running]["holds_gil"]
        assert f'"{running}" in spin (' in threads[waiting]["text"]
        assert functions(threads[running]["frames"])[:2] == ["spin", "run"]


LOCALS = """
import collections, json, math
class Plain:
    def __init__(self):
        self.x = 1
    def method(self):
        pass
class Number(int):
    pass
def function():
    pass
def generator():
    yield 1
def outer(free):
    cell = [1]
    def inner():
        nonlocal cell
        values = {}
        none, true, false, dots = None, True, False, ...
        zero, one, minus = 0, 1, -5
        edge_a, edge_b, edge_c, edge_d = 2**30 - 1, 2**30, -(2**60), 2**63
        big, minus_big = 2**200 + 12345, -(10**80)
        half, whole, tiny, large, infinite = 1.5, 3.0, 1e-7, 1e22, -math.inf
        text, empty, umlaut, wide, astral = "ascii", "", "\\u00fcber", "\\u20ac", "\\U0001f600 \\n \\\\ \\x01"
        raw = b"ab\\x00\\xff"
        listed, nothing, nested = [1, "a"], [], [[1], (2,)]
        single, pair, no_tuple = (1,), (1, "b"), ()
        mapping, no_mapping = {"a": 1, 2: [3]}, {}
        single_set, no_set, frozen = {1}, set(), frozenset()
        same = list(locals().items())
        instance, number = Plain(), Number(7)
        cls, module, func, gen = Plain, math, function, generator()
        method, builtin, error = instance.method, len, ValueError("bad", 3)
        endless = []
        endless.append(endless)
        long_text, long_list = "x" * 500, list(range(100))
        huge = 1 << 5000
        default = collections.defaultdict(list, a=1)
        print(json.dumps({name: repr(value) for name, value in same}), flush=True)
        input()
        return free, cell
    inner()
outer("free")
"""

LOCALS_SHAPES = {
    "instance": r"<Plain at 0x[0-9a-f]+>",
    "number": r"Number\(7\)",
    "cls": r"<class 'Plain'>",
    "module": r"<module 'math'>",
    "func": r"<function function at 0x[0-9a-f]+>",
    "gen": r"<generator generator at 0x[0-9a-f]+>",
    "method": r"<bound method (Plain\.)?method of <Plain at 0x[0-9a-f]+>>",
    "builtin": r"<built-in len>",
    "error": r"ValueError\('bad', 3\)",
    "endless": r"\[\[\[\.\.\.\]\]\]",
    "long_text": r"'x{120}'\.\.\. \(500 characters\)",
    "long_list": r"\[0, 1, 2, 3, 4, 5, 6, 7, \.\.\. \(100 items\)\]",
    "huge": r"<int of about 50\d\d bits>",
    "default": r"collections\.defaultdict\(\{'a': 1\}\)",
    "cell": r"\[1\]",
    "free": r"'free'",
}


@every_interpreter
def test_locals(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(LOCALS) as target:
        expected = json.loads(target.line())
        found = dump_until(lambda one: one["threads"][0]["state"] == "syscall", sidewinder, target.pid, "--locals")
        frames = {frame["name"].split(".")[-1]: frame for frame in found["threads"][0]["frames"]}
        values = {local["name"]: local["value"] for local in frames["inner"]["locals"]}
        assert len(expected) > 30
        assert {name: values[name] for name in expected if name != "values"} == {
            name: text for name, text in expected.items() if name != "values"
        }
        for name, shape in LOCALS_SHAPES.items():
            assert re.fullmatch(shape, values[name]), (name, values[name])
        assert {local["name"]: local["value"] for local in frames["outer"]["locals"]}["free"] == "'free'"
        text = run(sidewinder, target.pid, "--locals").stdout
        assert "\n        minus_big = -1" + "0" * 80 + "\n" in text
        assert "locals" not in dump(sidewinder, target.pid)["threads"][0]["frames"][0]


TASKS = """
import asyncio
async def leaf():
    await asyncio.sleep(100000)
async def middle():
    await leaf()
async def chain():
    await middle()
async def numbers():
    await asyncio.sleep(100000)
    yield 1
async def consumes():
    async for _ in numbers():
        pass
async def awaits(task):
    await task
async def takes(first, second, barrier):
    async with first:
        barrier.append(1)
        while len(barrier) < 2:
            await asyncio.sleep(0)
        async with second:
            raise SystemExit
async def twice(lock):
    async with lock:
        async with lock:
            raise SystemExit
async def never():
    pass
def name(task, text):
    task.set_name(text)
    return task
async def main():
    make = asyncio.get_running_loop().create_task
    tasks = [name(make(chain()), "ch\\u00e4in"), name(make(consumes()), "consumes")]
    tasks.append(name(make(awaits(tasks[0])), "awaits"))
    python = asyncio.tasks._PyTask(chain(), loop=asyncio.get_running_loop(), name="python")
    one, two, barrier = asyncio.Lock(), asyncio.Lock(), []
    tasks += [name(make(takes(one, two, barrier)), "takes1"), name(make(takes(two, one, barrier)), "takes2")]
    tasks.append(name(make(twice(asyncio.Lock())), "twice"))
    if hasattr(asyncio, "TaskGroup"):
        async def group():
            async with asyncio.TaskGroup() as made:
                name(made.create_task(leaf()), "member")
        tasks.append(name(make(group()), "group"))
    await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    print("up", flush=True)
    name(asyncio.current_task(), "main")
    await asyncio.gather(*tasks, python)
asyncio.run(main())
"""


@every_interpreter
def test_tasks(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(TASKS) as target:
        target.expect("up")

        def is_complete(found: Dump) -> bool:
            main = [one for one in found["tasks"] if one["name"] == "main"]
            return bool(main) and main[0]["awaits"] == "_GatheringFuture" and found["threads"][0]["state"] == "idle"

        found = dump_until(is_complete, sidewinder, target.pid)
        tasks = {one["name"]: one for one in found["tasks"]}
        names = {"main", "ch\u00e4in", "consumes", "awaits", "python", "takes1", "takes2", "twice"}
        names |= {"group", "member"} if interpreter.minor >= 11 else set()
        assert set(tasks) == names
        assert all(one["tid"] == target.pid and one["state"] == "suspended" for one in found["tasks"])
        for name in ("ch\u00e4in", "python"):
            assert functions(tasks[name]["frames"]) == ["sleep", "leaf", "middle", "chain"]
            assert tasks[name]["awaits"] == "_asyncio.Future"
            assert tasks[name]["coroutine"] == "chain"
        assert functions(tasks["consumes"]["frames"]) == ["sleep", "numbers", "consumes"]
        edges = {(one["name"], found["tasks"][at]["name"]) for one in found["tasks"] for at in one["awaits_tasks"]}
        wanted = {("awaits", "ch\u00e4in")} | {("main", name) for name in names - {"main", "member"}}
        wanted |= {("group", "member")} if interpreter.minor >= 11 else set()
        assert edges == wanted
        assert edges == {
            (found["tasks"][at]["name"], one["name"]) for one in found["tasks"] for at in one["awaited_by"]
        }
        assert sorted(map(sorted, circles(found, "tasks"))) == [["takes1", "takes2"], ["twice"]]
        lines = [frame["line"] for frame in tasks["ch\u00e4in"]["frames"]][1:]
        assert lines == [4, 6, 8]


TWO_LOOPS = (
    """
import asyncio, threading
async def waits(name, up):
    if hasattr(asyncio.current_task(), "set_name"):
        asyncio.current_task().set_name(name)
    up.set()
    await asyncio.sleep(100000)
def loop(name, up):
    asyncio.run(waits(name, up))
for name in ("red", "blue"):
    up = threading.Event()
    threading.Thread(target=loop, args=(name, up), name=name, daemon=True).start()
    up.wait()
"""
    + UP
    + FOREVER
)


@every_minor
def test_tasks_of_several_threads(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(TWO_LOOPS) as target:
        target.expect("up")
        found = dump_until(
            lambda one: all(task["state"] == "suspended" for task in one["tasks"]), sidewinder, target.pid
        )
        tids = {one["name"]: one["tid"] for one in found["threads"]}
        assert {one["name"]: one["tid"] for one in found["tasks"]} == {name: tids[name] for name in ("red", "blue")}


SUBINTERPRETER = (
    """
import threading
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
made = interpreters.create()
code = '''
import threading, sys
def inside():
    print("up", flush=True)
    threading.Event().wait()
inside()
'''
run = getattr(interpreters, "run_string")
threading.Thread(target=run, args=(made, code), name="outside", daemon=True).start()
"""
    + FOREVER
)


@every_minor
def test_subinterpreters(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(SUBINTERPRETER) as target:
        target.expect("up")

        def is_complete(found: Dump) -> bool:
            return any(one["interpreter"] != 0 and "inside" in functions(one["frames"]) for one in found["threads"])

        found = dump_until(is_complete, sidewinder, target.pid)
        assert {one["interpreter"] for one in found["threads"]} >= {0, 1}
        assert found["threads"][0]["interpreter"] == 0
        assert found["threads"][0]["name"] == "MainThread"
        assert "\nInterpreter 1, thread" in run(sidewinder, target.pid).stdout


NAMES = """
import sys, threading
sys.setrecursionlimit(100000)
def \u51fd\u6570(depth):
    if depth:
        return \u51fd\u6570(depth - 1)
    print("up", flush=True)
    threading.Event().wait()
def numbers():
    yield \u51fd\u6570(200)
def consumes():
    for _ in numbers():
        pass
threading.Thread(target=consumes, name="f\u00e4den \\x1b[31m", daemon=True).start()
threading.Event().wait()
"""


@every_interpreter
def test_names_generators_recursion(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(NAMES) as target:
        target.expect("up")
        found = dump_until(
            lambda one: len(one["threads"]) == 2 and one["threads"][1]["state"] == "idle", sidewinder, target.pid
        )
        thread = found["threads"][1]
        assert thread["name"] == "f\u00e4den ?[31m"
        names = functions(thread["frames"])
        assert names.count("\u51fd\u6570") == 201
        assert names[names.index("numbers") :][:3] == ["numbers", "consumes", "run"]
        assert "\x1b" not in run(sidewinder, target.pid).stdout


CHURN = """
import random, threading
def change(seed):
    rng, values = random.Random(seed), {}
    while True:
        key = rng.randrange(50)
        text, number = "x" * rng.randrange(5000), rng.randrange(1 << rng.randrange(1, 4000))
        values[key] = [text, number, {key: values.get(key - 1)}, object(), (text, [number] * 3)]
        if rng.random() < 0.3:
            values.pop(rng.choice(list(values)), None)
            exec("def f(%s): return %s" % (("a%d" % key,) * 2), {})
        if rng.random() < 0.01:
            values = {}
for seed in range(4):
    threading.Thread(target=change, args=(seed,), daemon=True).start()
print("up", flush=True)
while True:
    if input() == "alive?":
        print("alive", flush=True)
"""


@every_minor
def test_what_changes_while_it_is_read(interpreter: Interpreter, sidewinder: Path) -> None:
    with interpreter.running(CHURN) as target:
        target.expect("up")
        for _ in range(15):
            found = dump(sidewinder, target.pid, "--locals")
            assert len(found["threads"]) == 5
        target.send("alive?")
        target.expect("alive")


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for one in value.values() for key in keys_of(one)}
    return {key for one in value for key in keys_of(one)} if isinstance(value, list) else set()


def test_json_is_documented(sidewinder: Path) -> None:
    page = (ROOT / "docs" / "dump-json.md").read_text()
    documented = set(re.findall(r"`(\w+)`", page))
    interpreter = Interpreter("/usr/bin/python3", (3, 0, 0), "", False, None)
    keys = set()
    for program in (TASKS, STATES, LOCKS):
        with interpreter.running(program) as target:
            target.expect("up")
            keys |= keys_of(dump(sidewinder, target.pid, "--locals"))
    assert len(keys) > 40
    assert keys <= documented


def test_what_is_refused(sidewinder: Path) -> None:
    for arguments, code, words in (
        ((), 2, "which process"),
        (("abc",), 2, "no process id"),
        (("1", "2"), 2, "one process at a time"),
        (("1", "--wrong"), 2, "--wrong"),
        (("4194304",), 1, "4194304"),
    ):
        done = run(sidewinder, *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert words in done.stderr
    with subprocess.Popen(["sleep", "100000"]) as other:
        try:
            done = run(sidewinder, other.pid)
        finally:
            other.kill()
    assert done.returncode == 1
    assert "Python" in done.stderr


def test_target_that_ends(sidewinder: Path) -> None:
    """Processes that die while they are looked at: an answer or a clean failure, never a crash."""
    interpreter = Interpreter("/usr/bin/python3", (3, 0, 0), "", False, None)
    for _ in range(20):
        with interpreter.running(UP + "import os\nos.read(0, 1)\n") as target:
            target.expect("up")
            looking = subprocess.Popen(
                [str(sidewinder), "dump", str(target.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            end(target)
            _, errors = looking.communicate(timeout=PATIENCE_S)
            assert looking.returncode in (0, 1), errors
            assert looking.returncode == 0 or "sidewinder: error: " in errors


def end(target: Target) -> None:
    os.kill(target.pid, 9)
