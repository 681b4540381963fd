"""A program of known behaviour that logs from inside when each of its threads held the GIL and waited for it.

    python gil_oracle.py PATTERN      (any CPython from 3.8 on; needs nothing but the standard library)

Its first line of input is a small C library in base64 (see HELPER). It then prints its process id, works until its input
ends, and prints what happened as JSON: for each thread its id and the intervals it held the GIL and waited for it, in
nanoseconds of CLOCK_MONOTONIC; those of them in which it had no CPU for a while, so that it cannot know so well ("unsure");
and those in which it had no CPU on its way back from C, which may not have been a wait at all ("starved").

How it knows: a thread reads the clock all the time. While its readings follow each other closely it holds the GIL. Where
it lets go by itself it calls into C, which notes the time after the GIL was let go and before it is asked for again. Other
gaps between readings are settled when all is over, by settle().
"""

from __future__ import annotations

import base64
import bisect
import ctypes
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Called through ctypes, so without the GIL: sleeps or computes, and notes when it began and ended, and how
# often it had lost its CPU by then.
HELPER = r"""
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void rest(int64_t length_ns, int is_busy, int64_t *times) {
    struct timespec length = {length_ns / 1000000000, length_ns % 1000000000};
    times[0] = now_ns();
    if (is_busy)
        while (now_ns() - times[0] < length_ns)
            continue;
    else if (length_ns > 0)
        nanosleep(&length, 0);
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    times[2] = usage.ru_nivcsw;
    times[1] = now_ns();
}
"""

GAP_NS = 30_000  # readings of the clock farther apart than this are looked into
OVERHEAD_NS = 20_000  # coming back from C takes this long without any wait
clock = time.perf_counter_ns


class Log:
    """The intervals of one thread, which calls the methods itself."""

    def __init__(self, rest: Any, hold: Any) -> None:
        self.tid = threading.get_native_id()
        self.held: list[tuple[int, int]] = []
        self.waited: list[tuple[int, int]] = []
        self.gaps: list[tuple[int, int, bool, bool]] = []
        self.unsure: list[tuple[int, int]] = []
        self.starved: list[tuple[int, int]] = []
        self.starts: list[int] = []
        self.rest_in_c = rest
        self.hold_in_c = hold
        self.times = (ctypes.c_int64 * 3)()
        self.switches = (0, 0)
        self.since = self.last = 0

    def start(self) -> None:
        self.switches = self.switches_now()
        self.since = self.last = clock()

    @staticmethod
    def switches_now() -> tuple[int, int]:
        usage = resource.getrusage(resource.RUSAGE_THREAD)
        return usage.ru_nvcsw, usage.ru_nivcsw

    def jumped(self, last: int, now: int, has_let_go: bool = False) -> None:
        """The clock did, and what for shows in the end: the wait for the GIL is a voluntary switch and no other."""
        switches = self.switches_now()
        is_wait = switches[0] != self.switches[0] and switches[1] == self.switches[1]
        self.switches = switches
        self.held.append((self.since, last))
        self.gaps.append((last, now, is_wait and not has_let_go, has_let_go))
        self.since = now

    def spin(self, length_ns: int) -> None:
        """Computes until that much time has passed, waits included."""
        gap_ns = GAP_NS
        last = self.last
        end = last + length_ns
        while last < end:
            now = clock()
            if now - last > gap_ns:
                self.jumped(last, now)
            else:
                self.switches = self.switches_now()
            last = now
        self.last = last

    def call(self, function: Any, length_ns: int, is_busy: int, has_let_go: bool) -> int:
        function(length_ns, is_busy, self.times)
        now = clock()
        if self.times[0] - self.last > GAP_NS:
            self.jumped(self.last, self.times[0], has_let_go)
        self.last = now
        return now

    def rest(self, length_ns: int, is_busy: int) -> None:
        """Lets the GIL go for that long."""
        now = self.call(self.rest_in_c, length_ns, is_busy, True)
        self.held.append((self.since, self.times[0]))
        switches = self.switches_now()
        if now - self.times[1] > OVERHEAD_NS:
            self.waited.append((self.times[1], now))
            if switches[1] != self.times[2]:
                self.starved.append((self.times[1], now))
        self.since = now
        self.switches = switches

    def hold(self, length_ns: int) -> None:
        """Keeps the GIL that long in C, where no switch interval ends it."""
        now = self.call(self.hold_in_c, length_ns, 1, False)
        if now - self.times[1] > GAP_NS:
            self.jumped(self.times[1], now)

    def settle(self, others: list[Log]) -> None:
        """Who loses its CPU has the GIL all the while, or has lost that too: then another thread came by. Who has let go
        of the GIL by itself, and then has no CPU to go on, does not wait for the GIL."""
        starts = sorted(start for log in others for start in log.starts)
        for last, now, is_wait, has_let_go in self.gaps:
            at = bisect.bisect_left(starts, last)
            end = last if is_wait else min(now, starts[at]) if at < len(starts) else now
            self.held.append((last, end))
            if not has_let_go:
                self.waited.append((end, now))
            if not is_wait:
                self.unsure.append((last, now))

    def finish(self) -> None:
        self.held.append((self.since, clock()))
        self.starts = [start for start, _ in self.held]


