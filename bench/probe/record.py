"""What `sidewinder record` costs and how right it is, beside py-spy and Austin in the same run.

    python bench/probe/record.py [--rounds 3] [--only shares,cost,start] [--python 3.13] [--austin 'COMMAND']

shares  a program that spends known shares of its CPU time in four functions (it measures them itself, about 1:2:3:4) is
        recorded until 10,000 samples are there; the greatest difference in percentage points. Bar: 1.
cost    CPU time for each sample of a stack of 24 frames, timer included, at 1,000 looks a second (and at 10,000 for
        sidewinder): the difference between a long and a short run, so that starting does not count. Median of the rounds.
        Bars: 20 us at 1,000/s, half of Austin's, a fifth of py-spy's; 1,000 looks a second on 100 threads.
start   from starting sidewinder to the first look at a process that has mapped 500 MB of libraries. Bar: 30 ms.

The peers come from PyPI (`pip install py-spy austin-dist`) and are left out where they are not on PATH. Austin's wheel
wants a new C library; --austin may name a command that brings one ("/path/ld-linux-x86-64.so.2 --library-path ... austin").
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.python.interpreters import Interpreter, one_per_minor  # noqa: E402

SIDEWINDER = os.environ.get("SIDEWINDER", str(ROOT / "build" / "sidewinder"))

SHARES = """\
import sys, time
def body(n):
    for i in range(n):
        pass
def a(): body(2000)
def b(): body(4000)
def c(): body(6000)
def d(): body(8000)
spent = dict.fromkeys("abcd", 0.0)
print("up", flush=True)
clock = time.thread_time
end = time.monotonic() + float(sys.argv[1])
while True:
    t0 = clock()
    a()
    t1 = clock()
    b()
    t2 = clock()
    c()
    t3 = clock()
    d()
    t4 = clock()
    spent["a"] += t1 - t0
    spent["b"] += t2 - t1
    spent["c"] += t3 - t2
    spent["d"] += t4 - t3
    if time.monotonic() > end:
        break
print(*spent.values(), flush=True)
sys.stdin.read()
"""

DEEP = """\
import sys, threading, time
def leaf():
    while True:
        for i in range(1000):
            pass
def deep(n):
    if n:
        deep(n - 1)
    else:
        leaf()
for i in range(int(sys.argv[1]) - 1):
    threading.Thread(target=time.sleep, args=(10000,), daemon=True).start()
print("up", flush=True)
deep(21)
"""

MAPPED = """\
import mmap, sys
held = []
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        held.append(mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))
print("up", flush=True)
while True:
    pass
"""


@dataclass
class Run:
    cpu_s: float
    samples: int


def run_measured(words: list[str]) -> tuple[float, str]:
    """User and system seconds of a command with all its children, and what it said. Its exit code is its own business: Austin's says more
    than success."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    return used.ru_utime + used.ru_stime, text


def sidewinder_run(pid: int, seconds: int, rate: int, *more: str) -> Run:
    words = [SIDEWINDER, "record", str(pid), "-d", f"{seconds}s", "-r", str(rate), "-o", "/dev/null"]
    cpu_s, text = run_measured([*words, "--format", "collapsed", *more])
    found = re.search(r"(\d+) samples", text)
    assert found, text
    return Run(cpu_s, int(found[1]))


def py_spy_run(pid: int, seconds: int, rate: int, *more: str) -> Run:
    with tempfile.NamedTemporaryFile() as output:
        words = ["py-spy", "record", "-r", str(rate), "-d", str(seconds), "-f", "raw", "-o", output.name]
        cpu_s, text = run_measured([*words, "-p", str(pid), *more])
    found = re.search(r"Samples: (\d+)", text)
    assert found, text
    return Run(cpu_s, int(found[1]))


def austin_runner(command: list[str]) -> Callable[[int, int, int], Run]:
    def austin_run(pid: int, seconds: int, rate: int) -> Run:
        with tempfile.NamedTemporaryFile() as output:
            words = [*command, "-i", f"{1000000 // rate}us", "-x", str(seconds), "-p", str(pid), "-o", output.name]
            cpu_s, text = run_measured(words)
        found = re.search(r"\d+/(\d+)", re.sub(r"\x1b\[[\d;]*m", "", text))
        assert found, text
        return Run(cpu_s, int(found[1]))

    return austin_run


def per_sample(measure: Callable[[int], Run]) -> tuple[float, float]:
    """Microseconds of CPU a sample, and samples a second, of what 5 s more bring."""
    short, long = measure(1), measure(6)
    samples = long.samples - short.samples
    return (long.cpu_s - short.cpu_s) / max(samples, 1) * 1e6, samples / 5


