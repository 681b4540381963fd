"""sidewinder.Pool beside multiprocessing.Pool and ProcessPoolExecutor: tasks a second, hand-over of arrays, start, deaths.

Ours and the peers take turns in one process; of each the best of the rounds counts. Two workers, fork, f(x) = x * x.
Bars: map with chunksize 1, 20 times multiprocessing.Pool; a 100 MB array handed over 300 times as fast as
multiprocessing.Queue, without a copy; start to first result 3 ms; with --soak no hang, no leak, every loss reported.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from sidewinder import Pool, SharedArray
from sidewinder.pool import WorkerDied

FORK = multiprocessing.get_context("fork")
TASKS = 100_000


def square(x: int) -> int:
    return x * x


def identity(value: Any) -> Any:
    return value


def first_and_last(array: Any) -> tuple[float, float]:
    view = memoryview(array)
    return view[0], view[-1]


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class Table:
    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(self, what: str, unit: str, ours: float, peers: dict[str, float], bar: str) -> None:
        """`ours` and the peers' figures are seconds, or with the unit "tasks/s" rates."""
        is_rate = unit == "tasks/s"
        scale = 1.0 if is_rate else 1e3
        best = (max if is_rate else min)(peers.values()) if peers else None
        ratio = None if best is None else ours / best if is_rate else best / ours
        self.rows.append({"what": what, "unit": unit, "ours": ours * scale, "ratio": ratio, "bar": bar})
        shown = "  ".join(f"{name} {figure * scale:,.3f}" for name, figure in peers.items())
        print(
            f"{what:44} {ours * scale:>14,.3f} {unit:8} {'' if ratio is None else f'x{ratio:,.1f}':>9}  {shown}  {bar}",
            flush=True,
        )


