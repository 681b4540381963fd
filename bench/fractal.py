"""fractal - Escape-time fractals beside Numba and Cython, at equal threads, in one process.

    game    the shape of the Benchmarks Game: 16000 x 16000 points, 50 iterations, one bit a point. Beside Numba's
            prange
    frame   4000 x 4000 counts of x -2.5 ... 1, y -1 ... 1, 1000 iterations. Beside Numba's prange, as one writes it and
            with the tests for the cardioid and the disc
    julia   the Julia set of "High Performance Python": 1000 x 1000, 300 iterations, counts that sum up to 33219980.
            Beside Numba's and Cython's prange

Ours and the peers run in turn in every round; the figures are the least seconds of all rounds, and their ratios. Counts
are compared: exact ones must be equal, fused ones may differ in one point of a thousand. The bar of each is 5 times the
fastest peer, at every number of threads. Numba comes from the `bench` group of pyproject.toml; Cython also needs gcc.
The raw rate inside the set, beside the limit of the processor, is `make bench X=fractal_kernel`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np

from sidewinder import fastmath

BAR = 5.0
JULIA_SUM = 33219980
JULIA_C = complex(-0.62772, -0.42193)
GAME_ITERATIONS = 50
GAME_ROWS = 500  # at a time: the counts of all points would be 1 GB
FRAME_ITERATIONS = 1000


def plain_escape(x: float, y: float, re: float, im: float, iterations: int) -> int:
    xx, yy = x * x, y * y
    n = 0
    while n < iterations and xx + yy <= 4.0:
        y = 2.0 * x * y + im
        x = xx - yy + re
        xx, yy = x * x, y * y
        n += 1
    return n


def numba_functions(is_fast: bool) -> tuple[Any, Any, Any]:
    """Functions that fill: (bitmap, counts of the Mandelbrot set, counts of a Julia set)."""
    escape = numba.njit(fastmath=is_fast, inline="always")(plain_escape)

    def bitmap(bits: Any, x: float, y: float, step: float) -> None:
        for row in numba.prange(bits.shape[0]):
            im = y + row * step
            for byte in range(bits.shape[1]):
                value = 0
                for bit in range(8):
                    re = x + (byte * 8 + bit) * step
                    value = value * 2 + (escape(re, im, re, im, GAME_ITERATIONS - 1) == GAME_ITERATIONS - 1)
                bits[row, byte] = value

    def mandelbrot(counts: Any, x: tuple[float, float], y: tuple[float, float], has_known: bool) -> None:
        height, width = counts.shape
        x_step, y_step = (x[1] - x[0]) / width, (y[1] - y[0]) / height
        for row in numba.prange(height):
            im = y[0] + row * y_step
            for column in range(width):
                re = x[0] + column * x_step
                right, square = re - 0.25, im * im
                q = right * right + square
                if has_known and (q * (q + right) <= 0.25 * square or (re + 1) * (re + 1) + square <= 0.0625):
                    counts[row, column] = FRAME_ITERATIONS
                else:
                    counts[row, column] = 1 + escape(re, im, re, im, FRAME_ITERATIONS - 1)

    def julia(counts: Any, first: float, step: float, c: complex, iterations: int) -> None:
        height, width = counts.shape
        for row in numba.prange(height):
            for column in range(width):
                counts[row, column] = escape(first + column * step, first + row * step, c.real, c.imag, iterations)

    compiled = [numba.njit(parallel=True, fastmath=is_fast)(function) for function in (bitmap, mandelbrot, julia)]
    return compiled[0], compiled[1], compiled[2]


def cython_module(folder: Path) -> Any:
    """bench/fractal_peer.pyx, compiled for this processor; no contraction, as the sum must be exact."""
    source = Path(__file__).with_name("fractal_peer.pyx")
    c_file, library = folder / "fractal_peer.c", folder / "fractal_peer.so"
    subprocess.run([sys.executable, "-m", "cython", "-3", source, "-o", c_file], check=True)
    flags = ["-O3", "-march=native", "-ffp-contract=off", "-fopenmp", "-shared", "-fPIC"]
    include = sysconfig.get_path("include")
    subprocess.run(["gcc", *flags, f"-I{include}", "-w", c_file, "-o", library], check=True)
    spec = importlib.util.spec_from_file_location("fractal_peer", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Contest:
    """What is measured in turn; the first is ours."""

    name: str
    runs: Mapping[str, Callable[[int], None]]  # by name; given the number of threads
    check: Callable[[str], None]  # raises if the last result of this run is wrong
    seconds: dict[tuple[str, int], float] = field(default_factory=dict)

    def round(self, threads: list[int]) -> None:
        for count in threads:
            for name, run in self.runs.items():
                begin = time.perf_counter()
                run(count)
                spent = time.perf_counter() - begin
                self.seconds[name, count] = min(spent, self.seconds.get((name, count), spent))
                self.check(name)

    def report(self, threads: list[int]) -> bool:
        """Prints the table; whether the bar is reached everywhere."""
        is_reached = True
        for count in threads:
            ours = self.seconds["sidewinder", count]
            best = min(value for (name, used), value in self.seconds.items() if used == count and name != "sidewinder")
            for name in self.runs:
                spent = self.seconds[name, count]
                print(f"{self.name:6} {count:2} threads  {name:28} {spent * 1e3:10.2f} ms  {spent / ours:7.2f} x ours")
            verdict = "reached" if best / ours >= BAR else "MISSED"
            print(f"{self.name:6} {count:2} threads  {best / ours:.2f} times the fastest peer: bar {BAR} {verdict}")
            is_reached = is_reached and best / ours >= BAR
        return is_reached


def expect_close(a: Any, b: Any, points: int) -> None:
    wrong = int(np.count_nonzero(a != b))
    if wrong > points / 1000:
        raise SystemExit(f"{wrong} of {points} counts differ")


def game(size: int) -> Contest:
    bitmap = numba_functions(True)[0]
    bits = {name: np.zeros((size, size // 8), np.uint8) for name in ("sidewinder", "numba")}
    rows = min(GAME_ROWS, size)
    counts: Any = np.zeros((rows, size), np.uint32)
    step = 2.0 / size

    def ours(threads: int) -> None:
        for first in range(0, size, rows):
            y = (-1.0 + first * step, -1.0 + (first + rows) * step)
            fastmath.mandelbrot(size, rows, x=(-1.5, 0.5), y=y, iterations=GAME_ITERATIONS, out=counts, threads=threads)
            bits["sidewinder"][first : first + rows] = np.packbits(counts == GAME_ITERATIONS, axis=1)

    def peer(threads: int) -> None:
        numba.set_num_threads(threads)
        bitmap(bits["numba"], -1.5, -1.0, step)

    bitmap(bits["numba"][:8], -1.5, -1.0, step)  # compiled here

    def check(name: str) -> None:
        if name != "sidewinder":
            expect_close(bits["sidewinder"], bits["numba"], size * size)

    return Contest("game", {"sidewinder": ours, "numba prange fastmath": peer}, check)


def frame(size: int) -> Contest:
    mandelbrot = numba_functions(True)[1]
    x, y = (-2.5, 1.0), (-1.0, 1.0)
    counts: dict[str, Any] = {name: np.zeros((size, size), np.uint32) for name in ("ours", "peer")}

    def ours(threads: int) -> None:
        fastmath.mandelbrot(size, size, x=x, y=y, iterations=FRAME_ITERATIONS, out=counts["ours"], threads=threads)

    def plain(threads: int) -> None:
        numba.set_num_threads(threads)
        mandelbrot(counts["peer"], x, y, False)

    def known(threads: int) -> None:
        numba.set_num_threads(threads)
        mandelbrot(counts["peer"], x, y, True)

    def check(name: str) -> None:
        if name != "sidewinder":
            expect_close(counts["ours"], counts["peer"], size * size)

    mandelbrot(counts["peer"][:8], x, (-1.0, -0.9), True)
    runs = {"sidewinder": ours, "numba prange fastmath": plain, "numba, cardioid and disc": known}
    return Contest("frame", runs, check)


def julia(folder: Path) -> Contest:
    compiled = numba_functions(False)[2]
    cython = cython_module(folder)
    counts: Any = np.zeros((1000, 1000), np.uint32)
    step = 3.6 / 1000

    def ours(threads: int) -> None:
        fastmath.julia(JULIA_C, 1000, 1000, iterations=300, exact=True, out=counts, threads=threads)

    def peer(threads: int) -> None:
        numba.set_num_threads(threads)
        compiled(counts, -1.8, step, JULIA_C, 300)

    def other(threads: int) -> None:
        cython.julia(counts, -1.8, step, JULIA_C.real, JULIA_C.imag, 300, threads)

    def check(name: str) -> None:
        total = int(counts.sum(dtype=np.uint64))
        if total != JULIA_SUM:
            raise SystemExit(f"{name}: the counts sum up to {total}, not {JULIA_SUM}")
        counts.fill(0)

    peer(1)
    return Contest("julia", {"sidewinder": ours, "numba prange": peer, "cython prange": other}, check)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each contest (7)")
    parser.add_argument("--only", default="game,frame,julia", help="contests to run, separated by commas")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, separated by commas (1,2)")
    parser.add_argument("--game-size", type=int, default=16000, help="points along a side, a multiple of 500 (16000)")
    parser.add_argument("--frame-size", type=int, default=4000, help="points along a side (4000)")
    wanted = parser.parse_args()
    threads = [int(text) for text in wanted.threads.split(",")]
    processors = len(os.sched_getaffinity(0))
    if max(threads) > processors:
        parser.error(f"--threads: there are {processors} processors")
    if wanted.game_size % GAME_ROWS or wanted.game_size < GAME_ROWS:
        parser.error(f"--game-size must be a multiple of {GAME_ROWS}")
    is_reached = True
    with tempfile.TemporaryDirectory() as folder:
        makers: dict[str, Callable[[], Contest]] = {
            "game": lambda: game(wanted.game_size),
            "frame": lambda: frame(wanted.frame_size),
            "julia": lambda: julia(Path(folder)),
        }
        for name in wanted.only.split(","):
            if name not in makers:
                parser.error(f"--only: no contest {name}")
            contest = makers[name]()
            for _ in range(wanted.rounds):
                contest.round(threads)
            is_reached = contest.report(threads) and is_reached
    sys.exit(0 if is_reached else 1)


if __name__ == "__main__":
    main()