def shares(interpreters: list[Interpreter], rounds: int, rate: int) -> None:
    print(f"\nshares: a program of known times, 10 s at {rate}/s; differences in percentage points (bar 1)")
    for interpreter in interpreters:
        worst = []
        for _ in range(rounds):
            with interpreter.running(SHARES, "11") as target, tempfile.TemporaryDirectory() as folder:
                target.expect("up")
                output = Path(folder) / "out.json"
                subprocess.run(
                    [SIDEWINDER, "record", str(target.pid), "-d", "10s", "-r", str(rate), "-o", output],
                    check=True,
                    stderr=subprocess.DEVNULL,
                )
                times = [float(word) for word in target.line().split()]
                weights, count = function_weights(output)
            truth = dict(zip("abcd", times, strict=True))
            total, seen = sum(truth.values()), sum(weights[name] for name in "abcd")
            apart = {name: (weights[name] / seen - truth[name] / total) * 100 for name in "abcd"}
            worst.append(max(map(abs, apart.values())))
            text = " ".join(f"{name} {value:+.2f}" for name, value in apart.items())
            print(f"  {interpreter!s:14} {text}  ({count} samples)  {'met' if worst[-1] <= 1 else 'MISSED'}")
        print(f"  {interpreter!s:14} greatest, median of the rounds: {statistics.median(worst):.2f}")


def function_weights(path: Path) -> tuple[Counter[str], int]:
    """Nanoseconds in which each function was on the stack, and the number of samples."""
    loaded = json.loads(path.read_text())
    names = [frame["name"] for frame in loaded["frames"]]
    weights: Counter[str] = Counter()
    samples = 0
    for _, node, count, weight_ns in loaded["totals"]:
        samples += count
        seen = set()
        while node:
            node, frame = loaded["nodes"][node - 1]
            seen.add(names[frame])
        for name in seen:
            weights[name] += weight_ns
    return weights, samples


def cost(interpreters: list[Interpreter], rounds: int, austin: list[str]) -> None:
    print("\ncost: us of CPU for each sample of 24 frames (samples a second); medians")
    for interpreter in interpreters:
        tools: dict[str, Callable[[int, int], Callable[[int], Run]]] = {
            "sidewinder 1k": lambda pid, _: lambda seconds: sidewinder_run(pid, seconds, 1000),
            "sidewinder 10k": lambda pid, _: lambda seconds: sidewinder_run(pid, seconds, 10000),
            "100 threads 1k": lambda _, many: lambda seconds: sidewinder_run(many, seconds, 1000),
        }
        if shutil.which("py-spy"):
            tools["py-spy 1k"] = lambda pid, _: lambda seconds: py_spy_run(pid, seconds, 1000)
            tools["py-spy nb 1k"] = lambda pid, _: lambda seconds: py_spy_run(pid, seconds, 1000, "--nonblocking")
        if austin and interpreter.minor >= 9:
            tools["austin 1k"] = lambda pid, _: lambda seconds: austin_runner(austin)(pid, seconds, 1000)
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in tools}
        with interpreter.running(DEEP, "1") as one, interpreter.running(DEEP, "100") as many:
            one.expect("up")
            many.expect("up")
            for _ in range(rounds):
                for name, tool in tools.items():
                    many.process.send_signal(18 if "threads" in name else 19)  # SIGCONT, SIGSTOP
                    results[name].append(per_sample(tool(one.pid, many.pid)))
        print(f"  {interpreter}")
        base = statistics.median(us for us, _ in results["sidewinder 1k"])
        for name, rows in results.items():
            us, rate = (statistics.median(row[i] for row in rows) for i in (0, 1))
            print(f"    {name:15} {us:8.1f} us  {rate:8.0f}/s  {us / base:6.1f} x")


def start(interpreters: list[Interpreter], rounds: int) -> None:
    print("\nstart: ms from starting sidewinder to the first look, 500 MB of libraries mapped (bar 30)")
    for interpreter in interpreters:
        if interpreter.root:
            continue
        took = []
        with tempfile.TemporaryDirectory() as folder:
            library = max(Path("/usr/lib").glob("*-linux-gnu/*.so.*"), key=lambda path: path.stat().st_size)
            size = library.stat().st_size
            paths = [Path(folder) / f"libmapped{i}.so.1" for i in range(-(-500_000_000 // size))]
            for path in paths:
                shutil.copy(library, path)
            with interpreter.running(MAPPED, *map(str, paths)) as target:
                target.expect("up")
                for _ in range(rounds * 5):
                    output = Path(folder) / "out.json"
                    begin_ns = time.time_ns()
                    subprocess.run(
                        [SIDEWINDER, "record", str(target.pid), "-d", "20ms", "-o", output],
                        check=True,
                        stderr=subprocess.DEVNULL,
                    )
                    first_ns = json.loads(output.read_text())["about"]["start_epoch_ns"]
                    took.append((first_ns - begin_ns) / 1e6)
        median = statistics.median(took)
        print(f"  {interpreter!s:14} median {median:.1f}, worst {max(took):.1f}  {'met' if median <= 30 else 'MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="shares,cost,start")
    parser.add_argument("--rate", type=int, default=1000, help="looks a second, for shares")
    parser.add_argument("--python", default="", help="a version, such as 3.13")
    parser.add_argument("--austin", default=shutil.which("austin") or "")
    arguments = parser.parse_args()
    chosen = [one for one in one_per_minor() if str(one).startswith(arguments.python)]
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; the medians of a busy machine are worth little")
    parts = arguments.only.split(",")
    if "shares" in parts:
        shares(chosen, arguments.rounds, arguments.rate)
    if "cost" in parts:
        cost(chosen, arguments.rounds, shlex.split(arguments.austin))
    if "start" in parts:
        start(chosen, arguments.rounds)


if __name__ == "__main__":
    main()
