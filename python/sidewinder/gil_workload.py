"""The workload of `sidewinder gil --workers N`: a heartbeat beside worker threads, measured phase by phase.

Runs by itself on CPython 3.8 and later, with the standard library only, so that any interpreter can be the subject:

    python gil_workload.py FILE PERIOD_NS WORKERS WORK PHASE...

A PHASE is "NAME:WORKERS:SWITCH_INTERVAL_NS:DURATION_NS"; an interval of 0 leaves the interpreter's own. WORKERS is the
largest number in any phase. FILE, made by the caller with the right size, is mapped by both sides: results go there as
they arise, so that watching costs the subject nothing. It holds one block of 64-bit integers for each phase (see
Block). Nothing is printed.

The heartbeat's deadlines are absolute: start + k * period. A beat that wakes late by more than a period finds deadlines
that have passed meanwhile; each of them is recorded with the time by which it was missed, so that a long stall weighs as
many samples as it covers (no coordinated omission).
"""

from __future__ import annotations

import hashlib
import mmap
import sys
import threading
import time

TYPE_CHECKING = False  # as type checkers know it; the import of typing would slow the subject's start
if TYPE_CHECKING:
    from collections.abc import Callable

STARTING, RUNNING, ENDED = 0, 1, 2
HEAD = 16  # integers ahead of the workers' slots


class Block:
    """One phase's integers.

    0 state, 1 samples, 2 deadlines missed by more than a period, 3 start (monotonic ns), 4 end, 5 switch interval (ns),
    6 room for samples, 7 thread id of the heartbeat; from HEAD on for each worker two: thread id and units of work
    done; then the samples (latency of each deadline in ns).
    """

    def __init__(self, cells: memoryview, at: int, workers: int, room: int) -> None:
        self.cells = cells
        self.at = at
        self.samples_at = at + HEAD + 2 * workers
        self.room = room
        cells[at + 6] = room

    @staticmethod
    def size(workers: int, room: int) -> int:
        return HEAD + 2 * workers + room


def room_for(duration_ns: int, period_ns: int) -> int:
    return duration_ns // period_ns + 2


def spin(cells: memoryview, slot: int, end_ns: int) -> None:
    """Pure bytecode; a unit is a turn of the loop."""
    value = done = 0
    while time.monotonic_ns() < end_ns:
        for turn in range(1000):
            value = (value * 3 + turn) & 0xFFFFFF
        done += 1000
        cells[slot] = done


def hash_small(cells: memoryview, slot: int, end_ns: int) -> None:
    """SHA-256 of 2 KiB less a byte, the most that is hashed without letting the GIL go; a unit is a hash."""
    data = b"x" * 2047
    done = 0
    while time.monotonic_ns() < end_ns:
        for _ in range(20):
            hashlib.sha256(data).digest()
        done += 20
        cells[slot] = done


def nap(cells: memoryview, slot: int, end_ns: int) -> None:
    """Sleeps of 1 ms, as a thread that waits for I/O does; a unit is a sleep."""
    done = 0
    while time.monotonic_ns() < end_ns:
        time.sleep(0.001)
        done += 1
        cells[slot] = done


def hash_large(cells: memoryview, slot: int, end_ns: int) -> None:
    """SHA-256 of 256 KiB: a loop in C that lets the GIL go; a unit is a hash."""
    data = b"x" * (256 << 10)
    done = 0
    while time.monotonic_ns() < end_ns:
        hashlib.sha256(data).digest()
        done += 1
        cells[slot] = done


WORK = {"python": spin, "hash": hash_small, "sleep": nap, "release": hash_large}


def beat(block: Block, start_ns: int, end_ns: int, period_ns: int) -> None:
    cells, at = block.cells, block.samples_at
    count = missed = 0
    deadline = start_ns + period_ns
    while deadline <= end_ns and count < block.room:
        delay = deadline - time.monotonic_ns()
        if delay > 0:
            time.sleep(delay / 1e9)
        now = time.monotonic_ns()
        if now < deadline:
            continue
        late = 0
        while deadline <= now and deadline <= end_ns and count < block.room:
            cells[at + count] = now - deadline
            missed += late
            late = 1
            count += 1
            deadline += period_ns
        cells[block.at + 2] = missed
        cells[block.at + 1] = count


def run_phase(block: Block, workers: int, duration_ns: int, period_ns: int, work: Callable[..., None]) -> None:
    cells, at = block.cells, block.at
    begin = [0, 0]
    barrier = threading.Barrier(workers + 1, action=lambda: open_phase(block, begin, duration_ns))

    def heartbeat() -> None:
        cells[at + 7] = threading.get_native_id()
        barrier.wait()
        beat(block, begin[0], begin[1], period_ns)

    def worker(slot: int) -> None:
        cells[slot] = threading.get_native_id()
        barrier.wait()
        work(cells, slot + 1, begin[1])

    threads: list[threading.Thread] = [threading.Thread(target=heartbeat, name="heartbeat")]
    for index in range(workers):
        slot = at + HEAD + 2 * index
        threads.append(threading.Thread(target=worker, args=(slot,), name=f"worker-{index + 1}"))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cells[at + 4] = time.monotonic_ns()
    cells[at] = ENDED


def open_phase(block: Block, begin: list[int], duration_ns: int) -> None:
    begin[0] = time.monotonic_ns()
    begin[1] = begin[0] + duration_ns
    block.cells[block.at + 3] = begin[0]
    block.cells[block.at + 5] = int(sys.getswitchinterval() * 1e9 + 0.5)
    block.cells[block.at] = RUNNING


def main(arguments: list[str]) -> None:
    path, period_ns, workers, work = arguments[0], int(arguments[1]), int(arguments[2]), arguments[3]
    phases = [text.split(":") for text in arguments[4:]]
    own_interval = sys.getswitchinterval()
    with open(path, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    cells = memoryview(memory).cast("q")
    at = 0
    for _, count, interval_ns, duration_ns in phases:
        room = room_for(int(duration_ns), period_ns)
        block = Block(cells, at, workers, room)
        sys.setswitchinterval(int(interval_ns) / 1e9 if int(interval_ns) else own_interval)
        run_phase(block, int(count), int(duration_ns), period_ns, WORK[work])
        at += Block.size(workers, room)


if __name__ == "__main__":
    main(sys.argv[1:])