def spinner(log: Log, is_over: threading.Event, _: random.Random) -> None:
    while not is_over.is_set():
        log.spin(20_000_000)


def sleeper(log: Log, is_over: threading.Event, chance: random.Random) -> None:
    """Works a little, sleeps a little."""
    while not is_over.is_set():
        log.spin(chance.randrange(500_000, 4_000_000))
        log.rest(chance.randrange(1_000_000, 12_000_000), 0)


def beater(log: Log, is_over: threading.Event, chance: random.Random) -> None:
    """Mostly asleep, and quick when awake."""
    while not is_over.is_set():
        log.spin(200_000)
        log.rest(chance.randrange(2_000_000, 8_000_000), 0)


def releaser(log: Log, is_over: threading.Event, chance: random.Random) -> None:
    """Computes in C without the GIL."""
    while not is_over.is_set():
        log.spin(chance.randrange(500_000, 2_000_000))
        log.rest(chance.randrange(1_000_000, 8_000_000), 1)


def hogger(log: Log, is_over: threading.Event, chance: random.Random) -> None:
    """Calls into C that keep the GIL: no switch interval ends them."""
    while not is_over.is_set():
        log.hold(chance.randrange(5_000_000, 25_000_000))
        log.rest(chance.randrange(5_000_000, 15_000_000), 0)


PATTERNS: dict[str, list[Callable[[Log, threading.Event, random.Random], None]]] = {
    "alone": [spinner],
    "turns": [sleeper],
    "two": [spinner, spinner],
    "sleepers": [sleeper, sleeper, sleeper],
    "mixed": [spinner, sleeper, beater],
    "released": [releaser, releaser, beater],
    "hog": [hogger, beater, beater],
}


def helper_load(text: str) -> tuple[Any, Any]:
    with tempfile.NamedTemporaryFile(suffix=".so", delete=False) as file:
        file.write(base64.b64decode(text))
    try:
        functions = ctypes.CDLL(file.name).rest, ctypes.PyDLL(file.name).rest  # without the GIL, and with it
    finally:
        Path(file.name).unlink()
    for function in functions:
        function.argtypes = [ctypes.c_int64, ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]
        function.restype = None
    return functions


def main(pattern: str) -> None:
    rest, hold = helper_load(sys.stdin.readline())
    is_over = threading.Event()
    roles = PATTERNS[pattern]
    ready = threading.Barrier(len(roles) + 1)
    logs: list[tuple[str, Log]] = []

    def run(role: Callable[[Log, threading.Event, random.Random], None], seed: int) -> None:
        log = Log(rest, hold)
        logs.append((role.__name__, log))
        ready.wait()
        log.start()
        role(log, is_over, random.Random(seed))
        log.finish()

    threads = [threading.Thread(target=run, args=(role, seed)) for seed, role in enumerate(roles)]
    for thread in threads:
        thread.start()
    ready.wait()
    print(os.getpid(), flush=True)
    sys.stdin.read()
    is_over.set()
    for thread in threads:
        thread.join()
    for _, log in logs:
        log.settle([other for _, other in logs if other is not log])
    names = ("tid", "held", "waited", "unsure", "starved")
    rows = [{"role": role, **{name: getattr(log, name) for name in names}} for role, log in logs]
    print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
