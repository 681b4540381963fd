"""What sampling costs: CPU per sample beside the peers, rates that are held, and how much the target slows down.

    python bench/probe/cost.py [--rounds 5] [--seconds 3] [--python /usr/bin/python3]

The peers run if they are on PATH: `pip install py-spy austin-dist`. Each round runs everything once, one after another;
the figures are medians over the rounds. CPU time is user and system time of the sampling process, start-up taken off by
a second, shorter run. The target runs 24 frames deep on one thread, or idles on 100.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("SIDEWINDER", ROOT / "build" / "sidewinder")).resolve().parent
SAMPLER = BUILD / "bench" / "probe" / "bench_probe_sampler"

TARGET = """
import ctypes, signal, sys, threading, time
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the benchmark
def deep(n, run):
    if n:
        return deep(n - 1, run)
    run()
def busy():
    print("ready", flush=True)
    while True:
        total = 0
        for i in range(1000):
            total += i
def count():
    print("ready", flush=True)
    for _ in range(int(sys.argv[3])):
        total = 0
        for i in range(1000):
            total += i
def idle():
    time.sleep(100000)
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=deep, args=(20, idle), daemon=True).start()
deep(21, {"busy": busy, "count": count}[sys.argv[2]])  # with <module> and the last one, 24 frames
"""


def start(python: str, *arguments: str) -> subprocess.Popen[str]:
    """The target, once it is ready."""
    process = subprocess.Popen([python, "-c", TARGET, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def cpu_of(argv: list[str]) -> tuple[float, str]:
    """Seconds of CPU a command took, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout


def own(pid: int, samples: int, rate: float, seconds: float = 0) -> dict[str, Any]:
    """Runs our sampler."""
    argv = [str(SAMPLER), "stacks", str(pid), str(samples), str(rate), str(seconds)]
    result: dict[str, Any] = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    return result


def py_spy(pid: int, seconds: float, out: Path, *extra: str) -> tuple[float, int]:
    """CPU seconds and samples of py-spy at 1,000 Hz; it stops the target for each, unless told otherwise."""
    argv = ["py-spy", "record", "-p", str(pid), "-r", "1000", "-d", str(max(1, int(seconds))), "-f", "raw"]
    cpu, _ = cpu_of([*argv, *extra, "-i", "-o", str(out)])
    text = out.read_text() if out.exists() else ""
    return cpu, sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line)


def py_spy_nonblocking(pid: int, seconds: float, out: Path) -> tuple[float, int]:
    """The same, reading while the target runs."""
    return py_spy(pid, seconds, out, "--nonblocking")


def austin(pid: int, seconds: float, out: Path, interval: str = "1000") -> tuple[float, int]:
    """CPU seconds and samples of Austin at 1,000 Hz, or at another interval of microseconds."""
    argv = ["austin", "-i", interval, "-x", str(max(1, int(seconds))), "-o", str(out), "-p", str(pid)]
    cpu, text = cpu_of(argv)
    told = re.search(r"\d+/(\d+)", text)
    return cpu, int(told.group(1)) if told else 0


def austin_full(pid: int, seconds: float, out: Path) -> tuple[float, int]:
    """As fast as it can."""
    return austin(pid, seconds, out, "1")


def per_sample(run: Callable[[int, float, Path], tuple[float, int]], pid: int, seconds: float) -> float:
    """Microseconds of CPU per sample, start-up taken off; NaN when no samples came."""
    with tempfile.TemporaryDirectory() as folder:
        short = run(pid, 1, Path(folder) / "short")
        long = run(pid, 1 + seconds, Path(folder) / "long")
    samples = long[1] - short[1]
    return (long[0] - short[0]) / samples * 1e6 if samples > 0 else float("nan")


def wake_up() -> float:
    """What this machine asks for waking a process 1,000 times a second, to be seen in every figure at 1,000 Hz."""
    argv = [str(SAMPLER), "timer", "1000", "1000"]
    result = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    return float(result["cpu_ns"]) / 1000 / 1000


def slowdown(python: str, rate: float, loops: int) -> float:
    """Time of a counted program while sampled, over its time alone; one after the other."""
    times = []
    for is_sampled in (False, True):
        target = start(python, "1", "count", str(loops))
        begin = time.monotonic()
        watcher = None
        if is_sampled:
            argv = [str(SAMPLER), "stacks", str(target.pid), "100000000", str(rate)]
            watcher = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        target.wait()
        times.append(time.monotonic() - begin)
        if watcher:
            watcher.wait()
    return times[1] / times[0]


def measure(python: str, seconds: float) -> dict[str, float]:
    """One round."""
    row: dict[str, float] = {}
    one = start(python, "1", "busy", "0")
    result = own(one.pid, 100_000, 0)
    row["full rate: us CPU per sample"] = result["cpu_ns"] / result["rounds"] / 1000
    row["full rate: samples/s"] = result["rounds"] / result["wall_ns"] * 1e9
    for rate in (1000, 10_000):
        result = own(one.pid, 10**9, rate, seconds)
        row[f"{rate} Hz: us CPU per sample"] = result["cpu_ns"] / result["rounds"] / 1000
        row[f"{rate} Hz: share of the looks made in time"] = result["rounds"] / (result["rounds"] + result["late"])
    row["a timer alone, 1000 Hz: us CPU per wake-up"] = wake_up()
    peers = {"py-spy": py_spy, "py-spy --nonblocking": py_spy_nonblocking, "austin": austin, "austin -i 1": austin_full}
    for name, run in peers.items():
        if shutil.which(name.split()[0]):
            pace = "full rate" if run is austin_full else "1000 Hz"
            row[f"{name}, {pace}: us CPU per sample"] = per_sample(run, one.pid, seconds)
    one.kill()
    many = start(python, "100", "busy", "0")
    result = own(many.pid, 10**9, 1000, seconds)
    row["100 threads, 1000 Hz: us CPU per look"] = result["cpu_ns"] / result["rounds"] / 1000
    row["100 threads, 1000 Hz: share of the looks made in time"] = result["rounds"] / (
        result["rounds"] + result["late"]
    )
    many.kill()
    row["target's time at 1000 Hz, over alone"] = slowdown(python, 1000, 40_000)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--python", default="/usr/bin/python3")
    options = parser.parse_args()
    for peer in ("py-spy", "austin"):
        if not shutil.which(peer):
            print(f"{peer} is not on PATH (pip install {'austin-dist' if peer == 'austin' else peer}): left out")
    rounds = [measure(options.python, options.seconds) for _ in range(options.rounds)]
    load = os.getloadavg()[0]
    print(f"{options.python}, {options.rounds} rounds, load average {load:.1f} on {os.cpu_count()} CPUs")
    for name in rounds[0]:
        values = [row[name] for row in rounds if name in row]
        print(f"{name:56} median {statistics.median(values):10.3f}   {min(values):10.3f} .. {max(values):10.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