def throughput(table: Table, rounds: int) -> None:
    items = list(range(TASKS))
    few = items[: TASKS // 10]
    expected = [x * x for x in items]
    with (
        Pool(2, start_method="fork") as pool,
        FORK.Pool(2) as peer,
        ProcessPoolExecutor(2, mp_context=FORK) as executor,
    ):

        def check(results: Any, wanted: list[int]) -> None:
            if list(results) != wanted:
                raise SystemExit("wrong results")

        cases: list[tuple[str, str, int, dict[str, tuple[int, Callable[[], object]]], Callable[[], object]]] = [
            (
                "map, chunksize 1",
                "bar x20",
                TASKS,
                {
                    "multiprocessing": (len(few), lambda: check(peer.map(square, few, 1), expected[: len(few)])),
                    "executor": (len(few) // 5, lambda: list(executor.map(square, few[: len(few) // 5], chunksize=1))),
                },
                lambda: check(pool.map(square, items, 1), expected),
            ),
            (
                "map, own chunks",
                "",
                TASKS,
                {"multiprocessing": (TASKS, lambda: check(peer.map(square, items), expected))},
                lambda: check(pool.map(square, items), expected),
            ),
            (
                "imap, chunksize 1",
                "",
                len(few),
                {"multiprocessing": (len(few), lambda: check(peer.imap(square, few), expected[: len(few)]))},
                lambda: check(pool.imap(square, few, 1), expected[: len(few)]),
            ),
            (
                "imap_unordered, chunksize 1",
                "",
                len(few),
                {"multiprocessing": (len(few), lambda: list(peer.imap_unordered(square, few)))},
                lambda: list(pool.imap_unordered(square, few, 1)),
            ),
            (
                "apply, one after another",
                "",
                1000,
                {"multiprocessing": (1000, lambda: [peer.apply(square, (i,)) for i in range(1000)])},
                lambda: [pool.apply(square, (i,)) for i in range(1000)],
            ),
            (
                "submit().result(), one after another",
                "",
                1000,
                {"executor": (1000, lambda: [executor.submit(square, i).result() for i in range(1000)])},
                lambda: [pool.submit(square, i).result() for i in range(1000)],
            ),
        ]
        for what, bar, count, peers, ours in cases:
            best = 0.0
            others = dict.fromkeys(peers, 0.0)
            for _ in range(rounds):
                best = max(best, count / timed(ours))
                for name, (size, run) in peers.items():
                    others[name] = max(others[name], size / timed(run))
            table.add(what, "tasks/s", best, others, bar)


def echo(tasks: Any, results: Any) -> None:
    while (value := tasks.get()) is not None:
        results.put(float(value[0]))


def hand_over(table: Table, rounds: int) -> None:
    """From the owner to a worker, which looks at the first and the last element and answers."""
    try:
        import numpy
    except ImportError:
        print("no NumPy here: the hand-over of arrays is not measured")
        return
    array = numpy.arange(12_500_000.0)
    shared = SharedArray.copy_of(array)
    tasks, results = FORK.Queue(), FORK.Queue()
    process = FORK.Process(target=echo, args=(tasks, results), daemon=True)
    process.start()

    def queue() -> None:
        tasks.put(array)
        results.get()

    with Pool(1, start_method="fork") as pool:
        best: dict[str, float] = {}
        for _ in range(rounds):
            for name, run in (
                ("queue", queue),
                ("copy", lambda: pool.apply(first_and_last, (array,))),
                ("shared", lambda: pool.apply(first_and_last, (shared,))),
                ("view", lambda: pool.apply(first_and_last, (shared.numpy(),))),
                ("both", lambda: pool.apply(identity, (array,))),
            ):
                best[name] = min(best.get(name, 1e9), timed(run))
    tasks.put(None)
    process.join()
    peers = {"Queue": best["queue"]}
    table.add("100 MB array, SharedArray", "ms", best["shared"], peers, "bar x300")
    table.add("100 MB array, NumPy view of a SharedArray", "ms", best["view"], peers, "bar x300")
    table.add("100 MB array, copied once", "ms", best["copy"], peers, "")
    table.add("100 MB array, there and back", "ms", best["both"], {}, "")


def start(table: Table, rounds: int) -> None:
    def ours() -> None:
        pool = Pool(2, start_method="fork")
        pool.map(square, [1, 2])
        ends.append(pool.terminate)

    def theirs() -> None:
        pool = FORK.Pool(2)
        pool.map(square, [1, 2])
        ends.append(pool.terminate)

    best = {"ours": 1e9, "multiprocessing": 1e9}
    ends: list[Callable[[], None]] = []
    for _ in range(rounds * 3):
        for name, run in (("ours", ours), ("multiprocessing", theirs)):
            best[name] = min(best[name], timed(run))
            ends.pop()()
    table.add("start of Pool(2) to first result", "ms", best.pop("ours"), best, "bar 3 ms")


def killed(stamp: str) -> None:
    Path(stamp).write_text(str(time.monotonic_ns()))
    os.kill(os.getpid(), signal.SIGKILL)


def death(table: Table, rounds: int, folder: Path) -> None:
    stamp = folder / "stamp"
    best = 1e9
    worst = 0.0
    with Pool(2, start_method="fork") as pool:
        for _ in range(rounds * 3):
            try:
                pool.apply(killed, (str(stamp),))
            except WorkerDied:
                took = (time.monotonic_ns() - int(stamp.read_text())) / 1e9
                best, worst = min(best, took), max(worst, took)
    table.add("from SIGKILL in a task to its error, best", "ms", best, {}, "bar 20 ms")
    table.add("from SIGKILL in a task to its error, worst", "ms", worst, {}, "")


# The soak: a program with a pool is run again and again; its workers, or it, are killed at random moments.


def nap(work: tuple[int, float]) -> int:
    index, seconds = work
    if seconds:
        time.sleep(seconds)
    return index


def soak_program(seed: int) -> None:
    """Kills workers of its own pool; says how many tasks were lost, or that something is wrong."""
    dice = random.Random(seed)
    try:
        import numpy

        ballast: Any = numpy.zeros(20_000)
    except ImportError:
        ballast = b"x" * 100_000
    lost = deaths = 0
    with Pool(2, start_method=dice.choice(["fork", "fork", "fork", "forkserver"])) as pool:
        print(" ".join(map(str, [pool._template, *pool.map(pid_after, [0.0] * 8), 0])), flush=True)
        for _ in range(dice.randrange(1, 6)):
            count = dice.choice([10, 300, 3000])
            tasks = [(i, 0.001 if dice.random() < 0.02 else 0.0) for i in range(count)]
            killers = [pool.map_async(identity, [ballast] * 5) for _ in range(dice.randrange(3))]
            stream = pool.imap(nap, tasks, dice.choice([None, 1, 7]), return_exceptions=True)
            at = dice.randrange(count)
            for index in range(count):
                if index == at and (pids := pool.pids):
                    with contextlib.suppress(ProcessLookupError):  # killed before, and not noticed yet
                        os.kill(dice.choice(pids), signal.SIGKILL)
                        deaths += 1
                result = next(stream)
                if isinstance(result, WorkerDied):
                    lost += 1
                elif result != index:
                    sys.exit(f"task {index} gave {result!r}")
            for killer in killers:
                try:
                    killer.get(60)
                except WorkerDied:
                    lost += 1
    if lost > deaths:
        sys.exit(f"{lost} tasks lost by {deaths} deaths")
    print(f"lost {lost} of {deaths}", flush=True)


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def descendants_of(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found


def soak_round(seed: int) -> str:
    """One program; in every second round it, or its template, is killed as well. What went wrong, or ""."""
    dice = random.Random(seed)
    command = [sys.executable, __file__, "--soak-program", str(seed)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    is_killed = dice.random() < 0.5
    if is_killed:
        assert process.stdout is not None
        if dice.random() < 0.8:
            first = process.stdout.readline().split()
            time.sleep(dice.random() * 0.05)
        else:
            first = []
            time.sleep(dice.random() * 0.3)
        target = process.pid if not first or dice.random() < 0.7 else int(first[0])
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            pass
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "it hangs"
    if not is_killed and (process.returncode != 0 or "lost" not in out):
        return f"exit code {process.returncode}: {err.strip()[-800:]}"
    end = time.monotonic() + 10
    while left := descendants_of(process.pid):
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
            return f"processes are left: {left}"
        time.sleep(0.002)
    return ""


def soak(rounds: int, seed: int) -> bool:
    before = set(Path("/dev/shm").iterdir())
    wrong = 0
    for number in range(rounds):
        trouble = soak_round(seed + number)
        if trouble:
            wrong += 1
            print(f"round {number} (seed {seed + number}): {trouble}", flush=True)
        if sys.stderr.isatty():
            print(f"\r{number + 1}/{rounds}", end="", file=sys.stderr, flush=True)
    left = set(Path("/dev/shm").iterdir()) - before
    print(f"soak: {rounds} rounds from seed {seed}: {wrong} went wrong, {len(left)} files left in /dev/shm")
    return wrong == 0 and not left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measurement (default 7)")
    parser.add_argument("--only", choices=["throughput", "hand-over", "start", "death"], help="one of the measurements")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--soak", type=int, metavar="ROUNDS", help="instead: kill at random, so many rounds")
    parser.add_argument("--seed", type=int, default=1, help="of the soak (default 1)")
    parser.add_argument("--soak-program", type=int, metavar="SEED", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.soak_program is not None:
        soak_program(options.soak_program)
        return
    if options.soak is not None:
        sys.exit(0 if soak(options.soak, options.seed) else 1)
    table = Table()
    measurements: dict[str, Callable[[], None]] = {
        "start": lambda: start(table, options.rounds),
        "throughput": lambda: throughput(table, options.rounds),
        "hand-over": lambda: hand_over(table, options.rounds),
        "death": lambda: with_folder(lambda folder: death(table, options.rounds, folder)),
    }
    for name, measure in measurements.items():
        if options.only in (None, name):
            measure()
    if options.json:
        options.json.write_text(json.dumps(table.rows, indent=2) + "\n")


def with_folder(use: Callable[[Path], None]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="sidewinder-") as folder:
        use(Path(folder))


if __name__ == "__main__":
    main()
