"""stencil - Diffusion on a periodic grid beside NumPy and Numba, in one process.

    roll        u + rate * (roll + roll + roll + roll - 4 u), an array for each term
    in place    the neighbours added up in one array that is kept, two grids in turn
    Numba       two loops with the wrap-around in the rows' ends, compiled before the clock starts

Grids of 640 x 640 (500 steps) and 4096 x 4096 (48 steps), float64 and float32, on one and two threads; NumPy and Numba run
on one. Ours and the peers run in turn in every round; a figure is the best of all rounds, in millions of cells a second, a
ratio is ours over the fastest NumPy. Peers that are slow do a share of the steps. Results are compared after 20 steps.
The bars: 640 x 640 at least 5 times the best NumPy on one thread, 4096 x 4096 at least 8 times. The peers come from the
`bench` group of pyproject.toml.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RATE = 0.1
BARS = {640: 5.0, 4096: 8.0}
STEPS = {640: 500, 4096: 48}
PEER_SHARE = 8  # peers do so many times fewer steps
CHECKED_STEPS = 20

Run = Callable[[Any, int], Any]  # a grid and steps to the grid after them; the grid itself may be overwritten


def roll(grid: Any, steps: int) -> Any:
    import numpy as np

    rate = grid.dtype.type(RATE)
    for _ in range(steps):
        around = np.roll(grid, 1, 1) + np.roll(grid, -1, 1) + np.roll(grid, 1, 0) + np.roll(grid, -1, 0)
        grid = grid + rate * (around - 4 * grid)
    return grid


def add_neighbours(grid: Any, out: Any) -> None:
    out[:, 1:] += grid[:, :-1]
    out[:, 0] += grid[:, -1]
    out[:, :-1] += grid[:, 1:]
    out[:, -1] += grid[:, 0]
    out[1:] += grid[:-1]
    out[0] += grid[-1]
    out[:-1] += grid[1:]
    out[-1] += grid[0]


def in_place(grid: Any, steps: int) -> Any:
    import numpy as np

    rate = grid.dtype.type(RATE)
    other = np.empty_like(grid)
    for _ in range(steps):
        np.multiply(grid, -4, out=other)
        add_neighbours(grid, other)
        other *= rate
        other += grid
        grid, other = other, grid
    return grid


def compiled() -> Run:
    """Numba's, ready to run."""
    import numba
    import numpy as np

    def plain_step(grid: Any, out: Any, rate: Any, four: Any) -> None:
        rows, columns = grid.shape
        for i in range(rows):
            up, down = (i - 1) % rows, (i + 1) % rows
            for j in range(1, columns - 1):
                around = grid[i, j - 1] + grid[i, j + 1] + grid[up, j] + grid[down, j]
                out[i, j] = grid[i, j] + rate * (around - four * grid[i, j])
            for j in (0, columns - 1):
                around = grid[i, (j - 1) % columns] + grid[i, (j + 1) % columns] + grid[up, j] + grid[down, j]
                out[i, j] = grid[i, j] + rate * (around - four * grid[i, j])

    step: Any = numba.njit(plain_step)

    def run(grid: Any, steps: int) -> Any:
        other, rate, four = np.empty_like(grid), grid.dtype.type(RATE), grid.dtype.type(4)
        for _ in range(steps):
            step(grid, other, rate, four)
            grid, other = other, grid
        return grid

    for dtype in ("float64", "float32"):
        run(np.zeros((4, 4), dtype), 1)
    return run


def ours(threads: int) -> Run:
    from sidewinder import fastmath

    def run(grid: Any, steps: int) -> Any:
        return fastmath.diffuse(grid, steps, RATE, out=grid, threads=threads)

    return run


@dataclass
class Row:
    """One way to do it."""

    name: str
    run: Run
    is_numpy: bool = False
    is_ours: bool = False
    rate: float = 0.0  # cells a second, the best so far

    def measure(self, grid: Any, steps: int) -> None:
        steps = steps if self.is_ours else max(2, steps // PEER_SHARE)
        grid = grid.copy()
        begin = time.perf_counter()
        self.run(grid, steps)
        self.rate = max(self.rate, grid.size * steps / (time.perf_counter() - begin))


def make_rows(threads: list[int]) -> list[Row]:
    rows = [Row("NumPy, roll", roll, is_numpy=True), Row("NumPy, in place", in_place, is_numpy=True)]
    try:
        rows.append(Row("Numba", compiled()))
    except ImportError:
        print("Numba is not installed: left out")
    rows += [Row(f"sidewinder, {n} thread{'s' if n > 1 else ''}", ours(n), is_ours=True) for n in threads]
    return rows


def check(rows: list[Row], grid: Any) -> None:
    import numpy as np

    tolerance = 1e-4 if grid.dtype == np.float32 else 1e-12
    expected = rows[0].run(grid.copy(), CHECKED_STEPS)
    for row in rows:
        if not np.allclose(row.run(grid.copy(), CHECKED_STEPS), expected, rtol=tolerance, atol=tolerance):
            raise SystemExit(f"{row.name} gives another grid than {rows[0].name}")


def report(rows: list[Row], side: int) -> None:
    numpy_rate = max(row.rate for row in rows if row.is_numpy)
    numba_rate = max((row.rate for row in rows if row.name == "Numba"), default=math.nan)
    for row in rows:
        line = f"  {row.name:22} {row.rate / 1e6:9.0f} Mcell/s {row.rate / numpy_rate:8.2f} x NumPy"
        if row.is_ours and not math.isnan(numba_rate):
            line += f" {row.rate / numba_rate:7.2f} x Numba"
        print(line)
    single = next((row for row in rows if row.is_ours), None)
    if single and side in BARS:
        verdict = "met" if single.rate / numpy_rate >= BARS[side] else "MISSED"
        print(f"  bar {BARS[side]:.0f} x NumPy, {single.name.split(', ')[1]}: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="640,4096", help="sides of the grids (default: %(default)s)")
    parser.add_argument("--dtypes", default="float64,float32", help="element types (default: %(default)s)")
    parser.add_argument("--threads", default="1,2", help="of ours (default: %(default)s); the bars are for the first")
    parser.add_argument("--rounds", type=int, default=7, help="at least 7 for a figure (default: %(default)s)")
    options = parser.parse_args()
    import numpy as np

    print(f"NumPy {np.__version__}")
    for dtype in options.dtypes.split(","):
        for side in map(int, options.sizes.split(",")):
            rows = make_rows([int(n) for n in options.threads.split(",")])
            grid = np.random.default_rng(1).random((side, side)).astype(dtype)
            check(rows, grid[:200, :300].copy())
            for _ in range(options.rounds):
                for row in rows:
                    row.measure(grid, STEPS.get(side, 50))
            print(f"\n{side} x {side}, {dtype}")
            report(rows, side)


if __name__ == "__main__":
    main()
