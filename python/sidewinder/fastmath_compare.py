"""What ``python -m sidewinder.fastmath`` prints: plain Python, NumPy and this package, measured in one run.

Each row computes the same thing in three ways, from a list, a NumPy array and a :class:`sidewinder.Array`, and compares the
results. A time is the shortest of some rounds, in which NumPy and this package take turns.
"""

from __future__ import annotations

import argparse
import math
import operator
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sidewinder import fastmath, slowmath

ROUNDS = 7
ROUNDS_SECONDS = 0.5  # of plain Python, after which there is no second round
SPIN_S = 0.15  # for so long the threads of NumPy's OpenBLAS spin after a product, on the CPUs that ours would have
JULIA = complex(-0.62772, -0.42193)


@dataclass(frozen=True)
class Row:
    """One thing to compute; a way that is not there is None."""

    name: str
    python: Callable[[], Any] | None
    numpy: Callable[[], Any] | None
    ours: Callable[[], Any]
    pause_s: float = 0.0  # after each turn


def numpy_diffuse(np: Any, grid: Any, steps: int) -> Any:
    for _ in range(steps):
        around = np.roll(grid, 1, 0) + np.roll(grid, -1, 0) + np.roll(grid, 1, 1) + np.roll(grid, -1, 1)
        grid = grid + 0.1 * (around - 4 * grid)
    return grid


def numpy_julia(np: Any, size: int, iterations: int) -> Any:
    """As usual: all points that are still inside at once."""
    axis = np.linspace(-1.8, 1.8, size, endpoint=False)
    z = (axis[None, :] + 1j * axis[:, None]).ravel()
    counts = np.zeros(z.size, dtype=np.uint32)
    alive = np.arange(z.size)
    for _ in range(iterations):
        inside = z.real * z.real + z.imag * z.imag <= 4.0
        z, alive = z[inside], alive[inside]
        counts[alive] += 1
        z = z * z + JULIA
    return counts.reshape(size, size)


def matmul_row(np: Any, size: int, with_python: bool) -> Row:
    rng = random.Random(size)
    a, b = ([[rng.random() for _ in range(size)] for _ in range(size)] for _ in range(2))
    fast_a, fast_b = fastmath.Array(a), fastmath.Array(b)
    np_a: Any = np and np.array(a)
    np_b: Any = np and np.array(b)
    return Row(
        f"matmul {size} x {size}",
        (lambda: slowmath.matmul(a, b)) if with_python else None,
        (lambda: np_a @ np_b) if np else None,
        lambda: fastmath.matmul(fast_a, fast_b),
        SPIN_S if np else 0.0,
    )


def vector_rows(np: Any, size: int) -> list[Row]:
    rng = random.Random(7)
    lists = [[rng.uniform(0.1, 2.0) for _ in range(size)] for _ in range(3)]
    x, y, z = lists
    a, b, c = map(fastmath.Array, lists)
    p, q, r = (np and np.array(values) for values in lists)
    count = f"{size:,}"
    return [
        Row(f"sum of {count}", lambda: sum(x), np and p.sum, lambda: fastmath.sum(a)),
        Row(f"variance of {count}", lambda: slowmath.var(x), np and p.var, lambda: fastmath.var(a)),
        Row(
            f"median of {count}", lambda: slowmath.median(x), np and (lambda: np.median(p)), lambda: fastmath.median(a)
        ),
        Row(
            f"dot product of {count}",
            lambda: sum(map(operator.mul, x, y)),
            np and (lambda: p @ q),
            lambda: fastmath.dot(a, b),
        ),
        Row(
            f"a*b + c of {count}",
            lambda: [u * v + w for u, v, w in zip(x, y, z, strict=True)],
            np and (lambda: p * q + r),
            lambda: fastmath.evaluate("a*b + c", a=a, b=b, c=c),
        ),
        Row(
            f"sqrt(a**2 + b**2 + c**2) of {count}",
            lambda: [math.sqrt(u * u + v * v + w * w) for u, v, w in zip(x, y, z, strict=True)],
            np and (lambda: np.sqrt(p**2 + q**2 + r**2)),
            lambda: fastmath.evaluate("sqrt(a**2 + b**2 + c**2)", a=a, b=b, c=c),
        ),
        Row(f"exp of {count}", lambda: [math.exp(u) for u in x], np and (lambda: np.exp(p)), lambda: fastmath.exp(a)),
    ]


