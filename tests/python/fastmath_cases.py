"""Numbers, the same numbers in other memory, and comparisons for the tests of sidewinder.fastmath."""

from __future__ import annotations

import math
import random
from array import array
from typing import Any

import pytest

from sidewinder import Array

NAN, INF = math.nan, math.inf
SIZES = [0, 1, 2, 3, 7, 8, 9, 31, 64, 65, 100, 1023, 2048, 2049, 5000]
DTYPES = ["float64", "float32"]
REDUCTIONS = ["sum", "mean", "norm", "var", "std"]


def rounded(values: list[float], dtype: str) -> list[float]:
    """The values as the dtype has them."""
    return list(Array(values, dtype))


def random_values(count: int, dtype: str = "float64", seed: int = 1) -> list[float]:
    rng = random.Random(seed * 1_000_003 + count)
    return rounded([rng.gauss(1, 3) for _ in range(count)], dtype)


def vector_forms(values: list[float], dtype: str) -> list[Any]:
    """The same numbers in other memory: as they are, backwards, every third of a longer one, in another's buffer."""
    wide = Array([v for value in values for v in (value, 99.0, -99.0)], dtype)
    plain = array("d" if dtype == "float64" else "f", values)
    return [Array(values, dtype), Array(values[::-1], dtype)[::-1], wide[::3], plain, memoryview(plain[::-1])[::-1]]


def matrix_forms(rows: list[list[float]], dtype: str) -> list[Any]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    wide = Array([[v for value in row for v in (value, 99.0)] for row in rows], dtype)
    return [Array(rows, dtype), Array(columns, dtype).T, wide[:, ::2], Array(rows[::-1], dtype)[::-1]]


def random_matrix(rows: int, columns: int, dtype: str = "float64", seed: int = 1) -> list[list[float]]:
    values = random_values(rows * columns, dtype, seed)
    return [values[i * columns : (i + 1) * columns] for i in range(rows)]


def near(value: Any, tolerance: float = 1e-9) -> Any:
    return pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True)


def close(values: Any, expected: Any, tolerance: float = 1e-9, absolute: float | None = None) -> bool:
    """As near(), for long lists."""
    values, expected = Array(values).reshape(-1), Array(expected).reshape(-1)
    slack = tolerance if absolute is None else absolute
    return len(values) == len(expected) and all(
        a == b or math.isclose(a, b, rel_tol=tolerance, abs_tol=slack) or (a != a and b != b)
        for a, b in zip(values.tolist(), expected.tolist(), strict=True)
    )