def grid_rows(np: Any) -> list[Row]:
    rng = random.Random(8)
    grid = [[rng.random() for _ in range(256)] for _ in range(256)]
    fast, other = fastmath.Array(grid), np and np.array(grid)
    return [
        Row(
            "diffusion 256 x 256, 20 steps",
            lambda: slowmath.diffuse(grid, 20),
            np and (lambda: numpy_diffuse(np, other, 20)),
            lambda: fastmath.diffuse(fast, 20),
        ),
        Row(
            "Julia set 300 x 300, 300 iterations",
            lambda: slowmath.julia(JULIA, 300, 300),
            np and (lambda: numpy_julia(np, 300, 300)),
            lambda: fastmath.julia(JULIA, 300, 300, exact=True),
        ),
    ]


@dataclass
class Way:
    """One of the three: its shortest time and its result."""

    work: Callable[[], Any] | None
    seconds: float = math.inf
    result: Any = None

    def run(self) -> None:
        if self.work is not None:
            start = time.perf_counter()
            self.result = self.work()
            self.seconds = min(self.seconds, time.perf_counter() - start)


def measure(row: Row) -> tuple[Way, Way, Way]:
    """Plain Python, NumPy and ours."""
    python, numpy, ours = Way(row.python), Way(row.numpy), Way(row.ours)
    for _ in range(ROUNDS):
        for way in (numpy, ours):
            way.run()
            way.run()  # with its threads awake
            time.sleep(row.pause_s)
    for _ in range(ROUNDS if row.python else 0):
        python.run()
        if python.seconds > ROUNDS_SECONDS:
            break
    return python, numpy, ours


def numbers(result: Any) -> list[float]:
    """The results, one after the other."""
    if hasattr(result, "reshape"):
        result = result.reshape(-1).tolist()
    if not isinstance(result, list):
        return [float(result)]
    return [number for row in result for number in row] if isinstance(result[0], list) else result


def difference(python: Way, numpy: Way, ours: Way) -> float:
    """The largest relative difference between our result and that of another way, plain Python where it was run."""
    other = python if python.work else numpy if numpy.work else ours
    left, right = numbers(other.result), numbers(ours.result)
    if len(left) != len(right):
        return math.inf
    return max(abs(a - b) / max(1.0, abs(a), abs(b)) for a, b in zip(left, right, strict=True))


def duration(way: Way) -> str:
    if way.work is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if way.seconds >= size:
            return f"{way.seconds / size:.3g} {unit}"
    return f"{way.seconds / 1e-9:.0f} ns"


def ratio(other: Way, ours: Way) -> str:
    times = other.seconds / ours.seconds
    return "-" if other.work is None else f"{times:,.0f} x" if times >= 10 else f"{times:.2f} x"


def find_numpy() -> Any:
    try:
        return import_module("numpy")
    except ImportError:
        return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sidewinder.fastmath",
        description="Measure the functions of sidewinder.fastmath beside plain Python and, if it is there, NumPy.",
    )
    parser.add_argument(
        "--full", action="store_true", help="multiply 1000 x 1000 matrices in plain Python too (a minute)"
    )
    parser.add_argument("--size", type=int, default=1_000_000, help="elements of the vectors (default: 1000000)")
    options = parser.parse_args(arguments)
    if options.size < 1:
        parser.error("--size must be at least 1")
    np = find_numpy()
    print(
        f"Python {sys.version.split()[0]}, NumPy {np.__version__ if np else 'not found'}, "
        f"{len(os.sched_getaffinity(0))} CPUs; shortest of up to {ROUNDS} rounds"
    )
    print(f"{'':<40}{'plain Python':>13}{'NumPy':>11}{'sidewinder':>12}{'x Python':>12}{'x NumPy':>10}")
    rows = [matmul_row(np, 200, True), matmul_row(np, 1000, options.full)]
    status = 0
    for row in rows + vector_rows(np, options.size) + grid_rows(np):
        python, numpy, ours = measure(row)
        print(
            f"{row.name:<40}{duration(python):>13}{duration(numpy):>11}{duration(ours):>12}"
            f"{ratio(python, ours):>12}{ratio(numpy, ours):>10}",
            flush=True,
        )
        if (off := difference(python, numpy, ours)) > 1e-9:
            print(f"{row.name}: the results differ by {off:g}", file=sys.stderr)
            status = 1
    return status
